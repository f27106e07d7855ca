from __future__ import annotations

import numpy as np
import pytest
from strategies import assert_same_function, chain, images

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    Affine,
    BatchNorm,
    Concat,
    Conv,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
    per_channel,
)
from neurocompile.passes.merge_moves import MergeMoves

RNG = np.random.default_rng(0)


def merged(graph: Graph) -> Graph:
    """Merge, and check that the function stays."""
    result = MergeMoves()(graph)
    assert_same_function(graph, result, images(graph))
    return result


def transposed(shape: tuple[int, ...], *axes: int) -> Rearrange:
    return Rearrange(np.arange(np.prod(shape)).reshape(shape).transpose(axes))


def channels_first(*shape: int) -> Rearrange:
    return transposed(shape, len(shape) - 1, *range(len(shape) - 1))


def channels_last(*shape: int) -> Rearrange:
    return transposed(shape, *range(1, len(shape)), 0)


def kinds(graph: Graph) -> list[type]:
    return [type(node.op) for node in graph.nodes[1:]]


def conv(outputs: int, inputs: int, size: int = 1) -> Conv:
    return Conv(RNG.normal(size=(outputs, inputs, size, size)), RNG.normal(size=outputs))


def test_network_with_channels_last_keeps_one_transposition_at_its_input() -> None:
    graph = merged(
        chain(
            (6, 5, 2),
            channels_first(6, 5, 2),
            conv(3, 2),
            channels_last(3, 6, 5),
            Affine(RNG.normal(size=3), RNG.normal(size=3)),
            ReLU(np.array([0.5, 1.0, 2.0])),
            channels_first(6, 5, 3),
            MaxPool((2, 2)),
            channels_last(3, 5, 4),
            Affine(np.array(2.0), RNG.normal(size=(1, 1, 3))),
            channels_first(5, 4, 3),
            conv(2, 3),
        )
    )
    assert kinds(graph) == [Rearrange, Conv, Affine, ReLU, MaxPool, Affine, Conv]
    assert [graph[name].op.scale.shape for name in ("affine4", "affine9")] == [(3, 1, 1), (1,)]
    assert graph["relu5"].op == ReLU(per_channel(np.array([0.5, 1.0, 2.0]), 3))


def residual(*behind: tuple[str, Op]) -> Graph:
    """Two convolutions with channels last, and layers that take both or the last one."""
    nodes = [Node("x", Input((2, 4, 4)))]
    for name in ("a", "b"):
        nodes.append(Node(f"{name}.conv", conv(3, 2), ("x",)))
        nodes.append(Node(name, channels_last(3, 4, 4), (f"{name}.conv",)))
    for name, op in behind:
        nodes.append(Node(name, op, ("a", "b") if op.arity is None else (nodes[-1].name,)))
    return Graph.of(nodes, [nodes[-1].name])


def test_sum_of_what_is_transposed_alike() -> None:
    graph = merged(residual(("sum", Add()), ("relu", ReLU()), ("back", channels_first(4, 4, 3))))
    assert kinds(graph) == [Conv, Conv, Add, ReLU]


@pytest.mark.parametrize(("last", "first"), [(2, 0), (0, 1), (1, 2)])
def test_concat_of_what_is_transposed_alike_joins_the_axis_that_it_comes_from(last: int, first: int) -> None:
    shape = [4, 4, 3]
    shape[last] *= 2
    graph = merged(residual(("join", Concat(last)), ("back", channels_first(*shape))))
    assert kinds(graph) == [Conv, Conv, Concat]
    assert graph["join"].op.axis == first


def test_concat_with_a_branch_of_one_channel_whose_transposition_is_a_reshape() -> None:
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("wide", conv(3, 2), ("x",)),
        Node("narrow", conv(1, 2), ("x",)),
        Node("wide.last", channels_last(3, 4, 4), ("wide",)),
        Node("narrow.last", Reshape((4, 4, 1)), ("narrow",)),
        Node("join", Concat(2), ("narrow.last", "wide.last")),
        Node("back", channels_first(4, 4, 4), ("join",)),
    ]
    assert kinds(merged(Graph.of(nodes, ["back"]))) == [Conv, Conv, Concat]


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param((("sum", Add()),), id="sum"),
        pytest.param((("join", Concat(0)),), id="concat"),
    ],
)
def test_branches_that_are_moved_differently_stay(behind: tuple[tuple[str, Op], ...]) -> None:
    graph = residual(*behind)
    other = transposed((3, 4, 4), 2, 1, 0)
    nodes = [Node(n.name, other if n.name == "b" else n.op, n.inputs) for n in graph.nodes]
    graph = Graph.of(nodes, graph.outputs)
    assert merged(graph) == graph


def test_sum_of_equal_moves_of_different_shapes_stays() -> None:
    nodes = [
        Node("x", Input((2, 3))),
        Node("y", Reshape((3, 2)), ("x",)),
        Node("y.relu", ReLU(), ("y",)),
        Node("a", Rearrange(np.arange(6)[::-1].copy()), ("x",)),
        Node("b", Rearrange(np.arange(6)[::-1].copy()), ("y.relu",)),
        Node("sum", Add(), ("a", "b")),
    ]
    graph = Graph.of(nodes, ["sum"])
    assert merged(graph) == graph


def test_value_that_is_read_twice_is_transposed_for_one_reader() -> None:
    nodes = [
        Node("x", Input((2, 3, 3))),
        Node("last", channels_last(2, 3, 3), ("x",)),
        Node("relu", ReLU(), ("last",)),
        Node("first", channels_first(3, 3, 2), ("relu",)),
        Node("pooled", MaxPool((2, 1)), ("last",)),
    ]
    graph = merged(Graph.of(nodes, ["first", "pooled"]))
    assert graph["relu"].inputs == ("x",)
    assert kinds(graph).count(Rearrange) == 1
    assert graph["pooled"].inputs == ("last",)


PADDED = np.pad(np.arange(6).reshape(2, 3), ((1, 0), (0, 2)), constant_values=-1)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        pytest.param((Reshape((3, 2)), Reshape((6,))), Reshape((6,)), id="reshapes"),
        pytest.param((Reshape((6,)), Reshape((2, 3))), None, id="there and back"),
        pytest.param((transposed((2, 3), 1, 0), transposed((3, 2), 1, 0)), None, id="turned twice"),
        pytest.param(
            (transposed((2, 3), 1, 0), Reshape((6,))),
            Rearrange(np.int32([0, 3, 1, 4, 2, 5])),
            id="turned and flat",
        ),
        pytest.param((Rearrange(np.arange(6).reshape(3, 2)),), Reshape((3, 2)), id="a reshape"),
        pytest.param((Rearrange(np.arange(6).reshape(2, 3)),), None, id="nothing"),
        pytest.param(
            (Rearrange(PADDED), Rearrange(np.array([-1, 0, 5, 6, 14]))),
            Rearrange(np.int32([-1, -1, 0, 1, -1])),
            id="padded, then some of it",
        ),
        pytest.param(
            (Rearrange(PADDED), Rearrange(np.arange(5, 8))), Rearrange(np.int32([0, 1, 2])), id="cut off"
        ),
    ],
)
def test_moves_in_a_row_become_one(moves: tuple[Op, ...], expected: Op | None) -> None:
    graph = merged(chain((2, 3), MaxPool((1,)), *moves))
    assert [node.op for node in graph.nodes[2:]] == ([expected] if expected else [])


def test_padding_stays_before_what_changes_zeros() -> None:
    graph = chain((2, 3), Rearrange(PADDED), Affine(np.ones(1), np.ones(1)))
    assert merged(graph) == graph


def test_batch_norm_is_one_of_the_axis_that_comes_to_be_the_channels() -> None:
    """Here the first axis is the last of the image before: 3 values along it, for 2 channels."""
    norm = BatchNorm(*RNG.uniform(0.5, 2, (4, 3)))
    graph = merged(chain((2, 4, 3), channels_first(2, 4, 3), norm, channels_last(3, 2, 4)))
    assert kinds(graph) == [Affine]
    assert graph["batchnorm2"].op.scale.size == 24


def test_what_flattens_moves_behind_the_neurons_so_that_they_keep_channels() -> None:
    graph = merged(chain((2, 3, 3), conv(3, 2), Reshape((27,)), ReLU(), Linear(np.ones((2, 27)), np.zeros(2))))
    assert kinds(graph) == [Conv, ReLU, Reshape, Linear]


@pytest.mark.parametrize(
    "made", [Reshape((3, 3, 2)), Rearrange(RNG.permutation(18).reshape(2, 3, 3))], ids=["reshaped", "rearranged"]
)
def test_what_makes_channels_stays_before_the_neurons(made: Op) -> None:
    graph = chain((4,), Linear(RNG.normal(size=(18, 4)), np.zeros(18)), made, ReLU(), MaxPool((2, 2)))
    assert merged(graph) == graph


def test_values_of_an_affine_are_moved_back() -> None:
    def affine(values: Array) -> Affine:
        return Affine(values, np.zeros(1))

    graph = merged(chain((2, 3), transposed((2, 3), 1, 0), affine(np.array([[1.0], [2.0], [3.0]]))))
    np.testing.assert_array_equal(graph["affine2"].op.scale, [[1, 2, 3], [1, 2, 3]])
