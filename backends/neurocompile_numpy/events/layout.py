"""The layout of events: places one after another, each with all of its channels, filled up to whole vectors."""

from __future__ import annotations

import math

import numpy as np

from neurocompile.ir import Array
from neurocompile_numpy.events.vectors import CHANNELS

_LINE = 64
"""Bytes of a line of the cache."""


def places_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Give the channels and the places of an image's shape."""
    return (shape[0] if shape else 1), math.prod(shape[1:])


def whole_vectors(channels: int) -> int:
    """Fill up to whole vectors, and many channels to whole pairs of them."""
    return channels + -channels % (CHANNELS if channels <= CHANNELS else 2 * CHANNELS)


def aligned(values: Array) -> Array:
    """Copy to where a line of the cache begins, so that no vector lies in two of them."""
    room = np.empty(values.nbytes + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    copied = room[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
    copied[...] = values
    return copied


def by_place(values: Array, shape: tuple[int, ...], fill: float = 0) -> Array:
    """Lay out what broadcasts against one image, with something to fill vectors.

    Returns
    -------
    Array
        ``(places, channels)``, or ``(1, channels)`` where all places are alike.
    """
    channels, places = places_of(shape)
    aligned = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    if math.prod(aligned.shape[1:]) == 1:
        shape, places = (channels, *aligned.shape[1:])[: len(shape)], 1
    whole = np.full((places, whole_vectors(channels)), fill, values.dtype)
    whole[:, :channels] = np.broadcast_to(aligned, shape).reshape(channels, places).T
    return whole
