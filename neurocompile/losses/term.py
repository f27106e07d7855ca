"""What a term of the loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity

Diagnostics: TypeAlias = "dict[str, float | dict[str, dict[str, float]]]"
"""Numbers for the log; under ``layers`` those of each layer."""


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
        issues = list(self.issues(activity))
        if issues:
            raise DataError.of(issues)
        with torch.autocast(activity.device.type, enabled=False):
            return self.measure(activity)

    @abstractmethod
    def issues(self, activity: Activity) -> Iterator[Issue]:
        """List what the activity lacks."""

    @abstractmethod
    def measure(self, activity: Activity) -> tuple[Tensor, Diagnostics]:
        """Compute the term of an activity that lacks nothing."""


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

    def measure(self, activity: Activity) -> tuple[Tensor, Diagnostics]:  # noqa: D102
        losses, layers = [], {}
        for name, values in self._layers(activity).items():
            loss, numbers = self.layer(name, activity.flat(values), activity.valid)
            losses.append(loss)
            layers[name] = {"loss": loss.item(), **numbers}
        keys = next(iter(layers.values()))
        means = {key: fmean(numbers[key] for numbers in layers.values()) for key in keys}
        return torch.stack(losses).mean(), {**means, "layers": layers}

    @abstractmethod
    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, dict[str, float]]:
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
            The loss, and numbers for the log.
        """

    def _layers(self, activity: Activity) -> Mapping[str, Tensor]:
        return activity.spikes if self.reads == "spikes" else activity.membranes
