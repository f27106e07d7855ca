"""What runs each process by events."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Graph, Node
from neurocompile.ir.processes import (
    CurrentSum,
    DigitNeurons,
    IntegrateAndFire,
    ReshapeSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile_numpy.events.afferents import Afferents
from neurocompile_numpy.events.layout import by_place, places_of, whole_vectors
from neurocompile_numpy.events.neurons import NeuronKernels
from neurocompile_numpy.events.routes import sends_spikes
from neurocompile_numpy.events.streams import BitsStream, PlacesStream, Stream
from neurocompile_numpy.events.windows import Windows, taps

Run = Callable[..., Stream]


@dataclass(frozen=True)
class Kernel:
    """The way of a process.

    Parameters
    ----------
    reads
        The processes whose streams it takes.
    run
        Takes these, and gives the process's own.
    covers
        The processes that it runs at once: itself, and the weights before it.
    """

    reads: tuple[str, ...]
    run: Run
    covers: tuple[str, ...]


def kernel_of(graph: Graph, node: Node) -> Kernel | None:
    """Find the kernel of a process; None where its reference semantics have to run."""
    op, shape = node.op, graph.types[node.name].shape
    if isinstance(op, IntegrateAndFire | DigitNeurons):
        neurons = NeuronKernels(graph, node)
        return Kernel(neurons.reads, neurons.run, (*neurons.covers, node.name))
    if isinstance(op, CurrentSum | Synapses):
        afferents = Afferents(graph, node.name)
        return Kernel(afferents.reads, afferents.currents, afferents.covers) if afferents.covers else None
    if isinstance(op, SpikeMaxPool) and sends_spikes(graph, node):
        return Kernel(node.inputs, _largest(op, _windows(graph, node), shape), (node.name,))
    if isinstance(op, WireSynapses | ReshapeSynapses) and sends_spikes(graph, node):
        return Kernel(node.inputs, _moved(op, graph.types[node.inputs[0]].shape, shape), (node.name,))
    return None


def _windows(graph: Graph, node: Node) -> Windows:
    assert isinstance(node.op, SpikeMaxPool)
    return Windows.of(taps(node.op.window, graph.types[node.inputs[0]].shape[1:]))


def _largest(op: SpikeMaxPool, windows: Windows, shape: tuple[int, ...]) -> Run:
    def run(spikes: Stream) -> Stream:
        leading = windows.maxima(spikes.bits, op.radix, signed=spikes.signed)
        return BitsStream(shape, spikes.frame, leading)

    return run


def _moved(op: WireSynapses | ReshapeSynapses, given: tuple[int, ...], shape: tuple[int, ...]) -> Run:
    index = np.arange(math.prod(given)).reshape(shape) if isinstance(op, ReshapeSynapses) else op.index
    channels, places = places_of(given)
    neuron = index % places * whole_vectors(channels) + index // places
    source = by_place(np.where(index < 0, -1, neuron), shape, -1)

    def run(spikes: Stream) -> Stream:
        values = spikes.places
        # Unlike indexing, this lays the result out in order.
        moved = np.take(values.reshape(*values.shape[:2], -1), source, axis=-1)
        moved[..., source < 0] = 0
        return PlacesStream(shape, spikes.frame, moved)

    return run
