from __future__ import annotations

import numpy as np
from hypothesis import given
from strategies import assert_same_function, balanced, images, layer_graphs

from neurocompile.calibration.ceilings import Calibration
from neurocompile.ir import Graph, Node, run
from neurocompile.ir.layers import Input, Linear, ReLU
from neurocompile.passes.balance import Balance


@given(graph=layer_graphs())
def test_keeps_the_function(graph: Graph) -> None:
    x = images(graph)
    assert_same_function(graph, Balance(Calibration("max").ceilings(graph, x))(graph), x)


@given(graph=layer_graphs())
def test_no_relu_exceeds_its_threshold_on_the_calibration_data(graph: Graph) -> None:
    x = images(graph)
    result = balanced(graph, x)
    layers = [node.name for node in result.nodes if isinstance(node.op, ReLU)]
    for values in run(result, {result.inputs[0].name: x}, keep=layers).values():
        assert values.max() <= 1 + 1e-12


def test_leaves_its_input_unchanged() -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("fc", Linear(np.ones((2, 2)), np.zeros(2)), ("x",)),
        Node("relu", ReLU(), ("fc",)),
    )
    graph = Graph(nodes, ("relu",))
    Balance({"relu": np.array([4.0])})(graph)
    assert graph == Graph(nodes, ("relu",))


def test_normalises_weights_by_the_ceilings_around_them() -> None:
    graph = Graph(
        (
            Node("x", Input((2,))),
            Node("fc1", Linear(np.eye(2), np.array([8.0, 0.0])), ("x",)),
            Node("relu1", ReLU(), ("fc1",)),
            Node("fc2", Linear(np.ones((1, 2)), np.zeros(1)), ("relu1",)),
            Node("relu2", ReLU(), ("fc2",)),
        ),
        ("relu2",),
    )
    result = Balance({"relu1": np.array([2.0, 4.0]), "relu2": np.array([8.0])})(graph)
    assert result["fc1"].op == Linear(np.diag([0.5, 0.25]), np.array([4.0, 0.0]))
    assert result["fc2"].op == Linear(np.array([[0.25, 0.5]]), np.zeros(1))
