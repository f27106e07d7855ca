"""What the weights of a layer are applied to, as rows of numbers: for fitting and rounding them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurocompile.ir import Array, Op
from neurocompile.ir.layers import Conv
from neurocompile.ir.processes import ConvSynapses

MOST_ROWS = 60_000
"""That are taken of a layer: more do not change what is fitted."""


def groups(op: Op) -> int:
    """Count the groups of a layer's weights."""
    return op.groups if isinstance(op, Conv | ConvSynapses) else 1


def places(op: Op, shape: tuple[int, ...], images: int, seed: int) -> Array:
    """Draw the places of a layer's output that stand for all, the same ones for the same seed.

    Parameters
    ----------
    op
        A convolution or a linear layer, or its synapses.
    shape
        Of its output.
    images
        How many there are in all.
    seed
        Of the drawing.

    Returns
    -------
    Array
        Indices into the flattened space of the output: ``(p,)``; a linear layer has one place.
    """
    space = math.prod(shape[1:]) if isinstance(op, Conv | ConvSynapses) else 1
    wanted = min(space, max(1, MOST_ROWS // images))
    return np.sort(np.random.default_rng(seed).choice(space, wanted, replace=False))


def inputs_at(op: Op, x: Array, at: Array) -> Array:
    """Give what the weights are applied to at some places.

    Parameters
    ----------
    op
        A convolution or a linear layer, or its synapses.
    x
        Its input ``(B, *shape)``.
    at
        Places, as ``places`` draws them.

    Returns
    -------
    Array
        ``(groups, B * p, in)``, the inputs in the order of one output's weights.
    """
    if not isinstance(op, Conv | ConvSynapses):
        return x.reshape(1, len(x), -1).astype(np.float64)
    window = op.window
    positions = window.positions(x.shape[2:])
    taps = window.taps(window.pad(x), positions)
    chosen: tuple[Any, ...] = (Ellipsis, *np.unravel_index(at, positions))
    rows = taps[chosen]
    grouped = rows.reshape(len(x), op.groups, -1, len(at))
    moved: Array = np.moveaxis(grouped, (1, 3), (0, 2))
    return moved.reshape(op.groups, len(x) * len(at), -1).astype(np.float64)


def outputs_at(op: Op, y: Array, at: Array) -> Array:
    """Give a layer's output ``(B, *shape)`` at some places: ``(groups, B * p, out)``, rows as of ``inputs_at``."""
    if not isinstance(op, Conv | ConvSynapses):
        return y.reshape(1, len(y), -1)
    values = y.reshape(len(y), op.groups, -1, math.prod(y.shape[2:]))[..., at]
    moved: Array = np.moveaxis(values, (1, 3), (0, 2))
    return moved.reshape(op.groups, len(y) * len(at), -1)
