"""How large the values of a process graph can get, whatever the input."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Graph
from neurocompile.ir.processes import (
    CurrentSum,
    Decoder,
    Encoder,
    Neurons,
    PoolSynapses,
    Synapses,
)


def largest_values(graph: Graph) -> dict[str, float]:
    """Bound the size of what each process sends in one step; for a decoder, of what it adds in one step."""
    bounds: dict[str, float] = {}
    for node in graph.nodes:
        op = node.op
        before = [bounds[name] for name in node.inputs]
        if isinstance(op, Encoder):
            bounds[node.name] = 1.0 if op.spikes else float(max(op.levels, 1))
        elif isinstance(op, Neurons):
            bounds[node.name] = float(op.largest)
        elif isinstance(op, Synapses):
            bounds[node.name] = before[0] * op.gain * 2.0**op.weight_exponent
        elif isinstance(op, PoolSynapses):
            bounds[node.name] = before[0] * op.window.places
        elif isinstance(op, CurrentSum):
            bounds[node.name] = sum(before)
        elif isinstance(op, Decoder):
            bounds[node.name] = before[0] + float(np.abs(op.bias).max())
        else:
            bounds[node.name] = before[0]
    return bounds
