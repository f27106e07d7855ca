"""What a term of the loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity
from neurocompile.losses.precision import full_precision

Diagnostics: TypeAlias = "dict[str, float | dict[str, dict[str, float]]]"
"""Numbers for the log; under ``layers`` those of each layer."""

Diagnose: TypeAlias = "Callable[[], Diagnostics]"
"""Gives the diagnostics, which take as long as the loss, when they are wanted."""

DiagnoseLayer: TypeAlias = "Callable[[], dict[str, float]]"
"""Gives those of a layer."""


class LossTerm(ABC):
    """One term of the loss: called with what a network did, it gives a scalar and numbers for the log.

    It computes in float64 what it gets in float64 and in float32 everything else, under autocast too, where
    convolutions and products would be in half precision.
    """

    name: ClassVar[str]

    def __call__(self, activity: Activity) -> tuple[Tensor, Diagnostics]:
        """Compute the term.

        Returns
        -------
        tuple
            The loss, a scalar with a gradient, and the diagnostics.

        Raises
        ------
        DataError
            If the activity lacks what the term reads.
        """
        self._check(activity)
        with full_precision(activity.device):
            loss, diagnose = self.measure(activity)
            return loss, diagnose()

    def loss(self, activity: Activity) -> Tensor:
        """Compute the term without the diagnostics, in less time."""
        self._check(activity)
        with full_precision(activity.device):
            return self.measure(activity)[0]

    @abstractmethod
    def issues(self, activity: Activity) -> Iterator[Issue]:
        """List what the activity lacks."""

    @abstractmethod
    def measure(self, activity: Activity) -> tuple[Tensor, Diagnose]:
        """Compute the term of an activity that lacks nothing."""

    def _check(self, activity: Activity) -> None:
        issues = list(self.issues(activity))
        if issues:
            raise DataError.of(issues)


class LayerTerm(LossTerm):
    """A term that looks at each layer by itself, and is the mean over the layers.

    So it does not grow with the number of layers, and each layer counts alike, however many neurons it has. The
    diagnostics are means over the layers too, and are listed layer by layer under ``layers``.
    """

    reads: ClassVar[Literal["spikes", "membranes"]] = "spikes"

    def issues(self, activity: Activity) -> Iterator[Issue]:  # noqa: D102
        if not self._layers(activity):
            yield Issue(
                f"no {self.reads} were recorded",
                op=self.name,
                remedy=f"record {self.reads}, or leave the term out",
            )

    def measure(self, activity: Activity) -> tuple[Tensor, Diagnose]:  # noqa: D102
        measured = {
            name: self.layer(name, activity.flat(values), activity.valid)
            for name, values in self._layers(activity).items()
        }

        def diagnose() -> Diagnostics:
            layers = {name: {"loss": loss.item(), **numbers()} for name, (loss, numbers) in measured.items()}
            keys = next(iter(layers.values()))
            means = {key: fmean(numbers[key] for numbers in layers.values()) for key in keys}
            return {**means, "layers": layers}

        return torch.stack([loss for loss, _ in measured.values()]).mean(), diagnose

    @abstractmethod
    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, DiagnoseLayer]:
        """Compute the term of one layer.

        Parameters
        ----------
        name
            The layer's.
        values
            ``(B, T, N)``, float32 or float64, 0 at steps that are not valid.
        valid
            bool ``(B, T)``.

        Returns
        -------
        tuple
            The loss, and what gives numbers for the log.
        """

    def _layers(self, activity: Activity) -> Mapping[str, Tensor]:
        return activity.spikes if self.reads == "spikes" else activity.membranes
