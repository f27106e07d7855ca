"""Chooses thresholds by least squares."""

from __future__ import annotations

import numpy as np

from neurocompile.calibration.ceilings import fitting
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.codes import Code
from neurocompile.ir.layers import ReLU
from neurocompile.ir.processes import Neurons

_MOST_VALUES = 60_000
"""Of each channel: more do not change the choice."""

_MOST_IMAGES = 50
"""At a time."""

_SHARES = np.concatenate([np.linspace(1.5, 1.1, 5), np.linspace(1, 0.1, 31)])
_FEWER_SHARES = 1.2 * 0.86 ** np.arange(11)
"""Of a channel's largest value, from which the threshold is chosen."""


def least_squares(graph: Graph, x: Array, code: Code) -> dict[str, Array]:
    """Choose for each channel of each ReLU the threshold that rounds its values with the least squared error.

    Parameters
    ----------
    graph
        Of layers.
    x
        Calibration images ``(N, *shape)``.
    code
        Whose resolution values are rounded to: a quantiser's scale for the number of steps (Li et al. 2021).

    Returns
    -------
    dict
        For each ReLU thresholds that broadcast against one image.
    """
    (entry,) = graph.inputs
    names = [node.name for node in graph.nodes if isinstance(node.op, ReLU)]
    rng = np.random.default_rng(0)
    kept: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, len(x), _MOST_IMAGES):
        part = x[start : start + _MOST_IMAGES]
        for name, values in run(graph, {entry.name: part}, keep=names).items():
            rows = by_channel(values)
            wanted = max(1, _MOST_VALUES * len(part) // len(x))
            if rows.shape[1] > wanted:
                rows = rows[:, rng.choice(rows.shape[1], wanted, replace=False)]
            kept[name].append(rows)
    return {
        name: fitting(_least(np.concatenate(rows, axis=1), code), graph[name].op, len(graph.types[name].shape))
        for name, rows in kept.items()
    }


def _least(rows: Array, code: Code) -> Array:
    """Choose a threshold for each row of values."""
    largest = rows.max(axis=1)
    best, least = largest.copy(), np.full(len(rows), np.inf)
    for share in _SHARES:
        # A channel that is never active takes any threshold: its values are 0.
        threshold = np.where(largest > 0, share * largest, 1.0)
        error = np.mean((code.rounded(rows / threshold[:, None]) * threshold[:, None] - rows) ** 2, axis=1)
        best, least = np.where(error < least, threshold, best), np.minimum(error, least)
    return np.where(largest > 0, best, 0.0)


def simulated(current: Array, wanted: Array, neurons: Neurons) -> Array:
    """Choose for each channel the threshold with which neurons come nearest to the values that are wanted.

    Parameters
    ----------
    current
        What they receive, their bias included: ``(T, B, *shape)``.
    wanted
        Values ``(B, *shape)``.
    neurons
        With the threshold 1.

    Returns
    -------
    Array
        ``(channels,)``; 0 for a layer that is never active.
    """
    largest = by_channel(wanted).max(axis=1)
    if not largest.max() > 0:
        return np.zeros(len(largest))
    largest = np.maximum(largest, 1e-3 * float(largest.max()))
    best, least = largest.copy(), np.full(len(largest), np.inf)
    for share in _FEWER_SHARES:
        threshold = share * largest
        each = threshold.reshape(-1, *[1] * (wanted.ndim - 2))
        error = np.mean(by_channel(neurons.value(neurons.run(current / each)) * each - wanted) ** 2, axis=1)
        best, least = np.where(error < least, threshold, best), np.minimum(error, least)
    return np.asarray(best)


def by_channel(values: Array) -> Array:
    """Arrange values ``(B, channels, *space)`` as ``(channels, n)``."""
    if values.ndim == 1:
        return values.reshape(1, -1)
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
