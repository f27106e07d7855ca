"""The shapes of what operators of both dialects give out, and what has to fit."""

from __future__ import annotations

import math

import numpy as np

from neurocompile.ir.kernels import Window
from neurocompile.ir.op import Array, require


def conv_shape(shape: tuple[int, ...], weight: tuple[int, ...], window: Window, groups: int) -> tuple[int, ...]:
    """Give the output's shape of a convolution; raise ``GraphError`` where the input doesn't fit."""
    require(len(weight) > 2, f"has weights {list(weight)}, not (outputs, inputs, *kernel)")
    require(
        len(shape) == len(weight) - 1, f"takes (channels, *space) of {len(weight) - 1} axes, not {list(shape)}"
    )
    require(min(groups, *weight) > 0, f"has weights {list(weight)} in {groups} groups")
    outputs, channels = weight[:2]
    require(
        shape[0] == channels * groups and outputs % groups == 0,
        f"weights {list(weight)} in {groups} groups do not fit an input of {list(shape)}",
    )
    return (outputs, *window.positions(shape[1:]))


def linear_shape(shape: tuple[int, ...], weight: tuple[int, ...]) -> tuple[int, ...]:
    """Give the output's shape of a fully connected layer; raise ``GraphError`` where the input doesn't fit."""
    require(
        len(shape) == 1 and len(weight) == 2 and shape[0] == weight[1] and weight[0] > 0,
        f"weights {list(weight)} do not fit an input of {list(shape)}",
    )
    return (weight[0],)


def pool_shape(shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    """Give the output's shape of a pool; raise ``GraphError`` where the input doesn't fit."""
    require(len(shape) > 1, f"takes (channels, *space), not {list(shape)}")
    positions = window.positions(shape[1:])
    for n, k, s, d, before, count in zip(
        shape[1:], window.kernel, window.stride, window.dilation, window.before, positions, strict=True
    ):
        starts = np.arange(count) * s - before
        # The first of a window's places that does not lie in the padding before.
        first = np.maximum(-(starts // d), 0)
        inside = (first < k) & (starts + first * d < n)
        require(
            bool(inside.all()), f"padding {window.padding} leaves windows of {window.kernel} with nothing inside"
        )
    return (shape[0], *positions)


def reshaped(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """Give the target; raise ``GraphError`` unless it holds as many values."""
    fits = min(target, default=1) > 0 and math.prod(shape) == math.prod(target)
    require(fits, f"shapes {list(shape)} as {list(target)}")
    return target


def rearranged(shape: tuple[int, ...], index: Array) -> tuple[int, ...]:
    """Give the index's shape; raise ``GraphError`` if it points outside the image."""
    require(index.dtype.kind == "i" and index.size > 0, f"has an index of {index.dtype} {list(index.shape)}")
    inside = int(index.min()) >= -1 and int(index.max()) < math.prod(shape)
    require(inside, f"has an index that points outside an image of {list(shape)}")
    return index.shape


def one_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape that all have; raise ``GraphError`` if they differ."""
    require(len(set(shapes)) == 1, f"combines tensors of different shapes: {[list(s) for s in shapes]}")
    return shapes[0]


def require_biases(bias: Array, weight: Array) -> None:
    """Raise ``GraphError`` unless there is one bias for each output."""
    require(bias.shape == weight.shape[:1], f"has biases {list(bias.shape)} for weights {list(weight.shape)}")
