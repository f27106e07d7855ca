"""What reaches a layer: spikes through weights, and currents of any other kind, laid out for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import CurrentSum
from neurocompile_numpy.events.drive import WAY
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.membranes import currents
from neurocompile_numpy.events.routes import Route, route
from neurocompile_numpy.events.streams import PlacesStream, Stream
from neurocompile_numpy.events.vectors import CHANNELS

STEPS_TOGETHER = 32
"""At most."""


class Afferents:
    """All that reaches a layer.

    Parameters
    ----------
    graph
        Of processes.
    name
        Of what gives out the currents of the layer.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        routes, others = _terms(graph, name)
        self._routes = routes
        self._shape = graph.types[name].shape
        self._type = np.dtype(np.int32 if graph.types[name].integer else np.float64)
        self._outputs = whole_vectors(places_of(self._shape)[0])
        self.reads = (*(found.source for found in routes), *others)
        self.covers = tuple(found.name for found in routes)
        self._lay_out()

    def arguments(self, streams: Sequence[Stream], together: int) -> tuple[Any, ...]:
        """Give what kernels take first, for the streams that are read, and so many steps together at most."""
        spikes, others = streams[: len(self._routes)], streams[len(self._routes) :]
        way = self._way.copy()
        # The addresses are good as long as the arrays are, which the streams hold.
        for each, stream in zip(way, spikes, strict=True):
            each["bits"], each["words"] = stream.bits.ctypes.data, stream.bits.shape[3]
            each["image"], each["row"], each["step"] = stream.bits.strides[:3]
        tap, *_ = self._laid_out
        steps = min(streams[0].steps, together)
        most = int((np.diff(tap).max(axis=1, initial=0) * way["words"]).max(initial=0))
        room = (
            np.empty((most + 1) * CHANNELS * steps, np.uint16),
            *(np.empty(size, np.int64) for size in (steps + 1, most, most)),
        )
        tile = np.empty((steps, self._outputs), self._type)
        return (way, *self._laid_out, *self._others(others, streams[0]), room, tile)

    def currents(self, *streams: Stream) -> Stream:
        """Compute all currents."""
        images, steps = streams[0].images, streams[0].steps
        received = np.empty((images, steps, places_of(self._shape)[1], self._outputs), self._type)
        currents(*self.arguments(streams, STEPS_TOGETHER), received)
        return PlacesStream(self._shape, np.arange(steps), received)

    def _others(self, streams: Sequence[Stream], any_stream: Stream) -> tuple[Array, Array]:
        images, steps = any_stream.images, any_stream.steps
        if not streams:
            none = np.empty((images, 0, places_of(self._shape)[1], self._outputs), self._type)
            return none, np.full(steps, -1)
        frame = streams[0].frame
        if all(np.array_equal(stream.frame, frame) for stream in streams):
            return np.sum([stream.places for stream in streams], axis=0, dtype=self._type), frame
        total = np.zeros((images, steps, *streams[0].places.shape[2:]), self._type)
        for stream in streams:
            given = np.flatnonzero(stream.frame >= 0)
            total[:, given] += stream.places[:, stream.frame[given]]
        return total, np.arange(steps)

    def _lay_out(self) -> None:
        self._way = np.zeros(len(self._routes), WAY)
        tap = np.zeros((len(self._routes), places_of(self._shape)[1] + 1), np.int64)
        entries, blocks = [np.zeros((0, 2), np.int32)], [np.zeros((0, 3), np.int64)]
        weights, outputs = [np.zeros(0, self._type)], [np.zeros((0, 2), np.int64)]
        # The blocks are held here, and known to the kernels by their addresses.
        self._blocks: list[Array] = []
        for number, (way, found) in enumerate(zip(self._way, self._routes, strict=True)):
            tap[number] = found.tap + sum(map(len, entries))
            entries.append(found.entry)
            way["none"], way["exponent"] = len(found.rows) - 1, found.exponent
            way["first"] = sum(map(len, blocks))
            if found.first_output is None:
                laid_out = found.blocks()
                self._blocks += laid_out
                blocks.append(_described(laid_out))
            else:
                way["rows"], way["width"] = sum(map(len, outputs)), found.rows.shape[1]
                where = sum(map(len, weights)) + np.arange(len(found.rows)) * found.rows.shape[1]
                outputs.append(np.stack([found.first_output, where], axis=1))
                real = self._type.kind == "f"
                whole = np.ldexp(found.rows, found.exponent) if real else found.rows
                weights.append(whole.ravel().astype(self._type))
            way["last"] = sum(map(len, blocks))
        lists = entries, blocks, weights, outputs
        self._laid_out = (tap, *(np.concatenate(parts) for parts in lists))


def _described(blocks: Sequence[Array]) -> Array:
    """Tell of each block of weights its address, the first of its outputs, and how many there are."""
    widths = [block.shape[1] * (2 if block.dtype == np.int16 else 1) for block in blocks]
    ends = accumulate(widths)
    found = [
        (block.ctypes.data, end - width, width) for block, width, end in zip(blocks, widths, ends, strict=True)
    ]
    return np.array(found, np.int64)


def _terms(graph: Graph, name: str) -> tuple[tuple[Route, ...], tuple[str, ...]]:
    """Take a sum of currents apart: into the routes of spikes, and the names of all others."""
    node = graph[name]
    if isinstance(node.op, CurrentSum):
        found = [_terms(graph, source) for source in node.inputs]
        return tuple(each for routes, _ in found for each in routes), tuple(
            each for _, more in found for each in more
        )
    found_route = route(graph, node)
    return ((), (name,)) if found_route is None else ((found_route,), ())
