"""Runs a graph of processes: what it has kernels for by events, the rest by the reference semantics."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.processes import CurrentSum, Encoder, Neurons, PoolSynapses, SpikeMaxPool, Synapses
from neurocompile.ir.processes.synapses import Connections
from neurocompile_numpy.events.kernels import kernel_of
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.neurons import BLOCK_BYTES
from neurocompile_numpy.events.streams import FramesStream, Stream

_CURRENTS = Synapses | PoolSynapses | CurrentSum
"""What gives out currents; all else that has a kernel gives out spikes."""


class Engine:
    """A graph whose weights are laid out for events.

    Parameters
    ----------
    graph
        Of processes.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kernels = {node.name: found for node in graph.nodes if (found := kernel_of(graph, node))}

    @property
    def by_reference(self) -> tuple[str, ...]:
        """The layers of neurons, and of weights behind spikes, that have no kernel."""
        return tuple(
            node.name
            for node in self._graph.nodes
            if isinstance(node.op, Neurons | Synapses | SpikeMaxPool)
            and node.name not in self._kernels
            and not isinstance(self._graph[node.inputs[0]].op, Encoder)
        )

    def run(self, x: Array, steps: int, first: int, keep: Iterable[str]) -> dict[str, Stream]:
        """Run images, and give the streams of some nodes.

        Parameters
        ----------
        x
            ``(B, *shape)``.
        steps
            T.
        first
            The index of ``x[0]`` in the data set.
        keep
            Their names.
        """
        kept = set(keep)
        wanted = self._needed(kept)
        readers = {name: sum(name in self._reads(other) for other in wanted) for name in wanted}
        streams: dict[str, Stream] = {}
        for node in self._graph.nodes:
            if node.name not in wanted:
                continue
            reads = self._reads(node.name)
            streams[node.name] = self._run_node(node, [streams[name] for name in reads], x, steps, first)
            for name in set(reads):
                readers[name] -= 1
                if not readers[name] and name not in kept:
                    del streams[name]
        return {name: streams[name] for name in kept}

    def bytes_of_image(self, steps: int) -> int:
        """Bound the memory that an image takes at once: what a node gives out, and what it reads."""
        together = ((node.name, *self._reads(node.name)) for node in self._graph.nodes)
        return max(sum(self._bytes(name, steps) for name in names) for names in together)

    def _bytes(self, name: str, steps: int) -> int:
        output = self._graph.types[name]
        channels, places = places_of(output.shape)
        if name in self._kernels and not isinstance(self._graph[name].op, _CURRENTS):
            # Spikes, the list of those of half of the neurons, and where a place's begins.
            return steps * places * (2 * whole_vectors(channels) + 8)
        width = 4 if output.integer else 8
        if name in self._kernels and isinstance(self._graph[name].op, Synapses):
            return min(steps * places * whole_vectors(channels) * width, BLOCK_BYTES)
        return steps * places * channels * width

    def _reads(self, name: str) -> tuple[str, ...]:
        return self._kernels[name].reads if name in self._kernels else self._graph[name].inputs

    def _needed(self, kept: Iterable[str]) -> set[str]:
        found = set(kept)
        for node in reversed(self._graph.nodes):
            if node.name in found:
                found |= set(self._reads(node.name))
        return found

    def _run_node(self, node: Node, inputs: list[Stream], x: Array, steps: int, first: int) -> Stream:
        op, shape = node.op, self._graph.types[node.name].shape
        if isinstance(op, Encoder):
            return _encoded(op, shape, x, steps, first)
        if node.name in self._kernels:
            return self._kernels[node.name].run(*inputs)
        if isinstance(op, Connections):
            # These have no state: steps that are alike stay so.
            (given,) = inputs
            return FramesStream(shape, given.frame, op.run(given.frames))
        return FramesStream(shape, np.arange(steps), op.run(*(given.dense for given in inputs)))


def _encoded(op: Encoder, shape: tuple[int, ...], x: Array, steps: int, first: int) -> Stream:
    if op.code == "poisson":
        return FramesStream(shape, np.arange(steps), op.encode(x, steps, first))
    frame = np.zeros(steps, np.int64)
    if op.code == "once":
        frame[1:] = -1
    return FramesStream(shape, frame, op.encode(x, 1))
