"""Layers of neurons: their parameters laid out for the kernels."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Graph, Node
from neurocompile.ir.processes import DigitNeurons, IntegrateAndFire
from neurocompile_numpy.events.afferents import STEPS_TOGETHER, Afferents
from neurocompile_numpy.events.layout import by_place, places_of, whole_vectors
from neurocompile_numpy.events.membranes import digits, fire
from neurocompile_numpy.events.streams import BitsStream, Stream
from neurocompile_numpy.events.vectors import CHANNELS


class NeuronKernels:
    """Neurons that run by kernels, with all that reaches them.

    Parameters
    ----------
    graph
        Of processes.
    node
        Of the neurons.
    """

    def __init__(self, graph: Graph, node: Node) -> None:
        assert isinstance(node.op, IntegrateAndFire | DigitNeurons)
        self._op = op = node.op
        self._shape = graph.types[node.name].shape
        self._afferents = Afferents(graph, node.inputs[0])
        threshold = op.v_threshold
        if isinstance(op, DigitNeurons):
            half = threshold * 2 ** (op.ahead - 1)
            early = half * 4 // 3 if threshold.dtype.kind == "i" else half * 4 / 3
            parameters = (op.bias, 0), (half, 1), (early, 1)
        else:
            parameters = (op.bias, 0), (threshold, 1), (op.v_init, 0)
        # As many to a vector as fit.
        narrow = [(v.astype(np.int32) if v.dtype.kind == "i" else v, fill) for v, fill in parameters]
        laid_out = [by_place(values, self._shape, fill) for values, fill in narrow]
        most = max(map(len, laid_out))
        self._parameters = [np.ascontiguousarray(np.broadcast_to(v, (most, v.shape[1]))) for v in laid_out]

    @property
    def reads(self) -> tuple[str, ...]:
        """The processes whose streams reach the neurons."""
        return self._afferents.reads

    @property
    def covers(self) -> tuple[str, ...]:
        """The weights that spikes reach the neurons through."""
        return self._afferents.covers

    @property
    def signed(self) -> bool:
        """Whether some spikes are -1."""
        return isinstance(self._op, DigitNeurons) or self._op.signed

    def run(self, *streams: Stream) -> Stream:
        """Give the spikes that streams lead to."""
        channels, places = places_of(self._shape)
        images, steps = streams[0].images, streams[0].steps
        words = whole_vectors(channels) // CHANNELS
        bits = np.empty((images, places * (1 + self.signed), steps, words), np.uint32)
        op = self._op
        if isinstance(op, DigitNeurons):
            bias, *_ = self._parameters
            never = np.full(
                bias.shape[1], np.inf if bias.dtype.kind == "f" else np.iinfo(np.int32).max, bias.dtype
            )
            digits(*self._afferents.arguments(streams, steps), *self._parameters, never, op.ahead, bits)
        else:
            how = op.reset == "subtract", op.signed, op.wait
            fire(*self._afferents.arguments(streams, STEPS_TOGETHER), *self._parameters, *how, bits)
        return BitsStream(self._shape, np.arange(steps), bits)
