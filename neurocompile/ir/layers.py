"""The layer dialect: a trained network as the frontends give it, on reals, one value per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurocompile.ir import kernels
from neurocompile.ir.op import Array, Op, TensorType, require


class Layer(Op, abstract=True):
    """An operator of the layer dialect."""

    def infer(self, *inputs: TensorType) -> TensorType:
        """Give the output's type; raise ``GraphError`` where the inputs don't fit."""
        require(not any(t.stream for t in inputs), "a layer takes no spike streams")
        return TensorType(self.output_shape(*(t.shape for t in inputs)))

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Give the output's shape; the inputs' where the operator works element by element."""
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Input(Layer):
    """Where images enter.

    Parameters
    ----------
    shape
        Of one image.
    dtype
        What the model file declares, such as ``uint8``; the values go on as reals.
    """

    arity: ClassVar[int | None] = 0
    shape: tuple[int, ...]
    dtype: str = "float32"

    def output_shape(self, *_: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(min(self.shape, default=0) > 0, f"has the shape {list(self.shape)}")
        return self.shape

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """2-D correlation: ``y = weight * x + bias``.

    Parameters
    ----------
    weight
        ``(out, in // groups, kh, kw)``.
    bias
        ``(out,)``.
    stride, padding, dilation, groups
        As in ONNX; padding is (top, left, bottom, right).
    """

    weight: Array
    bias: Array
    stride: tuple[int, int] = (1, 1)
    padding: kernels.Padding = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_biases(self.bias, self.weight)
        return conv_shape(shapes[0], self.weight.shape, self.stride, self.padding, self.dilation, self.groups)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        y = kernels.conv2d(inputs[0], self.weight, self.stride, self.padding, self.dilation, self.groups)
        return y + self.bias[:, None, None]


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """Fully connected layer on the last axis: ``y = x @ weight.T + bias``, weight ``(out, in)``."""

    weight: Array
    bias: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_biases(self.bias, self.weight)
        return linear_shape(shapes[0], self.weight.shape)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        y: Array = inputs[0] @ self.weight.T + self.bias
        return y


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """Batch normalisation with frozen statistics (Ioffe and Szegedy 2015), arrays ``(channels,)``.

    ``y = scale * (x - mean) / sqrt(variance + epsilon) + shift``
    """

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    epsilon: float = 1e-5

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        arrays = (self.scale, self.shift, self.mean, self.variance)
        require(len({a.shape for a in arrays}) == 1, f"has arrays of the shapes {[list(a.shape) for a in arrays]}")
        require(bool(np.all(self.variance + self.epsilon > 0)), "has a variance that is not positive")
        return channelwise_shape(shapes[0], self.scale)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        affine = self.affine()
        return affine.run(*inputs)

    def affine(self) -> Affine:
        """Give the same function as a per-channel affine."""
        gain = self.scale / np.sqrt(self.variance + self.epsilon)
        return Affine(gain, self.shift - self.mean * gain)


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """``y = scale * x + shift`` per channel; arrays ``(channels,)``, or ``(1,)`` for all channels."""

    scale: Array
    shift: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        channelwise_shape(shapes[0], self.shift)
        return channelwise_shape(shapes[0], self.scale)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        dimensions = inputs[0].ndim - 1
        return inputs[0] * per_channel(self.scale, dimensions) + per_channel(self.shift, dimensions)


@dataclass(frozen=True, eq=False)
class ReLU(Layer):
    """``y = max(x, 0)``."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        y: Array = np.maximum(inputs[0], 0)
        return y


@dataclass(frozen=True, eq=False)
class Pool(Layer, abstract=True):
    """A window that slides over each channel; padding is (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: kernels.Padding = (0, 0, 0, 0)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.kernel, self.stride, self.padding)


@dataclass(frozen=True, eq=False)
class AvgPool(Pool):
    """The mean of each window, the padding's zeros counted in."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        total = kernels.pool_sum(inputs[0], self.kernel, self.stride, self.padding)
        return total / (self.kernel[0] * self.kernel[1])


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """The maximum of each window; padding never wins."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return kernels.pool_max(inputs[0], self.kernel, self.stride, self.padding)


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """All axes of an image into one."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return (int(np.prod(shapes[0])),)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """The sum of branches of one shape."""

    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(len(set(shapes)) == 1, f"adds tensors of different shapes: {[list(s) for s in shapes]}")
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return sum(inputs[1:], start=inputs[0])


@dataclass(frozen=True, eq=False)
class Identity(Layer):
    """Gives back what it gets, as Dropout does outside training."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0]


def per_channel(values: Array, dimensions: int) -> Array:
    """Shape ``(channels,)`` so that it broadcasts against ``(..., channels, *space)``.

    Parameters
    ----------
    dimensions
        The number of axes of one image, channels and space.
    """
    return values.reshape(-1, *[1] * (dimensions - 1))


def conv_shape(
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, int],
    padding: kernels.Padding,
    dilation: tuple[int, int],
    groups: int,
) -> tuple[int, ...]:
    """Give the output's shape of a convolution; raise ``GraphError`` where the input doesn't fit."""
    require(len(shape) == 3, f"takes (channels, height, width), not {list(shape)}")
    require(len(weight) == 4, f"has weights {list(weight)}, not (outputs, inputs, height, width)")
    require(min(groups, *weight) > 0, f"has weights {list(weight)} in {groups} groups")
    outputs, channels, *kernel = weight
    require(
        shape[0] == channels * groups and outputs % groups == 0,
        f"weights {list(weight)} in {groups} groups do not fit an input of {list(shape)}",
    )
    rows, columns = kernels.window_shape((shape[1], shape[2]), (kernel[0], kernel[1]), stride, padding, dilation)
    return (outputs, rows, columns)


def linear_shape(shape: tuple[int, ...], weight: tuple[int, ...]) -> tuple[int, ...]:
    """Give the output's shape of a fully connected layer; raise ``GraphError`` where the input doesn't fit."""
    require(
        len(shape) == 1 and len(weight) == 2 and shape[0] == weight[1],
        f"weights {list(weight)} do not fit an input of {list(shape)}",
    )
    return (weight[0],)


def pool_shape(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], padding: kernels.Padding
) -> tuple[int, ...]:
    """Give the output's shape of a pool; raise ``GraphError`` where the input doesn't fit."""
    require(len(shape) == 3, f"takes (channels, height, width), not {list(shape)}")
    inside = (
        padding[0] < kernel[0] and padding[2] < kernel[0] and padding[1] < kernel[1] and padding[3] < kernel[1]
    )
    require(inside, f"padding {padding} leaves windows of {kernel} with nothing inside")
    return (shape[0], *kernels.window_shape((shape[1], shape[2]), kernel, stride, padding))


def require_biases(bias: Array, weight: Array) -> None:
    """Raise ``GraphError`` unless there is one bias for each output."""
    require(bias.shape == weight.shape[:1], f"has biases {list(bias.shape)} for weights {list(weight.shape)}")


def channelwise_shape(shape: tuple[int, ...], values: Array) -> tuple[int, ...]:
    """Give back the shape; raise ``GraphError`` unless there is one value for each channel, or one."""
    require(
        values.ndim == 1 and bool(shape) and len(values) in (1, shape[0]),
        f"{list(values.shape)} values for the channels of {list(shape)}",
    )
    return shape
