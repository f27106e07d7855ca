"""Stops an image as soon as its decision is safe: the steps that this saves, and the decisions that it changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.backend import decide
from neurocompile.ir import Array


def leads(potentials: Array) -> Array:
    """Tell how far the decision is ahead of the next one, ``(B, T)``.

    Parameters
    ----------
    potentials
        What outputs have accumulated, ``(B, T, outputs)``; a single output is compared with 0.
    """
    if potentials.shape[-1] == 1:
        single: Array = np.abs(potentials[..., 0])
        return single
    two = np.partition(potentials, -2, axis=-1)[..., -2:]
    ahead: Array = two[..., 1] - two[..., 0]
    return ahead


@dataclass(frozen=True)
class ExitRule:
    """When an image stops: at the first step at which its decision leads by more than any that was still changed.

    A rule of confidence, as for networks with exits on the way (Teerapittayanon et al. 2016), for each step.

    Parameters
    ----------
    safe
        For each step the largest lead, on other images, of a decision that is not that of the last step, ``(T,)``.
    images
        How many these were.
    """

    safe: Array
    images: int

    @classmethod
    def of(cls, potentials: Array) -> ExitRule:
        """Learn from what the outputs of some images have accumulated, ``(B, T, outputs)``."""
        decisions = decide(potentials)
        changed = decisions != decisions[:, -1:]
        return cls(np.where(changed, leads(potentials), 0).max(axis=0), len(potentials))

    def exits(self, potentials: Array) -> Array:
        """Give the step, counted from 0, at which each image stops: ``(B,)``."""
        stops = leads(potentials) > self.safe
        stops[:, -1] = True
        first: Array = stops.argmax(axis=1)
        return first


@dataclass(frozen=True)
class EarlyExit:
    """What stopping early brings on a test set.

    Parameters
    ----------
    steps
        After which an image stops, on average.
    accuracy
        At these.
    changed_decisions
        The images on which it is not decided as after the last step.
    calibration_images
        That the rule was learned from.
    """

    steps: float
    accuracy: float
    changed_decisions: int
    calibration_images: int

    @classmethod
    def of(cls, exits: Array, decisions: Array, y: Array, rule: ExitRule) -> EarlyExit:
        """Measure, by the steps at which images stop and by what is decided at each, ``(B, T)``."""
        decided = np.take_along_axis(decisions, exits[:, None], axis=1)[:, 0]
        changed = int(np.count_nonzero(decided != decisions[:, -1]))
        return cls(float(exits.mean()) + 1, float(np.mean(decided == y)), changed, rule.images)
