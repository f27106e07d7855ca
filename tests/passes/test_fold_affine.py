from __future__ import annotations

import numpy as np
import pytest
from strategies import assert_same_function, chain, images

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
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
from neurocompile.passes.fold_affine import FoldAffine

RNG = np.random.default_rng(0)
SCALE = per_channel(np.array([2.0, -3.0]), 3)
POSITIVE = per_channel(np.array([2.0, 3.0]), 3)
NONE = np.zeros(1)


def folded(graph: Graph) -> Graph:
    """Fold, and check that the function stays."""
    result = FoldAffine()(graph)
    assert_same_function(graph, result, images(graph))
    return result


def affines(graph: Graph) -> list[Affine]:
    return [node.op for node in graph.nodes if isinstance(node.op, Affine)]


def conv(outputs: int, inputs: int, *kernel: int, groups: int = 1, padding: int = 0) -> Conv:
    weight = RNG.normal(size=(outputs, inputs // groups, *kernel))
    return Conv(weight, RNG.normal(size=outputs), padding=(padding,) * 2 * len(kernel), groups=groups)


def padded(channels: int, size: int) -> Array:
    index = np.arange(channels * size * size).reshape(channels, size, size)
    return np.pad(index, ((0, 0), (1, 1), (1, 1)), constant_values=-1)


@pytest.mark.parametrize("kernel", [(3,), (3, 3), (2, 1, 3)], ids=len)
def test_batch_norm_goes_into_the_convolution_before(kernel: tuple[int, ...]) -> None:
    norm = BatchNorm(*RNG.uniform(0.5, 2, (4, 3)))
    graph = folded(chain((2, *[4] * len(kernel)), conv(3, 2, *kernel, padding=1), norm, ReLU()))
    assert [type(node.op) for node in graph.nodes] == [Input, Conv, ReLU]


def test_affine_of_features_goes_into_the_linear_layer_before() -> None:
    affine = Affine(RNG.normal(size=3), RNG.normal(size=3))
    graph = folded(chain((4,), Linear(RNG.normal(size=(3, 4)), RNG.normal(size=3)), affine))
    assert not affines(graph)


def test_affine_of_places_stays_behind_a_convolution() -> None:
    affine = Affine(RNG.normal(size=(1, 3, 3)), RNG.normal(size=3))
    assert affines(folded(chain((2, 3, 3), conv(2, 2, 1, 1), affine))) == [affine]


@pytest.mark.parametrize("groups", [1, 2])
def test_scale_goes_into_the_convolution_behind(groups: int) -> None:
    graph = folded(chain((2, 3, 3), ReLU(), Affine(SCALE, NONE), conv(4, 2, 3, 3, groups=groups, padding=1)))
    assert not affines(graph)


def test_shift_stays_before_padding() -> None:
    affine = Affine(SCALE, np.ones(1))
    assert affines(folded(chain((2, 3, 3), ReLU(), affine, conv(4, 2, 3, 3, padding=1)))) == [affine]


@pytest.mark.parametrize(
    ("pool", "scale", "passes"),
    [
        (MaxPool((2, 2)), POSITIVE, True),
        (MaxPool((2, 2)), SCALE, False),
        (MaxPool((2, 2)), per_channel(np.array([2.0, 0.0]), 3), False),
        (MaxPool((2, 2)), np.array([1.0, 2.0, 3.0]), False),
        (AvgPool((2, 2)), SCALE, True),
        (AvgPool((2, 2)), np.array([1.0, 2.0, 3.0]), False),
    ],
)
def test_scale_before_a_pool(pool: Op, scale: Array, passes: bool) -> None:
    graph = folded(chain((2, 3, 3), ReLU(), Affine(scale, NONE), pool, conv(2, 2, 1, 1)))
    assert (not affines(graph)) == passes


def test_scale_and_shift_move_behind_a_reshape_into_features() -> None:
    shift = per_channel(np.array([5.0, 7.0]), 3)
    graph = folded(chain((2, 2, 2), ReLU(), Affine(SCALE, shift), Reshape((8,))))
    assert affines(graph) == [Affine(np.repeat([2.0, -3.0], 4), np.repeat([5.0, 7.0], 4))]
    assert graph.outputs != ("reshape3",)


def test_affine_of_the_last_axis_becomes_one_of_channels_behind_a_transposition() -> None:
    transposed = np.arange(18).reshape(3, 3, 2).transpose(2, 0, 1)
    affine = Affine(np.array([2.0, -3.0]), np.array([5.0, 7.0]))
    graph = folded(chain((3, 3, 2), ReLU(), affine, Rearrange(transposed)))
    assert affines(graph) == [Affine(SCALE, per_channel(np.array([5.0, 7.0]), 3))]


def test_scale_passes_padding_and_goes_into_the_convolution_behind_it() -> None:
    """Whatever zeros are scaled by: a scale of 1 for them would not be one for each channel any more."""
    graph = folded(chain((2, 3, 3), ReLU(), Affine(SCALE, NONE), Rearrange(padded(2, 3)), conv(2, 2, 3, 3)))
    assert not affines(graph)


def test_padding_is_not_shifted() -> None:
    graph = folded(chain((2, 3, 3), ReLU(), Affine(np.ones(1), np.ones(1)), Rearrange(padded(2, 3)), ReLU()))
    (affine,) = affines(graph)
    np.testing.assert_array_equal(affine.shift, padded(2, 3) >= 0)


def test_scale_of_a_value_that_is_repeated_goes_with_it() -> None:
    repeated = Rearrange(np.array([[1, 1], [0, 1]]))
    graph = folded(chain((2,), Affine(np.array([2.0, 3.0]), np.array([0.0, 4.0])), repeated))
    assert affines(graph) == [Affine(np.array([[3.0, 3.0], [2.0, 3.0]]), np.array([[4.0, 4.0], [0.0, 4.0]]))]


def branches(*ops: tuple[Op, ...], join: Op, behind: tuple[Op, ...] = ()) -> Graph:
    """Lead an image of 2 channels through several rows of layers that end in one node."""
    nodes = [Node("x", Input((2, 3, 3)))]
    ends = []
    for i, row in enumerate(ops):
        end = "x"
        for k, op in enumerate(row):
            nodes.append(Node(f"branch{i}.{k}", op, (end,)))
            end = nodes[-1].name
        ends.append(end)
    nodes.append(Node("join", join, tuple(ends)))
    for k, op in enumerate(behind):
        nodes.append(Node(f"behind{k}", op, (nodes[-1].name,)))
    return Graph.of(nodes, [nodes[-1].name])


def test_scales_of_branches_go_into_the_weights_behind_a_concat() -> None:
    """A branch without a scale keeps its values."""
    one, other = (ReLU(), Affine(SCALE, NONE)), (conv(2, 2, 1, 1), ReLU(), Affine(5 * SCALE, NONE))
    graph = folded(branches(one, (ReLU(),), other, join=Concat(), behind=(conv(2, 6, 1, 1),)))
    assert not affines(graph)


def test_scale_of_a_branch_that_is_joined_twice() -> None:
    nodes = [
        Node("x", Input((2, 3, 3))),
        Node("scaled", Affine(SCALE, NONE), ("x",)),
        Node("join", Concat(), ("scaled", "x", "scaled")),
    ]
    (affine,) = affines(folded(Graph.of(nodes, ["join"])))
    assert affine.scale.reshape(-1).tolist() == [2, -3, 1, 1, 2, -3]


def test_positive_scales_pass_a_concat_and_a_pool() -> None:
    rows = [(ReLU(), Affine(factor * POSITIVE, NONE)) for factor in (1, 4)]
    graph = folded(branches(*rows, join=Concat(), behind=(MaxPool((2, 2)), conv(1, 4, 1, 1))))
    assert not affines(graph)


@pytest.mark.parametrize(
    ("affine", "axis"),
    [(Affine(SCALE, np.ones(1)), 0), (Affine(SCALE, NONE), 1), (Affine(np.array([1.0, 2.0, 3.0]), NONE), 0)],
)
def test_other_affines_stay_before_a_concat(affine: Affine, axis: int) -> None:
    assert affines(folded(branches((ReLU(), affine), (ReLU(),), join=Concat(axis)))) == [affine]


def test_affine_behind_a_sum_goes_into_all_of_its_weights() -> None:
    rows = [(conv(2, 2, 1, 1),), (conv(2, 2, 3, 3, padding=1),)]
    affine = Affine(SCALE, per_channel(np.array([1.0, 2.0]), 3))
    assert not affines(folded(branches(*rows, join=Add(), behind=(affine,))))


def test_affine_that_something_else_reads_too_is_folded_for_one_and_stays_for_the_other() -> None:
    nodes = [
        Node("x", Input((2, 3, 3))),
        Node("relu", ReLU(), ("x",)),
        Node("scaled", Affine(SCALE, NONE), ("relu",)),
        Node("conv", conv(2, 2, 1, 1), ("scaled",)),
        Node("clipped", ReLU(), ("scaled",)),
        Node("sum", Add(), ("conv", "clipped")),
    ]
    graph = folded(Graph.of(nodes, ["sum"]))
    assert [node.name for node in graph.consumers("scaled")] == ["clipped"]
    assert graph["conv"].inputs == ("relu",)


def test_weights_that_are_not_scaled_stay_as_they_were_read() -> None:
    weight = RNG.normal(size=(2, 2, 1, 1)).astype(np.float32)
    weight.setflags(write=False)
    graph = folded(chain((2, 3, 3), Conv(weight, np.zeros(2, np.float32)), Affine(np.ones(1), np.ones(1))))
    assert graph["conv1"].op.weight is weight
    assert graph["conv1"].op.bias.tolist() == [1, 1]


def test_weights_that_are_scaled_are_scaled_in_double_precision() -> None:
    weight = np.full((1, 1, 1, 1), 1 / 3, np.float32)
    graph = folded(chain((1, 2, 2), Conv(weight, np.zeros(1, np.float32)), Affine(np.array([1 / 3]), NONE)))
    assert graph["conv1"].op.weight.item() == pytest.approx(float(weight.item()) / 3, rel=1e-15)
