"""Boxes of a stream's values, and which values of a source a box of a receiver needs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from neurocompile.ir import Array, Op
from neurocompile.ir.kernels import Window
from neurocompile.ir.processes import (
    ConvSynapses,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    SpikeMaxPool,
    WireSynapses,
)

Box = tuple[tuple[int, int], ...]
"""For each axis the first index and the one behind the last."""


def volume(box: Box) -> int:
    """Count the values in a box."""
    return math.prod(end - start for start, end in box)


def whole(shape: tuple[int, ...]) -> Box:
    """Give the box of all values."""
    return tuple((0, n) for n in shape)


def slices(box: Box) -> tuple[slice, ...]:
    """Give the box as an index of an array."""
    return tuple(slice(start, end) for start, end in box)


def intersection(a: Box, b: Box) -> Box:
    """Give what two boxes share, which may be empty."""
    shared = ((max(x[0], y[0]), min(x[1], y[1])) for x, y in zip(a, b, strict=True))
    return tuple((start, max(start, end)) for start, end in shared)


def tiles(shape: tuple[int, ...], extents: tuple[int, ...]) -> Iterator[Box]:
    """Cut a shape into boxes of these extents, in order; the last along an axis may be smaller."""
    counts = [-(-n // e) for n, e in zip(shape, extents, strict=True)]
    for place in np.ndindex(*counts):
        yield tuple((i * e, min((i + 1) * e, n)) for i, e, n in zip(place, extents, shape, strict=True))


def needed(op: Op, box: Box, shape: tuple[int, ...]) -> Box:
    """Give the smallest box of an operator's input that holds all that a box of its output depends on.

    Parameters
    ----------
    op
        Synapses, or a pool.
    box
        Of the output.
    shape
        Of the input.
    """
    if not volume(box):
        return tuple((0, 0) for _ in shape)
    if isinstance(op, ConvSynapses):
        (start, end), *space = box
        outputs, inputs = op.weight.shape[0] // op.groups, op.weight.shape[1]
        channels = (start // outputs * inputs, ((end - 1) // outputs + 1) * inputs)
        return (channels, *_under(op.window, space, shape[1:]))
    if isinstance(op, PoolSynapses | SpikeMaxPool):
        return (box[0], *_under(op.window, box[1:], shape[1:]))
    if isinstance(op, LinearSynapses):
        return (*box[:-1], (0, shape[-1]))
    if isinstance(op, ReshapeSynapses):
        corners = [[start, end - 1] for start, end in box]
        first, last = (int(np.ravel_multi_index([c[i] for c in corners], op.shape)) for i in (0, 1))
        return _hull(np.array([first, last]), shape, consecutive=True)
    if isinstance(op, WireSynapses):
        index = op.index[slices(box)]
        wired = index[index >= 0]
        return _hull(wired, shape) if wired.size else tuple((0, 0) for _ in shape)
    return box


def _under(window: Window, space: list[tuple[int, int]] | Box, size: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    for (start, end), n, k, s, d, before in zip(
        space, size, window.kernel, window.stride, window.dilation, window.before, strict=True
    ):
        first = min(max(0, start * s - before), n)
        yield first, max(first, min(n, (end - 1) * s - before + (k - 1) * d + 1))


def _hull(flat: Array, shape: tuple[int, ...], *, consecutive: bool = False) -> Box:
    """Give the smallest box around places of the flattened values, or around all between two of them."""
    places = np.unravel_index(flat, shape)
    found = [(int(p.min()), int(p.max()) + 1) for p in places]
    if consecutive:
        # Behind the first axis along which the ends differ, the values between them take everything.
        apart = next((i for i, p in enumerate(places) if p[0] != p[1]), len(shape))
        found[apart + 1 :] = [(0, n) for n in shape[apart + 1 :]]
    return tuple(found)
