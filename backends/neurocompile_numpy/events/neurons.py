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


_BLOCK = 1024
"""Neurons, some, whose membranes stay in the cache over all steps."""


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
        channels, places = places_of(shape)
        filled = whole_vectors(channels)
        self._neurons, self._block = places * filled, max(1, _BLOCK // filled) * filled
        threshold = op.v_threshold
        if isinstance(op, DigitNeurons):
            half = threshold * 2 ** (op.ahead - 1)
            early = half * 4 // 3 if threshold.dtype.kind == "i" else half * 4 / 3
            parameters = (op.bias, 0), (half, 1), (early, 1)
        else:
            parameters = (op.bias, 0), (threshold, 1), (op.v_init, 0)
        # As many to a vector as fit.
        narrow = ((v.astype(np.int32) if v.dtype.kind == "i" else v, fill) for v, fill in parameters)
        laid_out = [by_place(values, shape, fill) for values, fill in narrow]
        if all(len(values) == 1 for values in laid_out):
            self._parameters = [np.tile(values[0], self._block // filled) for values in laid_out]
        else:
            self._parameters = [np.broadcast_to(values, (places, filled)).ravel() for values in laid_out]

    def run(self, currents: Stream) -> Stream:
        """Give the spikes that currents lead to."""
        channels, places = places_of(self._shape)
        spikes = np.empty((currents.images, currents.steps, places, whole_vectors(channels)), np.int8)
        flat = spikes.reshape(currents.images, currents.steps, -1)
        if isinstance(self._op, DigitNeurons):
            received = self._part(currents, 0, currents.steps)
            digits(*received, *self._parameters, flat, self._block, self._op.ahead)
        else:
            self._fire(self._op, currents, flat)
        return PlacesStream(self._shape, np.arange(currents.steps), spikes.view(self._op.sends))

    def _fire(self, op: IntegrateAndFire, currents: Stream, spikes: Array) -> None:
        images, steps, neurons = spikes.shape
        bias, threshold, start = self._parameters
        v = np.ascontiguousarray(np.tile(start, (images, -(-neurons // len(start))))[:, :neurons])
        sent = np.zeros(v.shape, np.int32)
        size = max(1, BLOCK_BYTES // v.nbytes)
        parts = [(low, min(low + size, steps)) for low in range(0, steps, size)]
        if op.wait:
            for low, high in parts:
                integrate(*self._part(currents, low, high), bias, v, self._block)
        for low, high in parts:
            if op.wait:
                received, frame, bias = v[:, None], np.full(high - low, -1), np.zeros_like(bias)
            else:
                received, frame = self._part(currents, low, high)
            how = self._block, op.reset == "subtract", op.signed
            fire(received, frame, bias, threshold, v, sent, spikes, low, *how)

    def _part(self, currents: Stream, low: int, high: int) -> tuple[Array, Array]:
        values, frame = currents.block(low, high)
        # Kernels take addresses, and spikes may come without a weight between.
        in_order = np.ascontiguousarray(values, self._parameters[0].dtype)
        return in_order.reshape(*values.shape[:2], -1), frame
