"""Runs a network of layers whose ReLUs are neurons already, up to those that are not yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from neurocompile.ir import Array, Graph, Op, run
from neurocompile.ir.codes import Code
from neurocompile.ir.graph import needed
from neurocompile.ir.layers import Input, MaxPool, ReLU
from neurocompile.ir.processes import Encoder, Neurons, SpikeMaxPool
from neurocompile.parallel import each

_CURRENT_VALUES = 1 << 22
"""That are computed at a time."""


@dataclass
class Streams:
    """Layers, and what their neurons send for some images.

    Parameters
    ----------
    layers
        In the values of the original network; ``replace`` changes them.
    encoder
        Of the input.
    x
        Images ``(N, *shape)``.
    code
        Of the neurons.
    thresholds
        For each ReLU that has neurons the value of their threshold.
    """

    layers: Graph
    encoder: Encoder
    x: Array
    code: Code
    thresholds: dict[str, Array] = field(default_factory=dict)
    _spikes: dict[str, Array] = field(default_factory=dict)
    _activations: dict[str, Array] = field(default_factory=dict)
    """What the original network gives where there are neurons already."""

    def __post_init__(self) -> None:
        self._first = self.layers
        (self._entry,) = self.layers.inputs

    def replace(self, name: str, op: Op) -> None:
        """Replace a layer."""
        nodes = (replace(n, op=op) if n.name == name else n for n in self.layers.nodes)
        self.layers = Graph(tuple(nodes), self.layers.outputs)

    def original(self, name: str, images: slice) -> Array:
        """Give what the original network computes at a node, for some images."""
        known = {source: values[images] for source, values in self._activations.items()}
        return run(self._first, {self._entry.name: self.x[images], **known}, keep=[name])[name]

    def mean(self, name: str, images: slice) -> Array:
        """Give what a node that has no neurons before it but such as were simulated gives out, over all steps."""
        neurons = self.code.neurons(np.zeros(1))
        sent = {
            source: neurons.value(np.moveaxis(spikes[images], 1, 0)) * self.thresholds[source]
            for source, spikes in self._spikes.items()
        }
        stream = self.encoder.encode(self.x[images], self.code.steps)
        sent[self._entry.name] = self._values(stream).mean(axis=0)
        return run(self.layers, sent, keep=[name])[name]

    def current(self, name: str, images: slice) -> Array:
        """Give what such a node gives out at every step ``(T, B, *shape)``."""
        node = self.layers[name]
        if name in self._spikes:
            sent = np.moveaxis(self._spikes[name][images], 1, 0)
            return sent * (self.thresholds[name] * self.code.message)
        if isinstance(node.op, Input):
            return self._values(self.encoder.encode(self.x[images], self.code.steps))
        streams = [self.current(source, images) for source in node.inputs]
        if isinstance(node.op, MaxPool):
            op = node.op
            return SpikeMaxPool(op.kernel, op.stride, op.padding, op.dilation, self.code.radix).run(*streams)
        if all(stream.strides[0] == 0 for stream in streams):
            once = node.op.run(*(stream[0] for stream in streams))
            return np.broadcast_to(once, (self.code.steps, *once.shape))
        flat = node.op.run(*(stream.reshape(-1, *stream.shape[2:]) for stream in streams))
        return flat.reshape(*streams[0].shape[:2], *flat.shape[1:])

    def simulate(self, name: str, neurons: Neurons) -> None:
        """Run a ReLU's neurons, of the threshold 1 before it is scaled, for all images."""
        (before,) = self.layers[name].inputs
        values = self.code.steps * max(1, np.prod(self.layers.types[before].shape, dtype=int))
        part = max(1, _CURRENT_VALUES // int(values))

        def sent(start: int) -> tuple[Array, Array]:
            images = slice(start, start + part)
            spikes = neurons.run(self.current(before, images) / self.thresholds[name])
            return np.moveaxis(spikes, 0, 1), self.original(name, images).astype(np.float32)

        spikes, activations = zip(*each(sent, range(0, len(self.x), part)), strict=True)
        self._spikes[name], self._activations[name] = np.concatenate(spikes), np.concatenate(activations)
        self._forget()

    def _forget(self) -> None:
        """Let go of what no layer without neurons reads any more."""
        relus = [node.name for node in self.layers.nodes if isinstance(node.op, ReLU)]
        ahead = [name for name in relus if name not in self.thresholds]
        sources = needed(self.layers, self._spikes, {*ahead, *self.layers.outputs})
        for name in [name for name in self._spikes if name not in sources]:
            del self._spikes[name], self._activations[name]

    def is_constant(self, name: str) -> bool:
        """Tell whether what a node gives out is the same at every step, and what the original network computes."""
        node = self.layers[name]
        if name in self._spikes or self.encoder.spikes:
            return False
        return isinstance(node.op, Input) or all(self.is_constant(source) for source in node.inputs)

    def _values(self, stream: Array) -> Array:
        if stream.strides[0] == 0:
            return np.broadcast_to(stream[0] * self.encoder.unit, stream.shape)
        return stream * self.encoder.unit
