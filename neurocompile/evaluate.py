"""What a conversion cost: accuracy against steps, agreement, spikes; and whether two backends agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurocompile.backend import Activity, Executable, Progress, Result, run_in_parts, silent, total_activity
from neurocompile.early_exit import EarlyExit, ExitRule
from neurocompile.ir import Array
from neurocompile.significance import PairedLoss, share_at_most

RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Spikes for a step, on average over all images: the edges of the histogram of a layer's neurons."""

_PART = 2_000
"""Images at a time."""


@dataclass(frozen=True)
class Evaluation:
    """A spiking network measured on a test set.

    Parameters
    ----------
    images
        How many.
    ann_accuracy
        Of the original network on the same images, as a fraction; None where it is not at hand.
    accuracy_by_step
        Of the spiking network after each step, ``(T,)``.
    agreement
        The fraction of images on which both networks decide alike after the last step; None likewise.
    loss
        In accuracy after the last step, and how sure it is; None likewise.
    activity
        Of the encoder and each layer of neurons, over all images and steps.
    neurons
        The size of each layer of neurons.
    seconds
        The time that the simulation took.
    by_reference
        The processes that were simulated without regard to how many spikes there are.
    labelled
        Whether the classes are known; else what the original network decides counts as right.
    early_exit
        What stopping early brings; None where no images were given to learn from.
    """

    images: int
    ann_accuracy: float | None
    accuracy_by_step: Array
    agreement: float | None
    loss: PairedLoss | None
    activity: Mapping[str, Activity]
    neurons: Mapping[str, int]
    seconds: float
    by_reference: tuple[str, ...] = ()
    labelled: bool = True
    early_exit: EarlyExit | None = None

    @property
    def steps(self) -> int:
        """T."""
        return len(self.accuracy_by_step)

    @property
    def accuracy(self) -> float:
        """Of the spiking network after the last step."""
        return float(self.accuracy_by_step[-1])

    @property
    def loss_points(self) -> float | None:
        """The ANN's accuracy minus the spiking network's, in percentage points."""
        return None if self.ann_accuracy is None else 100 * (self.ann_accuracy - self.accuracy)

    @property
    def loss_relative(self) -> float | None:
        """The loss as a fraction of the ANN's accuracy."""
        if not self.ann_accuracy:
            return None
        return (self.ann_accuracy - self.accuracy) / self.ann_accuracy

    @property
    def changed_decisions(self) -> int | None:
        """The images on which the networks decide otherwise after the last step."""
        return None if self.agreement is None else round(self.images * (1 - self.agreement))

    @property
    def changed_at_most(self) -> float | None:
        """The fraction of all the images there are on which they do so, at most, with 95 % confidence."""
        changed = self.changed_decisions
        return None if changed is None else share_at_most(changed, self.images)

    @property
    def spikes_per_neuron(self) -> float:
        """Spikes that a neuron fires for an image, on average over all neurons."""
        spikes = sum(self.activity[name].events for name in self.neurons)
        return spikes / (self.images * max(1, sum(self.neurons.values())))

    @property
    def synaptic_operations(self) -> float:
        """Synaptic operations for an image, those that the encoder's values cause among them."""
        return sum(a.synaptic_operations for a in self.activity.values()) / self.images

    def neurons_by_rate(self, name: str) -> list[int]:
        """Count the neurons of a layer by their rate: those that are silent, and those up to each of ``RATES``."""
        rates = self.activity[name].by_neuron / (self.images * self.steps)
        places = np.searchsorted(RATES, rates.ravel())
        return [int(n) for n in np.bincount(places, minlength=len(RATES))]


def evaluate(
    executable: Executable,
    x: Array,
    y: Array,
    *,
    steps: int,
    neurons: Mapping[str, int],
    ann: Array | None = None,
    exit_rule: ExitRule | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run a test set and measure the result.

    Parameters
    ----------
    executable
        The spiking network.
    x, y
        Images ``(N, *shape)`` and classes ``(N,)``.
    steps
        T.
    neurons
        The size of each layer of neurons.
    ann
        What the original network decides ``(N,)``; None where it is not at hand.
    exit_rule
        When images may stop early; None to leave that out.
    progress
        Told of each chunk of images.
    """
    exits = []
    decisions = np.empty((len(x), steps), np.int64)
    activity, seconds = [], 0.0
    by_reference: tuple[str, ...] = ()
    # What the outputs have accumulated is only needed until it is decided on.
    for start, result in run_in_parts(executable, x, _PART, steps=steps, progress=progress):
        decisions[start : start + _PART] = result.decisions
        if exit_rule is not None:
            exits.append(exit_rule.exits(result.potentials))
        activity.append(result.activity)
        seconds += result.seconds
        by_reference = result.by_reference
    last = decisions[:, -1]
    return Evaluation(
        images=len(x),
        ann_accuracy=None if ann is None else float(np.mean(ann == y)),
        accuracy_by_step=np.mean(decisions == y[:, None], axis=0),
        agreement=None if ann is None else float(np.mean(last == ann)),
        loss=None if ann is None else PairedLoss.of(ann == y, last == y),
        activity=total_activity(activity),
        neurons=neurons,
        seconds=seconds,
        by_reference=by_reference,
        early_exit=EarlyExit.of(np.concatenate(exits), decisions, y, exit_rule) if exit_rule else None,
    )


def mismatches(a: Result, b: Result) -> dict[str, int]:
    """Count, layer by layer, the values that differ between two runs of the same images.

    Returns
    -------
    dict
        For each probed process the neurons times steps times images whose spikes differ, and for ``potentials``
        the decoder's accumulated values that do.
    """
    found = {name: int(np.count_nonzero(a.spikes[name] != b.spikes[name])) for name in a.spikes}
    found["potentials"] = int(np.count_nonzero(a.potentials != b.potentials))
    return found
