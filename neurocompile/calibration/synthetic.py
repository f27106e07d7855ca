"""What stands in for calibration images where there are none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Identity,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
)

IMAGES = 256
"""That are made."""

_MARGIN = 2.0
"""How much larger real activations may be than those of synthetic images: a digit more."""

_SMOOTHINGS = 4
"""Each of which averages neighbours once more than the one before."""


def synthetic_images(entry: Input) -> Array:
    """Make images ``(IMAGES, *shape)``: noise, the smoother the later, with different brightness and contrast.

    Their values go from 0 to 255 where the model takes bytes, and else from 0 to 1: a guess.
    """
    rng = np.random.default_rng(0)
    images = rng.random((IMAGES, *entry.shape))
    each = -(-IMAGES // _SMOOTHINGS)
    for start in range(each, IMAGES, each):
        for axis in range(2, images.ndim):
            rest = images[start:]
            images[start:] = (np.roll(rest, 1, axis) + rest + np.roll(rest, -1, axis)) / 3
    flat = images.reshape(IMAGES, -1)
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    stretched = (flat - low) / np.maximum(high - low, np.finfo(float).tiny)
    brightness = rng.random((IMAGES, 1))
    images = np.clip(stretched ** (2 ** (4 * brightness - 2)), 0, 1).reshape(images.shape)
    if entry.dtype == "uint8":
        images = np.rint(255 * images)
    return np.asarray(images, entry.dtype)


def safe_ceilings(graph: Graph, measured: Mapping[str, Array], largest: float) -> dict[str, Array]:
    """Give thresholds that real images hardly pass: twice those of synthetic ones, or what no image can pass.

    Parameters
    ----------
    graph
        Of layers.
    measured
        For each ReLU the thresholds on synthetic images.
    largest
        Of the input's values, which start at 0.
    """
    bounds = interval_bounds(graph, 0.0, largest)
    found = {}
    for name, threshold in measured.items():
        op = graph[name].op
        assert isinstance(op, ReLU)
        # A ReLU that has a ceiling of its own is never above it.
        most = np.minimum(float(bounds[name][1].max()), op.ceiling)
        found[name] = np.maximum(threshold, np.minimum(_MARGIN * threshold, most))
    return found


def interval_bounds(graph: Graph, lowest: float, highest: float) -> dict[str, tuple[Array, Array]]:
    """Bound every layer's values by interval arithmetic (Moore 1966), whatever the image.

    Parameters
    ----------
    graph
        Of layers that spikes compute.
    lowest, highest
        Of the input's values.

    Returns
    -------
    dict
        For each node the lowest and the highest value at each place of an image.
    """
    found: dict[str, tuple[Array, Array]] = {}
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Input):
            found[node.name] = np.full(op.shape, lowest), np.full(op.shape, highest)
            continue
        low, high = zip(*(found[name] for name in node.inputs), strict=True)
        if isinstance(op, Conv | Linear | Affine):
            # The middle is led through the layer, and the half width through the sizes of its weights.
            middle, half = (high[0] + low[0]) / 2, (high[0] - low[0]) / 2
            centre, width = op.run(middle[None])[0], _of_sizes(op).run(half[None])[0]
            found[node.name] = centre - width, centre + width
        elif isinstance(op, Add | AvgPool | Concat | Identity | MaxPool | Rearrange | ReLU | Reshape):
            # The larger the inputs of these, the larger what they give.
            found[node.name] = op.run(*(x[None] for x in low))[0], op.run(*(x[None] for x in high))[0]
    return found


def _of_sizes(op: Conv | Linear | Affine) -> Conv | Linear | Affine:
    """Give the layer with the sizes of its weights, and without a bias."""
    if isinstance(op, Affine):
        return Affine(np.abs(op.scale), np.zeros(1))
    if isinstance(op, Linear):
        return Linear(np.abs(op.weight), np.zeros(len(op.weight)))
    return Conv(np.abs(op.weight), np.zeros(len(op.weight)), op.stride, op.padding, op.dilation, op.groups)
