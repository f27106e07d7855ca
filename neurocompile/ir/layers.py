"""The layer dialect: a trained network as the frontends give it, on reals, one value per image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from neurocompile.ir import kernels
from neurocompile.ir.functions import FUNCTIONS
from neurocompile.ir.kernels import Window
from neurocompile.ir.op import Array, Op, TensorType, require, require_broadcast
from neurocompile.ir.shapes import (
    conv_shape,
    linear_shape,
    one_shape,
    pool_shape,
    rearranged,
    require_biases,
    reshaped,
)


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
        require(min(self.shape, default=1) > 0, f"has the shape {list(self.shape)}")
        return self.shape

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """Correlation over any number of axes of space: ``y = weight * x + bias``.

    Parameters
    ----------
    weight
        ``(out, in // groups, *kernel)``.
    bias
        ``(out,)``.
    stride, padding, dilation
        As in ``Window``.
    groups
        As in ONNX.
    """

    weight: Array
    bias: Array
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @property
    def window(self) -> Window:
        """Where the kernel slides."""
        return Window(self.weight.shape[2:], self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_biases(self.bias, self.weight)
        return conv_shape(shapes[0], self.weight.shape, self.window, self.groups)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        weight = self.weight.astype(np.float64, copy=False)
        return kernels.conv(inputs[0], weight, self.window, self.groups) + per_channel(
            self.bias, inputs[0].ndim - 1
        )


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """Fully connected layer: ``y = x @ weight.T + bias``, weight ``(out, in)``."""

    weight: Array
    bias: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_biases(self.bias, self.weight)
        return linear_shape(shapes[0], self.weight.shape)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return kernels.linear(inputs[0], self.weight) + self.bias


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
        require(
            bool(shapes[0]) and self.scale.shape == shapes[0][:1],
            f"has {list(self.scale.shape)} values for the channels of {list(shapes[0])}",
        )
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return self.affine(inputs[0].ndim - 1).run(*inputs)

    def affine(self, dimensions: int) -> Affine:
        """Give the same function as an affine on images of so many axes."""
        gain = self.scale.astype(np.float64) / np.sqrt(self.variance.astype(np.float64) + self.epsilon)
        shift = self.shift - self.mean * gain
        return Affine(per_channel(gain, dimensions), per_channel(shift, dimensions))


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """``y = scale * x + shift``; both arrays broadcast against one image, ``(channels, 1, 1)`` for channels."""

    scale: Array
    shift: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_broadcast(self.scale, shapes[0])
        require_broadcast(self.shift, shapes[0])
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0] * self.scale + self.shift


@dataclass(frozen=True, eq=False)
class ReLU(Layer):
    """``y = min(max(x, 0), ceiling)``; the ceiling, infinite in most networks, broadcasts against one image."""

    ceiling: Array = field(default_factory=lambda: np.array(np.inf))

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_broadcast(self.ceiling, shapes[0])
        require(bool(np.all(self.ceiling > 0)), "has a ceiling that is not above 0")
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        y: Array = np.clip(inputs[0], 0, self.ceiling)
        return y


@dataclass(frozen=True, eq=False)
class Function(Layer):
    """A smooth activation, element by element; spikes compute it piecewise.

    Parameters
    ----------
    name
        In ``functions.FUNCTIONS``.
    alpha, gamma
        Its parameters, where it has any.
    """

    name: str
    alpha: float = 1.0
    gamma: float = 1.0

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(self.name in FUNCTIONS, f"has the unknown function '{self.name}'")
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return FUNCTIONS[self.name](inputs[0], self.alpha, self.gamma)


@dataclass(frozen=True, eq=False)
class Multiply(Layer):
    """The product of two branches of one shape; spikes compute it where both are functions of the same values."""

    arity: ClassVar[int | None] = 2

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return one_shape(*shapes)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0] * inputs[1]


@dataclass(frozen=True, eq=False)
class Choose(Layer):
    """The second branch where the first is above 1/2, else the third; spikes compute it as they do products."""

    arity: ClassVar[int | None] = 3

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return one_shape(*shapes)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return np.where(inputs[0] > 0.5, inputs[1], inputs[2])


@dataclass(frozen=True, eq=False)
class Pool(Layer, abstract=True):
    """A window that slides over each channel; see ``Window``."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @property
    def window(self) -> Window:
        """The window."""
        return Window(self.kernel, self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.window)


@dataclass(frozen=True, eq=False)
class AvgPool(Pool):
    """The mean of each window, the padding's zeros counted in."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return kernels.pool_sum(inputs[0], self.window) / self.window.places


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """The maximum of each window; padding never wins."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return kernels.pool_max(inputs[0], self.window)


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """The values of an image in the same order, in another shape."""

    shape: tuple[int, ...]

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return reshaped(shapes[0], self.shape)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0].reshape(len(inputs[0]), *self.shape)


@dataclass(frozen=True, eq=False)
class Rearrange(Layer):
    """Values that are moved, repeated, left out, or padded with 0.

    Parameters
    ----------
    index
        For each place of the result the place of its value in the flattened image; -1 for a 0.
    """

    index: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return rearranged(shapes[0], self.index)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return kernels.rearrange(inputs[0], self.index)


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Branches side by side along an axis of the image; 0 is the channels."""

    arity: ClassVar[int | None] = None
    axis: int = 0

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        axis = self.axis
        require(0 <= axis < len(shapes[0]), f"joins axis {axis} of {list(shapes[0])}")
        rest = {(len(s), *s[:axis], *s[axis + 1 :]) for s in shapes}
        require(len(rest) == 1, f"joins axis {axis} of tensors of {[list(s) for s in shapes]}")
        return (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return np.concatenate(inputs, axis=self.axis + 1)


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """The sum of branches of one shape."""

    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return one_shape(*shapes)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return sum(inputs[1:], start=inputs[0])


@dataclass(frozen=True, eq=False)
class Identity(Layer):
    """Gives back what it gets, as Dropout does outside training."""

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along an axis of the image, or the logarithm of it."""

    axis: int = 0
    log: bool = False

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(0 <= self.axis < len(shapes[0]), f"works on axis {self.axis} of {list(shapes[0])}")
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        x: Array = inputs[0] - inputs[0].max(axis=self.axis + 1, keepdims=True)
        total: Array = np.exp(x).sum(axis=self.axis + 1, keepdims=True)
        return x - np.log(total) if self.log else np.exp(x) / total


@dataclass(frozen=True, eq=False)
class ArgMax(Layer):
    """The place of the largest value along an axis of the image, which stays as one place; the first of equals."""

    axis: int = 0

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(0 <= self.axis < len(shapes[0]), f"works on axis {self.axis} of {list(shapes[0])}")
        return (*shapes[0][: self.axis], 1, *shapes[0][self.axis + 1 :])

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        place: Array = inputs[0].argmax(axis=self.axis + 1, keepdims=True)
        return place.astype(np.float64)


def per_channel(values: Array, dimensions: int) -> Array:
    """Shape ``(channels,)`` so that it broadcasts against ``(channels, *space)``, of so many axes."""
    return values.reshape(-1, *[1] * (dimensions - 1))


def channels_of(values: Array, dimensions: int) -> Array | None:
    """Give values that broadcast against an image as ``(channels,)`` or ``(1,)``; None if they vary over space."""
    aligned = (1,) * (dimensions - values.ndim) + values.shape
    return values.reshape(-1) if all(n == 1 for n in aligned[1:]) else None


def compact(values: Array) -> Array:
    """Keep one of an image's values where all are equal, or one for each channel where all of a channel's are."""
    if not values.ndim:
        return values.reshape(1)
    rows = values.reshape(len(values), -1)
    if np.any(rows != rows[:, :1]):
        return values
    return rows[:1, 0] if np.all(rows == rows[0, 0]) else per_channel(rows[:, 0], values.ndim)
