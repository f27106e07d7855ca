"""Windows of pools, and max pools of spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.kernels import Window
from neurocompile_numpy.events.compiled import compiled
from neurocompile_numpy.events.vectors import CHANNELS, address, follow, lead

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

    def maxima(self, bits: Array, radix: int, *, signed: bool) -> Array:
        """Run the max pool that ``SpikeMaxPool`` defines, on spikes and to spikes as ``packed``."""
        images, _, steps, words = bits.shape
        pooled = np.empty((images, (len(self.tap) - 1) * (1 + signed), steps, words), np.uint32)
        totals = np.empty((int(np.diff(self.tap).max()), CHANNELS), np.int32)
        _pool(bits, self.tap, self.position, radix, signed, totals, pooled)
        return pooled


@compiled
def _pool(
    bits: Array, tap: Array, position: Array, radix: int, signed: bool, totals: Array, pooled: Array
) -> None:
    images, rows, steps, words = pooled.shape
    windows, row, image_bytes = rows // (1 + signed), 4 * steps * words, bits.strides[0]
    leading, before = np.empty(CHANNELS, np.int32), np.empty(CHANNELS, np.int32)
    nothing, nowhere = np.zeros(1, np.uint32), np.empty(1, np.uint32)
    for window in range(images * windows):
        image, p = window // windows, window % windows
        for word in range(words):
            before[:] = 0
            totals[:] = 0
            for t in range(steps):
                leading[:] = _LEAST
                at = 4 * (t * words + word)
                for k in range(tap[p], tap[p + 1]):
                    up = address(bits) + image * image_bytes + position[k] * (1 + signed) * row + at
                    down, total = (
                        up + row if signed else address(nothing),
                        address(totals) + 4 * CHANNELS * (k - tap[p]),
                    )
                    follow(up, down, radix, total, address(leading))
                up = address(pooled) + window * (1 + signed) * row + at
                lead(address(leading), address(before), radix, up, up + row if signed else address(nowhere))
