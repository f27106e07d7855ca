"""Which graphs Lava takes, and what the worker is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance.networks import NETWORKS, Builder, Network, compiled, mlp, pool_of_currents, residual
from neurocompile_lava import plan
from neurocompile_lava.backend import LavaBackend

from neurocompile.backend import compile_for
from neurocompile.errors import BackendError
from neurocompile.ir import Graph, Node
from neurocompile.ir.fixed_point import BIAS_EXPONENT_MAX, BIAS_MANTISSA_MAX, CURRENT_SHIFT, THRESHOLD_MAX
from neurocompile.ir.processes import Neurons
from neurocompile.options import Options

RATE = Options(code="rate", signed=False)
INT8 = replace(RATE, precision="int8")
INT8_ZERO = replace(INT8, reset="zero")
DIGIT = Options(code="digit", precision="int8")
GRADED = Options(code="graded", precision="int8")


def with_neurons(graph: Graph, **changes: Any) -> Graph:
    """Change parameters of all neurons."""
    nodes = [
        Node(n.name, replace(n.op, **changes), n.inputs) if isinstance(n.op, Neurons) else n for n in graph.nodes
    ]
    return Graph.of(nodes, graph.outputs)


def problems(graph: Graph) -> list[tuple[str | None, str]]:
    return [(issue.node, issue.problem) for issue in LavaBackend().check(graph)]


def layers_in_a_row(count: int) -> Graph:
    b = Builder(4)
    for _ in range(count):
        b.linear(4)
        b.relu()
    b.linear(2)
    return compiled(b.graph(), RATE)


def test_the_number_of_processes() -> None:
    assert problems(layers_in_a_row(14)) == []
    with pytest.raises(
        BackendError, match="takes 33 Lava processes; more than 32 start slowly or never"
    ) as caught:
        compile_for("lava", layers_in_a_row(15))
    assert "--target numpy" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (INT8, {"v_threshold": np.array(THRESHOLD_MAX << CURRENT_SHIFT)}),
        (INT8, {"bias": np.array(BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX)}),
        (INT8, {"bias": np.array(-BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX)}),
        (INT8_ZERO, {"v_threshold": np.array([64])}),
        (DIGIT, {"v_threshold": np.array(THRESHOLD_MAX >> 2 << CURRENT_SHIFT)}),
        (DIGIT, {"bias": np.array(BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX)}),
        (GRADED, {"v_threshold": np.array(THRESHOLD_MAX << CURRENT_SHIFT)}),
        (GRADED, {"bias": np.array(-BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX)}),
        (RATE, {"bias": np.array(1e9)}),
    ],
)
def test_takes_all_that_the_widths_hold(options: Options, changes: dict[str, Any]) -> None:
    assert problems(with_neurons(compiled(mlp(), options), **changes)) == []


THRESHOLD = "its threshold does not fit 17 bits"
BIAS = "its bias does not fit 13 bits and an exponent"
LIF = "Lava's LIF has one threshold for all neurons, and starts at 0"
LIF_SPIKES = "Lava's LIF does not wait"


@pytest.mark.parametrize(
    ("options", "changes", "expected"),
    [
        (INT8, {"v_threshold": np.array((THRESHOLD_MAX + 1) << CURRENT_SHIFT)}, [THRESHOLD]),
        (INT8, {"v_threshold": np.array(-64)}, [THRESHOLD]),
        (INT8, {"v_threshold": np.array(100)}, [THRESHOLD]),
        (INT8, {"bias": np.array((BIAS_MANTISSA_MAX << 1) + 1)}, [BIAS]),
        (INT8, {"bias": np.array((BIAS_MANTISSA_MAX + 1) << BIAS_EXPONENT_MAX)}, [BIAS]),
        (INT8, {"bias": np.array(-(1 << 30))}, [BIAS]),
        (INT8, {"bias": np.array(1 << 30), "v_threshold": np.array(1)}, [THRESHOLD, BIAS]),
        # Digits are decided on when they are worth 4 thresholds.
        (DIGIT, {"v_threshold": np.array(((THRESHOLD_MAX >> 2) + 1) << CURRENT_SHIFT)}, [THRESHOLD]),
        (DIGIT, {"bias": np.array((BIAS_MANTISSA_MAX << 1) + 1)}, [BIAS]),
        (GRADED, {"v_threshold": np.array((THRESHOLD_MAX + 1) << CURRENT_SHIFT)}, [THRESHOLD]),
        (GRADED, {"bias": np.array(1 << 30)}, [BIAS]),
        (INT8_ZERO, {"v_init": np.array(1)}, [LIF]),
        (replace(RATE, reset="zero"), {"v_init": np.array(0.5)}, [LIF]),
        (INT8_ZERO, {"wait": True, "v_init": np.array(1)}, [LIF, LIF_SPIKES]),
    ],
)
def test_tells_what_does_not_fit(options: Options, changes: dict[str, Any], expected: list[str]) -> None:
    graph = with_neurons(compiled(mlp(), options), **changes)
    layers = [node.name for node in graph.nodes if isinstance(node.op, Neurons)]
    assert problems(graph) == [(name, problem) for name in layers for problem in expected]


def test_stock_neurons_share_a_threshold() -> None:
    per_channel = compiled(mlp(), INT8)
    assert problems(per_channel) == []
    graph = with_neurons(per_channel, reset="zero", v_init=np.array(0))
    assert {problem for _, problem in problems(graph)} == {LIF}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_the_document(network: Network) -> None:
    made = plan.plan(compiled(network(), INT8), 16)
    document = made.document(constant=True)
    assert json.loads(json.dumps(document)) == document
    assert document["version"] == plan.PLAN_VERSION
    assert document["steps"] == 16
    assert document["fixed"]
    known = {document["source"]}
    for process in document["processes"]:
        sources = process["from"] if isinstance(process["from"], list) else [process["from"]]
        assert known.issuperset(sources)
        known.add(process["name"])
    recorded = [p["record"]["name"] for p in document["processes"] if p.get("record")]
    assert sorted(recorded) == sorted(made.records.values())
    assert len(set(recorded)) == len(recorded)
    assert set(made.neurons) <= set(made.records)


@pytest.mark.parametrize(
    ("options", "neurons", "ahead", "sends"),
    [
        (INT8, {"kind": "if", "signed": False}, 0, "bool"),
        (INT8_ZERO, {"kind": "lif"}, 0, "bool"),
        (replace(INT8, signed=True), {"kind": "if", "signed": True}, 0, "int8"),
        (replace(INT8, wait=True), {"kind": "if", "signed": False}, 5, "bool"),
        (DIGIT, {"kind": "digit"}, 3, "int8"),
        (replace(GRADED, bits=5), {"kind": "graded", "levels": 31}, 0, "uint8"),
    ],
)
def test_what_is_sent_arrives_when_it_counts(
    options: Options, neurons: dict[str, Any], ahead: int, sends: str
) -> None:
    made = plan.plan(compiled(residual(), options), 6)
    first = {made.source: 0}
    arrives: dict[str, set[int]] = {}
    for p in made.processes:
        if p["kind"] == "synapses":
            assert p["delay"] >= 0
            arrives[p["name"]] = {first[p["from"]] + 1 + p["delay"]}
        else:
            assert {step for name in p["from"] for step in arrives[name]} == {p["start"]}
            assert p["kind"] == "readout" or neurons.items() <= p.items()
            first[p["name"]] = p["start"] + p.get("ahead", 0)
    assert made.total == 6 + max(first.values())
    assert first["relu2"] == 1 + ahead
    records = [p["record"] for p in made.processes if p.get("record")]
    assert {r["name"]: r["start"] for r in records} == {made.records[n]: first[n] for n in made.neurons}
    assert {r["type"] for r in records} == {sends}


def test_of_pools_only_events_are_recorded() -> None:
    """What a pool sends need not be whole, nor fit a byte."""
    made = plan.plan(compiled(pool_of_currents(), INT8), 6)
    (pool,) = set(made.records) - set(made.neurons)
    records = {p["record"]["name"]: p["record"]["type"] for p in made.processes if p.get("record")}
    assert records[made.records[pool]] == "bool"
