"""What runs each process by events."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from neurocompile.ir import Graph, Node
from neurocompile.ir.processes import (
    CurrentSum,
    DigitNeurons,
    IntegrateAndFire,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile_numpy.events.layout import by_place, places_of, whole_vectors
from neurocompile_numpy.events.neurons import NeuronKernels
from neurocompile_numpy.events.routes import Route, carries_events, route, sends_spikes
from neurocompile_numpy.events.streams import (
    PlacesStream,
    PooledStream,
    RoutedStream,
    ScaledStream,
    Stream,
    SummedStream,
)
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
    """

    reads: tuple[str, ...]
    run: Run


def kernel_of(graph: Graph, node: Node) -> Kernel | None:
    """Find the kernel of a process; None where its reference semantics have to run."""
    op, shape = node.op, graph.types[node.name].shape
    found = route(graph, node)
    if found is not None:
        return Kernel((found.source,), _routed(found, shape))
    run: Run | None = None
    if isinstance(op, IntegrateAndFire | DigitNeurons):
        run = NeuronKernels(op, shape).run
    elif isinstance(op, SpikeMaxPool) and sends_spikes(graph, node):
        run = _largest(op, _windows(graph, node), shape)
    elif isinstance(op, PoolSynapses) and carries_events(graph, node):
        run = _pooled(_windows(graph, node), shape)
    elif isinstance(op, WireSynapses | ReshapeSynapses) and sends_spikes(graph, node):
        run = _moved(op, graph.types[node.inputs[0]].shape, shape)
    elif isinstance(op, ScaleSynapses):
        run = _scaled(op, shape)
    elif isinstance(op, CurrentSum):
        run = _summed(shape)
    return None if run is None else Kernel(node.inputs, run)


def _windows(graph: Graph, node: Node) -> Windows:
    assert isinstance(node.op, SpikeMaxPool | PoolSynapses)
    return Windows.of(taps(node.op.window, graph.types[node.inputs[0]].shape[1:]))


def _routed(found: Route, shape: tuple[int, ...]) -> Run:
    return lambda spikes: RoutedStream(shape, np.arange(spikes.steps), spikes, found)


def _largest(op: SpikeMaxPool, windows: Windows, shape: tuple[int, ...]) -> Run:
    def run(spikes: Stream) -> Stream:
        leading = windows.maxima(spikes.places.view(np.int8), op.radix)
        return PlacesStream(shape, spikes.frame, leading.view(spikes.places.dtype))

    return run


def _pooled(windows: Windows, shape: tuple[int, ...]) -> Run:
    return lambda spikes: PooledStream(shape, spikes.frame, spikes, windows)


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


def _scaled(op: ScaleSynapses, shape: tuple[int, ...]) -> Run:
    laid_out = replace(op, weight=by_place(op.weight, shape))
    return lambda values: ScaledStream(shape, values.frame, values, laid_out)


def _summed(shape: tuple[int, ...]) -> Run:
    return lambda *currents: SummedStream(shape, np.arange(currents[0].steps), currents)
