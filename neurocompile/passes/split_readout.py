"""Takes off what a classifier ends with, for the decoder to compute."""

from __future__ import annotations

import math

from neurocompile.errors import GraphError, Issue
from neurocompile.ir import Graph, Node
from neurocompile.ir.layers import ArgMax, Function, Identity, Reshape, Softmax
from neurocompile.ir.processes import Readout


def split_readout(graph: Graph) -> tuple[Graph, Readout]:
    """Take a Softmax, ArgMax or sigmoid off the end of a network, with the reshapings behind it.

    Returns
    -------
    graph, readout
        The network up to the scores, which have the classes along their first axis, and what is made of them.

    Raises
    ------
    GraphError
        With every Softmax and ArgMax that can't be taken off: spikes do not compute it.
    """
    readout: Readout = "linear"
    if len(graph.outputs) == 1:
        last = _behind_reshapes(graph, graph.outputs[0])
        scores = _scores(graph, last)
        if scores is not None:
            readout = _readout(last)
            graph = _ended(graph, last, scores)
    issues = [_issue(graph, node) for node in graph.nodes if isinstance(node.op, Softmax | ArgMax)]
    if issues:
        raise GraphError.of(issues)
    return graph, readout


def _behind_reshapes(graph: Graph, name: str) -> Node:
    node = graph[name]
    while isinstance(node.op, Reshape | Identity):
        node = graph[node.inputs[0]]
    return node


def _scores(graph: Graph, node: Node) -> str | None:
    """Name what a readout is computed of; None where the decoder can't compute it, or the node is none."""
    op = node.op
    if isinstance(op, Function) and op.name == "sigmoid":
        return node.inputs[0]
    if not isinstance(op, Softmax | ArgMax) or (op.axis and not _is_only_axis(graph, node)):
        return None
    before = graph[node.inputs[0]]
    # These leave the order of the scores as it is.
    ordered = (isinstance(before.op, Softmax) and before.op.axis == op.axis) or (
        isinstance(before.op, Function) and before.op.name == "sigmoid"
    )
    return before.inputs[0] if isinstance(op, ArgMax) and ordered else before.name


def _is_only_axis(graph: Graph, node: Node) -> bool:
    assert isinstance(node.op, Softmax | ArgMax)
    shape = graph.types[node.inputs[0]].shape
    return math.prod(shape) == shape[node.op.axis]


def _readout(node: Node) -> Readout:
    if isinstance(node.op, Softmax):
        return "log_softmax" if node.op.log else "softmax"
    return "argmax" if isinstance(node.op, ArgMax) else "sigmoid"


def _ended(graph: Graph, last: Node, scores: str) -> Graph:
    """End the graph at the scores, with the classes along their first axis."""
    if not isinstance(last.op, Softmax | ArgMax) or last.op.axis == 0:
        return Graph.of(graph.nodes, [scores])
    flat = Node(last.name, Reshape((math.prod(graph.types[scores].shape),)), (scores,))
    return Graph.of([*graph.nodes, flat], [flat.name])


def _issue(graph: Graph, node: Node) -> Issue:
    assert isinstance(node.op, Softmax | ArgMax)
    op = "LogSoftmax" if isinstance(node.op, Softmax) and node.op.log else type(node.op).__name__
    if len(graph.outputs) == 1 and _behind_reshapes(graph, graph.outputs[0]) is node:
        shape = list(graph.types[node.inputs[0]].shape)
        problem = f"works along axis {node.op.axis} of {shape} for an image, where the decoder has the first axis"
        return Issue(problem, node.name, op, "put the classes on the first axis after the batch")
    problem = "needs the values themselves, not spikes: it can only be the last layer of the only output"
    return Issue(problem, node.name, op, "remove it, or end the network there")
