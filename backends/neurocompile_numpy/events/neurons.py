"""Layers of neurons: their parameters laid out for the kernels, and the blocks of steps that these run."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.processes import DigitNeurons, IntegrateAndFire
from neurocompile_numpy.events.layout import by_place, places_of, whole_vectors
from neurocompile_numpy.events.membranes import digits, fire, integrate
from neurocompile_numpy.events.streams import PlacesStream, Stream

BLOCK_BYTES = 4 << 20
"""Of the currents that are in memory at once: they have to stay in the cache until they are integrated."""


class NeuronKernels:
    """Neurons that run by kernels.

    Parameters
    ----------
    op
        Them.
    shape
        Of one image.
    """

    def __init__(self, op: IntegrateAndFire | DigitNeurons, shape: tuple[int, ...]) -> None:
        self._op, self._shape = op, shape
        self._bias = self._laid_out(op.bias, 0)
        threshold = op.v_threshold
        if isinstance(op, DigitNeurons):
            half = threshold * 2 ** (op.ahead - 1)
            early = half * 4 // 3 if threshold.dtype.kind == "i" else half * 4 / 3
            self._limits = self._laid_out(half, 1), self._laid_out(early, 1)
        else:
            self._threshold, self._start = self._laid_out(threshold, 1), self._laid_out(op.v_init, 0)

    def _laid_out(self, values: Array, fill: float) -> Array:
        # As many to a vector as fit.
        narrow = values.astype(np.int32) if values.dtype.kind == "i" else values
        return by_place(narrow, self._shape, fill).ravel()

    def run(self, currents: Stream) -> Stream:
        """Give the spikes that currents lead to."""
        channels, places = places_of(self._shape)
        spikes = np.empty((currents.images, currents.steps, places, whole_vectors(channels)), np.int8)
        flat = spikes.reshape(currents.images, currents.steps, -1)
        if isinstance(self._op, DigitNeurons):
            received, frame = self._block(currents, 0, currents.steps)
            digits(received, frame, self._bias, *self._limits, flat, self._op.ahead)
        else:
            self._fire(self._op, currents, flat)
        return PlacesStream(self._shape, np.arange(currents.steps), spikes.view(self._op.sends))

    def _fire(self, op: IntegrateAndFire, currents: Stream, spikes: Array) -> None:
        images, steps, _ = spikes.shape
        v = np.tile(self._start, (images, 1))
        sent = np.zeros(v.shape, np.int32)
        size = max(1, BLOCK_BYTES // v.nbytes)
        blocks = [(low, min(low + size, steps)) for low in range(0, steps, size)]
        if op.wait:
            for low, high in blocks:
                integrate(*self._block(currents, low, high), self._bias, v)
        for low, high in blocks:
            if op.wait:
                received, frame, bias = v[:, None], np.full(high - low, -1), np.zeros_like(self._bias)
            else:
                (received, frame), bias = self._block(currents, low, high), self._bias
            how = op.reset == "subtract", op.signed
            fire(received, frame, bias, self._threshold, v, sent, spikes[:, low:high], *how)

    @staticmethod
    def _block(currents: Stream, low: int, high: int) -> tuple[Array, Array]:
        values, frame = currents.block(low, high)
        assert values.strides[-1] == values.itemsize, "kernels take addresses"
        return values.reshape(*values.shape[:2], -1), frame
