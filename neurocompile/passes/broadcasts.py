"""Arrays that broadcast against one image, and what wires make of them."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.layers import per_channel


def compact(values: Array) -> Array:
    """Keep one place of each axis along which all values are equal; NaN stands for a value that does not matter."""
    for axis in reversed(range(values.ndim)):
        lowest: Array = np.fmin.reduce(values, axis=axis, keepdims=True)
        if np.array_equal(lowest, np.fmax.reduce(values, axis=axis, keepdims=True), equal_nan=True):
            values = lowest
    return values


def aligned(values: Array, dimensions: int) -> Array:
    """Give values that broadcast against images of so many axes all of the axes."""
    return values.reshape((1,) * (dimensions - values.ndim) + values.shape)


def by_channel(values: Array, dimensions: int) -> Array:
    """Shape ``(channels,)`` or ``(1,)`` so that it broadcasts against images of so many axes, even of none."""
    return values.reshape(()) if values.size == 1 else per_channel(values, dimensions)


def channel_peaks(values: Array, dimensions: int) -> Array:
    """Take the largest size in each channel of values that broadcast against an image: ``(channels,)`` or ``(1,)``."""
    by_axis = np.atleast_1d(aligned(np.abs(values), dimensions))
    peaks: Array = by_axis.reshape(len(by_axis), -1).max(axis=1)
    return peaks


def behind_wires(values: Array, shape: tuple[int, ...], index: Array) -> Array:
    """Move values along wires.

    Parameters
    ----------
    values
        Broadcast against one image.
    shape
        Of that image.
    index
        For each place behind the wires that before them in the flattened image, -1 for none.

    Returns
    -------
    Array
        Compact; NaN where wires lead from nowhere.
    """
    flat = np.broadcast_to(values, shape).reshape(-1)
    return compact(np.where(index < 0, np.nan, flat[index]))


def before_wires(values: Array, shape: tuple[int, ...], index: Array) -> Array | None:
    """Move values back along wires.

    Parameters
    ----------
    values
        Broadcast against the image behind the wires.
    shape
        Of the image before them.
    index
        As for ``behind_wires``.

    Returns
    -------
    Array or None
        Compact; NaN where wires lead nowhere. None if they lead from one place to different values.
    """
    wired = index >= 0
    behind = np.broadcast_to(values, index.shape)[wired]
    flat = np.full(int(np.prod(shape)), np.nan)
    flat[index[wired]] = behind
    if np.any(flat[index[wired]] != behind):
        return None
    return compact(flat.reshape(shape))


def settled(values: Array, fill: float) -> Array:
    """Give every value that does not matter this one."""
    return np.where(np.isnan(values), fill, values)
