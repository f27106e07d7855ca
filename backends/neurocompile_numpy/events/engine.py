"""Runs a graph of processes: what it has kernels for by events, the rest by the reference semantics."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Encoder, Neurons, SpikeMaxPool, Synapses
from neurocompile.ir.processes.synapses import Connections
from neurocompile_numpy.events.kernels import Kernel, kernel_of
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.routes import sends_spikes
from neurocompile_numpy.events.streams import FramesStream, Stream


class Engine:
    """A graph whose weights are laid out for events.

    Parameters
    ----------
    graph
        Of processes.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kernels: dict[str, Kernel | None] = {}
        self._lock = Lock()
        self._always = [*graph.outputs, *(node.name for node in graph.nodes if isinstance(node.op, Source))]
        self._needed(self._always)

    @property
    def by_reference(self) -> tuple[str, ...]:
        """The layers of neurons, and of weights behind spikes, that have no kernel."""
        wanted = self._needed(self._always)
        kernels = {name: found for name in wanted if (found := self._kernel(name))}
        covered = {name for found in kernels.values() for name in found.covers}
        return tuple(
            node.name
            for node in self._graph.nodes
            if isinstance(node.op, Neurons | Synapses | SpikeMaxPool)
            and node.name in wanted
            and node.name not in covered
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
        together = ((name, *self._reads(name)) for name in self._needed(self._always))
        return max(sum(self._bytes(name, steps) for name in names) for names in together)

    def _bytes(self, name: str, steps: int) -> int:
        output = self._graph.types[name]
        channels, places = places_of(output.shape)
        if self._kernel(name) and sends_spikes(self._graph, self._graph[name]):
            filled = places * whole_vectors(channels)
            # Two bits for each neuron and step; moves work on bytes.
            return -(-steps * filled // 4) if isinstance(self._graph[name].op, Source) else steps * filled
        frames = 1 if self._never_changes(name) else steps
        return frames * places * channels * (4 if output.integer else 8)

    def _never_changes(self, name: str) -> bool:
        """Tell whether a node gives out the same at every step."""
        node = self._graph[name]
        if isinstance(node.op, Encoder):
            return not node.op.spikes
        return isinstance(node.op, Connections) and self._never_changes(node.inputs[0])

    def _kernel(self, name: str) -> Kernel | None:
        with self._lock:
            if name not in self._kernels:
                self._kernels[name] = kernel_of(self._graph, self._graph[name])
            return self._kernels[name]

    def _reads(self, name: str) -> tuple[str, ...]:
        kernel = self._kernel(name)
        return kernel.reads if kernel else self._graph[name].inputs

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
        kernel = self._kernel(node.name)
        if kernel:
            return kernel.run(*inputs)
        if isinstance(op, Connections):
            # These have no state: steps that are alike stay so.
            (given,) = inputs
            return FramesStream(shape, given.frame, op.run(given.frames))
        return FramesStream(shape, np.arange(steps), op.run(*(given.dense for given in inputs)))


def _encoded(op: Encoder, shape: tuple[int, ...], x: Array, steps: int, first: int) -> Stream:
    if op.spikes:
        return FramesStream(shape, np.arange(steps), op.encode(x, steps, first))
    frame = np.zeros(steps, np.int64)
    if op.code == "once":
        frame[1:] = -1
    return FramesStream(shape, frame, op.encode(x, 1))
