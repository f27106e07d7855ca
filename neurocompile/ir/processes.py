"""The process dialect: encoder, synapses, neurons and decoder, on streams ``(T, B, *shape)``.

Each operator computes all steps at once, in the order of its inputs: a feed-forward network has no feedback in
time, so one process can finish before the next starts. An integer stream follows Loihi's fixed-point rules.
A stream that is constant in time is a view with stride 0 along the time axis; synapses keep it so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from neurocompile.ir import fixed_point, kernels
from neurocompile.ir.layers import channelwise_shape, conv_shape, linear_shape, per_channel, pool_shape
from neurocompile.ir.op import Array, Op, TensorType, require

EncoderCode = Literal["constant", "poisson"]
Reset = Literal["subtract", "zero"]


class Process(Op, abstract=True):
    """An operator of the process dialect."""

    def infer(self, *inputs: TensorType) -> TensorType:
        """Give the output's type; raise ``GraphError`` where the inputs don't fit."""
        require(all(t.stream for t in inputs), "a process takes streams, and an input is none")
        require(len({t.integer for t in inputs}) <= 1, "adds an integer stream to a real one")
        integer = inputs[0].integer if inputs else False
        return TensorType(self.output_shape(*(t.shape for t in inputs)), stream=True, integer=integer)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Give the output's shape; the inputs' where the operator works element by element."""
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Encoder(Process):
    """Turns images into what the first synapses receive at every step.

    Parameters
    ----------
    shape
        Of one image.
    code
        ``constant``: the same graded value at every step. ``poisson``: a spike with the probability
        ``min(abs(x) / ceiling, 1)`` at every step, negative where ``x`` is (Diehl et al. 2015).
    ceiling
        The input value that the code's largest value stands for.
    levels
        Steps of the graded value between 0 and the ceiling, rounded to the nearest and clipped; 0 leaves it
        unrounded and unclipped.
    seed
        Of the Poisson spikes. Each image has a generator of its own, so the spikes do not depend on how images
        are grouped.
    integer
        Whether it gives out Loihi integers.
    """

    arity: ClassVar[int | None] = 0
    shape: tuple[int, ...]
    code: EncoderCode = "constant"
    ceiling: float = 1.0
    levels: int = 0
    seed: int = 0
    integer: bool = False

    @property
    def unit(self) -> float:
        """The input value that a stream's 1 stands for."""
        return self.ceiling / self.levels if self.code == "constant" and self.levels else self.ceiling

    def infer(self, *_: TensorType) -> TensorType:  # noqa: D102
        require(min(self.shape, default=1) > 0, f"has the shape {list(self.shape)}")
        require(self.ceiling > 0 and self.levels >= 0, f"has ceiling={self.ceiling} and levels={self.levels}")
        whole = self.code == "poisson" or self.levels > 0
        require(whole or not self.integer, "sends integers, and has no levels to round them to")
        return TensorType(self.shape, stream=True, integer=self.integer)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0]

    def encode(self, x: Array, steps: int, first: int = 0) -> Array:
        """Encode images.

        Parameters
        ----------
        x
            ``(B, *shape)``.
        steps
            T.
        first
            The index of ``x[0]`` in the data set.

        Returns
        -------
        Array
            The stream ``(T, B, *shape)``.
        """
        share = x.astype(np.float64) / self.ceiling
        if self.code == "poisson":
            return self._poisson(share, steps, first)
        if self.levels:
            share = np.rint(np.clip(share, -1, 1) * self.levels)
        if self.integer:
            share = share.astype(np.int32)
        return np.broadcast_to(share, (steps, *share.shape))

    def _poisson(self, share: Array, steps: int, first: int) -> Array:
        stream = np.empty((steps, *share.shape), np.int8)
        for i, image in enumerate(share):
            generator = np.random.default_rng([self.seed, first + i])
            fired = generator.random((steps, *self.shape)) < np.abs(image)
            stream[:, i] = fired * np.sign(image).astype(np.int8)
        return stream


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

    def multiply(self, x: Array, weight: Array) -> Array:
        """Apply the weights, given in the type to compute in, to ``(N, *shape)``."""
        raise NotImplementedError

    def fan_out(self, shape: tuple[int, ...], beyond: Array) -> Array:
        """Count the synapses that a spike at each input drives.

        Parameters
        ----------
        shape
            Of the input.
        beyond
            For each output, the synapses that it drives further on, 1 where it ends in a neuron.
        """
        raise NotImplementedError


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
            dtype = np.min_scalar_type(self.kernel[0] * self.kernel[1])
        elif dtype.kind == "i":
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


@dataclass(frozen=True, eq=False)
class IntegrateAndFire(Process):
    """Integrate-and-fire neurons without leak.

    At each step ``v += current + bias``; where ``v > v_threshold`` the neuron fires, and then either
    ``v -= v_threshold`` (reset by subtraction, Rueckauer et al. 2017) or ``v = 0``.

    In an integer stream ``v += wrap(current << 6) + bias``, saturated at 24 bits.

    Parameters
    ----------
    bias, v_threshold, v_init
        Broadcast against one image's neurons; ``v_init`` is the membrane before the first step.
    reset
        ``subtract`` or ``zero``.
    """

    bias: Array
    v_threshold: Array
    v_init: Array
    reset: Reset = "subtract"

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        for values in (self.bias, self.v_threshold, self.v_init):
            _require_broadcast(values, shapes[0])
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        kinds = {values.dtype.kind for values in (self.bias, self.v_threshold, self.v_init)}
        require(kinds == {"i" if output.integer else "f"}, f"its parameters do not fit a {output}")
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return self._run_integer(inputs[0]) if inputs[0].dtype.kind == "i" else self._run_real(inputs[0])

    def _run_real(self, current: Array) -> Array:
        v = np.empty(current.shape[1:], np.float64)
        v[...] = self.v_init
        spikes = np.empty(current.shape, np.bool_)
        for a, s in zip(current, spikes, strict=True):
            v += a
            v += self.bias
            np.greater(v, self.v_threshold, out=s)
            if self.reset == "subtract":
                v -= s * self.v_threshold
            else:
                v[s] = 0
        return spikes

    def _run_integer(self, current: Array) -> Array:
        bias, threshold = self.bias.astype(np.int32), self.v_threshold.astype(np.int32)
        v = np.empty(current.shape[1:], np.int32)
        v[...] = self.v_init
        u = np.empty_like(v)
        spikes = np.empty(current.shape, np.bool_)
        for a, s in zip(current, spikes, strict=True):
            # Shifted left by 8 more bits than the membrane's unit and back, int32 wraps around at 24 bits.
            np.left_shift(a, 32 - fixed_point.MEMBRANE_BITS + fixed_point.CURRENT_SHIFT, out=u, casting="unsafe")
            np.right_shift(u, 32 - fixed_point.MEMBRANE_BITS, out=u)
            u += bias
            v += u
            np.clip(v, -fixed_point.MEMBRANE_MAX, fixed_point.MEMBRANE_MAX, out=v)
            np.greater(v, threshold, out=s)
            if self.reset == "subtract":
                np.multiply(s, threshold, out=u)
                v -= u
            else:
                v[s] = 0
        return spikes


@dataclass(frozen=True, eq=False)
class SpikeMaxPool(Process):
    """Max pooling of spike trains: passes on what the leading input of each window adds.

    The output up to any step is the largest sum that an input of the window has reached by then. On spikes the
    neuron that is first to reach a count gates its window, so the pool fires once for each count reached, and
    its rate converges to the largest rate in the window.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: kernels.Padding = (0, 0, 0, 0)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.kernel, self.stride, self.padding)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        x = inputs[0]
        # Up to 2**24 steps of single spikes can't overflow 32 bits; graded currents get 64.
        wide = np.int64 if x.dtype == np.int32 else np.int32
        total = np.zeros(x.shape[1:], np.float64 if x.dtype.kind == "f" else wide)
        before = kernels.pool_max(total, self.kernel, self.stride, self.padding)
        output = np.empty((len(x), *before.shape), x.dtype)
        for now, out in zip(x, output, strict=True):
            total += now
            leading = kernels.pool_max(total, self.kernel, self.stride, self.padding)
            np.subtract(leading, before, out=out, casting="unsafe")
            before = leading
        return output


@dataclass(frozen=True, eq=False)
class Decoder(Process):
    """Reads the output layer: its accumulated current is the network's answer.

    The stream that it gives out is ``sum over the steps so far of (current + bias)``; on integers the current
    counts ``2 ** 6`` as in a membrane, in 64 bits. Divided by the number of steps and multiplied by ``unit`` it
    estimates the network's real output.

    Parameters
    ----------
    bias
        Broadcast against one image's outputs.
    unit
        The real output that a 1 in the stream stands for.
    """

    bias: Array
    unit: float = 1.0

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        _require_broadcast(self.bias, shapes[0])
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        require(self.bias.dtype.kind == ("i" if output.integer else "f"), f"its bias does not fit a {output}")
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        current = inputs[0]
        if current.dtype.kind != "f":
            current = current.astype(np.int64) << fixed_point.CURRENT_SHIFT
        return np.cumsum(current + self.bias, axis=0)


def each_step(kernel: Callable[[Array], Array], stream: Array) -> Array:
    """Apply what has no state, ``(N, *shape)`` to ``(N, *shape)``, to every step of a stream."""
    steps, images = stream.shape[:2]
    if stream.strides[0] == 0:
        once = kernel(stream[0])
        return np.broadcast_to(once, (steps, *once.shape))
    result = kernel(stream.reshape(steps * images, *stream.shape[2:]))
    return result.reshape(steps, images, *result.shape[1:])


def _require_broadcast(values: Array, shape: tuple[int, ...]) -> None:
    fits = values.ndim <= len(shape) and all(
        a in (1, b) for a, b in zip(reversed(values.shape), reversed(shape), strict=False)
    )
    require(fits, f"parameters of shape {list(values.shape)} do not fit neurons of {list(shape)}")


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
