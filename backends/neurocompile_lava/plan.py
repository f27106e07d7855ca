"""Maps a graph of processes to Lava's: which process stands for what, and with which of Lava's parameters.

The plan is what the worker is given: a JSON object and named arrays. ``processes`` lists, each after those that it
reads,

- ``synapses``: one for each path, with its ``operations``; ``delay`` makes up for a path that is shorter than the
  longest;
- ``if``, ``digit`` and ``graded``: our neurons, which fire for the first time ``ahead`` steps after ``start``;
  ``lif``: Lava's own, with reset to zero;
- ``max_pool`` and ``readout``: ours.

``start`` is the step of Lava's, from 0, at which a process receives what is its input at the reference's step 0.
Where ``record`` is given, what a process receives is recorded, in a file of this ``name``, as values of this
``type``; their source's step 0 is ``start``.

Here, and nowhere else, the compiler's names become Lava's: ``v_threshold`` becomes ``vth`` (in stock processes its
mantissa, a 64th), ``bias`` becomes ``bias_mant`` and ``bias_exp`` in stock processes, ``v_init`` becomes ``v``.
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
from neurocompile.ir.paths import Path, Receiver, Source, is_direct, paths, receivers, starts
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    Neurons,
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
    steps
        That each process does.
    total
        Steps of Lava's, by which the last process has done its own.
    source
        The name of the encoder.
    fixed
        Whether it computes in Loihi's integers.
    processes
        Their descriptions, as JSON holds them.
    arrays
        By the names under which the descriptions refer to them.
    """

    steps: int
    total: int
    source: str
    fixed: bool
    processes: list[dict[str, Any]]
    arrays: dict[str, Array]
    records: dict[str, str]
    """For each process of which is recorded when it sends something, the name of the file."""
    neurons: tuple[str, ...]
    """Those of them that send spikes, so that the record tells what they sent."""

    def document(self, constant: bool) -> dict[str, Any]:
        """Give the JSON object for a run."""
        return {
            "kind": "batched",
            "version": PLAN_VERSION,
            "steps": self.steps,
            "total": self.total,
            "constant": constant,
            "source": self.source,
            "fixed": self.fixed,
            "processes": self.processes,
        }


def plan(graph: Graph, steps: int) -> Plan:
    """Map a graph to Lava processes; ``issues`` tells what can't be."""
    return _Planner(graph, steps).plan()


def issues(graph: Graph) -> Iterator[Issue]:
    """Tell what of a graph Lava can't run."""
    yield from neuron_issues(graph)
    # Steps change the times and nothing else.
    count = len(plan(graph, 1).processes) + 1
    if count > MOST_PROCESSES:
        yield too_many(count)


def neuron_issues(graph: Graph) -> Iterator[Issue]:
    """Tell which neurons' parameters Lava's don't have, or not in so many bits."""
    integer = graph.types[graph.outputs[0]].integer
    for node in receivers(graph):
        op = node.op
        if not isinstance(op, Neurons):
            continue
        if isinstance(op, IntegrateAndFire) and op.reset == "zero":
            if op.v_threshold.size != 1 or np.any(op.v_init != 0):
                problem = "Lava's LIF has one threshold for all neurons, and starts at 0"
                yield Issue(problem, node.name, type(op).__name__, "compile with one threshold a layer")
            if op.wait:
                problem = "Lava's LIF does not wait"
                yield Issue(problem, node.name, type(op).__name__, "compile with reset by subtraction")
        if integer:
            yield from _integer_issues(node, op)


def too_many(count: int) -> Issue:
    """Tell that a network takes so many processes."""
    return Issue(
        f"takes {count} Lava processes; more than {MOST_PROCESSES} start slowly or never",
        remedy="use a network with fewer layers, or --target numpy",
    )


def _integer_issues(node: Node, op: Neurons) -> Iterator[Issue]:
    threshold = _threshold(op)
    mantissa = threshold >> CURRENT_SHIFT
    if np.any(mantissa << CURRENT_SHIFT != threshold) or np.any((mantissa < 0) | (mantissa > THRESHOLD_MAX)):
        yield Issue("its threshold does not fit 17 bits", node.name, type(op).__name__, "compile it again")
    mantissa, exponent = split_bias(op.bias)
    if np.any((np.abs(mantissa) > BIAS_MANTISSA_MAX) | (mantissa << exponent != op.bias)):
        problem = "its bias does not fit 13 bits and an exponent"
        yield Issue(problem, node.name, type(op).__name__, "compile it again")


def _threshold(op: Neurons) -> Array:
    """Give what neurons compare their membranes with, of digits half of what one is worth then."""
    return op.v_threshold * 2 ** (op.ahead - 1) if isinstance(op, DigitNeurons) else op.v_threshold


@dataclass
class _Planner:
    graph: Graph
    steps: int
    processes: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starts = starts(self.graph, self.steps)
        self.taken = {node.name for node in self.graph.nodes if isinstance(node.op, Source | Receiver)}

    def plan(self) -> Plan:
        (entry,) = self.graph.inputs
        for node in receivers(self.graph):
            ways = paths(self.graph, node)
            direct = is_direct(node, ways)
            description = {
                "name": node.name,
                "start": self._start(node),
                "from": [ways[0].source] if direct else [self._add_path(path, node) for path in ways],
                "shape": list(self.graph.types[node.name].shape),
            }
            op = node.op
            if isinstance(op, Neurons):
                description.update(self._neurons(op))
            elif isinstance(op, SpikeMaxPool):
                description.update(self._max_pool(node, op))
                description["record"] = self._record(ways[0].source) if direct else None
            else:
                assert isinstance(op, Decoder)
                description.update({"kind": "readout", "bias": self._store(op.bias), "radix": op.radix})
            self.processes.append(description)
        total = self.steps + max(self.starts.values())
        integer = self.graph.types[entry.name].integer
        neurons = tuple(name for name in self.records if isinstance(self.graph[name].op, Neurons))
        return Plan(self.steps, total, entry.name, integer, self.processes, self.arrays, self.records, neurons)

    def _start(self, receiver: Node) -> int:
        """Tell when the input of step 0 arrives."""
        op = receiver.op
        return self.starts[receiver.name] - (op.lookahead(self.steps) if isinstance(op, Neurons) else 0)

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
                "delay": self._start(receiver) - self.starts[path.source] - 1,
                "shape_in": list(types[path.source].shape),
                "shape_out": list(types[receiver.inputs[0]].shape),
                "operations": [self._operation(node) for node in path.synapses],
                "record": self._record(path.source),
            }
        )
        return name

    def _record(self, source: str) -> dict[str, Any] | None:
        """Have the first process that receives what another sends record it; of a pool, whether it is 0."""
        op = self.graph[source].op
        if isinstance(op, Encoder) or source in self.records:
            return None
        self.records[source] = f"spikes-{len(self.records)}"
        sends = op.sends.name if isinstance(op, Neurons) else "bool"
        return {"name": self.records[source], "type": sends, "start": self.starts[source]}

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

    def _neurons(self, op: Neurons) -> dict[str, Any]:
        if isinstance(op, IntegrateAndFire) and op.reset == "zero":
            return self._stock_neurons(op)
        start = op.v_init if isinstance(op, IntegrateAndFire) else np.zeros(1, op.bias.dtype)
        common = {
            "vth": self._store(np.atleast_1d(_threshold(op))),
            "bias": self._store(np.atleast_1d(op.bias)),
            "v": self._store(np.atleast_1d(start)),
            "ahead": op.lookahead(self.steps),
        }
        if isinstance(op, IntegrateAndFire):
            return {"kind": "if", **common, "signed": op.signed}
        if isinstance(op, DigitNeurons):
            return {"kind": "digit", **common}
        assert isinstance(op, GradedNeurons)
        return {"kind": "graded", **common, "levels": op.levels}

    def _stock_neurons(self, op: IntegrateAndFire) -> dict[str, Any]:
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
        return {
            "kind": "max_pool",
            "shape_in": list(shape_in),
            "window": _window(op.window),
            "radix": op.radix,
        }

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
