"""Where membranes start."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import AvgPool, Conv

_PATTERN = np.array([[-0.375, 0.125], [0.375, -0.125]])
"""Ordered dither of 2 x 2 (Bayer 1973): neighbours round at different values, so that their mean has four times as
many levels."""

_ELSEWHERE = 0.25
"""Of the pattern where neighbours are not averaged with equal weights."""


def dithered(layers: Graph, name: str) -> Array:
    """Give where the membranes of a ReLU's neurons are to start, in thresholds: one half and the pattern.

    Returns
    -------
    Array
        Broadcasts against one image; the pattern runs over the last two axes of space, its diagonal over one.
    """
    shape = layers.types[name].shape
    readers = [node.op for node in layers.consumers(name)]
    if len(shape) < 2 or not any(isinstance(op, AvgPool | Conv) for op in readers):
        return np.array(0.5)
    strength = 1.0 if any(isinstance(op, AvgPool) for op in readers) else _ELSEWHERE
    space = shape[1:]
    if len(space) == 1:
        pattern = _PATTERN.diagonal()[np.arange(space[0]) % 2]
    else:
        rows, columns = (np.arange(n) % 2 for n in space[-2:])
        pattern = _PATTERN[rows[:, None], columns]
    start: Array = 0.5 + strength * pattern[None]
    return start
