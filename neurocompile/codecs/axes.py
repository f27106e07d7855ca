"""The one convention of axes: spikes are batch-first, ``(B, T, ...)``."""

from __future__ import annotations

from neurocompile.codecs.arrays import Array
from neurocompile.errors import DataError

BATCH_DIM = 0
TIME_DIM = 1


def time_to_batch_first(x: Array) -> Array:
    """Turn ``(T, B, ...)`` into ``(B, T, ...)``, as a view.

    Raises
    ------
    DataError
        If there are not two axes.
    """
    if x.ndim < 2:
        raise DataError(
            f"an array of the shape {list(x.shape)} has no axes of time and batch", remedy="give at least two axes"
        )
    return x.swapaxes(BATCH_DIM, TIME_DIM)


def batch_to_time_first(x: Array) -> Array:
    """Turn ``(B, T, ...)`` into ``(T, B, ...)``, as a view.

    Raises
    ------
    DataError
        If there are not two axes.
    """
    return time_to_batch_first(x)
