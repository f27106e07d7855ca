"""How the processes of a graph are wired: from each source of spikes, through synapses, to each receiver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neurocompile.errors import GraphError
from neurocompile.ir.graph import Graph, Node
from neurocompile.ir.processes import (
    Connections,
    CurrentSum,
    Decoder,
    Encoder,
    Neurons,
    SpikeMaxPool,
)

Source = Encoder | Neurons | SpikeMaxPool
"""Sends a stream of its own; all but the encoder receive one too."""

Receiver = Neurons | SpikeMaxPool | Decoder
"""Has state: it adds up the currents of its paths."""


@dataclass(frozen=True)
class Path:
    """Synapses in a row.

    Parameters
    ----------
    source
        The name of the process that sends.
    synapses
        The stateless nodes on the way, in order; none where the receiver takes the spikes as they are.
    """

    source: str
    synapses: tuple[Node, ...]


def receivers(graph: Graph) -> Iterator[Node]:
    """Yield the nodes that have state, in order."""
    return (node for node in graph.nodes if isinstance(node.op, Receiver))


def paths(graph: Graph, receiver: Node) -> tuple[Path, ...]:
    """List the paths whose sum a receiver's current is.

    Raises
    ------
    GraphError
        If currents are added anywhere but right before the receiver.
    """
    (end,) = receiver.inputs
    ends = graph[end].inputs if isinstance(graph[end].op, CurrentSum) else (end,)
    return tuple(_walk(graph, name) for name in ends)


def _walk(graph: Graph, end: str) -> Path:
    synapses: list[Node] = []
    node = graph[end]
    while not isinstance(node.op, Source):
        if not isinstance(node.op, Connections):
            raise GraphError("gives currents that go on through synapses", node.name, type(node.op).__name__)
        synapses.append(node)
        node = graph[node.inputs[0]]
    return Path(node.name, tuple(reversed(synapses)))


def is_direct(receiver: Node, ways: Sequence[Path]) -> bool:
    """Tell whether a receiver is a pool that takes one source's spikes as they are, with no step between."""
    return isinstance(receiver.op, SpikeMaxPool) and len(ways) == 1 and not ways[0].synapses


def starts(graph: Graph, steps: int) -> dict[str, int]:
    """Tell at which step each source and receiver does its first one, where every layer of synapses takes a step.

    The encoder starts at 0. A receiver starts when the latest of its sources reaches it, and neurons that look
    ahead so many steps later; a pool that takes a source's spikes as they are starts with that source.

    Parameters
    ----------
    graph
        Of processes.
    steps
        For which each layer runs.
    """
    found: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node.op, Encoder):
            found[node.name] = 0
        elif isinstance(node.op, Receiver):
            ways = paths(graph, node)
            found[node.name] = max(found[p.source] for p in ways) + (not is_direct(node, ways))
            if isinstance(node.op, Neurons):
                found[node.name] += node.op.lookahead(steps)
    return found
