"""Arithmetic on weights ``(out, in // groups, ...)``, as read from a file or in float64.

Results are read-only, so that operators take them as they are: networks with a gigabyte of weights are common.
"""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array, Op
from neurocompile.ir.layers import per_channel
from neurocompile.ir.processes import ScaleSynapses


def scale_outputs(weight: Array, scale: Array) -> Array:
    """Multiply the weights into each output channel; ``scale`` is ``(out,)`` or ``(1,)``."""
    return weight if np.all(scale == 1) else _frozen(weight * per_channel(scale, weight.ndim))


def scale_inputs(weight: Array, scale: Array, groups: int = 1) -> Array:
    """Multiply the weights out of each input channel; ``scale`` is ``(in,)`` or ``(1,)``."""
    if np.all(scale == 1):
        return weight
    outputs, channels = weight.shape[:2]
    by_group = weight.reshape(groups, outputs // groups, channels, -1)
    grouped = np.broadcast_to(scale, (channels * groups,)).reshape(groups, 1, channels, 1)
    return _frozen(by_group * grouped).reshape(weight.shape)


def wire_inputs(weight: Array, sources: Array, channels: int) -> Array:
    """Give weights that take values before wires as these took the values behind them.

    Parameters
    ----------
    weight
        ``(out, in, ...)``.
    sources
        For each input its place before the wires, -1 for none: ``(in,)``.
    channels
        How many places there are before the wires.
    """
    wired = np.zeros((len(weight), channels, *weight.shape[2:]))
    rest = np.flatnonzero(sources >= 0)
    while len(rest):
        # Places from which several wires lead take their weights' sum, one wire of each at a time.
        places, first = np.unique(sources[rest], return_index=True)
        wired[:, places] += weight[:, rest[first]]
        rest = np.delete(rest, first)
    return _frozen(wired)


def gains(op: Op, weight: Array) -> Array:
    """Bound what weights of such synapses give for values of size 1, for each of their channels.

    Parameters
    ----------
    op
        The synapses.
    weight
        Mantissas, ``(out, ...)``.
    """
    sizes = np.abs(weight).reshape(len(weight), -1)
    reduced: Array = sizes.max(axis=1) if isinstance(op, ScaleSynapses) else sizes.sum(axis=1, dtype=np.float64)
    return reduced.astype(np.float64, copy=False)


def _frozen(weight: Array) -> Array:
    weight.setflags(write=False)
    return weight
