"""Runs a graph of processes on Lava."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from neurocompile.backend import Progress, Result, Runtime, measure_activity, silent, total_activity
from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Encoder
from neurocompile_lava import manage, plan
from neurocompile_lava.bundle import write_bundle
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.supervisor import run_worker

WORKER = Path(__file__).with_name("worker")

_BATCH = 64
"""Images that run side by side in one network."""

START_SECONDS = 300.0
STEP_SECONDS = 2.0
"""What a run may take at most to start, and for each step: far more than it does even on a busy machine."""


class LavaBackend:
    """Takes graphs of every code, real or integer: neurons with reset to zero are Lava's own, others are ours."""

    name: ClassVar[str] = "lava"
    precision: ClassVar[Literal["float", "int8"]] = "int8"
    codes: ClassVar[tuple[str, ...]] = ("digit", "graded", "rate")

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
        write_bundle(plan.plan(graph, steps), graph, folder, x)


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
        unknown = [name for name in probes if name not in made.neurons]
        if unknown:
            raise BackendError(
                f"Lava does not record {unknown}", remedy=f"probe layers of neurons: {list(made.neurons)}"
            )
        batches = []
        for start in range(0, len(x), _BATCH):

            def on_progress(doing: str, done: int, total: int, start: int = start) -> None:
                progress(doing, start + done * min(_BATCH, len(x) - start) // total, len(x))

            part = x[start : start + _BATCH]
            batches.append(self._run_batch(made, part, first + start, probes, on_progress))
        return Result(
            np.concatenate([b.potentials for b in batches]),
            total_activity([b.activity for b in batches]),
            {name: np.concatenate([b.spikes[name] for b in batches]) for name in probes},
            sum(b.seconds for b in batches),
        )

    def close(self) -> None:  # noqa: D102
        pass

    def _run_batch(
        self, made: plan.Plan, x: Array, first: int, probes: Sequence[str], progress: Progress
    ) -> Result:
        (entry,) = self._graph.inputs
        assert isinstance(entry.op, Encoder)
        stream = entry.op.encode(x, made.steps, first)
        constant = stream.strides[0] == 0
        seconds = 0.0

        def on_event(event: dict[str, object]) -> None:
            nonlocal seconds
            match event:
                case {"event": "progress", "done": int(done), "total": int(total)}:
                    progress("running on Lava", done, total)
                case {"event": "done", "seconds": float(taken)}:
                    seconds = taken

        with ExitStack() as stack:
            with needing_room():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neurocompile-")))
                (folder / "plan.json").write_text(json.dumps(made.document(constant)))
                # Some of NumPy's stubs take the names of arrays for those of its own parameters.
                arrays: dict[str, Any] = dict(made.arrays)
                np.savez(folder / "arrays.npz", **arrays)
                np.save(folder / "stream.npy", stream[:1] if constant else stream)
            run_worker(
                [str(self._python), str(WORKER), str(folder)],
                timeout=START_SECONDS + STEP_SECONDS * made.total,
                on_event=on_event,
            )
            potentials = _read(folder, "potentials")
            sent = {name: _read(folder, file) for name, file in made.records.items()}
        sent[entry.name] = np.moveaxis(stream, 0, 1)
        events = {name: np.count_nonzero(stream, axis=(0, 1)) for name, stream in sent.items()}
        activity = measure_activity(self._graph, events)
        return Result(potentials, activity, {name: sent[name] for name in probes}, seconds)


def _read(folder: Path, name: str) -> Array:
    """Read a stream, images first."""
    file = folder / f"{name}.npy"
    if not file.exists():
        raise BackendError("the Lava worker ended without a result", remedy="check that its Python runs Lava")
    with needing_room():
        return np.moveaxis(np.load(file, allow_pickle=False), 0, 1)


@contextmanager
def needing_room() -> Iterator[None]:
    """Tell the user where a run's files go if there is something wrong with them."""
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the files of a run on Lava can't be written to {tempfile.gettempdir()}: {error}",
            remedy="make room there, or let TMPDIR name another folder",
        ) from error
