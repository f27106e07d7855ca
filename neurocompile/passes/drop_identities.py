"""Takes out what does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurocompile.ir import Graph
from neurocompile.ir.layers import Identity
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class DropIdentities:
    """Remove Identity nodes: Dropout outside training among them."""

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        source: dict[str, str] = {}
        for node in graph.nodes:
            if isinstance(node.op, Identity):
                source[node.name] = source.get(node.inputs[0], node.inputs[0])
                rewriter.redirect(node.name, source[node.name])
                rewriter.drop(node.name)
        return rewriter.graph()
