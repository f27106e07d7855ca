"""What each ONNX operator becomes: one function an operator, one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurocompile.errors import ModelError
from neurocompile.ir import Array, Op, TensorType
from neurocompile.ir.kernels import Padding
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Conv,
    Flatten,
    Identity,
    Linear,
    MaxPool,
    ReLU,
)


@dataclass(frozen=True)
class OnnxNode:
    """An ONNX node whose inputs are known.

    Parameters
    ----------
    name, op
        Of the node.
    tensors
        For each input its type, None where it is a constant or left out.
    constants
        For each input its value, None where it is computed or left out.
    attributes
        By name.
    batch
        The size of the batch; None where it is open.
    """

    name: str
    op: str
    tensors: tuple[TensorType | None, ...]
    constants: tuple[Array | None, ...]
    attributes: Mapping[str, Any]
    batch: int | None = None

    def error(self, problem: str, remedy: str) -> ModelError:
        """Make an error that names this node."""
        return ModelError(problem, self.name, self.op, remedy)

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Give the shape of a computed input, without the batch axis."""
        tensor = self.tensors[i]
        if tensor is None:
            raise self.error(
                "applies to a constant what is meant for the network's values", "put the values first"
            )
        return tensor.shape

    def constant(self, i: int) -> Array:
        """Give a constant input as reals."""
        value = self.optional(i)
        if value is None:
            raise self.error(f"input {i} is left out", "export it as a constant")
        return value

    def optional(self, i: int) -> Array | None:
        """Give a constant input as reals, or None where it is left out."""
        if i >= len(self.constants):
            return None
        value = self.constants[i]
        if value is None and self.tensors[i] is not None:
            raise self.error(f"input {i} is computed while the network runs", "export it as a constant")
        if value is not None and not np.isfinite(value).all():
            raise self.error(f"input {i} holds NaN or infinite values", "check the training for divergence")
        return None if value is None else value.astype(np.float64)

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Give an attribute that is a list of integers."""
        return tuple(int(i) for i in self.attributes.get(name, default))


Importer = Callable[[OnnxNode], Sequence[Op]]
"""Gives the layers that stand for a node, each reading the one before."""


def _conv(node: OnnxNode) -> Sequence[Op]:
    weight = node.constant(1)
    if weight.ndim != 4:
        raise node.error(f"is {weight.ndim - 2}-dimensional; only 2-D convolutions are converted", "use Conv2d")
    bias = node.optional(2)
    return [
        Conv(
            weight,
            np.zeros(len(weight)) if bias is None else bias,
            stride=_pair(node, "strides", 1),
            padding=_padding(node),
            dilation=_pair(node, "dilations", 1),
            groups=int(node.attributes.get("group", 1)),
        )
    ]


def _gemm(node: OnnxNode) -> Sequence[Op]:
    if node.attributes.get("transA", 0):
        raise node.error("transposes the batch", "export the layer as a plain Linear")
    weight = node.constant(1) * float(node.attributes.get("alpha", 1.0))
    weight = weight if node.attributes.get("transB", 0) else weight.T
    bias = node.optional(2)
    beta = float(node.attributes.get("beta", 1.0))
    return [Linear(weight, np.zeros(len(weight)) if bias is None else _spread(node, beta * bias, len(weight)))]


def _matmul(node: OnnxNode) -> Sequence[Op]:
    if node.tensors[0] is None:
        raise node.error("multiplies a constant by the network's values", "put the values first")
    weight = node.constant(1)
    if weight.ndim != 2:
        raise node.error(f"its weights have {weight.ndim} axes; only 2 are converted", "use a plain Linear")
    return [Linear(weight.T, np.zeros(weight.shape[1]))]


def _batch_normalization(node: OnnxNode) -> Sequence[Op]:
    if node.attributes.get("training_mode", 0):
        raise node.error("is in training mode", "export the model after model.eval()")
    scale, shift, mean, variance = (node.constant(i) for i in range(1, 5))
    return [BatchNorm(scale, shift, mean, variance, float(node.attributes.get("epsilon", 1e-5)))]


def _relu(node: OnnxNode) -> Sequence[Op]:
    del node
    return [ReLU()]


def _max_pool(node: OnnxNode) -> Sequence[Op]:
    return [MaxPool(*_window(node))]


def _average_pool(node: OnnxNode) -> Sequence[Op]:
    kernel, stride, padding = _window(node)
    if any(padding) and not node.attributes.get("count_include_pad", 0):
        raise node.error(
            "leaves the padding out of the mean", "export it with count_include_pad=1, or without padding"
        )
    return [AvgPool(kernel, stride, padding)]


def _global_average_pool(node: OnnxNode) -> Sequence[Op]:
    return [_over_space(node)]


def _reduce_mean(node: OnnxNode) -> Sequence[Op]:
    given = node.optional(1)
    axes = node.integers("axes", ()) if given is None else tuple(int(a) for a in given)
    pool = _over_space(node)
    if sorted(a % 4 for a in axes) != [2, 3]:
        problem = f"takes the mean over the axes {list(axes)}; only the two of space are converted"
        raise node.error(problem, "take the mean over height and width")
    return [pool] if node.attributes.get("keepdims", 1) else [pool, Flatten()]


def _over_space(node: OnnxNode) -> AvgPool:
    shape = node.shape()
    if len(shape) != 3:
        raise node.error(f"takes images (channels, height, width), not {list(shape)}", "pool before flattening")
    return AvgPool((shape[1], shape[2]), (shape[1], shape[2]))


def _flatten(node: OnnxNode) -> Sequence[Op]:
    axis = int(node.attributes.get("axis", 1))
    if axis % (len(node.shape()) + 1) != 1:
        problem = f"flattens from axis {axis}; only 1, which leaves the batch, is converted"
        raise node.error(problem, "flatten from axis 1")
    return [Flatten()]


def _reshape(node: OnnxNode) -> Sequence[Op]:
    shape = node.shape()
    target = tuple(int(i) for i in node.constant(1))
    size = int(np.prod(shape))
    if target and target[0] in (0, -1, node.batch):
        if target[1:] == (size,) or (target[1:] == (-1,) and target[0] != -1):
            return [Flatten()]
        if target[1:] == shape:
            return [Identity()]
    raise node.error(
        f"reshapes {list(shape)} to {list(target)}; only flattening each image is converted",
        "flatten with Flatten(1), and leave the batch as it is",
    )


def _squeeze(node: OnnxNode) -> Sequence[Op]:
    shape = node.shape()
    given = node.optional(1)
    axes = node.integers("axes", ()) if given is None else tuple(int(a) for a in given)
    if len(shape) == 3 and shape[1:] == (1, 1) and sorted(a % 4 for a in axes) == [2, 3]:
        return [Flatten()]
    problem = f"removes the axes {list(axes)} of {list(shape)}; only both axes of space are converted"
    raise node.error(problem, "use Flatten(1) instead")


def _add(node: OnnxNode) -> Sequence[Op]:
    if all(tensor is not None for tensor in node.tensors):
        return [Add()]
    shift = _other_constant(node)
    return [Affine(np.ones_like(shift), shift)]


def _sub(node: OnnxNode) -> Sequence[Op]:
    shift = _other_constant(node)
    if node.tensors[0] is None:
        return [Affine(-np.ones_like(shift), shift)]
    return [Affine(np.ones_like(shift), -shift)]


def _mul(node: OnnxNode) -> Sequence[Op]:
    scale = _other_constant(node)
    return [Affine(scale, np.zeros_like(scale))]


def _div(node: OnnxNode) -> Sequence[Op]:
    divisor = _other_constant(node)
    if node.tensors[0] is None:
        raise node.error("divides by the network's values", "divide by a constant only")
    if np.any(divisor == 0):
        raise node.error("divides by 0", "check the normalisation in the model")
    return [Affine(1 / divisor, np.zeros_like(divisor))]


def _identity(node: OnnxNode) -> Sequence[Op]:
    del node
    return [Identity()]


def _dropout(node: OnnxNode) -> Sequence[Op]:
    training = node.optional(2)
    if training is not None and training.any():
        raise node.error("is in training mode", "export the model after model.eval()")
    return [Identity()]


def _cast(node: OnnxNode) -> Sequence[Op]:
    # TensorProto's FLOAT and DOUBLE: any other type would round or wrap the values.
    if node.attributes["to"] not in (1, 11):
        raise node.error("casts to another type than float", "keep the network in float32")
    return [Identity()]


def _other_constant(node: OnnxNode) -> Array:
    """Give the constant operand of arithmetic, one value for each channel, or one for all."""
    at = 0 if node.tensors[0] is None else 1
    if node.tensors[at] is not None:
        raise node.error("combines two computed values", "only Add does so in a form that spikes can compute")
    shape = node.shape(1 - at)
    value = node.constant(at)
    if value.size == 1 and value.ndim <= len(shape) + 1:
        return value.reshape(1)
    # Broadcasting aligns the last axes: only a value on the channels' axis, all others 1, is per channel.
    aligned = [1] * (len(shape) + 1 - value.ndim) + list(value.shape)
    if aligned != [1, shape[0]] + [1] * (len(shape) - 1):
        raise node.error(
            f"its constant of shape {list(value.shape)} is not one value for each channel of {list(shape)}",
            "use one value for each channel, or a single one",
        )
    return value.reshape(-1)


def _spread(node: OnnxNode, bias: Array, outputs: int) -> Array:
    if bias.ndim > 2 or bias.size not in (1, outputs) or (bias.ndim and bias.shape[-1] != bias.size):
        problem = f"has biases of shape {list(bias.shape)} for {outputs} outputs"
        raise node.error(problem, "use one bias for each output")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def _pair(node: OnnxNode, name: str, default: int) -> tuple[int, int]:
    values = node.integers(name, (default, default))
    if len(values) != 2 or min(values) < 1:
        raise node.error(f"has {name}={list(values)}; two positive numbers are needed", "use a 2-D layer")
    return values[0], values[1]


def _padding(node: OnnxNode) -> Padding:
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic == "VALID":
        return 0, 0, 0, 0
    if automatic != "NOTSET":
        raise node.error(f"pads by {automatic}", "export it with explicit pads")
    values = node.integers("pads", (0, 0, 0, 0))
    if len(values) != 4 or min(values) < 0:
        problem = f"has pads={list(values)}; four numbers, none of them negative, are needed"
        raise node.error(problem, "crop the images outside the model")
    return values[0], values[1], values[2], values[3]


def _window(node: OnnxNode) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    kernel, stride, padding = _pair(node, "kernel_shape", 1), _pair(node, "strides", 1), _padding(node)
    if _pair(node, "dilations", 1) != (1, 1):
        raise node.error("has a dilated window", "use a pool without dilation")
    shape = node.shape()
    if len(shape) != 3:
        raise node.error(f"takes images (channels, height, width), not {list(shape)}", "pool before flattening")
    rest = [
        (n + padding[i] + padding[i + 2] - k) % s
        for i, (n, k, s) in enumerate(zip(shape[1:], kernel, stride, strict=True))
    ]
    if node.attributes.get("ceil_mode", 0) and any(rest):
        raise node.error(
            "rounds its size up, with windows that reach over the edge", "export it with ceil_mode=False"
        )
    return kernel, stride, padding


IMPORTERS: dict[str, Importer] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Conv": _conv,
    "Div": _div,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _mul,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Sub": _sub,
}
"""The operators that are converted, by their ONNX names."""
