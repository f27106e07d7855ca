"""Where a network's activations lie, measured on calibration images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from neurocompile.ir import Array, Graph, run

_MOST_IMAGES = 50
_MOST_VALUES = 1 << 24
"""That are kept at a time, which bounds the memory."""

_SAMPLED_IMAGES = 32
_SAMPLED_VALUES = 1 << 13
"""Of each node, from so many images at most: enough to tell where most of its values are."""


def ranges(graph: Graph, x: Array, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Measure the smallest and the largest of all values of some nodes.

    Parameters
    ----------
    graph
        Of layers.
    x
        Calibration images ``(N, *shape)``.
    names
        The nodes.
    """
    found: dict[str, tuple[float, float]] = {}
    for values in _in_parts(graph, x, names):
        for name, array in values.items():
            low, high = found.get(name, (math.inf, -math.inf))
            found[name] = min(low, float(array.min())), max(high, float(array.max()))
    return found


def samples(graph: Graph, x: Array, names: Sequence[str]) -> dict[str, Array]:
    """Draw some of the values of some nodes, the same ones each time.

    Parameters
    ----------
    graph
        Of layers.
    x
        Calibration images ``(N, *shape)``.
    names
        The nodes.

    Returns
    -------
    dict
        For each node some thousand values ``(n,)``.
    """
    rng = np.random.default_rng(0)
    chosen = x[:: -(-len(x) // _SAMPLED_IMAGES)]
    drawn: dict[str, list[Array]] = {name: [] for name in names}
    for values in _in_parts(graph, chosen, names):
        for name in drawn:
            array = values[name]
            size = -(-_SAMPLED_VALUES * len(array) // len(chosen))
            drawn[name].append(rng.choice(array.reshape(-1), size))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def lowest(graph: Graph, x: Array, names: Sequence[str]) -> dict[str, Array]:
    """Measure the smallest value that each channel of some nodes has.

    Parameters
    ----------
    graph
        Of layers.
    x
        Calibration images ``(N, *shape)``.
    names
        The nodes.

    Returns
    -------
    dict
        For each node ``(channels,)``.
    """
    found: dict[str, Array] = {}
    for values in _in_parts(graph, x, names):
        for name, array in values.items():
            low = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1).min(axis=1)
            found[name] = np.minimum(low, found.get(name, low))
    return found


def _in_parts(graph: Graph, x: Array, names: Sequence[str]) -> Iterator[dict[str, Array]]:
    if not names:
        return
    (entry,) = graph.inputs
    kept = sum(math.prod(graph.types[name].shape) for name in set(names))
    part = min(_MOST_IMAGES, max(1, _MOST_VALUES // kept))
    for start in range(0, len(x), part):
        yield run(graph, {entry.name: x[start : start + part]}, keep=names)
