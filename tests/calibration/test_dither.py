from __future__ import annotations

import numpy as np
import pytest
from strategies import chain

from neurocompile.calibration.dither import dithered
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import Affine, AvgPool, Concat, Conv, Input, Linear, MaxPool, ReLU, Reshape

STRENGTHS = {"average pool": 1.0, "conv": 0.25}


def before(kind: str, *space: int) -> Graph:
    size = (2,) * len(space)
    reader: Op = AvgPool(size) if kind == "average pool" else Conv(np.ones((1, 2, *size)), np.zeros(1))
    return chain((2, *space), ReLU(), reader)


@pytest.mark.parametrize("kind", STRENGTHS)
def test_every_window_of_2_x_2_starts_at_four_values_whose_mean_is_one_half(kind: str) -> None:
    start = np.broadcast_to(dithered(before(kind, 5, 6), "relu1"), (2, 5, 6))
    windows = np.lib.stride_tricks.sliding_window_view(start, (2, 2), axis=(1, 2))
    np.testing.assert_allclose(windows.mean(axis=(-2, -1)), 0.5)
    steps = np.diff(np.sort(windows.reshape(-1, 4), axis=1))
    np.testing.assert_allclose(steps, 0.25 * STRENGTHS[kind])


@pytest.mark.parametrize("kind", STRENGTHS)
def test_pattern_by_strength(kind: str) -> None:
    pattern = np.array([[0.125, 0.625], [0.875, 0.375]])
    start = dithered(before(kind, 2, 2), "relu1")
    np.testing.assert_allclose(start.reshape(2, 2) - 0.5, (pattern - 0.5) * STRENGTHS[kind])


def test_no_membrane_starts_at_the_threshold_or_at_0() -> None:
    start = dithered(before("average pool", 4, 4), "relu1")
    assert 0 < start.min() <= start.max() < 1


def test_one_axis_has_the_diagonal() -> None:
    start = dithered(before("average pool", 5), "relu1")
    np.testing.assert_allclose(start, [[0.125, 0.375, 0.125, 0.375, 0.125]])


def test_of_three_axes_the_last_two_have_the_pattern() -> None:
    start = np.broadcast_to(dithered(before("average pool", 3, 4, 5), "relu1"), (2, 3, 4, 5))
    flat = np.broadcast_to(dithered(before("average pool", 4, 5), "relu1"), (2, 4, 5))
    for plane in np.moveaxis(start, 1, 0):
        np.testing.assert_array_equal(plane, flat)


def mean_of_counts(start: Array, value: float, steps: int) -> float:
    """What the mean of four neurons that get the same value comes to."""
    return float(np.mean(np.floor(value * steps + start)) / steps)


def test_the_mean_of_four_neurons_has_four_times_as_many_levels() -> None:
    start = dithered(before("average pool", 2, 2), "relu1")
    values = np.linspace(0, 1, 97)[1:-1]
    with_dither = max(abs(mean_of_counts(start, v, 4) - v) for v in values)
    without = max(abs(mean_of_counts(np.full((2, 2), 0.5), v, 4) - v) for v in values)
    assert with_dither <= 1 / 32 + 1e-9
    assert without > 0.1


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(chain((4,), ReLU(), Linear(np.ones((1, 4)), np.zeros(1))), id="a vector"),
        pytest.param(chain((2, 4, 4), ReLU(), MaxPool((2, 2))), id="before a max pool"),
        pytest.param(chain((2, 2, 2), ReLU(), Reshape((8,))), id="before a reshape"),
        pytest.param(chain((2, 2, 2), Affine(np.ones(1), np.ones(1)), ReLU()), id="at the end"),
        pytest.param(chain((), ReLU()), id="a number"),
    ],
)
def test_others_start_at_one_half(layers: Graph) -> None:
    (name,) = [node.name for node in layers.nodes if isinstance(node.op, ReLU)]
    assert dithered(layers, name).tolist() == 0.5


def test_an_average_pool_beside_a_conv_decides() -> None:
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("relu", ReLU(), ("x",)),
        Node("conv", Conv(np.ones((2, 2, 1, 1)), np.zeros(2)), ("relu",)),
        Node("pool", AvgPool((1, 1)), ("relu",)),
        Node("both", Concat(), ("conv", "pool")),
    ]
    assert np.ptp(dithered(Graph.of(nodes, ["both"]), "relu")) == 0.75
