"""Pools: sums and maxima of windows, all channels of a place at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import int32

from neurocompile.ir import Array
from neurocompile.ir.kernels import Window
from neurocompile_numpy.events.compiled import compiled

_LEAST = np.iinfo(np.int32).min


def taps(window: Window, space: tuple[int, ...]) -> Array:
    """List for each position of a window the places that it holds, -1 for padding: ``(positions, places)``."""
    numbers = np.arange(1, np.prod(space, dtype=int) + 1).reshape(1, *space)
    found = window.taps(window.pad(numbers), window.positions(space))[0]
    listed: Array = found.reshape(window.places, -1).T - 1
    return listed


@dataclass(frozen=True)
class Windows:
    """The places that the windows of a pool hold: of window ``p`` those at ``position[tap[p]:tap[p + 1]]``."""

    tap: Array
    position: Array

    @classmethod
    def of(cls, held: Array) -> Windows:
        """Take what ``taps`` lists."""
        return cls(np.concatenate([[0], (held >= 0).sum(axis=1).cumsum()]), held[held >= 0])

    def maxima(self, spikes: Array, radix: int) -> Array:
        """Run the max pool that ``SpikeMaxPool`` defines, on spikes ``(images, steps, places, channels)``."""
        images, steps, _, channels = spikes.shape
        pooled = np.empty((images, steps, len(self.tap) - 1, channels), np.int8)
        _pool(spikes, self.tap, self.position, int(np.diff(self.tap).max()), radix, pooled)
        return pooled


@compiled
def _pool(spikes: Array, tap: Array, position: Array, most: int, radix: int, pooled: Array) -> None:
    images, steps, windows, channels = pooled.shape
    base = int32(radix)
    before, leading = np.empty(channels, np.int32), np.empty(channels, np.int32)
    totals = np.empty((most, channels), np.int32)
    for image in range(images):
        for p in range(windows):
            totals[:] = 0
            before[:] = 0
            for t in range(steps):
                leading[:] = _LEAST
                for k in range(tap[p + 1] - tap[p]):
                    total, spike = totals[k], spikes[image, t, position[tap[p] + k]]
                    for c in range(channels):
                        total[c] = int32(int32(base * total[c]) + spike[c])
                        leading[c] = max(leading[c], total[c])
                sent = pooled[image, t, p]
                for c in range(channels):
                    sent[c] = leading[c] - int32(base * before[c])
                    before[c] = leading[c]
