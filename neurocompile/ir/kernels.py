"""Windows, convolution, pooling and rearrangement in NumPy, channels first, over any number of axes of space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neurocompile.ir.op import MOST_VALUES, Array, require

_BLOCK_VALUES = 1 << 18
"""Patch values made at a time: they have to stay in the cache between being copied and multiplied."""

_CAST_VALUES = 1 << 22
"""Weights that are cast at a time."""


@dataclass(frozen=True)
class Window:
    """A window that slides over space.

    Parameters
    ----------
    kernel
        Its size along each axis.
    stride, dilation
        One number for each axis; empty for ones.
    padding
        Places before each axis, then places after each axis: ONNX's order; empty for zeros.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        axes = len(self.kernel)
        object.__setattr__(self, "stride", self.stride or (1,) * axes)
        object.__setattr__(self, "padding", self.padding or (0,) * 2 * axes)
        object.__setattr__(self, "dilation", self.dilation or (1,) * axes)

    @property
    def places(self) -> int:
        """How many values a window holds."""
        return math.prod(self.kernel)

    @property
    def before(self) -> tuple[int, ...]:
        """The padding before each axis."""
        return self.padding[: len(self.kernel)]

    @property
    def after(self) -> tuple[int, ...]:
        """The padding after each axis."""
        return self.padding[len(self.kernel) :]

    def positions(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Count the window's positions along each axis; raise ``GraphError`` if it does not fit."""
        axes = len(self.kernel)
        require(len(size) == axes, f"has a window of {axes} axes for a space of {list(size)}")
        require(
            len(self.stride) == len(self.dilation) == axes and len(self.padding) == 2 * axes,
            f"has kernel={self.kernel}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}",
        )
        numbers = (*self.kernel, *self.stride, *self.dilation)
        require(
            min(numbers) > 0 and max(numbers) <= MOST_VALUES,
            f"has kernel={self.kernel}, stride={self.stride}, dilation={self.dilation}",
        )
        padded = [n + before + after for n, before, after in zip(size, self.before, self.after, strict=True)]
        require(min(self.padding) >= 0 and math.prod(padded) <= MOST_VALUES, f"has padding={self.padding}")
        found = tuple(
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(padded, self.kernel, self.stride, self.dilation, strict=True)
        )
        require(min(found) > 0, f"a window of {self.kernel} does not fit into {size} with padding {self.padding}")
        return found

    def pad(self, x: Array, value: float = 0) -> Array:
        """Pad the last axes with a value."""
        if not any(self.padding):
            return x
        around = [(0, 0)] * (x.ndim - len(self.kernel)) + list(zip(self.before, self.after, strict=True))
        return np.pad(x, around, constant_values=np.asarray(value, x.dtype))

    def taps(self, x: Array, positions: tuple[int, ...]) -> Array:
        """View padded images as windows: ``(..., *kernel, *positions)``, without a copy."""
        axes = len(self.kernel)
        lead, space = x.strides[:-axes], x.strides[-axes:]
        within = tuple(step * d for step, d in zip(space, self.dilation, strict=True))
        between = tuple(step * s for step, s in zip(space, self.stride, strict=True))
        shape = (*x.shape[:-axes], *self.kernel, *positions)
        return np.lib.stride_tricks.as_strided(x, shape, (*lead, *within, *between), writeable=False)


def conv(x: Array, weight: Array, window: Window, groups: int) -> Array:
    """Correlate images with kernels, in the weight's data type.

    Parameters
    ----------
    x
        ``(N, C, *space)``, any type that casts to the weight's.
    weight
        ``(out, C // groups, *kernel)``, of a type that BLAS multiplies.

    Returns
    -------
    Array
        ``(N, out, *positions)``, of the weight's type.
    """
    outputs, channels = weight.shape[0], weight.shape[1] * groups
    positions = window.positions(x.shape[2:])
    lines, line = positions[0], math.prod(positions[1:])
    matrix = weight.reshape(1, groups, outputs // groups, -1)
    y = np.empty((len(x), groups, outputs // groups, lines * line), weight.dtype)
    # Several images at a time, or some of the lines of one that is large.
    values = channels * window.places * line
    block, part = max(1, _BLOCK_VALUES // (values * lines)), max(1, min(lines, _BLOCK_VALUES // values))
    room = np.empty(min(block, len(x)) * values * part, weight.dtype)
    for start in range(0, len(x), block):
        images = window.pad(x[start : start + block].astype(weight.dtype))
        by_line = np.moveaxis(window.taps(images, positions), 2 + len(window.kernel), 0)
        for first in range(0, lines, part):
            taps = np.moveaxis(by_line[first : first + part], 0, 2 + len(window.kernel))
            patches = room[: taps.size].reshape(taps.shape)
            np.copyto(patches, taps)
            sums = y[start : start + block, ..., first * line : (first + part) * line]
            np.matmul(matrix, patches.reshape(len(images), groups, -1, sums.shape[-1]), out=sums)
    return y.reshape(len(x), outputs, *positions)


def linear(x: Array, weight: Array) -> Array:
    """Multiply ``(N, in)`` by weights ``(out, in)`` of any real type, in float64 without a copy of them all."""
    y = np.empty((len(x), len(weight)))
    block = max(1, _CAST_VALUES // max(1, weight.shape[1]))
    for start in range(0, len(weight), block):
        y[:, start : start + block] = x @ weight[start : start + block].astype(np.float64, copy=False).T
    return y


def pool_sum(x: Array, window: Window) -> Array:
    """Sum each window of ``(N, C, *space)``, in the type of ``x``."""
    return _reduce(np.add, x, window, 0)


def pool_max(x: Array, window: Window) -> Array:
    """Take each window's maximum; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _reduce(np.maximum, x, window, lowest)


def _reduce(combine: np.ufunc, x: Array, window: Window, fill: float) -> Array:
    positions = window.positions(x.shape[2:])
    if window.kernel == x.shape[2:] and not any(window.padding):
        whole: Array = combine.reduce(x, axis=tuple(range(2, x.ndim)), dtype=x.dtype, keepdims=True)
        return whole
    axes = len(window.kernel)
    by_place = np.moveaxis(window.taps(window.pad(x, fill), positions), range(2, 2 + axes), range(axes))
    first, *rest = np.ndindex(window.kernel)
    result: Array = by_place[first].copy()
    for place in rest:
        combine(result, by_place[place], out=result)
    return result


def rearrange(x: Array, index: Array) -> Array:
    """Give each place of ``index`` the value that it names in the flattened image, and 0 where it is -1."""
    values = x.reshape(len(x), -1)
    if index.min() < 0:
        # One more value, to which -1 wraps around.
        values = np.pad(values, ((0, 0), (0, 1)))
    return np.take(values, index, axis=1, mode="wrap")
