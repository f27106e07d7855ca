"""Maps a graph to processes that come with Lava.

These are ``Sparse``, ``DelaySparse``, ``LIFReset``, ``ATRLIF`` and ``SigmaDelta``.

A plan is what the worker is given: a JSON object and named arrays. ``copies`` of the network run side by side,
one an image. Where its neurons are ``LIFReset`` another round of images follows in the same run, and every layer
is set back when the next image reaches it; other neurons have no such reset, and another run starts anew.
``processes`` lists, each after those that it reads,

- ``sparse``: the weights of one path as a matrix ``(outputs, inputs)`` in three arrays, as SciPy holds it, and
  ``delay``, which makes up for a path that is shorter than the longest;
- ``lif``: ``LIFReset``, whose first image starts at the step ``start``, from 0;
- ``atrlif``: ``ATRLIF`` with what makes its reset one by subtraction;
- ``sigma_delta``: two ``SigmaDelta`` neurons for each of the graph's; see ``stock_neurons``;
- ``record``: what another process sends, as values of a ``type``, from the step ``start`` on. It is no part of the
  network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fixed_point import WEIGHT_MAX
from neurocompile.ir.paths import Path, paths, receivers, starts
from neurocompile.ir.processes import (
    GradedNeurons,
    Neurons,
    PoolSynapses,
    ReshapeSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile_lava.stock_neurons import StockNeurons, kind_issues, stock_neurons
from neurocompile_lava.worker.job import PLAN_VERSION

MOST_DELAY = 62
"""Steps: delays have 6 bits on Loihi 2, of which lava-nc's compiler leaves the last out."""

_AT_ONCE = 256
"""Inputs whose outputs are found together."""


@dataclass(frozen=True)
class StockPlan:
    """A network of stock processes.

    Parameters
    ----------
    delay
        Steps after which the last process starts with the first image.
    fixed
        Whether it computes in Loihi's integers.
    sets_back
        Whether its neurons can be set back, so that images may follow each other.
    sources
        The names of what comes from outside, in the order in which it is sent.
    biases, bias_starts
        What is sent behind it at each step, ``(values,)``, and from which step on, for as many as an image has.
    processes
        Their descriptions, as JSON holds them.
    records
        Those of what records them, which is no part of the network.
    arrays
        By the names under which the descriptions refer to them.
    """

    delay: int
    fixed: bool
    sets_back: bool
    sources: tuple[str, ...]
    biases: Array
    bias_starts: Array
    processes: list[dict[str, Any]]
    records: list[dict[str, Any]]
    arrays: dict[str, Array]

    @property
    def synapses(self) -> int:
        """How many weights it holds."""
        return sum(self.arrays[p["data"]].size for p in self.processes if p["kind"] == "sparse")

    def document(self, copies: int, rounds: int, steps: int, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Give the JSON object for a run that records some of the processes.

        Parameters
        ----------
        copies, rounds
            Images that run side by side, and that follow each other.
        steps
            Of each image.
        records
            Those to run.
        """
        return {
            "kind": "stock",
            "version": PLAN_VERSION,
            "total": rounds * steps + self.delay,
            "steps": steps,
            "rows": rounds * steps,
            "copies": copies,
            "fixed": self.fixed,
            "source": self.sources[0],
            "processes": [*self.processes, *records],
        }


def issues(graph: Graph) -> Iterator[Issue]:
    """Tell what of a graph stock Lava has no process for."""
    arrival = starts(graph, 1)
    for node in receivers(graph):
        op, kind = node.op, type(node.op).__name__
        if isinstance(op, SpikeMaxPool):
            yield Issue(
                "stock Lava has no max pool", node.name, kind, "train with average pools, or choose --target lava"
            )
            continue
        if isinstance(op, Neurons):
            yield from kind_issues(node)
        for path in paths(graph, node):
            delay = arrival[node.name] - arrival[path.source] - 1
            if delay > MOST_DELAY:
                problem = f"a path to it has to wait {delay} steps, and synapses wait {MOST_DELAY} at most"
                yield Issue(problem, node.name, kind, "use a network with fewer layers beside its shortcuts")
            yield from _path_issues(path)


def _path_issues(path: Path) -> Iterator[Issue]:
    weighted = [node for node in path.synapses if isinstance(node.op, Synapses)]
    if len(weighted) > 1:
        problem, remedy = "its currents go on through weights, which need neurons between", "choose --target lava"
        yield Issue(problem, weighted[0].name, type(weighted[0].op).__name__, remedy)
    for node in weighted[:1]:
        behind = path.synapses[path.synapses.index(node) + 1 :]
        op = node.op
        assert isinstance(op, Synapses)
        if op.weight_exponent < 0 and not all(isinstance(n.op, ReshapeSynapses | WireSynapses) for n in behind):
            problem = "its currents are rounded before they are summed up by a pool"
            yield Issue(problem, node.name, type(op).__name__, "choose --target lava")


def plan(graph: Graph) -> StockPlan:
    """Map a graph to stock processes; ``issues`` tells what can't be."""
    return _Planner(graph).plan()


@dataclass
class _Planner:
    graph: Graph
    processes: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        types = self.graph.types
        self.entries = tuple(node.name for node in self.graph.inputs)
        self.fixed = types[self.entries[0]].integer
        # None of its neurons looks ahead, which is all that the number of steps would change.
        self.arrival = starts(self.graph, 1)
        sizes = [int(np.prod(types[name].shape)) for name in self.entries]
        self.columns = dict(zip(self.entries, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        self.inputs = sum(sizes)

    @cached_property
    def neurons(self) -> dict[str, StockNeurons]:
        """What stands for each layer of neurons."""
        types = self.graph.types
        return {
            node.name: stock_neurons(node.op, types[node.name].shape)
            for node in self.graph.nodes
            if isinstance(node.op, Neurons)
        }

    @cached_property
    def bias_columns(self) -> dict[str, tuple[int, Array]]:
        """For each layer whose bias the source sends, the first of its columns, and its different values."""
        found, column = {}, self.inputs
        for name, neurons in self.neurons.items():
            values = np.unique(neurons.current)
            if np.any(values != 0):
                found[name] = column, values
                column += len(values)
        return found

    def plan(self) -> StockPlan:
        for node in receivers(self.graph):
            sources = [
                self._sparse(f"{node.name}.{number}", path, node)
                for number, path in enumerate(paths(self.graph, node))
            ]
            size, kind = int(np.prod(self.graph.types[node.name].shape)), "int32" if self.fixed else "float64"
            if node.name in self.neurons:
                made = self.neurons[node.name]
                if node.name in self.bias_columns:
                    sources.append(self._bias(node, made))
                size, kind = made.size, made.sends
                self.processes.append(
                    {
                        "kind": made.kind,
                        "name": node.name,
                        "from": sources,
                        "size": size,
                        "start": self.arrival[node.name],
                        **made.parameters,
                        **{name: self._store(array) for name, array in made.arrays.items()},
                    }
                )
                sources = [node.name]
            self.records.append(
                {
                    "kind": "record",
                    "name": node.name,
                    "from": sources,
                    "size": size,
                    "type": kind,
                    "start": self.arrival[node.name],
                }
            )
        return StockPlan(
            max(self.arrival.values()),
            self.fixed,
            all(made.kind == "lif" for made in self.neurons.values()),
            self.entries,
            np.concatenate([np.zeros(0, np.int32), *(values for _, values in self.bias_columns.values())]),
            # A step before the layer, since synapses take one.
            np.repeat(
                [self.arrival[name] - 1 for name in self.bias_columns],
                [len(values) for _, values in self.bias_columns.values()],
            ),
            self.processes,
            self.records,
            self.arrays,
        )

    def _sparse(self, name: str, path: Path, node: Node) -> str:
        weights, exponent = matrix(self.graph, path, self.graph.types[node.inputs[0]].shape)
        if isinstance(self.graph[path.source].op, GradedNeurons):
            weights = sparse.csr_array(sparse.hstack([weights, -weights]))
        if isinstance(node.op, GradedNeurons):
            weights = sparse.csr_array(sparse.vstack([weights, weights]))
        delay = self.arrival[node.name] - self.arrival[path.source] - 1
        return self._add(name, path.source, weights, exponent, delay)

    def _bias(self, node: Node, made: StockNeurons) -> str:
        """Add the synapses through which a layer's bias arrives, so that it acts when its input does."""
        first, values = self.bias_columns[node.name]
        # Columns are counted from those of the first source, which begin with 0.
        columns = first + np.searchsorted(values, made.current)
        weights = sparse.csr_array((np.ones(made.size, np.int32), (np.arange(made.size), columns)))
        return self._add(f"{node.name}.bias", self.entries[0], weights, 0, 0)

    def _add(self, name: str, source: str, weights: sparse.csr_array, exponent: int, delay: int) -> str:
        inputs, outside = weights.shape[1], source in self.columns
        if outside:
            inputs = self.inputs + sum(len(values) for _, values in self.bias_columns.values())
        self.processes.append(
            {
                "kind": "sparse",
                "name": name,
                "from": self.entries[0] if outside else source,
                # With both signs the lowest bit of a weight is left out: all are doubled.
                "data": self._store(2 * weights.data if self.fixed else weights.data),
                "indices": self._store(weights.indices + self.columns.get(source, 0)),
                "indptr": self._store(weights.indptr),
                "shape": [weights.shape[0], inputs],
                "weight_exp": exponent - 1 if self.fixed else 0,
                "delay": delay,
                "graded": outside or self.neurons[source].sends != "bool",
            }
        )
        return name

    def _store(self, array: Array) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array)
        return name


def matrix(graph: Graph, path: Path, shape: tuple[int, ...]) -> tuple[sparse.csr_array, int]:
    """Give the weights of a path as one matrix ``(outputs, inputs)``, and the exponent of their sums.

    Raises
    ------
    BackendError
        If a pool adds up weights to more than 8 bits.
    """
    given = graph.types[path.source].shape
    inputs, outputs = int(np.prod(given)), int(np.prod(shape))
    exponent, fixed = 0, graph.types[graph.inputs[0].name].integer
    columns = []
    for first in range(0, inputs, _AT_ONCE):
        count = min(_AT_ONCE, inputs - first)
        values: Array = np.zeros((count, inputs))
        values[np.arange(count), first + np.arange(count)] = 1
        values = values.reshape(count, *given)
        for node in path.synapses:
            if isinstance(node.op, Synapses):
                values, exponent = (
                    node.op.multiply(values, node.op.weight.astype(np.float64)),
                    node.op.weight_exponent,
                )
            else:
                assert isinstance(node.op, PoolSynapses | ReshapeSynapses | WireSynapses)
                values = node.op.run(values[None])[0]
        columns.append(sparse.csr_array(values.reshape(count, outputs)))
    whole = sparse.csr_array(sparse.vstack(columns).T)
    if not fixed:
        return whole, 0
    if abs(whole).max() > WEIGHT_MAX:
        raise BackendError(
            f"a pool with overlapping windows makes weights of {abs(whole).max():g}, more than {WEIGHT_MAX}",
            path.synapses[-1].name,
            remedy="train with windows that do not overlap, or choose --target lava",
        )
    return whole.astype(np.int32), exponent
