"""Which graphs Lava takes, and what the worker is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance.networks import NETWORKS, Builder, Network, compiled, mlp
from neurocompile_lava import plan
from neurocompile_lava.backend import LavaBackend

from neurocompile.backend import compile_for
from neurocompile.errors import BackendError
from neurocompile.ir import Graph, Node
from neurocompile.ir.fixed_point import BIAS_EXPONENT_MAX, BIAS_MANTISSA_MAX, CURRENT_SHIFT, THRESHOLD_MAX
from neurocompile.ir.processes import IntegrateAndFire
from neurocompile.options import Options

INT8 = Options(precision="int8")
INT8_ZERO = Options(precision="int8", reset="zero")


def with_neurons(graph: Graph, **changes: Any) -> Graph:
    """Change parameters of all neurons."""
    nodes = [
        Node(n.name, replace(n.op, **changes), n.inputs) if isinstance(n.op, IntegrateAndFire) else n
        for n in graph.nodes
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
    return compiled(b.graph(), Options())


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
        (Options(), {"bias": np.array(1e9)}),
    ],
)
def test_takes_all_that_the_widths_hold(options: Options, changes: dict[str, Any]) -> None:
    assert problems(with_neurons(compiled(mlp(), options), **changes)) == []


THRESHOLD = "its threshold does not fit 17 bits"
BIAS = "its bias does not fit 13 bits and an exponent"
LIF = "Lava's LIF has one threshold for all neurons, and starts at 0"


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
        (INT8_ZERO, {"v_init": np.array(1)}, [LIF]),
        (Options(reset="zero"), {"v_init": np.array(0.5)}, [LIF]),
    ],
)
def test_tells_what_does_not_fit(options: Options, changes: dict[str, Any], expected: list[str]) -> None:
    graph = with_neurons(compiled(mlp(), options), **changes)
    layers = [node.name for node in graph.nodes if isinstance(node.op, IntegrateAndFire)]
    assert problems(graph) == [(name, problem) for name in layers for problem in expected]


def test_stock_neurons_share_a_threshold() -> None:
    per_channel = compiled(mlp(), INT8)
    assert problems(per_channel) == []
    graph = with_neurons(per_channel, reset="zero", v_init=np.array(0))
    assert {problem for _, problem in problems(graph)} == {LIF}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_the_document(network: Network) -> None:
    made = plan.plan(compiled(network(), INT8))
    document = made.document(steps=16, constant=True)
    assert json.loads(json.dumps(document)) == document
    assert document["version"] == plan.PLAN_VERSION
    assert document["fixed"]
    known = {document["source"]}
    for process in document["processes"]:
        sources = process["from"] if isinstance(process["from"], list) else [process["from"]]
        assert known.issuperset(sources)
        known.add(process["name"])
    recorded = [p["record"] for p in document["processes"] if p.get("record")]
    assert sorted(recorded) == sorted(made.records.values())
    assert len(set(recorded)) == len(recorded)
    assert set(made.neurons) <= set(made.records)
