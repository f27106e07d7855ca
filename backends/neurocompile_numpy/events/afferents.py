"""What reaches a layer: spikes through weights, and currents of any other kind, laid out for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import CurrentSum
from neurocompile_numpy.events.drive import WAY
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.membranes import currents
from neurocompile_numpy.events.routes import Route, route
from neurocompile_numpy.events.streams import PlacesStream, Stream

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

    def arguments(self, streams: Sequence[Stream]) -> tuple[Array, ...]:
        """Give what kernels take first, for the streams that are read."""
        spikes, others = streams[: len(self._routes)], streams[len(self._routes) :]
        way = self._way.copy()
        # The addresses are good as long as the arrays are, which the streams hold.
        for each, stream, found in zip(way, spikes, self._routes, strict=True):
            bits = stream.bits(signed=found.signed)
            each["bits"], each["words"] = bits.ctypes.data, bits.shape[3]
            each["image"], each["row"], each["step"] = bits.strides[:3]
        return (way, *self._laid_out, *self._others(others, streams[0]))

    def currents(self, *streams: Stream) -> Stream:
        """Compute all currents."""
        images, steps = streams[0].images, streams[0].steps
        received = np.empty((images, steps, places_of(self._shape)[1], self._outputs), self._type)
        currents(*self.arguments(streams), min(steps, STEPS_TOGETHER), received)
        return PlacesStream(self._shape, np.arange(steps), received)

    def _others(self, streams: Sequence[Stream], any_stream: Stream) -> tuple[Array, Array]:
        images, steps = any_stream.images, any_stream.steps
        if not streams:
            none = np.empty((images, 0, places_of(self._shape)[1], self._outputs), self._type)
            return none, np.full(steps, -1)
        if len(streams) == 1:
            return np.ascontiguousarray(streams[0].places, self._type), streams[0].frame
        total = np.zeros((images, steps, *streams[0].places.shape[2:]), self._type)
        for stream in streams:
            given = np.flatnonzero(stream.frame >= 0)
            total[:, given] += stream.places[:, stream.frame[given]]
        return total, np.arange(steps)

    def _lay_out(self) -> None:
        routes = self._routes
        self._way = np.zeros(len(routes), WAY)
        self._blocks: list[Array] = []
        blocks, slim, outputs, entries = [], [], [], []
        for each, found in zip(self._way, routes, strict=True):
            each["none"], each["exponent"] = len(found.rows) - 1, found.exponent
            each["width"] = found.rows.shape[1]
            each["first"] = each["last"] = len(blocks)
            entries.append(found.entry)
            if found.first_output is not None:
                each["rows"] = sum(len(some) for some in outputs)
                begin = sum(some.size for some in slim)
                offsets = begin + np.arange(len(found.rows)) * found.rows.shape[1]
                outputs.append(np.stack([found.first_output, offsets], axis=1))
                real = self._type.kind == "f"
                slim.append(np.ldexp(found.rows, found.exponent) if real else found.rows)
                continue
            laid_out = found.blocks()
            widths = [block.shape[1] * (1 + (block.dtype == np.int16)) for block in laid_out]
            self._blocks += laid_out
            for block, width, end in zip(laid_out, widths, accumulate(widths), strict=True):
                blocks.append((block.ctypes.data, end - width, width))
            each["last"] = len(blocks)
        places = places_of(self._shape)[1]
        tap = np.zeros((len(routes), places + 1), np.int64)
        for number, found in enumerate(routes):
            tap[number] = found.tap + sum(len(some) for some in entries[:number])
        self._laid_out = (
            tap,
            np.concatenate([np.zeros((0, 2), np.int32), *entries]),
            np.array(blocks, np.int64).reshape(-1, 3),
            np.concatenate([np.zeros(0, self._type), *(some.ravel() for some in slim)]).astype(self._type),
            np.concatenate([np.zeros((0, 2), np.int64), *outputs]),
        )


def _terms(graph: Graph, name: str) -> tuple[tuple[Route, ...], tuple[str, ...]]:
    """Take a sum of currents apart: into the routes of spikes, and the names of all others."""
    node = graph[name]
    if isinstance(node.op, CurrentSum):
        found = [_terms(graph, source) for source in node.inputs]
        return tuple(each for routes, _ in found for each in routes), tuple(each for _, more in found for each in more)
    found_route = route(graph, node)
    return ((), (name,)) if found_route is None else ((found_route,), ())
