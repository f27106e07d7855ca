"""Folds BatchNorm and other per-channel affines into the weights around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.ir import Graph, Node
from neurocompile.ir.layers import Add, Affine, BatchNorm, Conv, Flatten, Linear, MaxPool, Pool
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.weights import scale_inputs, scale_outputs


@dataclass(frozen=True)
class FoldAffine:
    """Fold every BatchNorm and Affine into neighbouring weights, as far as that is exact.

    - After a Conv or Linear that nothing else reads, it goes into that layer's weights and bias.
    - Two affines in a row become one.
    - After an Add that nothing else reads, it moves to the branches.
    - A pure scale before a Conv or Linear goes into the weights; before a pool or Flatten it moves behind (a
      positive one only, where the pool takes a maximum).

    An affine that has nothing to be folded into stays. With a shift it stays before a Conv, since the padding's
    zeros are not shifted.
    """

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            if isinstance(node.op, BatchNorm):
                rewriter.set(node.name, node.op.affine(), node.inputs)
        graph = rewriter.graph()
        # Each rewriting removes an affine, or moves it once towards a branch's start or end: this terminates.
        while (folded := _fold_one(graph)) is not None:
            graph = folded
        return graph


def _fold_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        if isinstance(node.op, Affine):
            for rule in _RULES:
                folded = rule(graph, node, node.op)
                if folded is not None:
                    return folded
    return None


def _drop_unit(graph: Graph, node: Node, op: Affine) -> Graph | None:
    if np.any(op.scale != 1) or np.any(op.shift != 0):
        return None
    rewriter = Rewriter(graph)
    rewriter.redirect(node.name, node.inputs[0])
    return rewriter.graph()


def _merge_affines(graph: Graph, node: Node, op: Affine) -> Graph | None:
    before = graph[node.inputs[0]]
    if not isinstance(before.op, Affine):
        return None
    rewriter = Rewriter(graph)
    merged = Affine(op.scale * before.op.scale, op.scale * before.op.shift + op.shift)
    rewriter.set(node.name, merged, before.inputs)
    return rewriter.graph()


def _into_weights_before(graph: Graph, node: Node, op: Affine) -> Graph | None:
    before = graph[node.inputs[0]]
    layer = before.op
    if not isinstance(layer, Conv | Linear) or _is_shared(graph, before):
        return None
    weight = scale_outputs(layer.weight, op.scale)
    rewriter = Rewriter(graph)
    rewriter.set(before.name, replace(layer, weight=weight, bias=layer.bias * op.scale + op.shift), before.inputs)
    rewriter.redirect(node.name, before.name)
    return rewriter.graph()


def _before_add(graph: Graph, node: Node, op: Affine) -> Graph | None:
    add = graph[node.inputs[0]]
    if not isinstance(add.op, Add) or _is_shared(graph, add):
        return None
    rewriter = Rewriter(graph)
    branches = []
    for i, branch in enumerate(add.inputs):
        name = rewriter.fresh(f"{node.name}.branch")
        rewriter.set(name, Affine(op.scale, op.shift if i == 0 else np.zeros_like(op.shift)), (branch,))
        branches.append(name)
    rewriter.set(add.name, Add(), branches)
    rewriter.redirect(node.name, add.name)
    return rewriter.graph()


def _into_weights_after(graph: Graph, node: Node, op: Affine) -> Graph | None:
    if np.any(op.shift != 0):
        return None
    for reader in graph.consumers(node.name):
        layer = reader.op
        if isinstance(layer, Conv | Linear):
            rewriter = Rewriter(graph)
            weight = scale_inputs(layer.weight, op.scale, layer.groups if isinstance(layer, Conv) else 1)
            rewriter.set(reader.name, replace(layer, weight=weight), node.inputs)
            return rewriter.graph()
    return None


def _behind_pool(graph: Graph, node: Node, op: Affine) -> Graph | None:
    if np.any(op.shift != 0):
        return None
    for reader in graph.consumers(node.name):
        if not isinstance(reader.op, Pool | Flatten) or (isinstance(reader.op, MaxPool) and np.any(op.scale <= 0)):
            continue
        rewriter = Rewriter(graph)
        behind = rewriter.fresh(f"{reader.name}.scale")
        scale = op.scale
        if isinstance(reader.op, Flatten) and len(scale) > 1:
            scale = np.repeat(scale, int(np.prod(graph.types[node.name].shape[1:])))
        rewriter.redirect(reader.name, behind)
        rewriter.set(reader.name, reader.op, node.inputs)
        rewriter.set(behind, Affine(scale, np.zeros_like(scale)), (reader.name,))
        return rewriter.graph()
    return None


def _is_shared(graph: Graph, node: Node) -> bool:
    return len(graph.consumers(node.name)) > 1 or node.name in graph.outputs


_RULES: tuple[Callable[[Graph, Node, Affine], Graph | None], ...] = (
    _drop_unit,
    _merge_affines,
    _into_weights_before,
    _before_add,
    _into_weights_after,
    _behind_pool,
)
