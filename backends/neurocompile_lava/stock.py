"""Runs a graph on Lava's stock processes alone: what a user with a chip can run as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from neurocompile.backend import Progress, Result, measure_activity, silent
from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Decoder, Encoder, GradedNeurons, Neurons
from neurocompile_lava import plan as batched
from neurocompile_lava import stock_plan
from neurocompile_lava.job import Job, Report, check_probes, in_batches
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.stock_neurons import number_issues

_IMAGES = 64
"""That run together at most."""

_SYNAPSES = 2**24
"""Of all copies of a network: 8 bytes each."""


class StockLavaBackend:
    """Takes messages of several bits, and counts of spikes none of which is taken back, as stock neurons send."""

    name: ClassVar[str] = "lava-stock"
    precision: ClassVar[Literal["float", "int8"]] = "int8"
    codes: ClassVar[tuple[str, ...]] = ("graded", "rate")
    stock: ClassVar[bool] = True

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102
        return [*stock_plan.issues(graph), *batched.neuron_issues(graph)]

    def compile(self, graph: Graph, progress: Progress = silent) -> StockLavaExecutable:  # noqa: D102
        neurons = [node for node in graph.nodes if isinstance(node.op, Neurons)]
        issues = [issue for node in neurons for issue in number_issues(node)]
        if issues:
            raise BackendError.of(issues)
        # Beside the network there are its source and something that records.
        count = len(stock_plan.plan(graph, 1).processes) + 2
        if count > batched.MOST_PROCESSES:
            raise BackendError.of([batched.too_many(count)])
        return StockLavaExecutable(graph, find_or_make(progress))


class StockLavaExecutable:
    """A graph on stock Lava: images follow each other where its neurons can be set back, or else run side by side.

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
        check_probes(probes, [node.name for node in self._graph.nodes if isinstance(node.op, Neurons)])
        made = stock_plan.plan(self._graph, steps)

        def run(part: Array, start: int, report: Report) -> Result:
            return self._run_some(made, part, first + start, probes, report)

        images = min(_IMAGES, max(1, _SYNAPSES // made.synapses)) if made.side_by_side else _IMAGES
        return in_batches(x, images, run, progress)

    def close(self) -> None:  # noqa: D102
        pass

    def _run_some(
        self, made: stock_plan.StockPlan, x: Array, first: int, probes: Sequence[str], report: Report
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
            recorded, taken = self._record(made, stream, made.records[begin : begin + room], report)
            found |= recorded
            seconds += taken
        currents = found.pop(made.output)
        potentials = np.moveaxis(decoder.run(np.moveaxis(currents, 1, 0)), 0, 1)
        sent = {**found, made.source: stream}
        events = {name: np.count_nonzero(spikes, axis=(0, 1)) for name, spikes in sent.items()}
        activity = measure_activity(self._graph, events)
        return Result(potentials, activity, {name: found[name] for name in probes}, seconds)

    def _record(
        self, made: stock_plan.StockPlan, stream: Array, records: Sequence[dict[str, Any]], report: Report
    ) -> tuple[dict[str, Array], float]:
        """Run images ``(B, T, *shape)``, and give what some processes sent, and the seconds that it took."""
        images = len(stream)
        biases = np.broadcast_to(made.biases, (images, made.steps, len(made.biases)))
        sent = np.concatenate([stream.reshape(images, made.steps, -1), biases], axis=2)
        job = Job([made.document(images, records)], made.arrays, _laid_out(sent, made))
        names = {f"record-{number}": record["name"] for number, record in enumerate(records)}
        read, seconds = job.run(self._python, list(names), report)
        return {
            name: self._spikes(name, _by_image(read[file], images, made)) for file, name in names.items()
        }, seconds

    def _spikes(self, name: str, recorded: Array) -> Array:
        """Give what was recorded ``(B, T, size)`` as what the graph's process sends, ``(B, T, *shape)``."""
        op, shape = self._graph[name].op, self._graph.types[name].shape
        if isinstance(op, GradedNeurons):
            below, above = np.split(recorded, 2, axis=2)
            recorded = (below - above).astype(op.sends)
        return recorded.reshape(*recorded.shape[:2], *shape)


def _laid_out(values: Array, made: stock_plan.StockPlan) -> Array:
    """Give values ``(B, T, size)`` as the network takes them."""
    if made.side_by_side:
        values = np.moveaxis(values, 0, 1)
        return values.reshape(len(values), -1)
    return values.reshape(-1, values.shape[2])


def _by_image(rows: Array, images: int, made: stock_plan.StockPlan) -> Array:
    """Give what was recorded as ``(B, T, size)``."""
    if made.side_by_side:
        return np.moveaxis(rows.reshape(made.steps, images, -1), 0, 1)
    return rows.reshape(images, made.steps, -1)
