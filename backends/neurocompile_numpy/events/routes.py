"""Routes of spikes: which places of a source reach a place of a layer, through which rows of weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Array, Graph, Node, fixed_point
from neurocompile.ir.processes import (
    ConvSynapses,
    Encoder,
    LinearSynapses,
    Neurons,
    PoolSynapses,
    ReshapeSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile_numpy.events.drive import (
    BLOCK_OF_INTEGERS,
    BLOCK_OF_REALS,
    drive_groups,
    drive_integers,
    drive_reals,
)
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.lists import MOST_CODES, Events
from neurocompile_numpy.events.windows import Windows, taps

_MOST_BYTES = 256 << 20
"""Of the weights of a layer and their negatives: a second copy of larger ones would not be worth its room."""

_NO_NEGATIVE = -128
"""The one ``int8`` whose negative is none."""


@dataclass(frozen=True)
class Route(ABC):
    """The way from the spikes of a source to the currents of weights.

    Parameters
    ----------
    source
        The node whose spikes they are.
    exponent
        Of the power of two that sums are multiplied by.
    """

    source: str
    exponent: int

    @abstractmethod
    def currents(self, events: Events, low: int, high: int) -> Array:
        """Give the currents ``(images, steps, places, outputs)`` that events cause from one step to another."""


@dataclass(frozen=True)
class RowRoute(Route):
    """One on which every event reaches every output of a place.

    Parameters
    ----------
    source, exponent
        As of ``Route``.
    tap, run, base
        A place ``p`` is reached by the runs from ``tap[p]`` to ``tap[p + 1]``, each from one place of the source
        to another, ``(runs, 2)``. A base makes their events' codes the numbers of rows.
    most
        Places of the source that reach one place.
    rows
        ``(blocks, rows, outputs of a block)``: for each of these places and each channel its weights, and then
        these with the other sign, ``int8`` or ``float64``.
    """

    tap: Array
    run: Array
    base: Array
    most: int
    rows: Array

    @classmethod
    def of(cls, source: str, exponent: int, held: Array, slabs: Array) -> RowRoute:
        """Lay out the weights.

        Parameters
        ----------
        source, exponent
            As of ``Route``.
        held
            ``(places, taps)``: the place of the source at each tap of a window, -1 for none.
        slabs
            The weights ``(taps, channels, outputs)``.
        """
        signed = _signed(slabs)
        taps_, codes, outputs = signed.shape
        filled = np.pad(signed, [(0, 0), (0, 0), (0, whole_vectors(outputs) - outputs)])
        size = min(filled.shape[2], BLOCK_OF_INTEGERS if filled.dtype == np.int8 else BLOCK_OF_REALS)
        rows = np.ascontiguousarray(filled.reshape(taps_ * codes, -1, size).transpose(1, 0, 2))
        # Taps that hold one place after another are one run.
        inside = held >= 0
        begins = inside.copy()
        begins[:, 1:] &= ~(inside[:, :-1] & (held[:, 1:] == held[:, :-1] + 1))
        place, first = np.nonzero(begins)
        order = np.cumsum(begins[inside])
        length = np.bincount(order, minlength=len(place) + 1)[1:]
        starts = held[place, first]
        tap = np.concatenate([[0], begins.sum(axis=1).cumsum()])
        run = np.stack([starts, starts + length], axis=1)
        return cls(source, exponent, tap, run, (first - starts) * codes, taps_, rows)

    def currents(self, events: Events, low: int, high: int) -> Array:
        """As of ``Route``."""
        images, (blocks, _, size) = len(events.start), self.rows.shape
        most = events.most * self.most
        way = events.start, low, events.codes, self.tap, self.run, self.base, self.rows, most
        shape = images, high - low, len(self.tap) - 1, blocks * size
        currents = np.empty(shape, _type_of_sums(self.rows))
        if currents.dtype == np.int32:
            drive_integers(*way, self.exponent, currents)
        else:
            drive_reals(*way, currents)
        return currents


@dataclass(frozen=True)
class GroupRoute(Route):
    """One on which an event reaches the outputs of its group: the places that each place of the source reaches.

    Parameters
    ----------
    source, exponent
        As of ``Route``.
    windows
        The places that each place of the source reaches.
    slab
        Of each of these the weights that lie between them.
    weights
        ``(slabs, codes, outputs of a group)``, of either sign as in ``RowRoute``.
    channels
        Of a group.
    shape
        Of the currents of an image, ``(places, outputs)``.
    """

    windows: Windows
    slab: Array
    weights: Array
    channels: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, source: str, exponent: int, held: Array, slabs: Array, groups: int, places: int) -> GroupRoute:
        """Lay out the weights of so many groups, from so many places; the rest as of ``RowRoute.of``."""
        taps_, channels, outputs = slabs.shape
        # All channels one after another, each with the outputs of its group.
        by_group = slabs.reshape(taps_, channels, groups, -1).transpose(0, 2, 1, 3)
        weights = _signed(by_group.reshape(taps_, channels * groups, -1))
        inside = held >= 0
        target, slab = np.nonzero(inside)
        order = np.argsort(held[inside], kind="stable")
        counts = np.bincount(held[inside], minlength=places)
        reached = Windows(np.concatenate([[0], counts.cumsum()]), target[order])
        return cls(source, exponent, reached, slab[order], weights, channels, (len(held), whole_vectors(outputs)))

    def currents(self, events: Events, low: int, high: int) -> Array:
        """As of ``Route``."""
        way = events.start, low, events.codes, self.windows.tap, self.windows.position, self.slab
        currents = np.empty((len(events.start), high - low, *self.shape), _type_of_sums(self.weights))
        drive_groups(*way, self.weights, self.channels, currents)
        return fixed_point.shift(currents, self.exponent) if self.exponent else currents


def route(graph: Graph, node: Node) -> Route | None:
    """Find the route that leads through a node's weights, if it is one for events."""
    op = node.op
    if not isinstance(op, ConvSynapses | LinearSynapses) or op.weight.min() == _NO_NEGATIVE:
        return None
    source = graph[node.inputs[0]]
    if isinstance(op, LinearSynapses) and isinstance(source.op, ReshapeSynapses):
        # The same spikes, wherever they lie.
        source = graph[source.inputs[0]]
    shape = graph.types[source.name].shape
    channels, places = places_of(shape)
    codes = 2 * whole_vectors(channels)
    if not carries_events(graph, source) or max(places, op.weight.size // len(op.weight)) * codes > MOST_CODES:
        return None
    if 2 * op.weight.nbytes > _MOST_BYTES:
        return None
    # A linear layer is one place that is reached from all.
    held = taps(op.window, shape[1:]) if isinstance(op, ConvSynapses) else np.arange(places)[None]
    kernels = op.weight if isinstance(op, LinearSynapses) else op.weight.reshape(*op.weight.shape[:2], -1)
    slabs = kernels.reshape(len(op.weight), -1, held.shape[1]).transpose(2, 1, 0)
    if isinstance(op, LinearSynapses) or op.groups == 1:
        return RowRoute.of(source.name, op.weight_exponent, held, slabs)
    return GroupRoute.of(source.name, op.weight_exponent, held, slabs, op.groups, places)


def _signed(slabs: Array) -> Array:
    """Put to the weights of each code, ``(slabs, channels, outputs)``, these with the other sign."""
    filled = np.pad(slabs, [(0, 0), (0, whole_vectors(slabs.shape[1]) - slabs.shape[1]), (0, 0)])
    signed: Array = np.concatenate([filled, -filled], axis=1)
    return signed


def _type_of_sums(weights: Array) -> type[np.generic]:
    return np.int32 if weights.dtype == np.int8 else np.float64


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
        return node.op.code == "poisson"
    return isinstance(node.op, Neurons) and node.op.largest == 1
