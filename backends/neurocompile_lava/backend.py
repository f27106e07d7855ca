"""Runs a graph of processes on Lava."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from neurocompile.backend import Progress, Result, Runtime, measure_activity, silent
from neurocompile.errors import Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Encoder
from neurocompile_lava import manage, plan
from neurocompile_lava.bundle import write_bundle
from neurocompile_lava.job import Job, Report, check_probes, doing, in_batches
from neurocompile_lava.runtime import find_or_make

_BATCH = 1024
"""Images that run side by side in one network at most: more make it no faster."""

_SENT = 2**28
"""Values that these images' neurons send at most over all steps; they are recorded in shared memory."""


def images_at_once(graph: Graph, steps: int) -> int:
    """Choose how many images run side by side."""
    sent = sum(math.prod(graph.types[n.name].shape) for n in graph.nodes if isinstance(n.op, Source))
    return max(1, min(_BATCH, _SENT // (sent * steps)))


class LavaBackend:
    """Takes graphs of every code, real or integer: neurons with reset to zero are Lava's own, others are ours."""

    name: ClassVar[str] = "lava"
    precision: ClassVar[Literal["float", "int8"]] = "int8"
    codes: ClassVar[tuple[str, ...]] = ("digit", "graded", "rate")
    stock: ClassVar[bool] = False

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102
        return list(plan.issues(graph))

    def compile(self, graph: Graph, progress: Progress = silent) -> LavaExecutable:  # noqa: D102
        return LavaExecutable(graph, find_or_make(progress))

    def runtime(self) -> Runtime:  # noqa: D102
        return manage.status()

    def make_runtime(self, progress: Progress) -> Runtime:  # noqa: D102
        return manage.install(progress)

    def remove_runtime(self, progress: Progress) -> Sequence[Path]:  # noqa: D102
        return manage.remove(progress)

    def bundle(self, graph: Graph, steps: int, folder: Path, x: Array | None) -> None:  # noqa: D102
        write_bundle(plan.plan(graph, steps), graph, images_at_once(graph, steps), folder, x)


class LavaExecutable:
    """A graph on Lava, started anew for each batch of images.

    Parameters
    ----------
    graph
        Of processes.
    python
        The executable that runs Lava.
    """

    def __init__(self, graph: Graph, python: Path) -> None:
        self._graph = graph
        self._python = python

    def run(  # noqa: D102
        self, x: Array, *, steps: int, probes: Sequence[str] = (), first: int = 0, progress: Progress = silent
    ) -> Result:
        made = plan.plan(self._graph, steps)
        check_probes(probes, made.neurons)

        def run(part: Array, start: int, report: Report) -> Result:
            return self._run_batch(made, part, first + start, probes, report)

        return in_batches(x, images_at_once(self._graph, steps), run, progress, doing(len(made.parts)))

    def close(self) -> None:  # noqa: D102
        pass

    def _run_batch(self, made: plan.Plan, x: Array, first: int, probes: Sequence[str], report: Report) -> Result:
        (entry,) = self._graph.inputs
        assert isinstance(entry.op, Encoder)
        stream = entry.op.encode(x, made.steps, first)
        constant = stream.strides[0] == 0
        job = Job(made.documents(constant), made.arrays, stream[:1] if constant else stream)
        found, seconds = job.run(self._python, ["potentials", *made.records.values()], report)
        sent = {name: np.moveaxis(found[file], 0, 1) for name, file in made.records.items()}
        sent[entry.name] = np.moveaxis(stream, 0, 1)
        events = {name: np.count_nonzero(spikes, axis=(0, 1)) for name, spikes in sent.items()}
        return Result(
            np.moveaxis(found["potentials"], 0, 1),
            measure_activity(self._graph, events),
            {name: sent[name] for name in probes},
            seconds,
        )
