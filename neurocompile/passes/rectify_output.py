"""Puts neurons at the output, for a decoder that counts spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurocompile.ir import Graph
from neurocompile.ir.layers import ReLU
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class RectifyOutput:
    """Add a ReLU to each output: the largest positive output stays the largest, negative ones become 0."""

    fidelity: ClassVar[Fidelity] = "decision"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        for output in graph.outputs:
            name = rewriter.fresh(f"{output}.spikes")
            rewriter.redirect(output, name)
            rewriter.set(name, ReLU(), (output,))
        return rewriter.graph()
