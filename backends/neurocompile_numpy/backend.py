"""Runs a graph of processes by events, in chunks of images, on all cores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from neurocompile.backend import Progress, Result, measure_activity, silent
from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.paths import Source
from neurocompile.parallel import cores
from neurocompile_numpy.events.engine import Engine

_CHUNK_BYTES = 32 << 20
"""Of a thread: a chunk has as many images as fit, at least one."""

_MOST_IMAGES = 128
"""Of a chunk, so that progress is seen and cores share the work."""


class NumpyBackend:
    """Takes every graph of processes."""

    name: ClassVar[str] = "numpy"
    precision: ClassVar[Literal["float", "int8"]] = "float"
    codes: ClassVar[tuple[str, ...]] = ("digit", "graded", "rate")
    stock: ClassVar[bool] = False

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102, ARG002
        return ()

    def compile(self, graph: Graph, progress: Progress = silent) -> NumpyExecutable:  # noqa: D102
        progress("preparing the simulator", 0, 1)
        executable = NumpyExecutable(graph)
        executable.warm_up()
        progress("preparing the simulator", 1, 1)
        return executable


@dataclass(frozen=True)
class _Chunk:
    start: int
    potentials: Array
    events: Mapping[str, Array]
    spikes: Mapping[str, Array]


class NumpyExecutable:
    """A graph that runs layer by layer: all steps of a layer before the next.

    Parameters
    ----------
    graph
        Of processes.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._threads = cores()
        self._engine = Engine(graph)
        (self._decoder,) = graph.outputs
        self._sources = [node.name for node in graph.nodes if isinstance(node.op, Source)]

    def run(  # noqa: D102
        self, x: Array, *, steps: int, probes: Sequence[str] = (), first: int = 0, progress: Progress = silent
    ) -> Result:
        unknown = [name for name in probes if name not in self._graph]
        if unknown:
            raise BackendError(f"there are no processes {unknown} to probe", remedy="name nodes of the graph")
        began = time.perf_counter()
        outputs = self._graph.types[self._decoder].shape
        integer = self._graph.types[self._decoder].integer
        potentials = np.empty((len(x), steps, *outputs), np.int64 if integer else np.float64)
        events = {name: np.zeros(self._graph.types[name].shape, np.int64) for name in self._sources}
        spikes: dict[str, Array] = {}
        for chunk in self._chunks(x, steps, probes, first, progress):
            images = slice(chunk.start, chunk.start + len(chunk.potentials))
            potentials[images] = chunk.potentials
            for name, count in chunk.events.items():
                events[name] += count
            for name, stream in chunk.spikes.items():
                if name not in spikes:
                    spikes[name] = np.empty((len(x), *stream.shape[1:]), stream.dtype)
                spikes[name][images] = stream
        activity = measure_activity(self._graph, events)
        return Result(potentials, activity, spikes, time.perf_counter() - began, self._engine.by_reference)

    def warm_up(self) -> None:
        """Run every kernel once: on a new machine they are compiled, else they are read from Numba's cache."""
        (entry,) = self._graph.inputs
        self.run(np.zeros((1, *self._graph.types[entry.name].shape)), steps=1)

    def close(self) -> None:  # noqa: D102
        pass

    def _chunks(
        self, x: Array, steps: int, probes: Sequence[str], first: int, progress: Progress
    ) -> Iterator[_Chunk]:
        size = self._chunk_size(steps)
        starts = iter(range(0, len(x), size))
        waiting: set[Future[_Chunk]] = set()
        done = 0
        # Chunks already use every core, so BLAS must not start threads of its own.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self._threads) as pool:
            try:
                while True:
                    # No more are begun than can be taken in, or results would pile up.
                    for start in starts:
                        part = x[start : start + size]
                        waiting.add(pool.submit(self._run_chunk, part, start, first + start, steps, probes))
                        if len(waiting) > self._threads:
                            break
                    if not waiting:
                        break
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        chunk = future.result()
                        done += len(chunk.potentials)
                        progress("simulating", done, len(x))
                        yield chunk
            finally:
                pool.shutdown(cancel_futures=True)

    def _chunk_size(self, steps: int) -> int:
        return max(1, min(_MOST_IMAGES, _CHUNK_BYTES // self._engine.bytes_of_image(steps)))

    def _run_chunk(self, x: Array, start: int, first: int, steps: int, probes: Sequence[str]) -> _Chunk:
        streams = self._engine.run(x, steps, first, [self._decoder, *self._sources, *probes])
        return _Chunk(
            start,
            np.moveaxis(streams[self._decoder].dense, 0, 1),
            {name: streams[name].count() for name in self._sources},
            {name: np.moveaxis(streams[name].dense, 0, 1) for name in probes},
        )
