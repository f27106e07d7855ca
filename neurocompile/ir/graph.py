"""The immutable graph that every stage of the compiler reads and returns."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np

from neurocompile.errors import GraphError, Issue
from neurocompile.ir.op import Array, Op, TensorType


@dataclass(frozen=True)
class Node:
    """An operator in a graph: its name and the names of the nodes that feed it."""

    name: str
    op: Op
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, and the names of those whose values are the result.

    Parameters
    ----------
    nodes
        Each node after the nodes that it reads. ``Graph.of`` sorts and prunes.
    outputs
        Names of the output nodes.

    Raises
    ------
    GraphError
        With every rule that is broken: a name used twice, an input that is missing or comes later, a
        wrong number of inputs, types that do not fit, no outputs.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        issues = list(self._broken_rules())
        if issues:
            raise GraphError.of(issues)

    @classmethod
    def of(cls, nodes: Iterable[Node], outputs: Sequence[str]) -> Graph:
        """Build a graph of nodes in any order, without those that no output depends on."""
        by_name = {node.name: node for node in nodes}
        edges: nx.DiGraph[str] = nx.DiGraph()
        edges.add_nodes_from(by_name)
        edges.add_edges_from((i, node.name) for node in by_name.values() for i in node.inputs if i in by_name)
        needed = {name for output in outputs if output in edges for name in nx.ancestors(edges, output)}
        needed.update(outputs)
        place = {name: i for i, name in enumerate(by_name)}
        try:
            order = list(nx.lexicographical_topological_sort(edges, key=place.__getitem__))
        except nx.NetworkXUnfeasible:
            cycle = " -> ".join(source for source, _ in nx.find_cycle(edges))
            raise GraphError(f"the graph has a cycle: {cycle}") from None
        return cls(tuple(by_name[name] for name in order if name in needed), tuple(outputs))

    @cached_property
    def _index(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def types(self) -> Mapping[str, TensorType]:
        """The type of every node's output."""
        types: dict[str, TensorType] = {}
        for node in self.nodes:
            types[node.name] = _infer(node, types)
        return types

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {node.name: () for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name] += (node,)
        return found

    def __getitem__(self, name: str) -> Node:
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def consumers(self, name: str) -> tuple[Node, ...]:
        """List the nodes that read a node's output."""
        return self._consumers[name]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes through which data enter."""
        return tuple(node for node in self.nodes if node.op.arity == 0)

    def _broken_rules(self) -> Iterator[Issue]:
        if not self.outputs:
            yield Issue("the graph has no outputs")
        seen: set[str] = set()
        types: dict[str, TensorType] = {}
        for node in self.nodes:
            op = type(node.op).__name__
            if node.name in seen:
                yield Issue("this name is used twice", node.name, op)
            missing = [name for name in node.inputs if name not in seen]
            if missing:
                yield Issue(f"reads {missing}, which are not defined before it", node.name, op)
            seen.add(node.name)
            if any(name not in types for name in node.inputs):
                continue
            try:
                types[node.name] = _infer(node, types)
            except GraphError as error:
                yield from error.issues
        for name in self.outputs:
            if name not in seen:
                yield Issue("the graph's output is no node of it", name)


def _infer(node: Node, types: Mapping[str, TensorType]) -> TensorType:
    op = node.op
    name = type(op).__name__
    if op.arity is not None and len(node.inputs) != op.arity:
        raise GraphError(f"takes {op.arity} inputs, not {len(node.inputs)}", node.name, name)
    if op.arity is None and not node.inputs:
        raise GraphError("takes at least one input", node.name, name)
    try:
        return op.infer(*(types[i] for i in node.inputs))
    except GraphError as error:
        raise GraphError(error.issues[0].problem, node.name, name) from None


def run(graph: Graph, feeds: Mapping[str, Array], keep: Iterable[str] | None = None) -> dict[str, Array]:
    """Run a graph by its operators' reference semantics.

    Parameters
    ----------
    graph
        A graph of layers or of processes.
    feeds
        What each input node gives out: ``(B, *shape)`` for layers, an encoder's stream
        ``(T, B, *shape)`` for processes. Other nodes named here are not computed, but give out this too.
    keep
        The nodes whose values to return; the outputs where it is None.

    Returns
    -------
    dict
        The kept nodes' values, in the order of their names there. All others are freed as soon as nothing needs
        them.
    """
    kept = dict.fromkeys(graph.outputs if keep is None else keep)
    wanted = needed(graph, feeds, kept)
    waiting = {
        name: sum(r.name in wanted and r.name not in feeds for r in graph.consumers(name)) for name in wanted
    }
    values: dict[str, Array] = {}
    for node in graph.nodes:
        if node.name not in wanted:
            continue
        if node.name in feeds:
            values[node.name] = feeds[node.name]
            continue
        # Outside of their domain functions give NaN or infinity, which whoever compares the result finds.
        with np.errstate(all="ignore"):
            values[node.name] = node.op.run(*(values[name] for name in node.inputs))
        for name in dict.fromkeys(node.inputs):
            waiting[name] -= 1
            if not waiting[name] and name not in kept:
                del values[name]
    return {name: values[name] for name in kept}


def needed(graph: Graph, feeds: Container[str], kept: Container[str]) -> set[str]:
    """Find the nodes that have to have values for some to be kept, those that are fed among them."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in kept or any(r.name in found and r.name not in feeds for r in graph.consumers(node.name)):
            found.add(node.name)
    return found
