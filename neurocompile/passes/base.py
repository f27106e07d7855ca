"""What a pass is, and what the passes share to rewrite a graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol

from neurocompile.ir import Graph, Node, Op

Fidelity = Literal["exact", "rounding", "asymptotic", "decision"]
"""What a pass keeps.

``exact``: the function, up to the order of float operations. ``rounding``: the function of rounded weights.
``asymptotic``: the function in the limit of many steps. ``decision``: which output is the largest, if positive.
"""


class Pass(Protocol):
    """A rewriting of a graph: a frozen dataclass whose fields are its options."""

    fidelity: ClassVar[Fidelity]

    def __call__(self, graph: Graph) -> Graph:
        """Give a new graph; the one given stays as it is."""


class Rewriter:
    """A graph's nodes by name while a pass edits them; ``graph()`` sorts, prunes and verifies the result."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.name: node for node in graph.nodes}
        self._outputs = list(graph.outputs)

    def __getitem__(self, name: str) -> Node:
        """Give a node as it is by now."""
        return self._nodes[name]

    def graph(self) -> Graph:
        """Give the edited graph."""
        return Graph.of(self._nodes.values(), self._outputs)

    def set(self, name: str, op: Op, inputs: Iterable[str]) -> None:
        """Put a node in, or replace the node of that name."""
        self._nodes[name] = Node(name, op, tuple(inputs))

    def redirect(self, old: str, new: str) -> None:
        """Let all that reads ``old``, the graph's outputs among them, read ``new``."""
        for name, node in list(self._nodes.items()):
            if old in node.inputs:
                self.set(name, node.op, (new if i == old else i for i in node.inputs))
        self._outputs = [new if name == old else name for name in self._outputs]

    def fresh(self, name: str) -> str:
        """Give the name, numbered if it is taken."""
        number = 1
        fresh = name
        while fresh in self._nodes:
            number += 1
            fresh = f"{name}.{number}"
        return fresh
