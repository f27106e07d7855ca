"""The passes in their order, each checked on a few inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.layers import Conv, Linear
from neurocompile.passes.base import Pass
from neurocompile.passes.drop_identities import DropIdentities
from neurocompile.passes.fold_affine import FoldAffine
from neurocompile.passes.hoist_pools import HoistPools
from neurocompile.passes.merge_moves import MergeMoves

STRAIGHTEN: tuple[Pass, ...] = (DropIdentities(), MergeMoves())
"""What every network goes through before its functions are approximated: they are found between fewer layers."""

SIMPLIFY: tuple[Pass, ...] = (*STRAIGHTEN, HoistPools(), FoldAffine())
"""What every network goes through before its thresholds are chosen."""

_MOST_MULTIPLICATIONS = 1 << 33
"""For each check, as far as one image allows: some seconds."""

_TOLERANCE = 1e-8
"""Relative to the largest output: reals are float64, and exact passes only change the order of operations."""

_LEAST = 1e-12
"""Outputs that are 0 but for rounding are equal."""


def apply(passes: Sequence[Pass], graph: Graph, probe: Array) -> Graph:
    """Apply passes in order, and check that each exact one of layers keeps what the graph computes.

    Parameters
    ----------
    passes
        From layers to layers.
    graph
        Of layers.
    probe
        A few images ``(B, *shape)``; of these large networks are checked on fewer.

    Raises
    ------
    GraphError
        Naming the pass whose result differs: a defect of the compiler, not of the model.
    """
    probe = probe[: max(1, _MOST_MULTIPLICATIONS // max(1, _multiplications(graph)))]
    expected = _outputs(graph, probe)
    for step in passes:
        before, graph = graph, step(graph)
        if graph == before:
            continue
        found = _outputs(graph, probe)
        for a, b in zip(expected, found, strict=True):
            error = float(np.abs(a - b).max())
            if not error <= max(_TOLERANCE * float(np.abs(a).max()), _LEAST):
                raise GraphError(
                    f"the pass {type(step).__name__} changed the network's output by {error:.3g}",
                    remedy="please report this with the model",
                )
    return graph


def _multiplications(graph: Graph) -> int:
    """Count what one image takes."""
    layers = ((node.op, graph.types[node.name].shape) for node in graph.nodes)
    return sum(op.weight.size * math.prod(shape[1:]) for op, shape in layers if isinstance(op, Conv | Linear))


def _outputs(graph: Graph, probe: Array) -> list[Array]:
    values = run(graph, {node.name: probe for node in graph.inputs})
    return [values[name] for name in graph.outputs]
