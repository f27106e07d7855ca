"""How large the activations of a network get, measured on calibration images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurocompile.ir import Array, Graph, Op, run
from neurocompile.ir.layers import ReLU, per_channel

Statistic = Literal["max", "percentile"]
Granularity = Literal["channel", "layer"]

_MOST_IMAGES = 50
_MOST_VALUES = 1 << 24
"""That are kept at a time, which bounds the memory."""

_LOWEST_SHARE = 0.05
"""Of the layer's largest ceiling: a channel that is hardly ever active still needs a threshold above 0."""


@dataclass(frozen=True)
class Calibration:
    """How ceilings are chosen.

    Parameters
    ----------
    statistic
        ``max`` (Diehl et al. 2015) or ``percentile`` (Rueckauer et al. 2017) of a ReLU's values.
    percentile
        Which, in (0, 100]. Values above the ceiling are clipped: a neuron can't fire more than once a step.
    granularity
        One ceiling for each channel, or one for the layer.
    """

    statistic: Statistic = "percentile"
    percentile: float = 99.9
    granularity: Granularity = "channel"

    def ceilings(self, graph: Graph, x: Array) -> dict[str, Array]:
        """Measure the ceilings of all ReLUs.

        Parameters
        ----------
        graph
            Of layers.
        x
            Calibration images ``(N, *shape)``.

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
                rows = self._rows(values[name])
                kept = self._kept(rows.shape[1] * len(x) // len(values[name]))
                if name in largest:
                    rows = np.concatenate([largest[name], rows], axis=1)
                # Only values that may still be among the largest are kept.
                kept = min(kept, rows.shape[1])
                largest[name] = np.partition(rows, rows.shape[1] - kept, axis=1)[:, -kept:]
        found = {}
        for name, rows in largest.items():
            ceiling = _floored(rows.min(axis=1))
            found[name] = _clipped(per_channel(ceiling, max(1, len(graph.types[name].shape))), graph[name].op)
        return found

    def _rows(self, values: Array) -> Array:
        if self.granularity == "layer" or values.ndim == 1:
            return values.reshape(1, -1)
        return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)

    def _kept(self, total: int) -> int:
        """Count the values at or above the percentile, the lowest of which is the ceiling."""
        if self.statistic == "max":
            return 1
        return max(1, total - math.ceil(total * self.percentile / 100) + 1)


def _floored(ceiling: Array) -> Array:
    largest = float(ceiling.max())
    floored: Array = np.maximum(ceiling, _LOWEST_SHARE * largest if largest > 0 else 1.0)
    return floored


def _clipped(ceiling: Array, op: Op) -> Array:
    """Lower ceilings to the ReLU's own: with these for thresholds neurons clip by themselves."""
    assert isinstance(op, ReLU)
    return np.minimum(ceiling, op.ceiling) if np.any(op.ceiling < ceiling) else ceiling
