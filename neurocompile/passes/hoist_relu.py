"""Puts ReLU before MaxPool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurocompile.ir import Graph
from neurocompile.ir.layers import MaxPool, ReLU
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class HoistReLU:
    """Swap a MaxPool with the ReLU that alone reads it, so that the pool works on spikes.

    Exact, since both only ever compare: ``relu(max(x)) == max(relu(x))``.
    """

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        for node in graph.nodes:
            pool = graph[node.inputs[0]] if isinstance(node.op, ReLU) else None
            if pool is None or not isinstance(pool.op, MaxPool) or pool.name in graph.outputs:
                continue
            if len(graph.consumers(pool.name)) == 1:
                rewriter = Rewriter(graph)
                rewriter.redirect(node.name, pool.name)
                rewriter.set(node.name, ReLU(), pool.inputs)
                rewriter.set(pool.name, pool.op, (node.name,))
                return self(rewriter.graph())
        return graph
