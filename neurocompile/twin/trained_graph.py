"""Takes what was trained back into a graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from neurocompile.errors import DataError, Issue
from neurocompile.ir import Graph, Node
from neurocompile.twin.module import Twin


def trained_graph(graph: Graph, module: torch.nn.Module) -> Graph:
    """Give a graph the weights, biases, thresholds and initial membranes of a module that was made of it.

    Integers are the rounded ones that the module's forward pass has. Reals are as they were trained: a pass such
    as ``RoundWeights`` makes their sums exact again.

    Parameters
    ----------
    graph
        Of processes.
    module
        A ``Twin`` of this graph, or of one of the same form.

    Raises
    ------
    DataError
        With everything that is no such module, of another shape, or not finite.
    """
    if not isinstance(module, Twin):
        problem = f"a {type(module).__name__} is no twin of a network"
        raise DataError(problem, remedy="give what to_torch made, after it was trained")
    fields = module.fields()
    issues = list(_form_issues(graph, module.graph, fields))
    if issues:
        raise DataError.of(issues)
    issues = [issue for name in fields for issue in _field_issues(graph[name], fields[name])]
    if issues:
        raise DataError.of(issues)
    nodes = [_trained(node, fields[node.name]) if node.name in fields else node for node in graph.nodes]
    return Graph(tuple(nodes), graph.outputs)


def _form_issues(graph: Graph, other: Graph, trained: Mapping[str, Collection[str]]) -> Iterator[Issue]:
    """Tell what the network that a module was made of has otherwise, but for the fields that are trained."""
    remedy = "give a module that to_torch made of this network"
    if [node.name for node in graph.nodes] != [node.name for node in other.nodes]:
        yield Issue("the module was made of a network with other nodes", remedy=remedy)
        return
    for mine, its in zip(graph.nodes, other.nodes, strict=True):
        kind = type(mine.op).__name__
        form = (type(its.op), its.inputs, other.types[its.name])
        if form != (type(mine.op), mine.inputs, graph.types[mine.name]):
            yield Issue(
                f"the module has a {type(its.op).__name__} here, a {other.types[its.name]}",
                mine.name,
                kind,
                remedy,
            )
            continue
        different = [
            field
            for field, value in its.op.parameters()
            if field not in trained.get(its.name, ()) and replace(mine.op, **{field: value}) != mine.op  # type: ignore[type-var]
        ]
        if different:
            yield Issue(f"the module's network has another {', '.join(different)} here", mine.name, kind, remedy)


def _field_issues(node: Node, fields: dict[str, Tensor]) -> Iterator[Issue]:
    kind = type(node.op).__name__
    for field, values in fields.items():
        expected = getattr(node.op, field).shape
        if tuple(values.shape) != expected:
            problem = f"the module's {field} has the shape {tuple(values.shape)}, and the network's {expected}"
            yield Issue(problem, node.name, kind, "give a module that to_torch made of this network")
        elif not bool(torch.isfinite(values).all()):
            problem = f"the module's {field} is not finite"
            yield Issue(problem, node.name, kind, "train it again at a lower learning rate")


def _trained(node: Node, fields: dict[str, Tensor]) -> Node:
    arrays = {}
    for field, values in fields.items():
        kept = getattr(node.op, field)
        arrays[field] = np.asarray(values.cpu().double().numpy()).astype(kept.dtype)
    return replace(node, op=replace(node.op, **arrays))  # type: ignore[type-var]  # every Op is a dataclass
