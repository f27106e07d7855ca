"""Runs a graph on Lava's stock processes alone: what a user with a chip can run as it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from neurocompile.backend import Progress, Result, measure_activity, silent, total_activity
from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Decoder, Encoder, Neurons
from neurocompile_lava import plan as batched
from neurocompile_lava import stock_plan
from neurocompile_lava.backend import START_SECONDS, STEP_SECONDS, WORKER, needing_room
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.supervisor import run_worker

_IMAGES = 64
"""That follow each other in one run."""


class StockLavaBackend:
    """Takes rate codes with reset to zero, whose neurons and synapses stock Lava has."""

    name: ClassVar[str] = "lava-stock"
    precision: ClassVar[Literal["float", "int8"]] = "int8"
    codes: ClassVar[tuple[str, ...]] = ("rate",)

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102
        return [*stock_plan.issues(graph), *batched.neuron_issues(graph)]

    def compile(self, graph: Graph, progress: Progress = silent) -> StockLavaExecutable:  # noqa: D102
        # What does not fit into 8 bits is told before anything runs.
        # Beside the network there are its source and something that records.
        count = len(stock_plan.plan(graph, 1).processes) + 2
        if count > batched.MOST_PROCESSES:
            raise BackendError.of([batched.too_many(count)])
        return StockLavaExecutable(graph, find_or_make(progress))


class StockLavaExecutable:
    """A graph on stock Lava: images follow each other, and each layer is set back when the next one reaches it.

    Parameters
    ----------
    graph
        Of processes.
    python
        The executable that runs Lava.
    """

    def __init__(self, graph: Graph, python: Path) -> None:
        self._graph, self._python = graph, python

    def run(  # noqa: D102
        self, x: Array, *, steps: int, probes: Sequence[str] = (), first: int = 0, progress: Progress = silent
    ) -> Result:
        neurons = [node.name for node in self._graph.nodes if isinstance(node.op, Neurons)]
        unknown = [name for name in probes if name not in neurons]
        if unknown:
            raise BackendError(f"Lava does not record {unknown}", remedy=f"probe layers of neurons: {neurons}")
        made = stock_plan.plan(self._graph, steps)
        results = [
            self._run_some(made, x[start : start + _IMAGES], first + start, probes, progress)
            for start in range(0, len(x), _IMAGES)
        ]
        return Result(
            np.concatenate([r.potentials for r in results]),
            total_activity([r.activity for r in results]),
            {name: np.concatenate([r.spikes[name] for r in results]) for name in probes},
            sum(r.seconds for r in results),
        )

    def close(self) -> None:  # noqa: D102
        pass

    def _run_some(
        self, made: stock_plan.StockPlan, x: Array, first: int, probes: Sequence[str], progress: Progress
    ) -> Result:
        encoder, decoder = self._graph[made.source].op, self._graph[made.output].op
        assert isinstance(encoder, Encoder)
        assert isinstance(decoder, Decoder)
        stream = np.moveaxis(encoder.encode(x, made.steps, first), 0, 1)
        found: dict[str, Array] = {}
        seconds = 0.0
        # What records is a process too: where there is no room for all of them, the network runs again.
        room = batched.MOST_PROCESSES - len(made.processes) - 1
        for begin in range(0, len(made.records), room):
            recorded, taken = self._record(made, stream, made.records[begin : begin + room], progress)
            found |= recorded
            seconds += taken
        currents = found.pop(made.output)
        potentials = np.moveaxis(decoder.run(np.moveaxis(currents, 1, 0)), 0, 1)
        sent = {**found, made.source: stream}
        events = {name: np.count_nonzero(spikes, axis=(0, 1)) for name, spikes in sent.items()}
        activity = measure_activity(self._graph, events)
        return Result(potentials, activity, {name: found[name] for name in probes}, seconds)

    def _record(
        self, made: stock_plan.StockPlan, stream: Array, records: Sequence[dict[str, Any]], progress: Progress
    ) -> tuple[dict[str, Array], float]:
        """Run images ``(B, T, *shape)``, and give what some processes sent, and the seconds that it took."""
        images, seconds = len(stream), 0.0
        document = made.document(images, records)

        def on_event(event: dict[str, object]) -> None:
            nonlocal seconds
            match event:
                case {"event": "progress", "done": int(done), "total": int(total)}:
                    progress("running on Lava", images * done // total, images)
                case {"event": "done", "seconds": float(taken)}:
                    seconds = taken

        with needing_room(), tempfile.TemporaryDirectory(prefix="neurocompile-") as name:
            folder = Path(name)
            (folder / "plan.json").write_text(json.dumps(document))
            arrays: dict[str, Any] = dict(made.arrays)
            np.savez(folder / "arrays.npz", **arrays)
            np.save(folder / "stream.npy", stream.reshape(images * made.steps, -1))
            run_worker(
                [str(self._python), str(WORKER), str(folder)],
                timeout=START_SECONDS + STEP_SECONDS * document["total"],
                on_event=on_event,
            )
            found = {
                record["name"]: np.load(folder / f"record-{number}.npy", allow_pickle=False).reshape(
                    images, made.steps, *self._graph.types[record["name"]].shape
                )
                for number, record in enumerate(records)
            }
        return found, seconds
