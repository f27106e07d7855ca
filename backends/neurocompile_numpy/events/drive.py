"""From events to currents: each event adds a row of weights."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from neurocompile.ir import Array
from neurocompile_numpy.events.compiled import compiled
from neurocompile_numpy.events.vectors import LANES, append, row_adder

BLOCK_OF_INTEGERS, BLOCK_OF_REALS = 4 * LANES, 2 * LANES
"""Outputs at most whose sums are in registers at once, and whose weights lie side by side."""

_MOST_ROWS = 256
"""That are added up in 16 bits: no sum of as many bytes overflows."""

_LISTED = 1 << 14
"""Numbers of rows that are listed before any are added: the weights of a block then stay in the cache."""

_NUMBER = 4
"""Bytes of an event's code, and of a row's number."""

_INTEGERS = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_REALS = (ir.DoubleType(),) * 3

ADD_INTEGERS = row_adder(4, *_INTEGERS)
_ADD_TWO_INTEGERS, _ADD_ONE_INTEGER = row_adder(2, *_INTEGERS), row_adder(1, *_INTEGERS)
ADD_REALS, _ADD_ONE_REAL = row_adder(2, *_REALS), row_adder(1, *_REALS)


@compiled
def drive_integers(
    start: Array,
    low: int,
    codes: Array,
    tap: Array,
    run: Array,
    base: Array,
    rows: Array,
    most: int,
    exponent: int,
    currents: Array,
) -> None:
    """Add up, for each step and place, the rows of weights of the events that reach it.

    Parameters
    ----------
    start, low, codes
        The events, as of ``Events``, and the first step.
    tap, run, base
        A place ``p`` is reached by the runs from ``tap[p]`` to ``tap[p + 1]``, each from one place of the source
        to another, ``(runs, 2)``. A base makes their events' codes the numbers of rows.
    rows
        ``(blocks, rows, outputs of a block)``: ``int8``.
    most
        No more events reach a place at a step.
    exponent
        Of the power of two that the sums are multiplied by.
    currents
        ``(images, steps, places, outputs)``, ``int32``: the result.
    """
    (_, steps, _, outputs), (blocks, _, size) = currents.shape, rows.shape
    sums = currents.reshape(-1, outputs)
    numbers, begin = np.empty(_LISTED + most + LANES, np.uint32), np.empty(_LISTED + 1, np.int64)
    weights, listed, total = rows.ctypes.data, numbers.ctypes.data, sums.ctypes.data
    first = 0
    while first < len(sums):
        last = _list_some(start, low, steps, codes, tap, run, base, first, len(sums), numbers, begin)
        sums[first:last] = 0
        for block in range(blocks):
            row = weights + block * rows.strides[0]
            for s in range(first, last):
                to = total + s * sums.strides[0] + block * size * sums.itemsize
                end = begin[s - first + 1]
                for i in range(begin[s - first], end, _MOST_ROWS):
                    part, some = min(end - i, _MOST_ROWS), listed + i * _NUMBER
                    if size == 4 * LANES:
                        ADD_INTEGERS(row, rows.strides[1], some, part, to)
                    elif size == 2 * LANES:
                        _ADD_TWO_INTEGERS(row, rows.strides[1], some, part, to)
                    else:
                        _ADD_ONE_INTEGER(row, rows.strides[1], some, part, to)
        _shift(sums[first:last], exponent)
        first = last


@compiled
def drive_reals(
    start: Array,
    low: int,
    codes: Array,
    tap: Array,
    run: Array,
    base: Array,
    rows: Array,
    most: int,
    currents: Array,
) -> None:
    """Do the same with rows and currents of ``float64``, whose sums are exact (``RoundWeights``)."""
    (_, steps, _, outputs), (blocks, _, size) = currents.shape, rows.shape
    sums = currents.reshape(-1, outputs)
    numbers, begin = np.empty(_LISTED + most + LANES, np.uint32), np.empty(_LISTED + 1, np.int64)
    weights, listed, total = rows.ctypes.data, numbers.ctypes.data, sums.ctypes.data
    first = 0
    while first < len(sums):
        last = _list_some(start, low, steps, codes, tap, run, base, first, len(sums), numbers, begin)
        sums[first:last] = 0
        for block in range(blocks):
            row = weights + block * rows.strides[0]
            for s in range(first, last):
                to = total + s * sums.strides[0] + block * size * sums.itemsize
                i, count = begin[s - first], begin[s - first + 1] - begin[s - first]
                if count == 0:
                    continue
                if size == 2 * LANES:
                    ADD_REALS(row, rows.strides[1], listed + i * _NUMBER, count, to)
                else:
                    _ADD_ONE_REAL(row, rows.strides[1], listed + i * _NUMBER, count, to)
        first = last


@compiled
def _list_some(
    start: Array,
    low: int,
    steps: int,
    codes: Array,
    tap: Array,
    run: Array,
    base: Array,
    first: int,
    end: int,
    numbers: Array,
    begin: Array,
) -> int:
    """List the numbers of the rows that reach one place and step after another, until there are enough.

    Parameters
    ----------
    start, low, steps, codes, tap, run, base
        As of ``drive_integers``, and how many steps.
    first, end
        The first place and step, counted through all steps and images, and how many there are.
    numbers, begin
        The result: those of the first are ``numbers[begin[0]:begin[1]]``.

    Returns
    -------
    int
        The place and step that comes next.
    """
    places = len(tap) - 1
    to, origin, listed = numbers.ctypes.data, codes.ctypes.data, 0
    begin[0] = 0
    for s in range(first, end):
        p, step = s % places, s // places
        found = start[step // steps, low + step % steps]
        for k in range(tap[p], tap[p + 1]):
            head, tail = found[run[k, 0]], found[run[k, 1]]
            # Most often there are some, and all of them fit into one vector.
            append(to + _NUMBER * listed, origin + _NUMBER * head, base[k])
            for i in range(head + LANES, tail, LANES):
                append(to + _NUMBER * (listed + i - head), origin + _NUMBER * i, base[k])
            listed += tail - head
        begin[s - first + 1] = listed
        if listed >= _LISTED or s - first + 1 == _LISTED:
            return s + 1
    return end


@compiled
def drive_groups(
    start: Array,
    low: int,
    codes: Array,
    tap: Array,
    position: Array,
    slab: Array,
    weights: Array,
    channels: int,
    currents: Array,
) -> None:
    """Add up the weights of events that each reach a few outputs only.

    Parameters
    ----------
    start, low, codes
        The events, as of ``Events``, and the first step.
    tap, position, slab
        A place ``p`` of the source reaches the places ``position[tap[p]:tap[p + 1]]``, by these slabs of weights.
    weights
        ``(slabs, codes, outputs of a group)``.
    channels
        Of a group.
    currents
        ``(images, steps, places, outputs)``: the result.
    """
    images, steps, _, _ = currents.shape
    half, outputs = weights.shape[1] // 2, weights.shape[2]
    for step in range(images * steps):
        image, t = step // steps, step % steps
        sums, found = currents[image, t], start[image, low + t]
        sums[:] = 0
        for p in range(len(tap) - 1):
            for i in range(found[p], found[p + 1]):
                code = codes[i] - 2 * half * p
                first = code % half // channels * outputs
                for k in range(tap[p], tap[p + 1]):
                    weight = weights[slab[k], code]
                    for o in range(outputs):
                        sums[position[k], first + o] += weight[o]


@compiled
def _shift(sums: Array, exponent: int) -> None:
    for s in range(len(sums)):
        total = sums[s]
        if exponent > 0:
            for o in range(len(total)):
                total[o] <<= exponent
        elif exponent < 0:
            for o in range(len(total)):
                total[o] >>= -exponent
