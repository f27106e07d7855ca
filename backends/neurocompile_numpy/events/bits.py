"""Spikes as bits: for each place of a layer a row of bits, or two of them where there are spikes of -1."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile_numpy.events.compiled import compiled
from neurocompile_numpy.events.vectors import CHANNELS, MOST_TALLIED, address, tally


def packed(spikes: Array, *, signed: bool) -> Array:
    """Pack spikes of -1, 0 and 1.

    Parameters
    ----------
    spikes
        ``(images, steps, places, channels)``, the channels in whole vectors.
    signed
        Whether a row of bits for the spikes of -1 follows that of each place.

    Returns
    -------
    Array
        ``(images, rows, steps, words)``, ``uint32``.
    """
    by_place = spikes.view(np.int8).transpose(0, 2, 1, 3)
    signs = (by_place > 0, by_place < 0) if signed else (by_place > 0,)
    bits = np.packbits(np.stack(signs, axis=2), axis=-1, bitorder="little")
    return bits.view("<u4").reshape(len(bits), -1, *bits.shape[3:-1], bits.shape[-1] // 4)


def unpacked(bits: Array, *, signed: bool) -> Array:
    """Do the reverse of ``packed``: ``int8`` where there are spikes of -1, else ``bool``."""
    images, _, steps, words = bits.shape
    ones = np.unpackbits(bits.view(np.uint8), axis=-1, bitorder="little")
    by_place = ones.reshape(images, -1, 1 + signed, steps, words * CHANNELS).transpose(2, 0, 3, 1, 4)
    if not signed:
        return np.ascontiguousarray(by_place[0]).view(np.bool_)
    spikes: Array = by_place[0].astype(np.int8) - by_place[1].view(np.int8)
    return spikes


def counts(bits: Array) -> Array:
    """Count how often each bit is set, in all images and steps: ``(rows, channels)``."""
    totals = np.zeros((bits.shape[1], bits.shape[3] * CHANNELS), np.int32)
    _count(bits, totals)
    return totals


@compiled
def _count(bits: Array, totals: Array) -> None:
    images, rows, steps, words = bits.shape
    origin, to = address(bits), address(totals)
    stride = words * 4
    for image in range(images):
        for row in range(rows):
            of_row = origin + (image * rows + row) * steps * stride
            for word in range(words):
                total = to + (row * words + word) * CHANNELS * 4
                for t in range(0, steps, MOST_TALLIED):
                    some = min(MOST_TALLIED, steps - t)
                    tally(of_row + t * stride + word * 4, stride, some, total)
