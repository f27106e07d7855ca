from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ir.windows import every_window, shape_for, torch_conv, torch_max, torch_sum
from torch.nn import functional

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Op, TensorType, kernels
from neurocompile.ir.functions import FUNCTIONS
from neurocompile.ir.kernels import Window
from neurocompile.ir.layers import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Choose,
    Concat,
    Conv,
    Function,
    Identity,
    Input,
    Linear,
    MaxPool,
    Multiply,
    Rearrange,
    ReLU,
    Reshape,
    Softmax,
    channels_of,
    per_channel,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 7, 6))
V = RNG.normal(size=(3, 4))


def check(op: Op, expected: Array | torch.Tensor, *inputs: Array, atol: float = 1e-12) -> None:
    given = inputs or (X,)
    result = op.run(*given)
    assert op.infer(*(TensorType(x.shape[1:]) for x in given)) == TensorType(result.shape[1:])
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, np.asarray(expected), rtol=1e-12, atol=atol)


def conv(window: Window, weight: Array, bias: Array, groups: int = 1) -> Conv:
    return Conv(weight, bias, window.stride, window.padding, window.dilation, groups)


@every_window
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv(window: Window, groups: int) -> None:
    x = RNG.normal(size=(3, *shape_for(window)))
    weight, bias = RNG.normal(size=(8, 4 // groups, *window.kernel)), RNG.normal(size=8)
    expected = torch_conv(x, weight, window, groups) + bias.reshape(-1, *[1] * len(window.kernel))
    check(conv(window, weight, bias, groups), expected, x)


@pytest.mark.parametrize("values", [1, 3000, 5000, 100_000])
def test_conv_in_parts(monkeypatch: pytest.MonkeyPatch, values: int) -> None:
    """Line by line, some lines at a time, and several images at a time; the last part is smaller."""
    monkeypatch.setattr(kernels, "_BLOCK_VALUES", values)
    x, weight = RNG.normal(size=(7, 4, 12, 11)), RNG.normal(size=(2, 4, 5, 3))
    check(Conv(weight, np.zeros(2)), torch_conv(x, weight, Window((5, 3))), x)


def test_windows_without_numbers_have_ones_and_zeros() -> None:
    assert Window((3, 2)) == Window((3, 2), (1, 1), (0, 0, 0, 0), (1, 1))
    assert MaxPool((3,)).window == Window((3,), (1,), (0, 0), (1,))


def test_linear() -> None:
    weight, bias = RNG.normal(size=(5, 4)), RNG.normal(size=5)
    check(Linear(weight, bias), functional.linear(*map(torch.from_numpy, (V, weight, bias))), V)


def test_linear_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_CAST_VALUES", 9)
    weight, bias = RNG.normal(size=(5, 4)).astype(np.float32), np.zeros(5)
    check(Linear(weight, bias), V @ weight.T.astype(np.float64), V)


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_batch_norm(axes: int) -> None:
    x = RNG.normal(size=(3, 4, 3, 2, 2)[: 2 + axes])
    scale, shift, mean = (RNG.normal(size=4) for _ in range(3))
    variance = RNG.uniform(0.5, 2, 4)
    expected = functional.batch_norm(*map(torch.from_numpy, (x, mean, variance, scale, shift)), eps=1e-3)
    check(BatchNorm(scale, shift, mean, variance, 1e-3), expected, x)


@pytest.mark.parametrize("scale", [(), (1,), (6,), (4, 1, 1), (7, 1), (1, 1, 6), (4, 7, 6)])
@pytest.mark.parametrize("shift", [(), (4, 1, 1)])
def test_affine_broadcasts_against_one_image(scale: tuple[int, ...], shift: tuple[int, ...]) -> None:
    a, b = RNG.normal(size=scale), RNG.normal(size=shift)
    check(Affine(a, b), torch.from_numpy(X) * torch.from_numpy(a) + torch.from_numpy(b))


def test_affine_of_images_without_axes() -> None:
    check(Affine(np.array([2.0]), np.array(1.0)), np.array([3.0, 5.0]), np.array([1.0, 2.0]))


def test_relu() -> None:
    check(ReLU(), functional.relu(torch.from_numpy(X)))


@pytest.mark.parametrize("shape", [(), (4, 1, 1), (7, 6)])
def test_relu_with_a_ceiling(shape: tuple[int, ...]) -> None:
    ceiling = RNG.uniform(0.3, 1, shape)
    check(ReLU(ceiling), torch.from_numpy(X).clamp(min=torch.zeros(()), max=torch.from_numpy(ceiling)))


@every_window
def test_avg_pool(window: Window) -> None:
    x = RNG.normal(size=(3, *shape_for(window)))
    pool = AvgPool(window.kernel, window.stride, window.padding, window.dilation)
    check(pool, torch_sum(x, window) / window.places, x)


@every_window
def test_max_pool_never_takes_padding(window: Window) -> None:
    x = RNG.normal(size=(3, *shape_for(window))) - 10
    check(MaxPool(window.kernel, window.stride, window.padding, window.dilation), torch_max(x, window), x)


@pytest.mark.parametrize("shape", [(168,), (7, 4, 6), (1, 168, 1), (2, 2, 7, 3, 2)])
def test_reshape(shape: tuple[int, ...]) -> None:
    check(Reshape(shape), torch.from_numpy(X).reshape(3, *shape))


def test_rearrange_transposes() -> None:
    index = np.arange(168).reshape(4, 7, 6).transpose(2, 0, 1)
    check(Rearrange(index), torch.from_numpy(X).permute(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
@pytest.mark.parametrize("lowest", [-1, 0])
def test_rearrange_moves_repeats_and_leaves_out(lowest: int, dtype: type) -> None:
    index = RNG.integers(lowest, 28, (5, 2, 3)).astype(dtype)
    x = RNG.normal(size=(2, 4, 7))
    expected = [[[[0.0 if i < 0 else image.flat[i] for i in a] for a in b] for b in index] for image in x]
    check(Rearrange(index), np.array(expected), x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(axis: int) -> None:
    first, *others = (np.moveaxis(RNG.normal(size=(3, n, 4, 5)), 1, axis + 1) for n in (2, 1, 3))
    check(Concat(axis), torch.cat([torch.from_numpy(x) for x in (first, *others)], axis + 1), first, *others)


def test_identity() -> None:
    check(Identity(), X)


def test_add_of_three() -> None:
    check(Add(), 4 * X, X, X, 2 * X)


def test_choose() -> None:
    check(Choose(), np.where(X > 0.5, X, -3 * X), X, X, -3 * X)


def test_multiply() -> None:
    check(Multiply(), X * X[::-1], X, X[::-1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax(axis: int) -> None:
    x = 300 * X
    check(Softmax(axis), torch.softmax(torch.from_numpy(x), axis + 1), x)
    check(Softmax(axis, log=True), torch.log_softmax(torch.from_numpy(x), axis + 1), x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_argmax(axis: int) -> None:
    check(ArgMax(axis), torch.argmax(torch.from_numpy(X), axis + 1, keepdim=True))


def test_argmax_takes_the_first_of_equals() -> None:
    check(ArgMax(), np.array([[1.0], [0.0]]), np.array([[0.0, 2.0, 2.0], [1.0, 1.0, 0.0]]))


def test_input_gives_reals() -> None:
    result = Input((2,), "uint8").run(np.array([[1, 255]], np.uint8))
    assert (result.dtype, result.tolist()) == (np.float64, [[1.0, 255.0]])


EVERYWHERE = np.concatenate([np.linspace(-8, 8, 257), [-1e4, -60.0, 60.0, 1e4]])

IN_TORCH: dict[str, tuple[Function, Callable[[torch.Tensor], torch.Tensor]]] = {
    "celu": (Function("celu", 0.7), lambda x: functional.celu(x, 0.7)),
    "celu, negative": (Function("celu", -40.0), lambda x: functional.celu(x, -40.0)),
    "elu": (Function("elu", 1.5), lambda x: functional.elu(x, 1.5)),
    "erf": (Function("erf"), torch.erf),
    "exp": (Function("exp"), lambda x: torch.exp(x)),
    "gelu": (Function("gelu"), functional.gelu),
    "gelu_tanh": (Function("gelu_tanh"), lambda x: functional.gelu(x, approximate="tanh")),
    "greater": (Function("greater", 0.25), lambda x: (x > 0.25).double()),
    "greater_or_equal": (Function("greater_or_equal", 0.25), lambda x: (x >= 0.25).double()),
    "hard_swish": (Function("hard_swish"), functional.hardswish),
    "log": (Function("log"), torch.log),
    "mish": (Function("mish"), functional.mish),
    "power": (Function("power", 3.0), lambda x: x**3),
    "power, root": (Function("power", 0.5), torch.sqrt),
    "reciprocal": (Function("reciprocal"), torch.reciprocal),
    "selu": (Function("selu", 1.6732632423543772, 1.0507009873554805), functional.selu),
    "sigmoid": (Function("sigmoid"), torch.sigmoid),
    "softplus": (Function("softplus"), lambda x: functional.softplus(x, threshold=40)),
    "softsign": (Function("softsign"), functional.softsign),
    "sqrt": (Function("sqrt"), torch.sqrt),
    "swish": (Function("swish"), functional.silu),
    "swish, steep": (Function("swish", 1.702), lambda x: x * torch.sigmoid(1.702 * x)),
    "tanh": (Function("tanh"), torch.tanh),
}


DOMAINS = {
    "celu, negative": EVERYWHERE[EVERYWHERE >= -8],
    "exp": EVERYWHERE[EVERYWHERE < 100],
    "log": EVERYWHERE[EVERYWHERE > 0],
    "power, root": EVERYWHERE[EVERYWHERE >= 0],
    "reciprocal": EVERYWHERE[EVERYWHERE != 0],
    "sqrt": EVERYWHERE[EVERYWHERE >= 0],
}


@pytest.mark.parametrize("name", IN_TORCH)
def test_functions(name: str) -> None:
    op, reference = IN_TORCH[name]
    x = DOMAINS.get(name, EVERYWHERE)[None]
    # The series for the error function has 1.5e-7; a gelu multiplies half of it by x.
    atol = {"erf": 1.5e-7, "gelu": 8 * 1.5e-7}.get(name, 1e-12)
    check(op, reference(torch.from_numpy(x)), x, atol=atol)


def test_every_function_is_tested() -> None:
    assert {op.name for op, _ in IN_TORCH.values()} == set(FUNCTIONS)


def test_channels_and_images() -> None:
    values = np.arange(4.0)
    assert per_channel(values, 3).shape == (4, 1, 1)
    assert per_channel(values, 1).shape == (4,)
    for given, dimensions in [((4, 1, 1), 3), ((4,), 1), ((1, 1, 1), 3), ((1,), 3), ((), 3), ((), 0)]:
        found = channels_of(np.ones(given), dimensions)
        assert found is not None
        assert found.shape in [(4,), (1,)]
    for given in [(4,), (4, 7, 6), (1, 7, 1)]:
        assert channels_of(np.ones(given), 3) is None


IMAGE, VECTOR, SCALAR = TensorType((4, 7, 6)), TensorType((4,)), TensorType(())
ONE = np.ones(1)

BROKEN: dict[str, tuple[Callable[[], Op], tuple[TensorType, ...], str]] = {
    "stream": (ReLU, (TensorType((4,), stream=True),), "takes no spike streams"),
    "input": (lambda: Input((2, 0)), (), "has the shape [2, 0]"),
    "values": (lambda: Input((1 << 14, 1 << 15)), (), "has more than 268,435,456 values for an image"),
    "axes": (lambda: Input((1,) * 9), (), "has more than 8 axes"),
    "conv of a vector": (
        lambda: Conv(np.ones((1, 4, 1, 1)), ONE),
        (VECTOR,),
        "takes (channels, *space) of 3 axes, not [4]",
    ),
    "conv of fewer axes": (lambda: Conv(np.ones((1, 4, 1)), ONE), (IMAGE,), "of 2 axes, not [4, 7, 6]"),
    "conv channels": (lambda: Conv(np.ones((1, 3, 1, 1)), ONE), (IMAGE,), "do not fit an input of [4, 7, 6]"),
    "conv axes": (lambda: Conv(np.ones((1, 4)), ONE), (IMAGE,), "not (outputs, inputs, *kernel)"),
    "conv of nothing": (lambda: Conv(np.ones((0, 4, 1, 1)), np.ones(0)), (IMAGE,), "has weights [0, 4, 1, 1]"),
    "conv groups": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, groups=0), (IMAGE,), "in 0 groups"),
    "conv bias": (lambda: Conv(np.ones((1, 4, 1, 1)), np.ones(2)), (IMAGE,), "has biases [2]"),
    "conv stride": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, stride=(0, 1)), (IMAGE,), "stride=(0, 1)"),
    "conv strides": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, stride=(1,)), (IMAGE,), "stride=(1,)"),
    "conv dilation": (
        lambda: Conv(np.ones((1, 4, 1, 1)), ONE, dilation=(1, 1 << 40)),
        (IMAGE,),
        "dilation=(1, 1099511627776)",
    ),
    "conv padding": (
        lambda: Conv(np.ones((1, 4, 1, 1)), ONE, padding=(0, -1, 0, 0)),
        (IMAGE,),
        "has padding=(0, -1, 0, 0)",
    ),
    "conv paddings": (lambda: Conv(np.ones((1, 4, 1, 1)), ONE, padding=(0, 0)), (IMAGE,), "padding=(0, 0)"),
    "conv wide padding": (
        lambda: Conv(np.ones((1, 4, 1, 1)), ONE, padding=(1 << 20, 1 << 20, 0, 0)),
        (IMAGE,),
        "has padding=(1048576, 1048576, 0, 0)",
    ),
    "conv window": (lambda: Conv(np.ones((1, 4, 9, 1)), ONE), (IMAGE,), "a window of (9, 1) does not fit"),
    "conv window, dilated": (
        lambda: Conv(np.ones((1, 4, 4, 1)), ONE, dilation=(3, 1)),
        (IMAGE,),
        "a window of (4, 1) does not fit",
    ),
    "linear size": (lambda: Linear(np.ones((1, 3)), ONE), (VECTOR,), "do not fit an input of [4]"),
    "linear of nothing": (lambda: Linear(np.ones((0, 4)), np.ones(0)), (VECTOR,), "weights [0, 4] do not fit"),
    "linear bias": (lambda: Linear(np.ones((1, 4)), np.ones((1, 1))), (VECTOR,), "has biases [1, 1]"),
    "norm channels": (lambda: BatchNorm(*[np.ones(3)] * 4), (IMAGE,), "[3] values for the channels of [4, 7, 6]"),
    "norm of a scalar": (lambda: BatchNorm(*[ONE] * 4), (SCALAR,), "[1] values for the channels of []"),
    "norm arrays": (lambda: BatchNorm(*[np.ones(4)] * 3, ONE), (IMAGE,), "has arrays of the shapes"),
    "norm variance": (lambda: BatchNorm(*[-np.ones(4)] * 4), (IMAGE,), "a variance that is not positive"),
    "affine scale": (lambda: Affine(np.ones(4), ONE), (IMAGE,), "has values of shape [4] for an image of [4, 7"),
    "affine shift": (lambda: Affine(ONE, np.ones((1, 1, 1, 1))), (IMAGE,), "has values of shape [1, 1, 1, 1]"),
    "affine of a scalar": (
        lambda: Affine(np.ones(2), ONE),
        (SCALAR,),
        "has values of shape [2] for an image of []",
    ),
    "relu ceiling": (lambda: ReLU(np.array([1.0, 0.0])), (TensorType((2,)),), "a ceiling that is not above 0"),
    "relu ceilings": (lambda: ReLU(np.ones(4)), (IMAGE,), "has values of shape [4]"),
    "function": (lambda: Function("sine"), (IMAGE,), "has the unknown function 'sine'"),
    "pool of a vector": (lambda: MaxPool((1, 1), (1, 1)), (VECTOR,), "takes (channels, *space), not [4]"),
    "pool axes": (lambda: MaxPool((2,)), (IMAGE,), "has a window of 1 axes for a space of [7, 6]"),
    "pool padding": (lambda: AvgPool((2, 2), (1, 1), (2, 0, 0, 0)), (IMAGE,), "with nothing inside"),
    "pool padding behind": (lambda: AvgPool((2, 2), (1, 1), (0, 0, 0, 2)), (IMAGE,), "with nothing inside"),
    "pool between": (
        # The windows from -2 and 0 hold the image's one value, the window from -1 steps over it.
        lambda: MaxPool((2,), padding=(2, 2), dilation=(2,)),
        (TensorType((1, 1)),),
        "with nothing inside",
    ),
    "pool window": (lambda: AvgPool((0, 2), (1, 1)), (IMAGE,), "has kernel=(0, 2)"),
    "reshape": (lambda: Reshape((4, 41)), (IMAGE,), "shapes [4, 7, 6] as [4, 41]"),
    "reshape, negative": (lambda: Reshape((-4, -42)), (IMAGE,), "shapes [4, 7, 6] as [-4, -42]"),
    "rearrange beyond": (lambda: Rearrange(np.array([4])), (VECTOR,), "points outside an image of [4]"),
    "rearrange before": (lambda: Rearrange(np.array([-2])), (VECTOR,), "points outside an image of [4]"),
    "rearrange reals": (lambda: Rearrange(np.zeros(2)), (VECTOR,), "has an index of float64 [2]"),
    "rearrange bools": (lambda: Rearrange(np.zeros(4, np.bool_)), (VECTOR,), "has an index of bool [4]"),
    "rearrange nothing": (lambda: Rearrange(np.zeros((2, 0), int)), (VECTOR,), "has an index of int64 [2, 0]"),
    "concat shapes": (lambda: Concat(1), (IMAGE, TensorType((3, 7, 6))), "joins axis 1 of tensors of [[4, 7, 6]"),
    "concat axes": (Concat, (IMAGE, VECTOR), "joins axis 0 of tensors of [[4, 7, 6], [4]]"),
    "concat axis": (lambda: Concat(3), (IMAGE, IMAGE), "joins axis 3 of [4, 7, 6]"),
    "add shapes": (Add, (IMAGE, VECTOR), "combines tensors of different shapes: [[4, 7, 6], [4]]"),
    "choose shapes": (Choose, (IMAGE, IMAGE, VECTOR), "combines tensors of different shapes"),
    "multiply shapes": (Multiply, (IMAGE, VECTOR), "combines tensors of different shapes"),
    "softmax axis": (lambda: Softmax(-1), (IMAGE,), "works on axis -1 of [4, 7, 6]"),
    "argmax axis": (lambda: ArgMax(3), (IMAGE,), "works on axis 3 of [4, 7, 6]"),
}


@pytest.mark.parametrize(("op", "types", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_says_what_does_not_fit(op: Callable[[], Op], types: tuple[TensorType, ...], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        op().infer(*types)
    assert problem in str(caught.value)
