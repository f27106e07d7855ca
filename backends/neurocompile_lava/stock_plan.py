"""Maps a graph to Lava's stock processes: ``Sparse``, ``DelaySparse`` and ``LIFReset``.

A plan is what the worker is given: a JSON object and named arrays. Its images follow each other in one run, for
``steps`` steps each, and every layer is set back when the next image reaches it. ``processes`` lists, each after
those that it reads,

- ``sparse``: the weights of one path as a matrix ``(outputs, inputs)`` in three arrays, as SciPy holds it, and
  ``delay``, which makes up for a path that is shorter than the longest;
- ``lif``: ``LIFReset``, whose first image starts at the step ``start``, from 0;
- ``record``: what another process sends, as values of a ``type``, from the step ``start`` on. It is no part of the
  network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fixed_point import CURRENT_SHIFT, WEIGHT_MAX, split_bias
from neurocompile.ir.paths import Path, paths, receivers, starts
from neurocompile.ir.processes import (
    Decoder,
    IntegrateAndFire,
    PoolSynapses,
    ReshapeSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
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
    steps
        Of each image.
    delay
        Steps after which the last process starts with the first image.
    fixed
        Whether it computes in Loihi's integers.
    source, output
        The names of the encoder and of the decoder.
    processes
        Their descriptions, as JSON holds them.
    records
        Those of what records them, which is no part of the network.
    arrays
        By the names under which the descriptions refer to them.
    """

    steps: int
    delay: int
    fixed: bool
    source: str
    output: str
    processes: list[dict[str, Any]]
    records: list[dict[str, Any]]
    arrays: dict[str, Array]

    def document(self, images: int, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Give the JSON object for a run that records some of the processes."""
        return {
            "kind": "stock",
            "version": PLAN_VERSION,
            "total": images * self.steps + self.delay,
            "steps": self.steps,
            "fixed": self.fixed,
            "source": self.source,
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
        if not isinstance(op, Decoder) and not (isinstance(op, IntegrateAndFire) and op.reset == "zero"):
            yield Issue("stock Lava has no such neurons", node.name, kind, "choose --code rate --reset zero")
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


def plan(graph: Graph, steps: int) -> StockPlan:
    """Map a graph to stock processes; ``issues`` tells what can't be."""
    return _Planner(graph, steps).plan()


@dataclass
class _Planner:
    graph: Graph
    steps: int
    processes: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def plan(self) -> StockPlan:
        (entry,), (output,) = self.graph.inputs, self.graph.outputs
        arrival = starts(self.graph, self.steps)
        fixed = self.graph.types[entry.name].integer
        for node in receivers(self.graph):
            sources = []
            for number, path in enumerate(paths(self.graph, node)):
                delay = arrival[node.name] - arrival[path.source] - 1
                sources.append(self._sparse(f"{node.name}.{number}", path, node, delay))
            size = int(np.prod(self.graph.types[node.name].shape))
            recorded, kind = sources, "int32" if fixed else "float64"
            if isinstance(node.op, IntegrateAndFire):
                self.processes.append(
                    {
                        "kind": "lif",
                        "name": node.name,
                        "from": sources,
                        "size": size,
                        "start": arrival[node.name],
                        **self._neurons(node.op, node),
                    }
                )
                recorded, kind = [node.name], "bool"
            self.records.append(
                {
                    "kind": "record",
                    "name": node.name,
                    "from": recorded,
                    "size": size,
                    "type": kind,
                    "start": arrival[node.name],
                }
            )
        return StockPlan(
            self.steps, max(arrival.values()), fixed, entry.name, output, self.processes, self.records, self.arrays
        )

    def _sparse(self, name: str, path: Path, node: Node, delay: int) -> str:
        weights, exponent = matrix(self.graph, path, self.graph.types[node.inputs[0]].shape)
        fixed = weights.dtype.kind == "i"
        self.processes.append(
            {
                "kind": "sparse",
                "name": name,
                "from": path.source,
                # With both signs the lowest bit of a weight is left out: all are doubled.
                "data": self._store(2 * weights.data if fixed else weights.data),
                "indices": self._store(weights.indices),
                "indptr": self._store(weights.indptr),
                "shape": list(weights.shape),
                "weight_exp": exponent - 1 if fixed else 0,
                "delay": delay,
                "graded": path.source == self.graph.inputs[0].name,
            }
        )
        return name

    def _neurons(self, op: IntegrateAndFire, node: Node) -> dict[str, Any]:
        shape = self.graph.types[node.name].shape
        threshold = op.v_threshold.reshape(-1)[0]
        if op.bias.dtype.kind == "f":
            mantissa, exponent, vth = op.bias, np.zeros(1), float(threshold)
        else:
            (mantissa, exponent), vth = split_bias(op.bias), int(threshold) >> CURRENT_SHIFT
        both = (np.broadcast_to(values, shape).ravel() for values in (mantissa, exponent))
        return {"vth": vth, **dict(zip(("bias_mant", "bias_exp"), map(self._store, both), strict=True))}

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
