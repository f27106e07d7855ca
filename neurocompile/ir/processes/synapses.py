"""What lies between two layers of neurons, and has no state."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from neurocompile.ir import fixed_point, kernels
from neurocompile.ir.kernels import Window
from neurocompile.ir.op import Array, TensorType, require, require_broadcast
from neurocompile.ir.processes.process import Process
from neurocompile.ir.shapes import conv_shape, linear_shape, one_shape, pool_shape, rearranged, reshaped


class Connections(Process, abstract=True):
    """Leads what a source sends on towards a receiver."""

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
class Synapses(Connections, abstract=True):
    """Weights between two processes.

    In an integer stream the weights are ``int8`` mantissas and the sum is shifted by ``weight_exponent``.
    """

    weight: Array
    weight_exponent: int = 0

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        dtype = self.weight.dtype
        fits = dtype == np.int8 if output.integer else dtype.kind == "f" and not self.weight_exponent
        require(
            fits, f"has {dtype} weights with the exponent {self.weight_exponent}, and its input is a {inputs[0]}"
        )
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        if self.weight.dtype != np.int8:
            return each_step(lambda x: self.multiply(x, self.weight), inputs[0])
        return each_step(self._integer_current, inputs[0])

    def _integer_current(self, x: Array) -> Array:
        weight = self.weight.astype(self._exact_type(x))
        # Sums of graded values may need more than 32 bits until they are shifted.
        wide = np.int32 if weight.dtype == np.float32 else np.int64
        shifted = fixed_point.shift(self.multiply(x, weight).astype(wide), self.weight_exponent)
        return shifted.astype(np.int32, copy=False)

    def _exact_type(self, x: Array) -> type[np.floating]:
        """Choose the smallest float type in which BLAS sums these integers exactly, in whatever order."""
        largest = 1 if x.dtype == np.bool_ else max(int(x.max(initial=0)), -int(x.min(initial=0)))
        return np.float32 if largest * self.gain < 2**24 else np.float64

    @cached_property
    def gain(self) -> float:
        """The largest current, before the shift, that inputs of size 1 can cause."""
        rows = np.abs(self.weight.astype(np.float64)).reshape(len(self.weight), -1)
        return float(rows.sum(axis=1).max())

    @abstractmethod
    def multiply(self, x: Array, weight: Array) -> Array:
        """Apply the weights, given in the type to compute in, to ``(N, *shape)``."""


@dataclass(frozen=True, eq=False)
class ConvSynapses(Synapses):
    """Shared kernels: weight ``(out, in // groups, *kernel)``; the rest as in ``Conv``."""

    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @property
    def window(self) -> Window:
        """Where the kernel slides."""
        return Window(self.weight.shape[2:], self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return conv_shape(shapes[0], self.weight.shape, self.window, self.groups)

    def multiply(self, x: Array, weight: Array) -> Array:  # noqa: D102
        return kernels.conv(x, weight, self.window, self.groups)

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        per_group = beyond.reshape(self.groups, -1, *beyond.shape[1:]).sum(axis=1)
        return _spread(np.repeat(per_group, shape[0] // self.groups, axis=0), shape, self.window)


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
    """One to one: the weight broadcasts against one image, ``(channels, 1, 1)`` for one weight a channel."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_broadcast(self.weight, shapes[0])
        return shapes[0]

    @cached_property
    def gain(self) -> float:
        """The largest current, before the shift, that an input of size 1 can cause."""
        return float(np.abs(self.weight.astype(np.float64)).max())

    def multiply(self, x: Array, weight: Array) -> Array:  # noqa: D102
        return x * weight

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102, ARG002
        return beyond


@dataclass(frozen=True, eq=False)
class PoolSynapses(Connections):
    """The sum of each window; whatever follows has the division by the window's size in its weights."""

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

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        dtype = inputs[0].dtype
        if dtype == np.bool_:
            # Small counts of spikes keep memory small; pools of pools need the width.
            dtype = np.min_scalar_type(self.window.places)
        elif dtype.kind in "iu":
            dtype = np.dtype(np.int32)
        return each_step(lambda x: kernels.pool_sum(x.astype(dtype), self.window), inputs[0])

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        return _spread(beyond, shape, self.window)


@dataclass(frozen=True, eq=False)
class ReshapeSynapses(Connections):
    """The same values in another shape; wires, no weights."""

    shape: tuple[int, ...]

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return reshaped(shapes[0], self.shape)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return each_step(lambda x: x.reshape(len(x), *self.shape), inputs[0])

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        return beyond.reshape(shape)


@dataclass(frozen=True, eq=False)
class WireSynapses(Connections):
    """Values that are moved, repeated or left out; wires, no weights.

    Parameters
    ----------
    index
        For each place of the result the place of its value in the flattened image; -1 for silence.
    """

    index: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return rearranged(shapes[0], self.index)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return each_step(lambda x: kernels.rearrange(x, self.index), inputs[0])

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:  # noqa: D102
        counts = np.zeros(math.prod(shape), beyond.dtype)
        wired = self.index >= 0
        np.add.at(counts, self.index[wired], beyond[wired])
        return counts.reshape(shape)


@dataclass(frozen=True, eq=False)
class CurrentSum(Process):
    """The sum of several currents into one neuron."""

    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return one_shape(*shapes)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        if all(x.strides[0] == 0 for x in inputs):
            once = _total([x[:1] for x in inputs])
            return np.broadcast_to(once, (len(inputs[0]), *once.shape[1:]))
        return _total(inputs)


def each_step(kernel: Callable[[Array], Array], stream: Array) -> Array:
    """Apply what has no state, ``(N, *shape)`` to ``(N, *shape)``, to every step of a stream."""
    steps, images = stream.shape[:2]
    if stream.strides[0] == 0:
        once = kernel(stream[0])
        return np.broadcast_to(once, (steps, *once.shape))
    result = kernel(stream.reshape(steps * images, *stream.shape[2:]))
    return result.reshape(steps, images, *result.shape[1:])


def _total(streams: Sequence[Array]) -> Array:
    """Add streams up in a type that holds every sum; NumPy's own sum of two spikes would be one spike."""
    kinds = {x.dtype.kind for x in streams}
    wide = np.dtype(np.float64 if "f" in kinds else np.int32)
    total = streams[0].astype(np.min_scalar_type(len(streams)) if kinds == {"b"} else wide)
    for x in streams[1:]:
        total += x
    return total


def _spread(beyond: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Add up, for each input, ``beyond`` over the window positions that hold it: a window's transpose."""
    size = [b + n + a for b, n, a in zip(window.before, shape[1:], window.after, strict=True)]
    padded = np.zeros((shape[0], *size), beyond.dtype)
    every_channel = (slice(None),)
    for place in np.ndindex(window.kernel):
        reached = tuple(
            slice(i * d, i * d + (count - 1) * s + 1, s)
            for i, d, s, count in zip(place, window.dilation, window.stride, beyond.shape[1:], strict=True)
        )
        padded[every_channel + reached] += beyond
    inside = tuple(slice(b, b + n) for b, n in zip(window.before, shape[1:], strict=True))
    return padded[every_channel + inside]
