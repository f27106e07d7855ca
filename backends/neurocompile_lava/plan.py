"""Maps a graph of processes to Lava's: which process stands for what, and with which of Lava's parameters.

A plan is what the worker is given: JSON objects, one for each part of the network, and named arrays. ``processes``
lists, each after those that it reads,

- ``if``, ``digit`` and ``graded``: our neurons with the synapses before them, which fire for the first time
  ``ahead`` steps after ``start``; ``max_pool`` and ``readout``: ours likewise;
- ``synapses`` and ``lif``: the synapses before neurons of Lava's own, with reset to zero, and these;
- ``record``: what another process sends, if nobody in its part receives it.

Synapses are ``paths``: each from a ``source`` through ``operations``; ``delay`` is the step that each takes, and
what makes up for a path that is shorter than the longest. ``start`` is the step of Lava's, from 0, at which a
process's current is that of the reference's step 0. Where ``record`` is given, what comes from the source is
recorded, in a file of this ``name``, as values of this ``type``; the source's step 0 is ``start``.

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
from neurocompile.ir.paths import paths, receivers, starts
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    DigitNeurons,
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
from neurocompile_lava.parts import Part, Streams, split
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
    source
        The name of the encoder.
    fixed
        Whether it computes in Loihi's integers.
    parts
        That run one after another.
    arrays
        By the names under which the descriptions refer to them.
    records
        The files of what each process sends, but the encoder and those whose spikes nobody takes.
    neurons
        Those of them that send spikes, so that the record tells what they sent.
    """

    steps: int
    source: str
    fixed: bool
    parts: tuple[Part, ...]
    arrays: dict[str, Array]
    records: dict[str, str]
    neurons: tuple[str, ...]

    def documents(self, constant: bool) -> list[dict[str, Any]]:
        """Give the JSON object of each part.

        Parameters
        ----------
        constant
            Whether the encoder sends the same at every step.
        """
        return [
            {
                "kind": "batched",
                "version": PLAN_VERSION,
                "steps": self.steps,
                "total": part.total,
                "fixed": self.fixed,
                "sources": [
                    {
                        "name": name,
                        "file": self.records.get(name, "stream"),
                        "start": start,
                        "constant": constant and name == self.source,
                    }
                    for name, start in part.sources.items()
                ],
                "processes": part.processes,
            }
            for part in self.parts
        ]


def plan(graph: Graph, steps: int) -> Plan:
    """Map a graph to Lava processes; ``issues`` tells what can't be."""
    return _Planner(graph, steps).plan()


def issues(graph: Graph) -> Iterator[Issue]:
    """Tell what of a graph Lava can't run."""
    yield from neuron_issues(graph)


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
    arrays: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starts = starts(self.graph, self.steps)

    def plan(self) -> Plan:
        (entry,) = self.graph.inputs
        layers = [self._layer(node) for node in receivers(self.graph)]
        taken = [path["source"] for layer in layers for path in layer[0]["paths"]]
        recorded = [name for name in dict.fromkeys(taken) if name != entry.name]
        records = {name: f"spikes-{number}" for number, name in enumerate(recorded)}
        neurons = {name: op for name in records if isinstance(op := self.graph[name].op, Neurons)}
        integer = self.graph.types[entry.name].integer
        streams = Streams(
            entry.name,
            {name: self.starts[name] for name in (entry.name, *recorded)},
            {name: self.graph.types[name].shape for name in recorded},
            records,
            {name: op.sends.name for name, op in neurons.items()},
            "int32" if integer else "float64",
        )
        parts = split(layers, streams, self.steps, MOST_PROCESSES)
        return Plan(self.steps, entry.name, integer, tuple(parts), self.arrays, records, tuple(neurons))

    def _layer(self, node: Node) -> list[dict[str, Any]]:
        """Describe the processes that stand for a receiver."""
        op, types = node.op, self.graph.types
        ways = paths(self.graph, node)
        lookahead = op.lookahead(self.steps) if isinstance(op, Neurons) else 0
        start = self.starts[node.name] - lookahead
        shape = list(types[node.inputs[0]].shape)
        synapses = {
            "shape_in": shape,
            "paths": [
                {
                    "source": path.source,
                    "shape_in": list(types[path.source].shape),
                    "operations": [self._operation(n) for n in path.synapses],
                    "delay": start - self.starts[path.source],
                    "record": None,
                }
                for path in ways
            ],
        }
        own = {"name": node.name, "start": start, "ahead": lookahead}
        if isinstance(op, IntegrateAndFire) and op.reset == "zero":
            name = f"{node.name}.synapses"
            return [
                {"kind": "synapses", "name": name, **synapses},
                {"kind": "lif", **own, "from": name, "shape": shape, **self._stock_neurons(op)},
            ]
        if isinstance(op, Neurons):
            return [{**own, **synapses, **self._neurons(op)}]
        if isinstance(op, SpikeMaxPool):
            pool = {"shape_out": list(types[node.name].shape), "window": _window(op.window), "radix": op.radix}
            return [{"kind": "max_pool", **own, **synapses, **pool}]
        assert isinstance(op, Decoder)
        return [
            {
                "kind": "readout",
                **own,
                **synapses,
                "bias": self._store(op.bias),
                "radix": op.radix,
                "reads": op.code,
            }
        ]

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
        start = op.v_init if isinstance(op, IntegrateAndFire) else np.zeros(1, op.bias.dtype)
        common = {
            "vth": self._store(np.atleast_1d(_threshold(op))),
            "bias": self._store(np.atleast_1d(op.bias)),
            "v": self._store(np.atleast_1d(start)),
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
                "vth": float(threshold),
                "bias_mant": self._store(op.bias),
                "bias_exp": self._store(np.zeros(1)),
            }
        mantissa, exponent = split_bias(op.bias)
        return {
            "vth": int(threshold) >> CURRENT_SHIFT,
            "bias_mant": self._store(mantissa),
            "bias_exp": self._store(exponent),
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
