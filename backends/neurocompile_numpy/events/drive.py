"""From spikes to currents: each spike adds a row of weights."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile_numpy.events.compiled import part
from neurocompile_numpy.events.vectors import (
    CHANNELS,
    UNROLLED,
    address,
    list_channels,
    load_word,
    pad,
    row_adder,
    shift,
)

WIDTHS = (128, 64, 32)
"""Outputs whose weights lie side by side, and whose sums are in registers at once."""

WAY = np.dtype(
    [
        (name, np.int64)
        for name in (
            "bits",  # the address of the source's spikes,
            "image",  # how many bytes the next image is further on,
            "row",  # the next row,
            "step",  # and the next step
            "words",  # of 32 channels, at a step
            "none",  # the number of the row of weights that is all 0
            "rows",  # where the rows begin in the list of outputs, where spikes reach few outputs each
            "first",  # the blocks from this one
            "last",  # to this one; none where spikes reach few outputs each
            "width",  # how many these are
            "exponent",  # of the power of two that sums are multiplied by
        )
    ]
)
"""One way on which spikes reach a layer."""

_add_128, _add_64, _add_32 = (row_adder(outputs) for outputs in WIDTHS)


Room = tuple[Array, Array, Array, Array]
"""For what is listed: numbers of rows, ``uint16``, and where those of each step begin; words of bits, and the
number of the row for the first bit of each."""


@part
def drive(
    way: Array,
    tap: Array,
    entry: Array,
    block: Array,
    weight: Array,
    output: Array,
    room: Room,
    p: int,
    low: int,
    tile: Array,
) -> None:
    """Add up the rows of weights of the spikes that reach a place, step by step.

    Parameters
    ----------
    way
        ``(ways,)`` of ``WAY``.
    tap, entry
        By way ``w`` a place ``p`` is reached by the entries from ``tap[w, p]`` to ``tap[w, p + 1]``, each a row of
        the source's bits, and the number of the row of weights for the first of these.
    block
        For each block of weights its address, the first of its outputs, and how many there are.
    weight, output
        Of ways on which each spike reaches few outputs: the weights, and for each row the first output that it
        reaches, and where its weights begin.
    room
        For lists.
    p
        The place, counted through all images.
    low
        The first step.
    tile
        ``(steps, outputs)``: the result is added to it.
    """
    places, (steps, outputs), size = tap.shape[1] - 1, tile.shape, tile.itemsize
    numbers, begin, word, base = room
    listed, to, place = address(numbers), address(tile), p % places
    for w in range(len(way)):
        exponent = way[w].exponent
        reached = entry[tap[w, place] : tap[w, place + 1]]
        origin = way[w].bits + p // places * way[w].image + low * way[w].step
        words = _find(origin, way[w].row, way[w].words, reached, word, base)
        begin[steps] = _list(word[:words], base, way[w].step, way[w].none, listed, begin[:steps])
        if way[w].first == way[w].last:
            for t in range(steps):
                _scatter(
                    way[w].rows, way[w].width, exponent, numbers[begin[t] : begin[t + 1]], weight, output, tile[t]
                )
        for b in range(way[w].first, way[w].last):
            rows, of_block, width = block[b, 0], to + block[b, 1] * size, block[b, 2]
            for t in range(steps):
                start, some = listed + 2 * begin[t], begin[t + 1] - begin[t]
                sums = of_block + t * outputs * size
                if some == 0:
                    continue
                if width == 128:
                    _add_128(rows, start, some, sums, exponent, tile[0, 0])
                elif width == 64:
                    _add_64(rows, start, some, sums, exponent, tile[0, 0])
                else:
                    _add_32(rows, start, some, sums, exponent, tile[0, 0])


@part
def _find(origin: int, row: int, words: int, reached: Array, word: Array, base: Array) -> int:
    """Find the words of bits that reach a place, and for each of them the row of weights of its first bit."""
    found = 0
    for k in range(len(reached)):
        for c in range(words):
            word[found], base[found] = origin + reached[k, 0] * row + 4 * c, reached[k, 1] + CHANNELS * c
            found += 1
    return found


@part
def _list(word: Array, base: Array, step: int, none: int, numbers: int, begin: Array) -> int:
    """List for each step the rows of weights of the spikes that reach a place, filled up with one of zeros."""
    listed = 0
    for t in range(len(begin)):
        begin[t] = start = listed
        for k in range(len(word)):
            listed += list_channels(numbers + 2 * listed, load_word(word[k] + t * step), base[k])
        if listed > start:
            pad(numbers + 2 * listed, none)
            listed = start + (listed - start + UNROLLED - 1) // UNROLLED * UNROLLED
    return listed


@part
def _scatter(
    rows: int, width: int, exponent: int, numbers: Array, weight: Array, output: Array, currents: Array
) -> None:
    """Add the weights of spikes that each reach a few outputs only."""
    sums = np.zeros(len(currents), currents.dtype)
    for number in numbers:
        first, row = output[rows + number, 0], output[rows + number, 1]
        for o in range(width):
            sums[first + o] += weight[row + o]
    for o in range(len(sums)):
        currents[o] += shift(sums[o], exponent)
