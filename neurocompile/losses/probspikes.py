"""ProbSpikes: the cross-entropy of spike counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from neurocompile.checks import number_issues
from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity, mean_over_time
from neurocompile.losses.term import Diagnose, Diagnostics, LossTerm

LEAST_TEMPERATURE = 1e-4
"""Below, gradients for spikes of float16 would overflow."""


@dataclass(frozen=True)
class ProbSpikes(LossTerm):
    """The cross-entropy of spike counts: the class whose neuron fires most is the most probable one.

    ``mean_b -log softmax(r_b / temperature)[target_b]`` with ``r_b`` the spikes per valid step of each output
    neuron (Eshraghian et al. 2023; Shrestha et al. 2022 call it Spikemax). Rates are 1 at most, so that the loss
    of C classes is ``log(1 + (C - 1) exp(-1 / temperature))`` at least: 1.46 of 10 classes at a temperature of 1,
    and 4e-4 at 0.1.

    Parameters
    ----------
    temperature
        What rates (or counts) are divided by before the softmax, 1e-4 or more: the smaller, the surer.
    normalize
        Whether rates are read. Counts, which grow with T, make the same network surer the longer it runs, and the
        long sequences of a ragged batch surer than the short ones. They are rates at the temperature
        ``temperature / T``.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    name: ClassVar[str] = "probspikes"
    temperature: float = 1.0
    normalize: bool = True

    def __post_init__(self) -> None:
        issues = list(number_issues("temperature", self.temperature, LEAST_TEMPERATURE, op=self.name))
        if not isinstance(self.normalize, bool):
            problem = f"normalize={self.normalize!r} is neither True nor False"
            issues.append(Issue(problem, op=self.name, remedy="choose True or False"))
        if issues:
            raise DataError.of(issues)

    def issues(self, activity: Activity) -> Iterator[Issue]:  # noqa: D102
        for kind, given in (("output", activity.output), ("targets", activity.targets)):
            if given is None:
                problem = f"no {kind} were given" if kind == "targets" else "no output was recorded"
                yield Issue(problem, op=self.name, remedy="give both output and targets, or leave the term out")

    def measure(self, activity: Activity) -> tuple[Tensor, Diagnose]:
        """Compute the term.

        The diagnostics are the ``accuracy`` of the largest count, the ``confidence``, which is the mean of the
        largest probabilities, and ``silent``, the fraction of sequences for which no output neuron fired.
        """
        assert activity.output is not None
        assert activity.targets is not None
        spikes, targets = activity.flat(activity.output), activity.targets.long()
        scores = mean_over_time(spikes, activity.valid) if self.normalize else spikes.sum(dim=1)
        logits = scores / self.temperature
        # It takes the logarithm of the softmax in one, which no probability of 0 can break.
        loss = functional.cross_entropy(logits, targets)

        def diagnose() -> Diagnostics:
            # Probabilities that are rounded can be equal where scores are not.
            decided = scores.detach().argmax(dim=1)
            largest = logits.detach().softmax(dim=1).amax(dim=1)
            return {
                "accuracy": (decided == targets).double().mean().item(),
                "confidence": largest.double().mean().item(),
                "silent": (~(spikes != 0).flatten(1).any(dim=1)).double().mean().item(),
            }

        return loss, diagnose
