"""Which graphs Lava takes, and what the worker is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance.networks import NETWORKS, Network, compiled, mlp, pool_of_currents, residual
from neurocompile_lava import plan
from neurocompile_lava.backend import LavaBackend

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


def sources(process: dict[str, Any]) -> list[str]:
    """The processes that one reads."""
    return [path["source"] for path in process["paths"]] if "paths" in process else [process["from"]]


@pytest.mark.parametrize("most", [4, 6, 32])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_the_documents(network: Network, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_PROCESSES", most)
    made = plan.plan(compiled(network(), INT8), 16)
    documents = made.documents(constant=True)
    assert json.loads(json.dumps(documents)) == documents
    files = {"stream"}
    for document in documents:
        assert document["version"] == plan.PLAN_VERSION
        assert document["steps"] == 16
        assert document["fixed"]
        assert len(document["processes"]) + 1 <= most
        assert {s["file"] for s in document["sources"]} <= files
        assert [s["name"] for s in document["sources"] if s["constant"]] in ([], [made.source])
        known = {source["name"] for source in document["sources"]}
        for process in document["processes"]:
            assert known.issuperset(sources(process))
            known.add(process["name"])
        recorded = records(document["processes"])
        assert files.isdisjoint(recorded)
        assert sorted(set(recorded)) == sorted(recorded)
        files.update(recorded)
    assert files == {"stream", *made.records.values()}
    assert set(made.neurons) <= set(made.records)
    assert [p["kind"] for d in documents for p in d["processes"]].count("readout") == 1


def records(processes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What processes record, by the names of the files."""
    holders = [holder for p in processes for holder in p.get("paths", [p])]
    return {h["record"]["name"]: h["record"] for h in holders if h.get("record")}


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
    (part,) = made.parts
    assert part.sources == {made.source: 0}
    first = {made.source: 0}
    arrives: dict[str, int] = {}
    for p in part.processes:
        if "paths" in p:
            assert all(path["delay"] >= 1 for path in p["paths"])
            (arrival,) = {first[path["source"]] + path["delay"] for path in p["paths"]}
            arrives[p["name"]] = arrival
        assert arrives[p.get("from", p["name"])] == p.get("start", arrival)
        if "start" in p:
            assert p["kind"] == "readout" or neurons.items() <= p.items()
            first[p["name"]] = p["start"] + p["ahead"]
    assert part.total == 6 + max(first.values())
    assert first["relu2"] == 1 + ahead
    found = records(part.processes)
    assert {name: r["start"] for name, r in found.items()} == {made.records[n]: first[n] for n in made.neurons}
    assert {r["type"] for r in found.values()} == {sends}


def test_of_pools_only_events_are_recorded_unless_another_part_needs_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pool sends need not be whole, nor fit a byte."""
    for most, kind in ((32, "bool"), (4, "int32")):
        monkeypatch.setattr(plan, "MOST_PROCESSES", most)
        made = plan.plan(compiled(pool_of_currents(), INT8), 6)
        (pool,) = set(made.records) - set(made.neurons)
        found = {name: r for part in made.parts for name, r in records(part.processes).items()}
        assert found[made.records[pool]]["type"] == kind
