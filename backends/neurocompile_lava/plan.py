"""Maps a graph of processes to Lava's: which process stands for what, and with which of Lava's parameters.

The plan is what the worker is given: a JSON object and named arrays. ``processes`` lists, each after those that it
reads,

- ``synapses``: one for each path, with its ``operations``; ``delay`` makes up for a path that is shorter than the
  longest; ``record`` is the name under which what it receives is recorded;
- ``if``: our integrate-and-fire neurons with reset by subtraction; ``lif``: Lava's own, with reset to zero;
- ``max_pool`` and ``readout``: ours.

Here, and nowhere else, the compiler's names become Lava's: ``v_threshold`` becomes ``vth`` (in stock processes its
mantissa, a 64th), ``bias`` becomes ``bias_mant`` and ``bias_exp``, ``v_init`` becomes ``v``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocompile.errors import Issue
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fixed_point import BIAS_MANTISSA_MAX, CURRENT_SHIFT, THRESHOLD_MAX, split_bias
from neurocompile.ir.kernels import Window
from neurocompile.ir.paths import Path, Receiver, Source, depths, is_direct, paths, receivers
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile_lava.worker.job import PLAN_VERSION

MOST_PROCESSES = 32
"""Each is a process of the operating system: a hundred of them start slowly, and some hundred never."""


@dataclass(frozen=True)
class Plan:
    """A network of Lava processes.

    Parameters
    ----------
    source
        The name of the encoder.
    fixed
        Whether it computes in Loihi's integers.
    processes
        Their descriptions, as JSON holds them.
    arrays
        By the names under which the descriptions refer to them.
    """

    source: str
    fixed: bool
    processes: list[dict[str, Any]]
    arrays: dict[str, Array]
    records: dict[str, str]
    """For each process of which is recorded when it sends something, the name of the file."""
    neurons: tuple[str, ...]
    """Those of them that send spikes, so that the record tells what they sent."""

    def document(self, steps: int, constant: bool) -> dict[str, Any]:
        """Give the JSON object for a run."""
        return {
            "version": PLAN_VERSION,
            "steps": steps,
            "constant": constant,
            "source": self.source,
            "fixed": self.fixed,
            "processes": self.processes,
        }


def plan(graph: Graph) -> Plan:
    """Map a graph to Lava processes; ``issues`` tells what can't be."""
    return _Planner(graph).plan()


def issues(graph: Graph) -> Iterator[Issue]:
    """Tell what of a graph Lava can't run."""
    integer = graph.types[graph.outputs[0]].integer
    for node in receivers(graph):
        op = node.op
        if not isinstance(op, IntegrateAndFire):
            continue
        if op.reset == "zero" and (op.v_threshold.size != 1 or np.any(op.v_init != 0)):
            problem = "Lava's LIF has one threshold for all neurons, and starts at 0"
            yield Issue(problem, node.name, "IntegrateAndFire", "compile with one threshold a layer")
        if integer:
            yield from _integer_issues(node, op)
    count = len(plan(graph).processes) + 1
    if count > MOST_PROCESSES:
        yield Issue(
            f"takes {count} Lava processes; more than {MOST_PROCESSES} start slowly or never",
            remedy="use a network with fewer layers, or --target numpy",
        )


def _integer_issues(node: Node, op: IntegrateAndFire) -> Iterator[Issue]:
    mantissa = op.v_threshold >> CURRENT_SHIFT
    if np.any(mantissa << CURRENT_SHIFT != op.v_threshold) or np.any((mantissa < 0) | (mantissa > THRESHOLD_MAX)):
        yield Issue("its threshold does not fit 17 bits", node.name, "IntegrateAndFire", "compile it again")
    mantissa, exponent = split_bias(op.bias)
    if np.any((np.abs(mantissa) > BIAS_MANTISSA_MAX) | (mantissa << exponent != op.bias)):
        problem = "its bias does not fit 13 bits and an exponent"
        yield Issue(problem, node.name, "IntegrateAndFire", "compile it again")


@dataclass
class _Planner:
    graph: Graph
    processes: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.depths = depths(self.graph)
        self.taken = {node.name for node in self.graph.nodes if isinstance(node.op, Source | Receiver)}

    def plan(self) -> Plan:
        (entry,) = self.graph.inputs
        for node in receivers(self.graph):
            ways = paths(self.graph, node)
            direct = is_direct(node, ways)
            description = {
                "name": node.name,
                "depth": self.depths[node.name],
                "from": [ways[0].source] if direct else [self._add_path(path, node) for path in ways],
                "shape": list(self.graph.types[node.name].shape),
            }
            op = node.op
            if isinstance(op, IntegrateAndFire):
                description.update(self._neurons(op))
            elif isinstance(op, SpikeMaxPool):
                description.update(self._max_pool(node, op))
                description.update(self._record(ways[0].source) if direct else {"record": None})
            else:
                assert isinstance(op, Decoder)
                description.update({"kind": "readout", "bias": self._store(op.bias)})
            self.processes.append(description)
        integer = self.graph.types[entry.name].integer
        neurons = tuple(name for name in self.records if isinstance(self.graph[name].op, IntegrateAndFire))
        return Plan(entry.name, integer, self.processes, self.arrays, self.records, neurons)

    def _add_path(self, path: Path, receiver: Node) -> str:
        """Add the process for a path, and give its name."""
        types = self.graph.types
        name = path.synapses[-1].name if path.synapses else f"{path.source}.to.{receiver.name}"
        # A graph may read the same synapses twice, and Lava connects two ports once.
        while name in self.taken:
            name += "'"
        self.taken.add(name)
        self.processes.append(
            {
                "kind": "synapses",
                "name": name,
                "from": path.source,
                "delay": self.depths[receiver.name] - self.depths[path.source] - 1,
                "shape_in": list(types[path.source].shape),
                "shape_out": list(types[receiver.inputs[0]].shape),
                "operations": [self._operation(node) for node in path.synapses],
                **self._record(path.source),
            }
        )
        return name

    def _record(self, source: str) -> dict[str, Any]:
        """Have the first process that receives what another sends record the events."""
        if isinstance(self.graph[source].op, Encoder) or source in self.records:
            return {"record": None}
        self.records[source] = f"spikes-{len(self.records)}"
        return {"record": self.records[source], "source_depth": self.depths[source]}

    def _operation(self, node: Node) -> dict[str, Any]:
        op = node.op
        if isinstance(op, PoolSynapses):
            return {"op": "pool", **_window(op.window)}
        if isinstance(op, ReshapeSynapses):
            return {"op": "reshape", "shape": list(op.shape)}
        if isinstance(op, WireSynapses):
            return {"op": "wires", "index": self._store(op.index)}
        assert isinstance(op, Synapses)
        weights = {"weight": self._store(op.weight), "weight_exponent": op.weight_exponent}
        if isinstance(op, ConvSynapses):
            return {"op": "conv", **weights, **_window(op.window), "groups": op.groups}
        return {"op": "linear" if isinstance(op, LinearSynapses) else "scale", **weights}

    def _neurons(self, op: IntegrateAndFire) -> dict[str, Any]:
        if op.reset == "subtract":
            return {
                "kind": "if",
                "vth": self._store(np.atleast_1d(op.v_threshold)),
                "bias": self._store(np.atleast_1d(op.bias)),
                "v": self._store(np.atleast_1d(op.v_init)),
            }
        threshold = op.v_threshold.reshape(-1)[0]
        if op.bias.dtype.kind == "f":
            return {
                "kind": "lif",
                "vth": float(threshold),
                "bias_mant": self._store(op.bias),
                "bias_exp": self._store(np.zeros(1)),
            }
        mantissa, exponent = split_bias(op.bias)
        return {
            "kind": "lif",
            "vth": int(threshold) >> CURRENT_SHIFT,
            "bias_mant": self._store(mantissa),
            "bias_exp": self._store(exponent),
        }

    def _max_pool(self, node: Node, op: SpikeMaxPool) -> dict[str, Any]:
        shape_in = self.graph.types[node.inputs[0]].shape
        return {"kind": "max_pool", "shape_in": list(shape_in), "window": _window(op.window)}

    def _store(self, array: Array) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name


def _window(window: Window) -> dict[str, list[int]]:
    return {
        "kernel": list(window.kernel),
        "stride": list(window.stride),
        "padding": list(window.padding),
        "dilation": list(window.dilation),
    }
