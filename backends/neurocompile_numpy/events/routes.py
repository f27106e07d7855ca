"""Routes of spikes: which places of a source reach a place of a layer, through which rows of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.processes import (
    ConvSynapses,
    DigitNeurons,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile_numpy.events.drive import WIDTHS
from neurocompile_numpy.events.layout import aligned, by_place, places_of, whole_vectors
from neurocompile_numpy.events.vectors import BIAS
from neurocompile_numpy.events.windows import Windows, taps

_MOST_BYTES = 256 << 20
"""Of the weights of a layer as they are laid out: a second copy of larger ones would not be worth its room."""

_MOST_ROWS = 1 << 16
"""That numbers of 16 bits tell apart."""

_SUM_BITS = 31
"""Of sums of weights that are real, and are whole multiples of a power of two."""


@dataclass(frozen=True)
class Route:
    """The way from the spikes of a source to the currents of weights.

    Parameters
    ----------
    name
        Of the weights.
    source
        The node whose spikes they are.
    tap, entry
        A place ``p`` is reached by the entries from ``tap[p]`` to ``tap[p + 1]``, each a row of the source's bits,
        and the number of the row of weights for its first channel.
    rows
        ``(rows, outputs)``, the last of them 0: the weights that a spike adds, and with the other sign those of a
        spike of -1. Bytes, or whole numbers of 32 bits.
    first_output
        Where each row begins among the outputs of a place, if it does not reach all.
    exponent
        Of the power of two that sums are multiplied by.
    """

    name: str
    source: str
    tap: Array
    entry: Array
    rows: Array
    first_output: Array | None
    exponent: int

    def blocks(self) -> list[Array]:
        """Lay out weights for ``row_adder``: blocks of some outputs side by side, each ``(rows, outputs)``."""
        rows, outputs = self.rows.shape
        filled = np.zeros((rows, whole_vectors(outputs)), self.rows.dtype)
        filled[:, :outputs] = self.rows
        blocks, first = [], 0
        while first < filled.shape[1]:
            width = next(width for width in WIDTHS if width <= filled.shape[1] - first)
            block = filled[:, first : first + width]
            first += width
            if block.dtype == np.int8:
                lower, upper = block[:, : width // 2].astype(np.int16), block[:, width // 2 :].astype(np.int16)
                block = (lower + BIAS) + upper * 256
            blocks.append(aligned(block))
        return blocks


def route(graph: Graph, node: Node) -> Route | None:
    """Find the route that leads through a node's weights, if it is one for events."""
    op = node.op
    if not isinstance(op, Synapses):
        return None
    source = graph[node.inputs[0]]
    if isinstance(op, LinearSynapses) and isinstance(source.op, ReshapeSynapses):
        # The same spikes, wherever they lie.
        source = graph[source.inputs[0]]
    if not carries_events(graph, source):
        return None
    channels, _ = places_of(graph.types[source.name].shape)
    reached, slabs, groups = _kernel(op, graph.types[source.name].shape)
    target, place, slab, most, sender = _arrivals(graph, source, *reached)
    _, places = places_of(graph.types[node.name].shape)
    tap = np.concatenate([[0], np.bincount(target, minlength=places).cumsum()])
    signed = takes_back(graph, sender)
    taps_, inputs, outputs = slabs.shape
    numbers = taps_ * channels
    if (1 + signed) * numbers >= _MOST_ROWS:
        return None
    weights = _whole(slabs, most)
    if weights is None or (signed and weights[0].min(initial=0) == -BIAS):
        return None
    mantissas, exponent = weights
    by_channel = mantissas.reshape(taps_, inputs, groups, outputs // groups).transpose(0, 2, 1, 3)
    rows = by_channel.reshape(numbers, outputs // groups)
    none = np.zeros((1, rows.shape[1]), rows.dtype)
    whole = np.concatenate([rows, -rows, none] if signed else [rows, none])
    if whole.nbytes > _MOST_BYTES:
        return None
    entry = np.stack([place, slab * channels], axis=1)
    if signed:
        entry = np.stack([entry * (2, 1), entry * (2, 1) + (1, numbers)], axis=1).reshape(-1, 2)
        tap = tap * 2
    first_output = None
    if groups > 1 or isinstance(op, ScaleSynapses):
        group = np.arange(channels) // inputs * (outputs // groups)
        first_output = np.append(np.tile(group, (1 + signed) * taps_), 0)
    exponent += op.weight_exponent
    return Route(node.name, sender.name, tap, entry.astype(np.int32), whole, first_output, exponent)


def _kernel(op: Synapses, shape: tuple[int, ...]) -> tuple[tuple[Array, Array, Array], Array, int]:
    """Give weights as those of a convolution.

    Returns
    -------
    reached
        Of all that reaches a place, in the order of the places: which place it is, one of the source, and the slab
        of the weights between.
    slabs
        ``(slabs, channels of a group, outputs)``.
    groups
        How many groups of channels there are.
    """
    channels, places = places_of(shape)
    every = np.arange(places)
    if isinstance(op, ConvSynapses):
        held = taps(op.window, shape[1:])
        target, slab = np.nonzero(held >= 0)
        kernels = op.weight.reshape(*op.weight.shape[:2], -1)
        return (target, held[held >= 0], slab), kernels.transpose(2, 1, 0), op.groups
    if isinstance(op, LinearSynapses):
        # One place that is reached from all.
        return (every * 0, every, every), op.weight.reshape(len(op.weight), -1, places).transpose(2, 1, 0), 1
    weight = by_place(op.weight, shape)[:, None, :channels]
    return (every, every, every % len(weight)), weight, channels


def _arrivals(
    graph: Graph, source: Node, target: Array, place: Array, slab: Array
) -> tuple[Array, Array, Array, int, Node]:
    """List what reaches each place, straight from what sends spikes: through a pool it is all of a window.

    Returns
    -------
    target, place, slab
        As those given, with places of the sender.
    most
        Places that reach another through one weight.
    sender
        Of the spikes.
    """
    most = 1
    while isinstance(source.op, PoolSynapses):
        below = graph[source.inputs[0]]
        windows = Windows.of(taps(source.op.window, graph.types[below.name].shape[1:]))
        size = np.diff(windows.tap)[place]
        target, slab = np.repeat(target, size), np.repeat(slab, size)
        within = np.arange(size.sum()) - np.repeat(size.cumsum() - size, size)
        place = windows.position[np.repeat(windows.tap[place], size) + within]
        source, most = below, most * int(size.max(initial=0))
    return target, place, slab, most, source


def _whole(slabs: Array, most: int) -> tuple[Array, int] | None:
    """Give weights as whole numbers times a power of two, such that no sum of those of a step overflows."""
    if slabs.dtype == np.int8:
        return slabs, 0
    largest = most * float(np.abs(slabs).sum(axis=(0, 1)).max())
    places = _SUM_BITS - int(np.frexp(largest)[1])
    whole = np.ldexp(slabs, places)
    if not np.array_equal(whole, np.rint(whole)):
        return None
    return whole.astype(np.int32), -places


def carries_events(graph: Graph, node: Node) -> bool:
    """Tell whether a node gives out spikes of -1, 0 and 1, or sums of these."""
    if isinstance(node.op, PoolSynapses):
        return carries_events(graph, graph[node.inputs[0]])
    return sends_spikes(graph, node)


def sends_spikes(graph: Graph, node: Node) -> bool:
    """Tell whether what a node sends is -1, 0 or 1."""
    if isinstance(node.op, SpikeMaxPool | WireSynapses | ReshapeSynapses):
        return sends_spikes(graph, graph[node.inputs[0]])
    if isinstance(node.op, Encoder):
        return node.op.spikes
    return isinstance(node.op, IntegrateAndFire | DigitNeurons)


def takes_back(graph: Graph, node: Node) -> bool:
    """Tell whether some of the spikes that a node sends are -1."""
    if isinstance(node.op, SpikeMaxPool | WireSynapses | ReshapeSynapses):
        return takes_back(graph, graph[node.inputs[0]])
    return not isinstance(node.op, IntegrateAndFire) or node.op.signed
