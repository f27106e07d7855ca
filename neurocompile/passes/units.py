"""Chooses what the integers of a layer's weights are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Node
from neurocompile.ir.fixed_point import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA_MAX,
    CURRENT_MAX,
    CURRENT_SHIFT,
    MEMBRANE_MAX,
    WEIGHT_MAX,
)
from neurocompile.ir.processes import ScaleSynapses
from neurocompile.passes.weights import gains

_BIAS_MAX = 0.95 * (BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX) / 2**CURRENT_SHIFT
"""The largest bias, in units of current, with room for the offsets of rounding."""

_MEMBRANE_THRESHOLDS = 32
"""How many thresholds a membrane holds before it saturates: currents come in bursts."""

_CURRENT_MAX = CURRENT_MAX // 2
"""So that a membrane holds sixteen thresholds and a current, which the digit code's need."""

_THRESHOLD_MAX = MEMBRANE_MAX >> CURRENT_SHIFT + int(math.log2(_MEMBRANE_THRESHOLDS))

_SMALLEST_SHARE = 0.85
_CANDIDATES = 64
"""Of thresholds below the largest, to choose among."""

_COARSEST_SHARED = 2.0**-11
"""The largest unit to which a channel that needs larger ones makes all others grow."""


@dataclass(frozen=True)
class Branch:
    """The last weights on one path to a receiver.

    Parameters
    ----------
    node
        Whose weights they are.
    weight
        Real, ``(out, ...)``, per 1 of the integers that reach them.
    largest
        The largest of those integers.
    window
        How many of their sums pools add up behind them.
    sources
        For each of the receiver's channels that of the weights which leads to it, -1 for none; None where several
        lead to one.
    """

    node: Node
    weight: Array
    largest: float
    window: int
    sources: Array | None

    @property
    def keeps_channels(self) -> bool:
        """Whether no channel of the weights leads to several of the receiver, nor several to one."""
        return self.sources is not None and bool(np.all(np.bincount(self.sources + 1)[1:] <= 1))

    @property
    def peaks(self) -> Array:
        """The largest weight into each channel."""
        peaks: Array = np.abs(self.weight).reshape(len(self.weight), -1).max(axis=1)
        return peaks

    def steps(self, unit: Array) -> tuple[Array, int]:
        """Give the weights as multiples of the receiver's unit, times a power of two that gives them 8 bits.

        Returns
        -------
        steps, exponent
            ``steps * 2.0**exponent * unit`` are the real weights; one exponent for all channels.
        """
        if len(unit) > 1:
            unit = self._of_weights(unit)
        peak = float((self.peaks / unit).max())
        # A hair above a power of two is rounded to it, not to the next.
        exponent = math.ceil(math.log2(peak / WEIGHT_MAX) - 1e-9) if peak else 0
        return self.weight / (unit * 2.0**exponent).reshape(-1, *[1] * (self.weight.ndim - 1)), exponent

    def _of_weights(self, unit: Array) -> Array:
        """Give the receiver's units for the channels of the weights; what leads nowhere weighs nothing."""
        assert self.sources is not None
        own = np.full(len(self.weight), np.inf)
        own[self.sources[self.sources >= 0]] = unit[self.sources >= 0]
        return own

    def at_receiver(self, values: Array) -> Array:
        """Give values of the channels of the weights for those of the receiver, 0 where none leads to one."""
        return values.max(keepdims=True) if self.sources is None else np.append(values, 0)[self.sources]

    def largest_currents(self, weight: Array, exponent: int) -> Array:
        """Bound the currents that integer weights bring into each channel of the receiver, whatever arrives."""
        currents = gains(self.node.op, weight) * 2.0**exponent * self.largest * self.window
        return self.at_receiver(currents)


def nearest_weights(steps: Array) -> Array:
    """Round weights in units of integers to the nearest."""
    return np.clip(np.rint(steps), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


def choose_unit(branches: Sequence[Branch], bias: Array, *, per_layer: bool, has_threshold: bool) -> Array:
    """Choose the part of a threshold (or of the real output) that a current of 1 is worth.

    The smallest of the branches' weights' units, so that every branch keeps its 8 bits; larger where the
    threshold or the bias would not fit its mantissa, or where the current could wrap around at 24 bits. The
    threshold is a whole number of units.

    Returns
    -------
    Array
        ``(channels,)``, or ``(1,)`` if ``per_layer``.
    """
    each = [branch.at_receiver(branch.peaks) for branch in branches]
    if per_layer:
        each = [peaks.max(keepdims=True) for peaks in each]
    peaks = np.stack(np.broadcast_arrays(*each))
    unit = np.where(peaks > 0, peaks, np.inf).min(axis=0) / WEIGHT_MAX
    unit = np.where(np.isfinite(unit), unit, 1 / WEIGHT_MAX)
    lowest = np.zeros(1)
    if has_threshold:
        biases = np.abs(bias).reshape(len(bias), -1).max(axis=1) if bias.ndim else np.abs(bias).reshape(1)
        lowest = np.maximum((biases.max() if per_layer else biases) / _BIAS_MAX, 1 / _THRESHOLD_MAX)
        unit = _whole(np.broadcast_to(unit, np.broadcast_shapes(unit.shape, lowest.shape)))
    # The channels share one shift: all of their units grow together, so that each keeps its 8 bits, until this
    # would cost the others precision. A channel that needs still more has weights too small to need 8 bits.
    while np.any(unit < lowest) and unit.max() < _COARSEST_SHARED:
        unit = _grown(unit, has_threshold)
    unit = np.maximum(unit, lowest)
    if has_threshold:
        unit = _whole(unit)
    while _largest_current(branches, unit) > _CURRENT_MAX:
        if has_threshold and np.all(unit == 1):
            node = branches[0].node
            raise GraphError(
                f"a spike can bring {_CURRENT_MAX:,} thresholds at once, more than 24 bits have room for",
                node.name,
                type(node.op).__name__,
                "check the model for exploding weights, or use --precision float",
            )
        unit = _grown(unit, has_threshold)
    return _suiting_wires(branches, unit) if has_threshold and len(unit) > 1 else unit


def _suiting_wires(branches: Sequence[Branch], unit: Array) -> Array:
    """Let units grow a little where that makes whole numbers of weights one to one, as those of shortcuts are.

    A single weight's error is not made up for by others, and has the same sign for all values.
    """
    single = [b for b in branches if isinstance(b.node.op, ScaleSynapses) and b.weight.size == len(b.weight)]
    thresholds = np.floor(np.linspace(1, _SMALLEST_SHARE, _CANDIDATES)[:, None] / unit + 1e-9)
    thresholds = np.maximum(thresholds, 1)
    error = np.zeros(thresholds.shape)
    for branch in single:
        _, exponent = branch.steps(unit)
        sizes = branch.at_receiver(branch.peaks) * thresholds * 2.0**-exponent
        error += np.abs(sizes - np.rint(sizes)) / np.maximum(sizes, 1)
    chosen: Array = 1 / np.take_along_axis(thresholds, error.argmin(axis=0)[None], axis=0)[0]
    return chosen


def _largest_current(branches: Sequence[Branch], unit: Array) -> float:
    currents = []
    for branch in branches:
        steps, exponent = branch.steps(unit)
        currents.append(branch.largest_currents(nearest_weights(steps), exponent))
    # Branches that lie side by side do not add up.
    return float(np.max(sum(currents)))


def _grown(unit: Array, has_threshold: bool) -> Array:
    return _whole(2 * unit) if has_threshold else 2 * unit


def _whole(unit: Array) -> Array:
    """Round units up so that 1 is a whole number of them."""
    whole: Array = 1 / np.maximum(np.floor(1 / unit + 1e-9), 1)
    return whole
