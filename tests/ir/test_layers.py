from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Op, TensorType
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Conv,
    Flatten,
    Identity,
    Input,
    Linear,
    MaxPool,
    ReLU,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 7, 6))
V = RNG.normal(size=(3, 4))


def padded(x: torch.Tensor, padding: tuple[int, int, int, int], value: float = 0) -> torch.Tensor:
    top, left, bottom, right = padding
    return functional.pad(x, (left, right, top, bottom), value=value)


def check(op: Op, expected: torch.Tensor, x: Array = X) -> None:
    result = op.run(x)
    assert op.infer(TensorType(x.shape[1:])) == TensorType(result.shape[1:])
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_conv(
    groups: int, stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> None:
    weight, bias = RNG.normal(size=(8, 4 // groups, 3, 2)), RNG.normal(size=8)
    x, w, b = map(torch.from_numpy, (X, weight, bias))
    expected = functional.conv2d(padded(x, padding), w, b, stride, 0, dilation, groups)
    check(Conv(weight, bias, stride, padding, dilation, groups), expected)


def test_conv_of_more_images_than_fit_a_block() -> None:
    x, weight = RNG.normal(size=(50, 4, 24, 24)), RNG.normal(size=(2, 4, 5, 5))
    check(Conv(weight, np.zeros(2)), functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight)), x)


def test_linear() -> None:
    weight, bias = RNG.normal(size=(5, 4)), RNG.normal(size=5)
    check(Linear(weight, bias), functional.linear(*map(torch.from_numpy, (V, weight, bias))), V)


@pytest.mark.parametrize("x", [X, V], ids=["image", "vector"])
def test_batch_norm(x: Array) -> None:
    scale, shift, mean = (RNG.normal(size=4) for _ in range(3))
    variance = RNG.uniform(0.5, 2, 4)
    expected = functional.batch_norm(*map(torch.from_numpy, (x, mean, variance, scale, shift)), eps=1e-3)
    check(BatchNorm(scale, shift, mean, variance, 1e-3), expected, x)


@pytest.mark.parametrize("size", [1, 4])
def test_affine(size: int) -> None:
    scale, shift = RNG.normal(size=size), RNG.normal(size=size)
    expected = X * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)
    check(Affine(scale, shift), torch.from_numpy(expected))


def test_relu() -> None:
    check(ReLU(), functional.relu(torch.from_numpy(X)))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 2, 1)])
def test_avg_pool(stride: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
    expected = functional.avg_pool2d(padded(torch.from_numpy(X), padding), (3, 2), stride)
    check(AvgPool((3, 2), stride, padding), expected)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 2, 1)])
def test_max_pool_never_takes_padding(stride: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
    x = X - 10
    expected = functional.max_pool2d(padded(torch.from_numpy(x), padding, -np.inf), (3, 2), stride)
    check(MaxPool((3, 2), stride, padding), expected, x)


def test_flatten() -> None:
    check(Flatten(), torch.flatten(torch.from_numpy(X), 1))


def test_identity() -> None:
    check(Identity(), torch.from_numpy(X))


def test_add_of_three() -> None:
    np.testing.assert_array_equal(Add().run(X, X, 2 * X), 4 * X)


def test_input_gives_reals() -> None:
    result = Input((2,), "uint8").run(np.array([[1, 255]], np.uint8))
    assert (result.dtype, result.tolist()) == (np.float64, [[1.0, 255.0]])


IMAGE, VECTOR = TensorType((4, 7, 6)), TensorType((4,))
ONE = np.ones(1)

BROKEN: dict[str, tuple[Callable[[], Op], tuple[TensorType, ...], str]] = {
    "stream": (ReLU, (TensorType((4,), stream=True),), "takes no spike streams"),
    "conv of a vector": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE), (VECTOR,), "takes (channels, height, width)"),
    "conv channels": (lambda: Conv(np.ones((1, 3, 1, 1)), ONE), (IMAGE,), "do not fit an input of [4, 7, 6]"),
    "conv axes": (lambda: Conv(np.ones((1, 4)), ONE), (IMAGE,), "not (outputs, inputs, height, width)"),
    "conv groups": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, groups=0), (IMAGE,), "in 0 groups"),
    "conv bias": (lambda: Conv(np.ones((1, 4, 1, 1)), np.ones(2)), (IMAGE,), "has biases [2]"),
    "conv stride": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, stride=(0, 1)), (IMAGE,), "stride=(0, 1)"),
    "conv padding": (
        lambda: Conv(np.ones((1, 4, 1, 1)), ONE, padding=(0, -1, 0, 0)),
        (IMAGE,),
        "has padding=(0, -1, 0, 0)",
    ),
    "conv window": (lambda: Conv(np.ones((1, 4, 9, 1)), ONE), (IMAGE,), "a window of (9, 1) does not fit"),
    "linear size": (lambda: Linear(np.ones((1, 3)), ONE), (VECTOR,), "do not fit an input of [4]"),
    "linear bias": (lambda: Linear(np.ones((1, 4)), np.ones((1, 1))), (VECTOR,), "has biases [1, 1]"),
    "norm channels": (lambda: BatchNorm(*[np.ones(3)] * 4), (IMAGE,), "[3] values for the channels of [4, 7, 6]"),
    "norm arrays": (lambda: BatchNorm(*[np.ones(4)] * 3, ONE), (IMAGE,), "has arrays of the shapes"),
    "norm variance": (lambda: BatchNorm(*[-np.ones(4)] * 4), (IMAGE,), "a variance that is not positive"),
    "affine channels": (lambda: Affine(ONE, np.ones(3)), (IMAGE,), "[3] values for the channels"),
    "pool of a vector": (lambda: MaxPool((1, 1), (1, 1)), (VECTOR,), "takes (channels, height, width)"),
    "pool padding": (lambda: AvgPool((2, 2), (1, 1), (2, 0, 0, 0)), (IMAGE,), "with nothing inside"),
    "pool window": (lambda: AvgPool((0, 2), (1, 1)), (IMAGE,), "with nothing inside"),
    "add shapes": (Add, (IMAGE, VECTOR), "adds tensors of different shapes: [[4, 7, 6], [4]]"),
}


@pytest.mark.parametrize(("op", "types", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_says_what_does_not_fit(op: Callable[[], Op], types: tuple[TensorType, ...], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        op().infer(*types)
    assert problem in str(caught.value)
