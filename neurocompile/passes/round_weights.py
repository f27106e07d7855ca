"""Rounds real weights so that sums are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph
from neurocompile.ir.paths import paths, receivers
from neurocompile.ir.processes import Decoder, IntegrateAndFire, SpikeMaxPool, Synapses
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.bounds import largest_values

_STEPS_BITS = 12
"""Sums are exact for up to ``2 ** 12`` steps."""

_SIGNIFICANT_BITS = 53
"""Of a float64."""


@dataclass(frozen=True)
class RoundWeights:
    """Round weights and biases to multiples of one power of two, as fine as exact sums allow.

    Every sum that the network can reach then fits into a float64 without rounding, so that it does not depend on
    the order of adding, and two backends that add in different orders give equal spikes. Of a threshold of 1 the
    power of two is some ``2 ** -30``, finer than the float32 weights of most models.
    """

    fidelity: ClassVar[Fidelity] = "rounding"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        bounds = largest_values(graph)
        largest = max(1.0, *(bounds[node.name] for node in graph.nodes if node not in graph.inputs))
        weighted = 1
        sent: dict[str, int] = {}
        for node in receivers(graph):
            if isinstance(node.op, IntegrateAndFire):
                largest = max(largest, bounds[node.inputs[0]] + float(np.abs(node.op.bias).max()))
            factors = max(
                sent.get(path.source, 0) + sum(isinstance(s.op, Synapses) for s in path.synapses)
                for path in paths(graph, node)
            )
            weighted = max(weighted, factors)
            # Spikes are whole again, but a pool of currents sends sums of products on.
            if isinstance(node.op, SpikeMaxPool):
                sent[node.name] = factors
        # The rounding itself can add a little to the bound: one bit more is enough.
        bits = (_SIGNIFICANT_BITS - _STEPS_BITS - math.ceil(math.log2(largest)) - 1) // weighted
        if bits < 1:
            raise GraphError(
                f"its currents can reach {largest:.3g} thresholds, too many for exact float64 sums",
                remedy="check the model for exploding weights, or use --precision int8",
            )
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            op = node.op
            if isinstance(op, Synapses):
                rewriter.set(node.name, replace(op, weight=_round(op.weight, bits)), node.inputs)
            elif isinstance(op, IntegrateAndFire | Decoder):
                rewriter.set(node.name, replace(op, bias=_round(op.bias, bits)), node.inputs)
        return rewriter.graph()


def _round(values: Array, bits: int) -> Array:
    rounded: Array = np.ldexp(np.rint(np.ldexp(values, bits)), -bits)
    return rounded
