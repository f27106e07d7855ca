from __future__ import annotations

import numpy as np
from hypothesis import given
from strategies import assert_same_function, balanced, chain, images, largest, layer_graphs

from neurocompile.ir import Graph, Node, run
from neurocompile.ir.layers import Affine, Concat, Conv, Input, Linear, MaxPool, ReLU, per_channel
from neurocompile.passes.balance import Balance


@given(graph=layer_graphs())
def test_keeps_the_function(graph: Graph) -> None:
    x = images(graph)
    assert_same_function(graph, Balance(largest(graph, x))(graph), x)


@given(graph=layer_graphs())
def test_no_relu_exceeds_the_thresholds_of_its_largest_values(graph: Graph) -> None:
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


def test_normalises_weights_by_the_thresholds_around_them() -> None:
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


@given(graph=layer_graphs())
def test_no_relu_is_clipped_below_its_threshold(graph: Graph) -> None:
    for node in balanced(graph, images(graph)).nodes:
        assert not isinstance(node.op, ReLU) or np.all(node.op.ceiling >= 1)


def test_own_ceilings_are_divided_too() -> None:
    own = per_channel(np.array([0.5, 6.0]), 2)
    graph = chain((2, 3), ReLU(own))
    result = Balance(largest(graph, np.full((1, 2, 3), 2.0)))(graph)
    np.testing.assert_array_equal(result["relu1"].op.ceiling, [[1], [3]])


def test_ceilings_of_channels_in_volumes_are_folded_away() -> None:
    rng = np.random.default_rng(0)
    graph = chain(
        (1, 3, 3, 3),
        Conv(rng.normal(size=(2, 1, 2, 2, 2)), np.zeros(2)),
        ReLU(),
        MaxPool((2, 1, 1)),
        Conv(rng.normal(size=(1, 2, 1, 1, 1)), np.zeros(1)),
    )
    result = Balance({"relu2": per_channel(np.array([2.0, 5.0]), 4)})(graph)
    assert len(result.nodes) == len(graph.nodes)
    assert_same_function(graph, result, images(graph))


def test_branches_of_a_concat_with_thresholds_of_their_own_share_the_weights_behind() -> None:
    """Pools beside them, which read all branches, still take nothing but spikes."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("a", ReLU(), ("x",)),
        Node("c", Conv(rng.normal(size=(3, 2, 1, 1)), np.zeros(3)), ("x",)),
        Node("b", ReLU(), ("c",)),
        Node("join", Concat(), ("a", "b")),
        Node("conv", Conv(rng.normal(size=(2, 5, 1, 1)), np.zeros(2)), ("join",)),
        Node("pool", MaxPool((2, 2), (1, 1), (1, 0, 0, 1)), ("join",)),
        Node("pooled", Conv(rng.normal(size=(2, 5, 1, 1)), np.zeros(2)), ("pool",)),
        Node("both", Concat(), ("conv", "pooled")),
    ]
    graph = Graph.of(nodes, ["both"])
    result = Balance({"a": per_channel(np.array([0.25, 3.0]), 3), "b": np.full((1, 1, 1), 7.0)})(graph)
    assert [node.name for node in result.nodes if isinstance(node.op, Affine)] == ["a.normalise"]
    assert_same_function(graph, result, images(graph))
