"""What a pass is, and what the passes share to rewrite a graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol

from neurocompile.ir import Graph, Node, Op

Fidelity = Literal["exact", "approximate", "rounding", "asymptotic", "decision", "shape"]
"""What a pass keeps.

``exact``: the function, up to the order of float operations. ``approximate``: the function, to a known error.
``rounding``: the function of rounded weights. ``asymptotic``: the function in the limit of many steps.
``decision``: which output is the largest, if positive. ``shape``: what there is and how it is wired.
"""


class Pass(Protocol):
    """A rewriting of a graph: a frozen dataclass whose fields are its options."""

    fidelity: ClassVar[Fidelity]

    def __call__(self, graph: Graph) -> Graph:
        """Give a new graph; the one given stays as it is."""


class Rewriter:
    """A graph's nodes by name while a pass edits them; ``graph()`` sorts, prunes and verifies the result.

    Every edit takes a time that does not grow with the graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.name: node for node in graph.nodes}
        self._outputs = list(graph.outputs)
        self._shapes = {name: type_.shape for name, type_ in graph.types.items()}
        self._readers: dict[str, dict[str, None]] = {name: {} for name in self._nodes}
        for node in graph.nodes:
            self._connect(node)

    def __getitem__(self, name: str) -> Node:
        """Give a node as it is by now."""
        return self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def graph(self) -> Graph:
        """Give the edited graph."""
        return Graph.of(self._nodes.values(), self._outputs)

    def readers(self, name: str) -> tuple[Node, ...]:
        """List the nodes that read a node by now."""
        return tuple(self._nodes[reader] for reader in self._readers[name])

    def is_output(self, name: str) -> bool:
        """Tell whether a node's values are the result."""
        return name in self._outputs

    def is_shared(self, name: str) -> bool:
        """Tell whether more than one node reads a node, or the result is among its readers."""
        return len(self._readers[name]) > 1 or self.is_output(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of what a node computes for one image."""
        return self._shapes[name]

    def set(self, name: str, op: Op, inputs: Iterable[str]) -> None:
        """Put a node in, or replace the node of that name."""
        if name in self._nodes:
            for source in self._nodes[name].inputs:
                self._readers[source].pop(name, None)
        node = Node(name, op, tuple(inputs))
        self._nodes[name] = node
        self._readers.setdefault(name, {})
        self._connect(node)

    def put(self, name: str, op: Op, inputs: Iterable[str], shape: tuple[int, ...]) -> None:
        """Put a node in whose shape is to be asked for."""
        self._shapes[name] = shape
        self.set(name, op, inputs)

    def redirect(self, old: str, new: str) -> None:
        """Let all that reads ``old``, the graph's outputs among them, read ``new``."""
        for reader in list(self._readers[old]):
            node = self._nodes[reader]
            self.set(reader, node.op, (new if i == old else i for i in node.inputs))
        self._outputs = [new if name == old else name for name in self._outputs]

    def drop(self, name: str) -> None:
        """Take a node out that nothing reads any more."""
        for source in self._nodes[name].inputs:
            self._readers[source].pop(name, None)
        del self._nodes[name], self._readers[name]

    def fresh(self, name: str) -> str:
        """Give the name, numbered if it is taken."""
        number = 1
        fresh = name
        while fresh in self._nodes:
            number += 1
            fresh = f"{name}.{number}"
        return fresh

    def _connect(self, node: Node) -> None:
        for source in node.inputs:
            self._readers.setdefault(source, {})[node.name] = None
