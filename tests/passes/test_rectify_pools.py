from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from strategies import assert_same_function, chain, images, layer_graphs, outputs

from neurocompile.calibration.ranges import lowest
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Identity,
    Input,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
)
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.rectify_pools import RectifyPools, pools

POOL = MaxPool((2, 2), (2, 2), (1, 0, 0, 1))


def rectified(graph: Graph, x: Array) -> Graph:
    return RectifyPools(lowest(graph, x, pools(graph)))(graph)


def conv(channels: int = 2) -> Conv:
    return Conv(np.random.default_rng(0).normal(size=(channels, 2, 3, 3)), np.array([0.5, -3.0]))


@given(graph=layer_graphs())
def test_keeps_the_function_on_the_calibration_images(graph: Graph) -> None:
    x = images(graph)
    assert_same_function(graph, rectified(graph, x), x)


@given(graph=layer_graphs())
def test_leaves_its_input_unchanged_and_no_pool_to_rectify(graph: Graph) -> None:
    x = images(graph)
    before = from_document(*to_document(graph))
    once = rectified(graph, x)
    assert graph == before
    assert pools(once) == ()
    assert rectified(once, x) == once


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([], id="input"),
        pytest.param([ReLU()], id="neurons"),
        pytest.param([ReLU(), Identity(), Affine(np.array([[[2.0]], [[0.5]]]), np.zeros(1))], id="scaled"),
        pytest.param([ReLU(), Reshape((4, 4, 8)), POOL], id="reshaped and pooled"),
        pytest.param([Rearrange(np.arange(-1, 127).reshape(2, 8, 8))], id="moved"),
    ],
)
def test_pools_of_spikes_stay(layers: list[Op]) -> None:
    graph = chain((2, 8, 8), *layers, POOL)
    assert pools(graph) == ()
    assert RectifyPools({})(graph) == graph


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([conv()], id="currents"),
        pytest.param([ReLU(), AvgPool((2, 2))], id="averages"),
        pytest.param([ReLU(), Affine(np.array([[[2.0]], [[-0.5]]]), np.zeros(1))], id="negative"),
        pytest.param([ReLU(), Affine(np.ones((2, 8, 8)), np.zeros(1))], id="scaled by place"),
        pytest.param([ReLU(), Affine(np.ones(1), np.ones(1))], id="shifted"),
        pytest.param([Affine(np.ones(1), np.ones(1)), Identity()], id="shifted input"),
    ],
)
def test_pools_of_anything_else_get_neurons(layers: list[Op]) -> None:
    graph = chain((2, 8, 8), *layers, POOL)
    value = graph[graph.outputs[0]].inputs[0]
    assert pools(graph) == (value,)
    x = images(graph)
    result = rectified(graph, x)
    assert_same_function(graph, result, x)
    (pool,) = (node for node in result.nodes if isinstance(node.op, MaxPool))
    assert isinstance(result[pool.inputs[0]].op, ReLU)


def joined(*branches: Op) -> Graph:
    nodes = [Node(f"b{i}", op, ("x",)) for i, op in enumerate(branches)]
    names = tuple(node.name for node in nodes)
    return Graph.of(
        [Node("x", Input((2, 8, 8))), *nodes, Node("c", Concat(), names), Node("y", POOL, ("c",))], ["y"]
    )


def test_one_branch_without_spikes_is_enough() -> None:
    assert pools(joined(ReLU(), ReLU(np.array(2.0)))) == ()
    assert pools(joined(ReLU(), Conv(np.ones((2, 2, 1, 1)), np.zeros(2)))) == ("c",)


def test_values_below_the_smallest_of_the_calibration_are_taken_for_it() -> None:
    graph = chain((2, 2, 2), Affine(np.ones(1), np.full(1, 0.25)), MaxPool((2, 2)))
    result = RectifyPools({"affine1": np.array([-1.0, 0.5])})(graph)
    x = np.array([-5.0, -1.0, 0.0, 5.0]).reshape(4, 1, 1, 1) * np.ones((2, 2, 2))
    np.testing.assert_allclose(
        outputs(result, x)[0].reshape(4, 2), [[-1, 0], [-0.75, 0], [0.25, 0.25], [5.25] * 2]
    )


def test_values_that_are_never_negative_are_not_raised() -> None:
    graph = chain((1, 4, 4), ReLU(), AvgPool((2, 2)), POOL)
    result = RectifyPools({"avgpool2": np.array([0.0])})(graph)
    assert [type(node.op) for node in result.nodes] == [Input, ReLU, AvgPool, ReLU, MaxPool]


def test_pools_of_one_value_share_its_neurons() -> None:
    """As in spatial pyramid pooling."""
    kernels = [(1, 1), (2, 2), (3, 3)]
    graph = Graph.of(
        [
            Node("x", Input((2, 8, 8))),
            Node("v", conv(), ("x",)),
            *(Node(f"p{k[0]}", MaxPool(k, padding=(0, 0, k[0] - 1, k[1] - 1)), ("v",)) for k in kernels),
            Node("y", Concat(), tuple(f"p{k[0]}" for k in kernels)),
        ],
        ["y"],
    )
    x = images(graph)
    result = rectified(graph, x)
    assert sum(isinstance(node.op, ReLU) for node in result.nodes) == 1
    assert_same_function(graph, result, x)


def test_a_pool_of_a_pool_needs_no_neurons_of_its_own() -> None:
    nodes = [
        Node("x", Input((2, 8, 8))),
        Node("v", conv(), ("x",)),
        Node("p", MaxPool((2, 2)), ("v",)),
        Node("q", MaxPool((2, 2)), ("p",)),
        Node("r", Conv(np.ones((1, 2, 2, 2)), np.zeros(1)), ("p",)),
    ]
    graph = Graph.of(nodes, ["q", "r", "p"])
    assert pools(graph) == ("v",)
    x = images(graph)
    result = rectified(graph, x)
    assert result["q"].inputs == ("p",)
    assert_same_function(graph, result, x)


def test_sums_are_no_spikes() -> None:
    nodes = [
        Node("x", Input((1, 4, 4))),
        Node("a", ReLU(), ("x",)),
        Node("s", Add(), ("a", "x")),
        Node("y", POOL, ("s",)),
    ]
    assert pools(Graph.of(nodes, ["y"])) == ("s",)
