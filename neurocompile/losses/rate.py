"""Regularisation of firing rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from neurocompile.checks import number_issues
from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity, mean_over_time
from neurocompile.losses.term import DiagnoseLayer, LayerTerm


@dataclass(frozen=True)
class RateRegularization(LayerTerm):
    """Pulls the rate of each neuron to a target, and harder where it is outside a range.

    ``mean((r - target) ** 2) + range_weight * mean(relu(min - r) ** 2 + relu(r - max) ** 2)`` over sequences and
    neurons, with ``r`` the spikes per valid step (Bellec et al. 2018 for the target, Zenke and Vogels 2021 for the
    two sides of the range). A spike of -1 takes one of 1 back, and counts so. Rates are not taken absolutely: that
    would have no gradient at 0, and a silent neuron would never learn to fire.

    Parameters
    ----------
    target_rate
        Spikes per step, 0 to 1.
    layer_targets
        Other targets, by the names of the layers.
    min_rate, max_rate
        The range, around all targets.
    range_weight
        Of the range against the target; 0 leaves the range out.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    name: ClassVar[str] = "rate_reg"
    target_rate: float = 0.1
    layer_targets: Mapping[str, float] = field(default_factory=dict)
    min_rate: float = 0.01
    max_rate: float = 0.5
    range_weight: float = 1.0

    def __post_init__(self) -> None:
        issues = list(self._option_issues())
        if issues:
            raise DataError.of(issues)
        object.__setattr__(self, "layer_targets", dict(self.layer_targets))

    def issues(self, activity: Activity) -> Iterator[Issue]:  # noqa: D102
        yield from super().issues(activity)
        unknown = sorted(set(self.layer_targets) - set(activity.spikes))
        if unknown:
            problem = f"layer_targets names {', '.join(unknown)}, of which no spikes were recorded"
            remedy = f"choose among {', '.join(activity.spikes)}" if activity.spikes else "record their spikes"
            yield Issue(problem, op=self.name, remedy=remedy)

    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, DiagnoseLayer]:
        """Compute the term of one layer.

        The diagnostics are the mean ``rate``; the fraction of ``dead`` neurons, which fire at no valid step of no
        sequence, and of ``saturated`` ones, which fire at all of them; and the fractions of rates ``below`` and
        ``above`` the range.
        """
        rate = mean_over_time(values, valid)
        target = self.layer_targets.get(name, self.target_rate)
        loss = functional.mse_loss(rate, rate.new_full((), target).expand_as(rate))
        if self.range_weight:
            low, high = (self.min_rate - rate).relu(), (rate - self.max_rate).relu()
            loss = loss + self.range_weight * (low.square() + high.square()).mean()

        def diagnose() -> dict[str, float]:
            fires = values != 0
            return {
                "rate": rate.detach().double().mean().item(),
                "dead": (~fires.any(dim=1).any(dim=0)).double().mean().item(),
                "saturated": (fires | ~valid[..., None]).all(dim=1).all(dim=0).double().mean().item(),
                "below": (rate < self.min_rate).double().mean().item(),
                "above": (rate > self.max_rate).double().mean().item(),
            }

        return loss, diagnose

    def _option_issues(self) -> Iterator[Issue]:
        yield from number_issues("range_weight", self.range_weight, 0, op=self.name)
        low, high = self.min_rate, self.max_rate
        bounds = [
            *number_issues("min_rate", low, 0, 1, op=self.name),
            *number_issues("max_rate", high, 0, 1, op=self.name),
        ]
        if not bounds and low > high:
            problem = f"min_rate={low} is above max_rate={high}"
            bounds = [Issue(problem, op=self.name, remedy="choose a range that holds the targets")]
        yield from bounds
        if bounds or not self.range_weight:
            low, high = 0, 1
        yield from number_issues("target_rate", self.target_rate, low, high, op=self.name)
        layers = self.layer_targets
        if not isinstance(layers, Mapping) or not all(isinstance(name, str) for name in layers):
            problem = f"layer_targets={layers!r} does not give names of layers their rates"
            yield Issue(problem, op=self.name, remedy="give a dict such as {'conv1': 0.05}")
            return
        for name, rate in layers.items():
            yield from number_issues(f"layer_targets[{name!r}]", rate, low, high, op=self.name)
