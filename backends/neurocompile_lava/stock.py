"""Runs a graph on Lava's stock processes alone: what a user with a chip can run as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from neurocompile.backend import Progress, Result, measure_activity, silent
from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Decoder, Encoder, GradedNeurons, Neurons
from neurocompile_lava import plan as batched
from neurocompile_lava import stock_plan
from neurocompile_lava.job import Job, Report, check_probes, doing, in_batches
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.stock_neurons import number_issues
from neurocompile_lava.stock_parts import size_issues, subgraphs

_IMAGES = 256
"""Of a run, at most."""

_SYNAPSES = 2**26
"""Of all copies of a network: some 24 bytes each, in all of Lava's processes."""


class StockLavaBackend:
    """Takes messages of several bits, and counts of spikes none of which is taken back, as stock neurons send."""

    name: ClassVar[str] = "lava-stock"
    precision: ClassVar[Literal["float", "int8"]] = "int8"
    codes: ClassVar[tuple[str, ...]] = ("graded", "rate")
    stock: ClassVar[bool] = True

    def check(self, graph: Graph) -> Sequence[Issue]:  # noqa: D102
        return [*stock_plan.issues(graph), *size_issues(graph), *batched.neuron_issues(graph)]

    def compile(self, graph: Graph, progress: Progress = silent) -> StockLavaExecutable:  # noqa: D102
        neurons = [node for node in graph.nodes if isinstance(node.op, Neurons)]
        issues = [issue for node in neurons for issue in number_issues(node)]
        if issues:
            raise BackendError.of(issues)
        return StockLavaExecutable(graph, find_or_make(progress))


class StockLavaExecutable:
    """A graph on stock Lava: images run in copies of it, and follow each other where neurons can be set back.

    Parameters
    ----------
    graph
        Of processes.
    python
        The executable that runs Lava.

    Raises
    ------
    BackendError
        If what pools make of weights does not fit 8 bits.
    """

    def __init__(self, graph: Graph, python: Path) -> None:
        self._graph, self._python = graph, python
        self._parts = [stock_plan.plan(part) for part in subgraphs(graph)]
        self._most_copies = max(1, _SYNAPSES // max(1, *(part.synapses for part in self._parts)))

    def run(  # noqa: D102
        self, x: Array, *, steps: int, probes: Sequence[str] = (), first: int = 0, progress: Progress = silent
    ) -> Result:
        check_probes(probes, [node.name for node in self._graph.nodes if isinstance(node.op, Neurons)])

        def run(some: Array, start: int, report: Report) -> Result:
            return self._run_some(some, steps, first + start, probes, report)

        images = _IMAGES if all(part.sets_back for part in self._parts) else min(_IMAGES, self._most_copies)
        return in_batches(x, images, run, progress, doing(len(self._parts)))

    def close(self) -> None:  # noqa: D102
        pass

    def _run_some(self, x: Array, steps: int, first: int, probes: Sequence[str], report: Report) -> Result:
        (entry,), (output,) = self._graph.inputs, self._graph.outputs
        encoder, decoder = entry.op, self._graph[output].op
        assert isinstance(encoder, Encoder)
        assert isinstance(decoder, Decoder)
        sent = {entry.name: np.moveaxis(encoder.encode(x, steps, first), 0, 1)}
        seconds = 0.0
        for part in self._parts:
            # What records is a process too: where there is no room for all of them, the network runs again.
            room = batched.MOST_PROCESSES - len(part.processes) - 1
            for begin in range(0, len(part.records), room):
                recorded, taken = self._record(part, sent, part.records[begin : begin + room], report)
                sent |= recorded
                seconds += taken
        currents = sent.pop(output)
        potentials = np.moveaxis(decoder.run(np.moveaxis(currents, 1, 0)), 0, 1)
        events = {name: np.count_nonzero(spikes, axis=(0, 1)) for name, spikes in sent.items()}
        activity = measure_activity(self._graph, events)
        return Result(potentials, activity, {name: sent[name] for name in probes}, seconds)

    def _record(
        self,
        part: stock_plan.StockPlan,
        sent: Mapping[str, Array],
        records: Sequence[dict[str, Any]],
        report: Report,
    ) -> tuple[dict[str, Array], float]:
        """Run a part; give what some of its processes sent ``(B, T, *shape)``, and the seconds that it took."""
        images, steps = sent[part.sources[0]].shape[:2]
        given = np.concatenate([sent[name].reshape(images, steps, -1) for name in part.sources], axis=2)
        stream = _with_biases(given, part) if len(part.biases) else given
        copies = min(images, self._most_copies)
        rounds = -(-images // copies)
        job = Job([part.document(copies, rounds, steps, records)], part.arrays, _laid_out(stream, copies, rounds))
        names = {f"record-{number}": record["name"] for number, record in enumerate(records)}
        read, seconds = job.run(self._python, list(names), report)
        rows = {name: _by_image(read[file], copies, rounds)[:images] for file, name in names.items()}
        return {name: self._spikes(name, recorded) for name, recorded in rows.items()}, seconds

    def _spikes(self, name: str, recorded: Array) -> Array:
        """Give what was recorded ``(B, T, size)`` as what the graph's process sends, ``(B, T, *shape)``."""
        op, shape = self._graph[name].op, self._graph.types[name].shape
        if isinstance(op, GradedNeurons):
            below, above = np.split(recorded, 2, axis=2)
            recorded = (below - above).astype(op.sends)
        return recorded.reshape(*recorded.shape[:2], *shape)


def _with_biases(given: Array, part: stock_plan.StockPlan) -> Array:
    """Give values ``(B, T, size)`` and the biases beside them, each when its layer's input arrives."""
    images, steps, size = given.shape
    stream = np.zeros((images, steps + int(part.bias_starts.max()), size + len(part.biases)), np.int32)
    stream[:, :steps, :size] = given
    now = np.arange(stream.shape[1])[:, None]
    acting = (now >= part.bias_starts) & (now < part.bias_starts + steps)
    stream[:, :, size:] = np.where(acting, part.biases, 0)
    return stream


def _laid_out(values: Array, copies: int, rounds: int) -> Array:
    """Give values ``(B, T, size)`` as copies of a network take them, round after round; silence fills the last."""
    images, steps, size = values.shape
    padded = np.zeros((rounds * copies, steps, size), values.dtype)
    padded[:images] = values
    by_round = padded.reshape(rounds, copies, steps, size)
    rows: Array = by_round.swapaxes(1, 2).reshape(rounds * steps, copies * size)
    return rows


def _by_image(rows: Array, copies: int, rounds: int) -> Array:
    """Give what was recorded of copies as ``(rounds * copies, T, size)``."""
    steps, size = len(rows) // rounds, rows.shape[1] // copies
    values: Array = rows.reshape(rounds, steps, copies, size).swapaxes(1, 2).reshape(-1, steps, size)
    return values
