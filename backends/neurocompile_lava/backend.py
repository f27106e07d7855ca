"""Runs a graph of processes on Lava."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from neurocompile.backend import Progress, Result, measure_activity, silent
from neurocompile.errors import Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Encoder
from neurocompile_lava import plan
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.supervisor import run_worker

_WORKER = Path(__file__).with_name("worker")

_BATCH = 64
"""Images that run side by side in one network."""

_START_SECONDS = 300.0
_STEP_SECONDS = 2.0
"""What a run may take at most, per step; some hundred times what it takes on an idle machine."""


class LavaBackend:
    """Takes graphs with reset by subtraction (our neurons) or to zero (Lava's own), real or integer."""

    name: ClassVar[str] = "lava"

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102
        return list(plan.issues(graph))

    def compile(self, graph: Graph, progress: Progress = silent) -> LavaExecutable:  # noqa: D102
        python = find_or_make(lambda line: progress(line, 0, 0))
        return LavaExecutable(graph, python)


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
        self._plan = plan.plan(graph)

    def run(  # noqa: D102
        self, x: Array, *, steps: int, probes: Sequence[str] = (), progress: Progress = silent
    ) -> Result:
        batches = [
            self._run_batch(x[first : first + _BATCH], first, steps, len(x), progress)
            for first in range(0, len(x), _BATCH)
        ]
        spikes = {name: np.concatenate([b.spikes[name] for b in batches]) for name in self._plan.records}
        return Result(
            np.concatenate([b.potentials for b in batches]),
            measure_activity(self._graph, spikes),
            {name: spikes[name] for name in probes},
            sum(b.seconds for b in batches),
        )

    def close(self) -> None:  # noqa: D102
        pass

    def _run_batch(self, x: Array, first: int, steps: int, images: int, progress: Progress) -> Result:
        (entry,) = self._graph.inputs
        assert isinstance(entry.op, Encoder)
        stream = entry.op.encode(x, steps, first)
        constant = stream.strides[0] == 0
        seconds = 0.0

        def on_event(event: dict[str, object]) -> None:
            nonlocal seconds
            match event:
                case {"event": "progress", "done": int(done), "total": int(total)}:
                    progress("running on Lava", first * total + done * len(x), images * total)
                case {"event": "done", "seconds": float(taken)}:
                    seconds = taken

        with tempfile.TemporaryDirectory(prefix="neurocompile-") as name:
            folder = Path(name)
            (folder / "plan.json").write_text(json.dumps(self._plan.document(steps, constant)))
            np.savez(folder / "arrays.npz", **self._plan.arrays)  # type: ignore[arg-type]  # NumPy 2.4's stub
            np.save(folder / "stream.npy", stream[:1] if constant else stream)
            run_worker(
                [str(self._python), str(_WORKER), str(folder)],
                timeout=_START_SECONDS + _STEP_SECONDS * steps,
                on_event=on_event,
            )
            potentials = np.load(folder / "potentials.npy", allow_pickle=False)
            spikes = {
                layer: np.load(folder / f"{file}.npy", allow_pickle=False)
                for layer, file in self._plan.records.items()
            }
        return Result(
            np.moveaxis(potentials, 0, 1), {}, {n: np.moveaxis(s, 0, 1) for n, s in spikes.items()}, seconds
        )
