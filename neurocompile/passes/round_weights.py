"""Rounds real weights so that sums are exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.codes import Code, GradedCode
from neurocompile.ir.paths import paths, receivers
from neurocompile.ir.processes import (
    MOST_STEPS,
    Decoder,
    Encoder,
    IntegrateAndFire,
    Neurons,
    SpikeMaxPool,
    Synapses,
)
from neurocompile.ir.processes.synapses import Connections
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.bounds import largest_values

_SIGNIFICANT_BITS = 53
"""Of a float64."""


_STEP_BITS = 31
"""Of the currents that spikes of size 1 cause at a step: they are added up in 32 bits."""

_LEAST_BITS = 7
"""Of a weight, with its sign those of an int8."""

_SLACK = 2.0**-6
"""A sum a hair above a power of two has room enough, with the spare bit."""


@dataclass(frozen=True)
class RoundWeights:
    """Round weights, and what membranes hold, to multiples of powers of two, as fine as exact sums allow.

    Every sum that the network can reach then fits into a float64 without rounding, so that it does not depend on
    the order of adding, and two backends that add in different orders give equal spikes. What spikes bring in one
    step fits into 32 bits: the power of two is some ``2 ** -30`` of the most that they can bring, where a sum of
    float32 is rounded to ``2 ** -24``. Weights that lead to other weights share these bits with them.

    Parameters
    ----------
    steps
        Up to so many the sums are exact, and digits up to the power of two before.
    """

    fidelity: ClassVar[Fidelity] = "rounding"
    steps: int = MOST_STEPS

    @classmethod
    def of(cls, code: Code) -> RoundWeights:
        """Give the pass for a code: messages are not added up over steps."""
        return cls(1) if isinstance(code, GradedCode) else cls()

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        bounds = {name: self.steps * largest for name, largest in largest_values(graph).items()}
        places: dict[str, int] = {}
        pooled: dict[str, list[Chain]] = {}
        for node in receivers(graph):
            chains = [
                (*before, *path.synapses, node)
                for path in paths(graph, node)
                for before in pooled.get(path.source, [()])
            ]
            if isinstance(node.op, SpikeMaxPool):
                # Spikes are whole, but a pool of currents sends sums of products on.
                pooled[node.name] = chains
                continue
            rooms = bounds | {node.name: _largest(node, bounds, self.steps)}
            places[node.name] = _room(rooms[node.name])
            if places[node.name] < 1:
                raise _too_large(node, rooms[node.name] / self.steps)
            for chain in chains:
                for name, bits in _shares(chain, rooms, self.steps).items():
                    places[name] = min(bits, places.get(name, bits))
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            op = node.op
            if isinstance(op, Synapses) and node.name in places:
                if _reads_spikes(graph, node):
                    places[node.name] = min(places[node.name], _room(bounds[node.name] / self.steps, _STEP_BITS))
                rewriter.set(node.name, replace(op, weight=_round(op.weight, places[node.name])), node.inputs)
            elif isinstance(op, Neurons | Decoder):
                held = {name: _round(values, places[node.name]) for name, values in _held(op).items()}
                rewriter.set(node.name, replace(op, **held), node.inputs)  # type: ignore[arg-type]
        return rewriter.graph()


Chain = tuple[Node, ...]
"""From spikes to a neuron or decoder, that one included: synapses, and the pools of currents between them."""


def _largest(node: Node, bounds: Mapping[str, float], steps: int) -> float:
    """Bound what a neuron or decoder adds in so many steps, or as many thresholds."""
    if not isinstance(node.op, Neurons | Decoder):
        return max(steps, bounds[node.inputs[0]])
    held = {name: float(np.abs(values).max()) for name, values in _held(node.op).items()}
    # What a membrane starts with is added once: the spare bit holds it, as long as it is no larger than the rest.
    largest = max(held.get("v_threshold", 1.0), held.get("v_init", 0.0), 1.0)
    return max(steps * largest, bounds[node.inputs[0]] + steps * held["bias"])


def _held(op: Neurons | Decoder) -> dict[str, Array]:
    """Give what membranes are made of, besides currents."""
    fields = {"bias": op.bias}
    if isinstance(op, Neurons):
        fields["v_threshold"] = op.v_threshold
    if isinstance(op, IntegrateAndFire):
        fields["v_init"] = op.v_init
    return fields


def _reads_spikes(graph: Graph, node: Node) -> bool:
    """Tell whether what a node receives is spikes of size 1, or sums of these."""
    source = graph[node.inputs[0]]
    if isinstance(source.op, Connections) and not isinstance(source.op, Synapses):
        return _reads_spikes(graph, source)
    if isinstance(source.op, Encoder):
        return source.op.spikes
    return isinstance(source.op, SpikeMaxPool) or (isinstance(source.op, Neurons) and source.op.largest == 1)


def _room(largest: float, significant: int = _SIGNIFICANT_BITS) -> int:
    """Count the binary places behind the point that such sums leave."""
    # The rounding itself can add a little to the bound: one bit more is enough.
    return significant - 1 - math.ceil(math.log2(largest) - _SLACK)


def _shares(chain: Chain, bounds: Mapping[str, float], steps: int) -> dict[str, int]:
    """Share the bits of each sum on the way among the weights before it: each gets as many significant bits."""
    exponents: dict[str, int] = {}
    significant = math.inf
    for node in chain:
        if isinstance(node.op, Synapses):
            peak = float(np.abs(node.op.weight).max())
            if not peak:
                return {}
            exponents[node.name] = math.ceil(math.log2(peak) - _SLACK)
        if exponents:
            significant = min(significant, (_room(bounds[node.name]) + sum(exponents.values())) // len(exponents))
    reached = bounds[chain[-1].name] / steps
    if len(exponents) > 1 and significant < _LEAST_BITS:
        raise _too_large(chain[-1], reached)
    return {name: int(significant) - exponent for name, exponent in exponents.items()}


def _too_large(node: Node, largest: float) -> GraphError:
    return GraphError(
        f"its currents can reach {largest:.3g} thresholds, too many for exact float64 sums",
        node.name,
        type(node.op).__name__,
        "check the model for exploding weights, or use --precision int8",
    )


def _round(values: Array, bits: int) -> Array:
    rounded: Array = np.asarray(np.ldexp(values, bits))
    np.rint(rounded, out=rounded)
    return np.ldexp(rounded, -bits, out=rounded)
