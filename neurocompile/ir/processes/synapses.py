"""What lies between two layers of neurons, and has no state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurocompile.ir import fixed_point, kernels
from neurocompile.ir.layers import channelwise_shape, conv_shape, linear_shape, per_channel, pool_shape
from neurocompile.ir.op import Array, TensorType, require
from neurocompile.ir.processes.process import Process


@dataclass(frozen=True, eq=False)
class Synapses(Process, abstract=True):
    """Weights between two processes.

    In an integer stream the weights are ``int8`` mantissas and the sum is shifted by ``weight_exponent``.
    """

    weight: Array
    weight_exponent: int = 0

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        require(
            (self.weight.dtype == np.int8) == output.integer and (output.integer or not self.weight_exponent),
            f"has {self.weight.dtype} weights, and its input is a {inputs[0]}",
        )
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        if self.weight.dtype != np.int8:
            return each_step(lambda x: self.multiply(x, self.weight), inputs[0])
        weight = self.weight.astype(self._exact_type(inputs[0].dtype))
        # Sums of graded values may need more than 32 bits until they are shifted.
        wide = np.int32 if weight.dtype == np.float32 else np.int64

        def current(x: Array) -> Array:
            shifted = fixed_point.shift(self.multiply(x, weight).astype(wide), self.weight_exponent)
            return shifted.astype(np.int32, copy=False)

        return each_step(current, inputs[0])

    def _exact_type(self, received: np.dtype[Any]) -> type[np.floating]:
        """Choose the smallest float type in which BLAS sums these integers exactly, in whatever order."""
        largest = 1 if received == np.bool_ else np.iinfo(received).max
        row = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1).sum(axis=1).max()
        return np.float32 if largest * row < 2**24 else np.float64

    @abstractmethod
    def multiply(self, x: Array, weight: Array) -> Array:
        """Apply the weights, given in the type to compute in, to ``(N, *shape)``."""

    @abstractmethod
    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:
        """Count the synapses that a spike at each input drives.

        Parameters
        ----------
        shape
            Of the input.
        beyond
            For each output, the synapses that it drives further on, 1 where it ends in a neuron.
        """


@dataclass(frozen=True, eq=False)
class ConvSynapses(Synapses):
    """Shared kernels: weight ``(out, in // groups, kh, kw)``; the rest as in ``Conv``."""

    stride: tuple[int, int] = (1, 1)
    padding: kernels.Padding = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return conv_shape(shapes[0], self.weight.shape, self.stride, self.padding, self.dilation, self.groups)

    def multiply(self, x: Array, weight: Array) -> Array:  # noqa: D102
        return kernels.conv2d(x, weight, self.stride, self.padding, self.dilation, self.groups)

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        per_group = beyond.reshape(self.groups, -1, *beyond.shape[1:]).sum(axis=1)
        per_channel_ = np.repeat(per_group, shape[0] // self.groups, axis=0)
        kernel = (self.weight.shape[2], self.weight.shape[3])
        return _spread(per_channel_, shape, kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True, eq=False)
class LinearSynapses(Synapses):
    """All to all: weight ``(out, in)``."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return linear_shape(shapes[0], self.weight.shape)

    def multiply(self, x: Array, weight: Array) -> Array:  # noqa: D102
        y: Array = x.astype(weight.dtype) @ weight.T
        return y

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        return np.full(shape, beyond.sum())


@dataclass(frozen=True, eq=False)
class ScaleSynapses(Synapses):
    """One to one: weight ``(channels,)``, or ``(1,)`` for all channels."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return channelwise_shape(shapes[0], self.weight)

    def multiply(self, x: Array, weight: Array) -> Array:  # noqa: D102
        return x * per_channel(weight, x.ndim - 1)

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102, ARG002
        return beyond


@dataclass(frozen=True, eq=False)
class PoolSynapses(Process):
    """The sum of each window; whatever follows has the division by the window's size in its weights."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: kernels.Padding = (0, 0, 0, 0)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.kernel, self.stride, self.padding)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        dtype = inputs[0].dtype
        if dtype == np.bool_:
            # Small counts of spikes keep memory small; pools of pools need the width.
            dtype = np.min_scalar_type(self.kernel[0] * self.kernel[1])
        elif dtype.kind in "iu":
            dtype = np.dtype(np.int32)

        def total(x: Array) -> Array:
            return kernels.pool_sum(x.astype(dtype), self.kernel, self.stride, self.padding)

        return each_step(total, inputs[0])

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:
        """Count the synapses that a spike at each input drives; see ``Synapses.fan_out``."""
        return _spread(beyond, shape, self.kernel, self.stride, self.padding, (1, 1))


@dataclass(frozen=True, eq=False)
class FlattenSynapses(Process):
    """All axes of an image into one; wires, no weights."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return (int(np.prod(shapes[0])),)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return each_step(lambda x: x.reshape(len(x), -1), inputs[0])

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:
        """Count the synapses that a spike at each input drives; see ``Synapses.fan_out``."""
        return beyond.reshape(shape)


@dataclass(frozen=True, eq=False)
class CurrentSum(Process):
    """The sum of several currents into one neuron."""

    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require(len(set(shapes)) == 1, f"adds currents of different shapes: {[list(s) for s in shapes]}")
        return shapes[0]

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return sum(inputs[1:], start=inputs[0])


def each_step(kernel: Callable[[Array], Array], stream: Array) -> Array:
    """Apply what has no state, ``(N, *shape)`` to ``(N, *shape)``, to every step of a stream."""
    steps, images = stream.shape[:2]
    if stream.strides[0] == 0:
        once = kernel(stream[0])
        return np.broadcast_to(once, (steps, *once.shape))
    result = kernel(stream.reshape(steps * images, *stream.shape[2:]))
    return result.reshape(steps, images, *result.shape[1:])


def _spread(
    beyond: Array,
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: kernels.Padding,
    dilation: tuple[int, int],
) -> Array:
    """Add up, for each input, ``beyond`` over the window positions that hold it: a window's transpose."""
    top, left, bottom, right = padding
    rows, columns = beyond.shape[1:]
    padded = np.zeros((shape[0], shape[1] + top + bottom, shape[2] + left + right), beyond.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, x = i * dilation[0], j * dilation[1]
            padded[:, y : y + rows * stride[0] : stride[0], x : x + columns * stride[1] : stride[1]][
                :, :rows, :columns
            ] += beyond
    return padded[:, top : top + shape[1], left : left + shape[2]]
