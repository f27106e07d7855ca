"""Regularisation of how a rate changes over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from neurocompile.checks import choice_issues, whole_issues
from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity
from neurocompile.losses.term import DiagnoseLayer, LayerTerm

Penalty = Literal["l1", "l2", "variance"]


@dataclass(frozen=True)
class TemporalConsistency(LayerTerm):
    """Keeps the rate of each neuron the same all along a sequence.

    ``r_k`` is the mean of the k-th window of ``window_size`` steps. Windows do not overlap: two that are a step
    apart share all steps but one, and their difference would compare two single spikes. A window counts where all
    of its steps are valid; steps left over at the end do not. The penalty is the mean over pairs of windows and
    over neurons of

    - ``l1``: ``|r_k - r_(k-1)|``;
    - ``l2``: ``(r_k - r_(k-1)) ** 2``, the slowness of Wiskott and Sejnowski (2002);
    - ``variance``: ``(r_k - mean_k r_k) ** 2``, over windows instead of pairs.

    The loss is the mean over those sequences that have something to compare, and 0 where none has.

    Parameters
    ----------
    window_size
        In steps, at most half of T.
    penalty_type
        ``l1``, ``l2`` or ``variance``.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    name: ClassVar[str] = "temporal"
    window_size: int = 5
    penalty_type: Penalty = "l2"

    def __post_init__(self) -> None:
        issues = [
            *whole_issues("window_size", self.window_size, op=self.name),
            *choice_issues("penalty_type", self.penalty_type, get_args(Penalty), op=self.name),
        ]
        if issues:
            raise DataError.of(issues)

    def issues(self, activity: Activity) -> Iterator[Issue]:  # noqa: D102
        yield from super().issues(activity)
        _, steps = activity.batch
        if steps < 2 * self.window_size:
            problem = f"{steps} steps do not hold two windows of window_size={self.window_size}"
            remedy = f"choose a window_size up to {steps // 2}" if steps > 1 else "run more steps"
            yield Issue(problem, op=self.name, remedy=f"{remedy}, or leave the term out")

    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, DiagnoseLayer]:  # noqa: ARG002
        """Compute the term of one layer.

        The diagnostics are the ``largest_change`` of a rate from window to window, and ``compared``, the fraction
        of sequences that have something to compare.
        """
        size, steps, neurons = values.shape
        count = steps // self.window_size
        kept = count * self.window_size
        rates = values[:, :kept].reshape(size, count, self.window_size, neurons).mean(dim=2)
        whole = valid[:, :kept].reshape(size, count, self.window_size).all(dim=2)
        change, pairs = rates.diff(dim=1), whole[:, 1:] & whole[:, :-1]
        if self.penalty_type == "variance":
            compared, counts = whole.sum(dim=1) > 1, whole
            mean = (rates * whole[..., None]).sum(dim=1) / whole.sum(dim=1, keepdim=True).clamp(min=1)
            penalties = (rates - mean[:, None]).square()
        else:
            compared, counts = pairs.any(dim=1), pairs
            penalties = change.abs() if self.penalty_type == "l1" else change.square()
        of_sequences = (penalties.mean(dim=2) * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
        loss = (of_sequences * compared).sum() / compared.sum().clamp(min=1)
        return loss, lambda: {
            "largest_change": (change.detach().abs() * pairs[..., None]).max().item(),
            "compared": compared.double().mean().item(),
        }
