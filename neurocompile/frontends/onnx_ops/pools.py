"""Operators that take the mean, the sum or the maximum of many values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from neurocompile.frontends.onnx_node import OnnxNode
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.frontends.onnx_ops.windows import read_window
from neurocompile.ir import Array, kernels
from neurocompile.ir.kernels import Window
from neurocompile.ir.layers import Affine, AvgPool, MaxPool, Pool, Reshape


def max_pool(node: OnnxNode) -> str:
    """Convert any window; the places of the maxima, the second output, are not converted."""
    window = _whole_window(node, _window(node))
    return node.add(MaxPool(window.kernel, window.stride, window.padding, window.dilation))


def average_pool(node: OnnxNode) -> str:
    """Convert any window, with the padding counted or not."""
    given = _window(node)
    window = _whole_window(node, given)
    mean = node.add(AvgPool(window.kernel, window.stride, window.padding, window.dilation))
    counts = _counts(node.shape()[1:], given, window, node.flag("count_include_pad", False))
    if not counts.all():
        raise node.error(f"has windows of {window.kernel} with nothing inside", "use less padding")
    gain = window.places / counts
    return mean if np.all(gain == 1) else node.add(Affine(gain, np.zeros(1)), mean)


def _window(node: OnnxNode) -> Window:
    window = read_window(node, node.integers("kernel_shape"))
    if node.text("auto_pad", "NOTSET").startswith("SAME") and any(d != 1 for d in window.dilation):
        # ONNX Runtime leaves the dilation out when it pads pools, against the standard.
        problem = (
            f"pads a window with dilations={list(window.dilation)} by auto_pad, which runtimes do differently"
        )
        raise node.error(problem, "give explicit pads")
    return window


def _whole_window(node: OnnxNode, window: Window) -> Window:
    """Give the window with as much padding behind as windows reach over the edge, where sizes are rounded up."""
    if not node.flag("ceil_mode", False):
        return window
    padding = list(window.padding)
    for axis, (n, k, s, d) in enumerate(
        zip(node.shape()[1:], window.kernel, window.stride, window.dilation, strict=True)
    ):
        free = n + window.before[axis] + window.after[axis] - d * (k - 1) - 1
        over = -free % s if free >= 0 else 0
        # A window that would start behind the image and its padding is left out.
        if over and free + over - window.before[axis] < n:
            padding[axis + len(window.kernel)] += over
    return replace(window, padding=tuple(padding))


def _counts(space: tuple[int, ...], given: Window, whole: Window, with_padding: bool) -> Array:
    """Count what each window's mean is taken over: ``(1, *positions)``."""
    if not with_padding:
        inside: Array = kernels.pool_sum(np.ones((1, 1, *space)), whole)[0]
        return inside
    # The padding counts, what reaches beyond it does not.
    padded = given.pad(np.ones((1, 1, *space)), 1)
    beyond = tuple(w - g for w, g in zip(whole.after, given.after, strict=True))
    counted: Array = kernels.pool_sum(padded, replace(whole, padding=(0,) * len(space) + beyond))[0]
    return counted


def global_average_pool(node: OnnxNode) -> str:
    """Convert any number of axes of space."""
    return node.add(AvgPool(_space(node)))


def global_max_pool(node: OnnxNode) -> str:
    """Convert any number of axes of space."""
    return node.add(MaxPool(_space(node)))


def _space(node: OnnxNode) -> tuple[int, ...]:
    shape = node.shape()
    if len(shape) < 2:
        raise node.error(f"takes (channels, *space), not {list(shape)}", "pool before flattening")
    return shape[1:]


def reduce_mean(node: OnnxNode) -> str:
    """Convert any axes but the batch."""
    return _reduce(node, AvgPool)


def reduce_max(node: OnnxNode) -> str:
    """Convert any axes but the batch."""
    return _reduce(node, MaxPool)


def reduce_sum(node: OnnxNode) -> str:
    """Convert any axes but the batch."""
    reduced = _reduce(node, AvgPool)
    places = math.prod(node.shape()) // math.prod(node.shape_of(reduced))
    return node.add(Affine(np.array([float(places)]), np.zeros(1)), reduced)


def _reduce(node: OnnxNode, pool: type[Pool]) -> str:
    shape = node.shape()
    axes = node.integers_or_input("axes", 1)
    if not axes:
        if node.flag("noop_with_empty_axes", False):
            return node.source()
        raise node.error("works across the images of the batch", "name the axes of height and width")
    reduced = sorted({node.image_axis(axis, len(shape) + 1) for axis in axes})
    kept = [axis for axis in range(len(shape)) if axis not in reduced]
    index = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *reduced)
    size = math.prod(shape[axis] for axis in reduced)
    rows = node.place(index.reshape(-1, size), node.source())
    result = node.add(pool((size,)), rows)
    if node.flag("keepdims", True):
        return node.add(Reshape(tuple(1 if axis in reduced else n for axis, n in enumerate(shape))), result)
    return node.add(Reshape(tuple(shape[axis] for axis in kept)), result)


OPERATORS = {
    "AveragePool": Operator(average_pool, "synapses"),
    "GlobalAveragePool": Operator(global_average_pool, "synapses"),
    "GlobalMaxPool": Operator(global_max_pool, "max pool"),
    "MaxPool": Operator(max_pool, "max pool"),
    "ReduceMax": Operator(reduce_max, "max pool"),
    "ReduceMean": Operator(reduce_mean, "synapses"),
    "ReduceSum": Operator(reduce_sum, "synapses"),
}
