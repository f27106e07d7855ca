"""Operators with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neurocompile.frontends.onnx_constants import MOST_MOVED
from neurocompile.frontends.onnx_node import OnnxNode, Value
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.frontends.onnx_ops.windows import read_window
from neurocompile.ir import Array
from neurocompile.ir.layers import Affine, BatchNorm, Conv, Linear, per_channel


def conv(node: OnnxNode) -> str:
    """Convert 1-D, 2-D and 3-D, with groups, strides, dilations, and explicit or automatic padding."""
    weight = node.reals(1)
    _require_spatial(node, weight)
    bias = node.optional_reals(2)
    window = read_window(node, weight.shape[2:])
    return node.add(
        Conv(
            weight,
            np.zeros(len(weight)) if bias is None else bias,
            window.stride,
            window.padding,
            window.dilation,
            node.integer("group", 1),
        )
    )


def conv_transpose(node: OnnxNode) -> str:
    """Convert any form, as a convolution of values that are spread apart by zeros."""
    weight = node.reals(1)
    _require_spatial(node, weight)
    groups = node.integer("group", 1)
    inputs, per_group, *kernel = weight.shape
    shape = node.shape()
    if groups < 1 or shape[0] != inputs or inputs % groups or len(shape) != len(kernel) + 1:
        problem = f"weights {list(weight.shape)} in {groups} groups do not fit an input of {list(shape)}"
        raise node.error(problem, "check the layer's number of channels")
    axes = len(kernel)
    strides, dilations = node.integers("strides", (1,) * axes), node.integers("dilations", (1,) * axes)
    extra = node.integers("output_padding", (0,) * axes)
    lists = (strides, dilations, extra)
    if any(len(numbers) != axes for numbers in lists) or min(*strides, *dilations) < 1 or min(extra) < 0:
        problem = f"has strides={list(strides)}, dilations={list(dilations)}, output_padding={list(extra)}"
        raise node.error(problem, f"give {axes} numbers for each")
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(shape[1:], strides, dilations, kernel, extra, strict=True)
    ]
    if math.prod(full) * inputs > MOST_MOVED:
        raise node.error(f"spreads {list(shape)} over {full}", "use smaller strides and dilations")
    before, after = _cut(node, full, strides)
    index = np.arange(math.prod(shape)).reshape(shape)
    for axis, (n, s, d, k) in enumerate(zip(shape[1:], strides, dilations, kernel, strict=True)):
        # Where a window of the transposed kernel starts, seen from the first value.
        reach = d * (k - 1)
        places = np.arange(before[axis] - reach, full[axis] - after[axis])
        found = np.where((places % s == 0) & (places >= 0) & (places <= (n - 1) * s), places // s, -1)
        taken = np.take(index, np.maximum(found, 0), axis=axis + 1)
        index = np.where(per_channel(found >= 0, axes - axis), taken, -1)
    spread = node.place(index, node.source())
    flipped = np.flip(weight, axis=tuple(range(2, weight.ndim)))
    turned = flipped.reshape(groups, inputs // groups, per_group, *kernel).swapaxes(1, 2)
    kernels = np.ascontiguousarray(turned).reshape(groups * per_group, inputs // groups, *kernel)
    bias = node.optional_reals(2)
    return node.add(
        Conv(kernels, np.zeros(len(kernels)) if bias is None else bias, dilation=dilations, groups=groups), spread
    )


def _cut(node: OnnxNode, full: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """Give what a transposed convolution leaves out before and after each axis."""
    axes = len(full)
    automatic = node.text("auto_pad", "NOTSET")
    sizes = node.integers("output_shape")
    if len(sizes) not in (0, axes, axes + 2):
        raise node.error(f"has output_shape={list(sizes)}", f"give {axes} numbers")
    sizes = sizes[-axes:]
    if not sizes and automatic in ("SAME_UPPER", "SAME_LOWER"):
        sizes = tuple(n * s for n, s in zip(node.shape()[1:], strides, strict=True))
    if sizes:
        total = [f - size for f, size in zip(full, sizes, strict=True)]
        # What is over is left out at the end, except where padding is told to be larger at the beginning.
        halves = [t // 2 for t in total]
        if automatic == "SAME_UPPER":
            return halves, [t - h for t, h in zip(total, halves, strict=True)]
        return [t - h for t, h in zip(total, halves, strict=True)], halves
    pads = (0,) * 2 * axes if automatic == "VALID" else node.integers("pads", (0,) * 2 * axes)
    if len(pads) != 2 * axes or min(pads) < 0 or automatic not in ("NOTSET", "VALID"):
        problem = f"has pads={list(pads)}, auto_pad={automatic}"
        raise node.error(problem, f"give {2 * axes} numbers that are not negative")
    if any(f <= a + b for f, a, b in zip(full, pads[:axes], pads[axes:], strict=True)):
        raise node.error(f"leaves nothing of {list(full)} with pads={list(pads)}", "use less padding")
    return list(pads[:axes]), list(pads[axes:])


def _require_spatial(node: OnnxNode, weight: Array) -> None:
    if weight.ndim < 3:
        problem = f"has weights {list(weight.shape)}, which have no axes of space"
        raise node.error(problem, "use Gemm or MatMul for a layer without space")


def gemm(node: OnnxNode) -> str:
    """Convert a computed A with constant B and C; transA is refused."""
    if node.flag("transA", False):
        raise node.error("transposes the batch", "export the layer as a plain Linear")
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    weight = node.reals(1)
    if weight.ndim != 2:
        raise node.error(f"has weights {list(weight.shape)}, not of 2 axes", "use a plain Linear")
    weight = weight if node.flag("transB", False) else weight.T
    if alpha != 1:
        weight = weight.astype(np.float64) * alpha
    bias = node.optional_reals(2)
    biases = np.zeros(len(weight)) if bias is None else _spread(node, beta * bias, len(weight))
    return node.add(Linear(weight, biases))


def _spread(node: OnnxNode, bias: Array, outputs: int) -> Array:
    if bias.ndim > 2 or bias.size not in (1, outputs) or (bias.ndim and bias.shape[-1] != bias.size):
        problem = f"has biases of shape {list(bias.shape)} for {outputs} outputs"
        raise node.error(problem, "use one bias for each output")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def matmul(node: OnnxNode) -> str:
    """Convert the product of computed values with a constant matrix, in either order."""
    if node.is_computed(0) and node.is_computed(1):
        problem = "multiplies two matrices that are both computed, as attention does"
        raise node.error(problem, "use layers with trained weights: convolutions or Linear")
    if not node.is_computed(0):
        return _matmul_from_the_left(node)
    weight = _matrix(node, 1)
    shape = node.shape()
    if len(shape) == 1:
        return node.add(Linear(weight.T, np.zeros(weight.shape[1])))
    # Values with further axes are multiplied by a kernel of one place, with the last axis as channels.
    index = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0)
    turned = node.place(index, node.source())
    kernels = weight.T.reshape(*weight.T.shape, *[1] * (len(shape) - 1))
    product = node.add(Conv(kernels, np.zeros(len(kernels))), turned)
    out = node.shape_of(product)
    return node.place(np.moveaxis(np.arange(math.prod(out)).reshape(out), 0, -1), product)


def _matmul_from_the_left(node: OnnxNode) -> str:
    weight, shape = _matrix(node, 0), node.shape(1)
    if len(shape) != 2:
        problem = f"multiplies a constant by values of {list(shape)} for an image"
        raise node.error(problem, "put the network's values first")
    kernels = weight[:, :, None]
    return node.add(Conv(kernels, np.zeros(len(kernels))), node.source(1))


def _matrix(node: OnnxNode, i: int) -> Array:
    weight = node.reals(i)
    # More axes than the values have would come before the batch.
    most = 1 + max(len(value.shape) for value in node.inputs if isinstance(value, Value))
    if not 2 <= weight.ndim <= most or any(n != 1 for n in weight.shape[:-2]):
        problem = f"its weights have the shape {list(weight.shape)}; only those of 2 axes are converted"
        raise node.error(problem, "use a plain Linear")
    return weight.reshape(weight.shape[-2:])


def batch_normalization(node: OnnxNode) -> str:
    """Convert frozen statistics, one for each channel; training mode is refused."""
    if node.flag("training_mode", False):
        raise node.error("is in training mode", "export the model after model.eval()")
    if not node.flag("spatial", True):
        raise node.error("has statistics for each place", "use one mean and variance for each channel")
    scale, shift, mean, variance = (node.reals(i) for i in range(1, 5))
    return node.add(BatchNorm(scale, shift, mean, variance, node.number("epsilon", 1e-5)))


def scaler(node: OnnxNode) -> str:
    """Convert any form: ``(x - offset) * scale``, as scikit-learn's StandardScaler."""
    arrays: list[Array] = []
    for name, default in (("scale", [1.0]), ("offset", [0.0])):
        values = np.asarray(node.attributes.get(name) or default, np.float64)
        if not np.isfinite(values).all() or values.size not in (1, node.shape()[-1]):
            raise node.error(f"has {values.size} values of {name}, or some that are not finite", "fit it again")
        arrays.append(values)
    scale, offset = arrays
    return node.add(Affine(scale, -offset * scale))


OPERATORS = {
    "BatchNormalization": Operator(batch_normalization, "folded"),
    "Conv": Operator(conv, "synapses"),
    "ConvTranspose": Operator(conv_transpose, "synapses"),
    "Gemm": Operator(gemm, "synapses"),
    "MatMul": Operator(matmul, "synapses"),
    "ai.onnx.ml.Scaler": Operator(scaler, "folded"),
}
