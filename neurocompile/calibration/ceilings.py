"""How large the activations of a network get, measured on calibration images."""

from __future__ import annotations

import math

import numpy as np

from neurocompile.ir import Array, Graph, Op, run
from neurocompile.ir.layers import ReLU, per_channel

_MOST_IMAGES = 50
_MOST_VALUES = 1 << 24
"""That are kept at a time, which bounds the memory."""

_LOWEST_SHARE = 0.05
"""Of the layer's largest ceiling: a channel that is hardly ever active still needs a threshold above 0."""


def ceilings(graph: Graph, x: Array, percentile: float, *, by_channel: bool) -> dict[str, Array]:
    """Measure a percentile of the values of each ReLU (Rueckauer et al. 2017); 100 for the largest.

    Parameters
    ----------
    graph
        Of layers.
    x
        Calibration images ``(N, *shape)``.
    percentile
        In (0, 100]. Values above the ceiling are clipped: a neuron can't fire more than once a step.
    by_channel
        One ceiling for each channel (Kim et al. 2020) instead of one for the layer.

    Returns
    -------
    dict
        For each ReLU ceilings that broadcast against one image, none of them above the ReLU's own.
    """
    (entry,) = graph.inputs
    layers = [node.name for node in graph.nodes if isinstance(node.op, ReLU)]
    values_kept = sum(math.prod(graph.types[name].shape) for name in layers)
    part = min(_MOST_IMAGES, max(1, _MOST_VALUES // max(1, values_kept)))
    largest: dict[str, Array] = {}
    for start in range(0, len(x), part):
        values = run(graph, {entry.name: x[start : start + part]}, keep=layers)
        for name in layers:
            rows = _rows(values[name], by_channel)
            kept = _kept(rows.shape[1] * len(x) // len(values[name]), percentile)
            if name in largest:
                rows = np.concatenate([largest[name], rows], axis=1)
            # Only values that may still be among the largest are kept.
            kept = min(kept, rows.shape[1])
            largest[name] = np.partition(rows, rows.shape[1] - kept, axis=1)[:, -kept:]
    return {
        name: fitting(rows.min(axis=1), graph[name].op, len(graph.types[name].shape))
        for name, rows in largest.items()
    }


def fitting(ceiling: Array, op: Op, axes: int) -> Array:
    """Make ceilings ``(channels,)`` fit neurons: above 0, none above the ReLU's own; for one image.

    With a ReLU's own ceiling for a threshold neurons clip by themselves.
    """
    assert isinstance(op, ReLU)
    largest = float(ceiling.max())
    floored = np.maximum(ceiling, _LOWEST_SHARE * largest if largest > 0 else 1.0)
    found = per_channel(floored, max(1, axes))
    return np.minimum(found, op.ceiling) if np.any(op.ceiling < found) else found


def _rows(values: Array, by_channel: bool) -> Array:
    if not by_channel or values.ndim == 1:
        return values.reshape(1, -1)
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


def _kept(total: int, percentile: float) -> int:
    """Count the values at or above the percentile, the lowest of which is the ceiling."""
    return max(1, total - math.ceil(total * percentile / 100) + 1)
