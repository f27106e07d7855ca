"""Arithmetic on weights ``(out, in // groups, ...)``."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.layers import per_channel


def scale_outputs(weight: Array, scale: Array) -> Array:
    """Multiply the weights into each output channel; ``scale`` is ``(out,)`` or ``(1,)``."""
    scaled: Array = weight * per_channel(scale, weight.ndim)
    return scaled


def scale_inputs(weight: Array, scale: Array, groups: int = 1) -> Array:
    """Multiply the weights out of each input channel.

    Parameters
    ----------
    weight
        ``(out, in // groups, ...)``.
    scale
        ``(in,)`` or ``(1,)``; fewer values than inputs stand for channels that were flattened, each repeated.
    groups
        Of a convolution.
    """
    outputs, channels = weight.shape[:2]
    per_input = np.repeat(scale, channels * groups // len(scale)) if len(scale) > 1 else scale
    grouped = np.broadcast_to(per_input, (channels * groups,)).reshape(groups, 1, channels)
    by_group = weight.reshape(groups, outputs // groups, channels, -1)
    scaled: Array = (by_group * grouped[..., None]).reshape(weight.shape)
    return scaled


def row_sums(weight: Array) -> Array:
    """Sum the sizes of the weights into each output channel: ``(out,)``."""
    sums: Array = np.abs(weight.astype(np.float64)).reshape(len(weight), -1).sum(axis=1)
    return sums
