"""Splits a graph into graphs that run one after another on stock Lava, each in as many processes as start well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neurocompile.errors import Issue
from neurocompile.ir import Graph, Node
from neurocompile.ir.paths import Source, paths, receivers
from neurocompile.ir.processes import Encoder, Neurons
from neurocompile_lava.plan import MOST_PROCESSES

_OTHERS = 2
"""Processes beside the network: its source, and something that records."""


def subgraphs(graph: Graph) -> list[Graph]:
    """Split a graph, into parts as long as they can be.

    What a part reads of earlier ones arrives as its input does, from an encoder of the same name.
    """
    parts: list[list[Node]] = [[]]
    count = _OTHERS
    for node in receivers(graph):
        size = _processes(graph, node)
        if parts[-1] and count + size > MOST_PROCESSES:
            parts.append([])
            count = _OTHERS
        parts[-1].append(node)
        count += size
    return [graph] if len(parts) == 1 else [_subgraph(graph, part) for part in parts]


def size_issues(graph: Graph) -> Iterator[Issue]:
    """Tell which layers take too many processes by themselves."""
    for node in receivers(graph):
        count = _processes(graph, node) + _OTHERS
        if count > MOST_PROCESSES:
            problem = f"takes {count} Lava processes; more than {MOST_PROCESSES} start slowly or never"
            yield Issue(problem, node.name, type(node.op).__name__, "join fewer branches there, or --target lava")


def _processes(graph: Graph, node: Node) -> int:
    """Count those of a layer: one for each path, its bias, and its neurons."""
    return len(paths(graph, node)) + (2 if isinstance(node.op, Neurons) else 0)


def _subgraph(graph: Graph, part: Sequence[Node]) -> Graph:
    names = [node.name for node in part]
    nodes = []
    for node in graph.nodes:
        given = graph.types[node.name]
        if isinstance(node.op, Source) and not isinstance(node.op, Encoder) and node.name not in names:
            nodes.append(Node(node.name, Encoder(given.shape, levels=1, integer=given.integer)))
        else:
            nodes.append(node)
    return Graph.of(nodes, names)
