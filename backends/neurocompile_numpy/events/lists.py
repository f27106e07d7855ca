"""Lists of events: which channels of a place sent a spike at a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Array
from neurocompile_numpy.events.compiled import compiled
from neurocompile_numpy.events.vectors import LANES, append, count_ones, expand, masks

_CODE = 4
"""Bytes of a code."""

_HALF = LANES // 2
_HALF_MASKS = 1 << _HALF

_LANES_OF = np.array(
    [
        [lane for lane in range(_HALF) if mask >> lane & 1] + [0] * (_HALF - mask.bit_count())
        for mask in range(_HALF_MASKS)
    ],
    np.uint8,
)
"""For each pattern of half a vector's bits the lanes that are set, one after another."""

_COUNTED, _MOST_COUNTED = 4096, 255
"""Neurons whose events are counted in bytes, and frames for which these hold."""

MOST_CODES = 1 << 32
"""That fit into 32 bits."""


@dataclass(frozen=True)
class Events:
    """The spikes of a layer, one place after another.

    Parameters
    ----------
    start
        ``(images, steps, places + 1)``: the events of a place are ``codes[start[..., p]:start[..., p + 1]]``.
    codes
        For each event, ``uint32``: the place times twice the channels, and the channel, with all channels more for
        a spike of -1. There is room behind the last for a vector.
    most
        No place and step has more events.
    """

    start: Array
    codes: Array
    most: int

    @classmethod
    def of(cls, spikes: Array) -> Events:
        """List the events of spikes ``(images, steps, places, channels)`` of -1, 0 and 1, in whole vectors."""
        images, steps, places, _ = spikes.shape
        start = np.empty((images, steps, places + 1), np.int64)
        codes = np.empty(spikes.size + LANES, np.uint32)
        by_step = (
            np.ascontiguousarray(spikes).reshape(images * steps, places, -1),
            _LANES_OF,
            start.reshape(images * steps, -1),
        )
        return cls(start, codes, _list(*by_step, codes))

    def pooled(self, tap: Array, position: Array, channels: int) -> Events:
        """Give each window ``p`` the events of the places ``position[tap[p]:tap[p + 1]]``: those of a sum pool."""
        images, steps, _ = self.start.shape
        windows = len(tap) - 1
        start = np.empty((images, steps, windows + 1), np.int64)
        most = int(np.bincount(position).max(initial=0))
        codes = np.empty(most * int(self.start[-1, -1, -1]) + LANES, np.uint32)
        of_step = self.start.reshape(images * steps, -1), self.codes, tap, position, 2 * channels
        _pool(*of_step, start.reshape(images * steps, -1), codes)
        return Events(start, codes, self.most * int(np.diff(tap).max()))


@compiled
def _list(spikes: Array, lanes_of: Array, start: Array, codes: Array) -> int:
    frames, places, channels = spikes.shape
    address, to = spikes.ctypes.data, codes.ctypes.data
    lanes, listed, most = lanes_of.ctypes.data, 0, 0
    for f in range(frames):
        for p in range(places):
            start[f, p] = listed
            for c in range(0, channels, LANES):
                positive, negative = masks(address)
                address += LANES
                code = 2 * channels * p + c
                listed = _list_ones(positive, code, lanes, to, listed)
                if negative:
                    listed = _list_ones(negative, channels + code, lanes, to, listed)
            most = max(most, listed - start[f, p])
        start[f, places] = listed
    return most


@compiled
def _list_ones(bits: int, base: int, lanes: int, to: int, listed: int) -> int:
    """List the bits that are set, without a branch: each half vector by a table, written over by what follows."""
    low, high = bits & (_HALF_MASKS - 1), bits >> _HALF
    expand(to + _CODE * listed, lanes + _HALF * low, base)
    listed += count_ones(low)
    expand(to + _CODE * listed, lanes + _HALF * high, base + _HALF)
    listed += count_ones(high)
    return listed


@compiled
def _pool(
    start: Array,
    codes: Array,
    tap: Array,
    position: Array,
    codes_of_place: int,
    pooled_start: Array,
    pooled_codes: Array,
) -> None:
    steps, listed = len(start), 0
    origin, to = codes.ctypes.data, pooled_codes.ctypes.data
    for t in range(steps):
        for p in range(len(tap) - 1):
            pooled_start[t, p] = listed
            for k in range(tap[p], tap[p + 1]):
                begin, end = start[t, position[k]], start[t, position[k] + 1]
                moved = (p - position[k]) * codes_of_place
                append(to + _CODE * listed, origin + _CODE * begin, moved)
                for i in range(begin + LANES, end, LANES):
                    append(to + _CODE * (listed + i - begin), origin + _CODE * i, moved)
                listed += end - begin
        pooled_start[t, len(tap) - 1] = listed


@compiled
def add_counts(spikes: Array, totals: Array) -> None:
    """Add the events of each neuron, of ``(frames, neurons)``, to what there is."""
    frames, neurons = spikes.shape
    counts = np.empty(_COUNTED, np.uint8)
    for low in range(0, neurons, _COUNTED):
        high = min(low + _COUNTED, neurons)
        for first in range(0, frames, _MOST_COUNTED):
            counts[:] = 0
            for f in range(first, min(first + _MOST_COUNTED, frames)):
                sent = spikes[f, low:high]
                for n in range(high - low):
                    counts[n] += sent[n] != 0
            for n in range(high - low):
                totals[low + n] += counts[n]
