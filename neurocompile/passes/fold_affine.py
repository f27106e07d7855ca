"""Folds BatchNorm and other affines into the weights around them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.layers import (
    Add,
    Affine,
    BatchNorm,
    Concat,
    Conv,
    Linear,
    MaxPool,
    Pool,
    Rearrange,
    Reshape,
    channels_of,
    compact,
    per_channel,
)
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.broadcasts import settled
from neurocompile.passes.weights import scale_inputs, scale_outputs


@dataclass(frozen=True)
class FoldAffine:
    """Fold every BatchNorm and Affine into neighbouring weights, as far as that is exact.

    - After a Conv or Linear that nothing else reads, one for each channel goes into that layer's weights and bias.
    - Two affines in a row become one.
    - After an Add that nothing else reads, it moves to the branches.
    - A pure scale for each channel before a Conv or Linear goes into the weights; before a pool it moves behind (a
      positive one only, where the pool takes a maximum), and before a Concat of channels too.
    - Before what moves values it moves behind.

    An affine that has nothing to be folded into stays. With a shift it stays before a Conv, since the padding's
    zeros are not shifted.
    """

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            if isinstance(node.op, BatchNorm):
                rewriter.set(node.name, node.op.affine(len(rewriter.shape(node.name))), node.inputs)
        waiting = deque(node.name for node in graph.nodes if isinstance(rewriter[node.name].op, Affine))
        # Each rewriting takes an affine out, puts one into weights, or moves one on: up through an Add, or down
        # through a pool, a Concat or a move. None leads back, so this ends.
        while waiting:
            name = waiting.popleft()
            if name in rewriter and isinstance(rewriter[name].op, Affine):
                waiting.extend(_fold(rewriter, rewriter[name]))
        return rewriter.graph()


def _fold(rewriter: Rewriter, node: Node) -> Sequence[str]:
    """Apply the first rule that fits, and name the affines that it may have given something to be folded into."""
    if not rewriter.readers(node.name) and not rewriter.is_output(node.name):
        rewriter.drop(node.name)
        return ()
    assert isinstance(node.op, Affine)
    for rule in _RULES:
        touched = rule(rewriter, node, node.op)
        if touched is not None:
            return touched
    return ()


def _drop_unit(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    if np.any(op.scale != 1) or np.any(op.shift != 0):
        return None
    readers = [reader.name for reader in rewriter.readers(node.name)]
    rewriter.redirect(node.name, node.inputs[0])
    rewriter.drop(node.name)
    return [*readers, node.inputs[0]]


def _merge_affines(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    before = rewriter[node.inputs[0]]
    if not isinstance(before.op, Affine):
        return None
    merged = Affine(op.scale * before.op.scale, op.scale * before.op.shift + op.shift)
    rewriter.set(node.name, merged, before.inputs)
    return [node.name, before.name]


def _into_weights_before(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    before = rewriter[node.inputs[0]]
    layer = before.op
    if not isinstance(layer, Conv | Linear) or rewriter.is_shared(before.name):
        return None
    axes = len(rewriter.shape(node.name))
    scale, shift = channels_of(op.scale, axes), channels_of(op.shift, axes)
    if scale is None or shift is None:
        return None
    weight = layer.weight if np.all(scale == 1) else scale_outputs(layer.weight, scale)
    rewriter.set(before.name, replace(layer, weight=weight, bias=layer.bias * scale + shift), before.inputs)
    rewriter.redirect(node.name, before.name)
    rewriter.drop(node.name)
    return [reader.name for reader in rewriter.readers(before.name)]


def _before_add(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    add = rewriter[node.inputs[0]]
    if not isinstance(add.op, Add) or rewriter.is_shared(add.name):
        return None
    branches = []
    for i, branch in enumerate(add.inputs):
        name = rewriter.fresh(f"{node.name}.branch")
        shifted = Affine(op.scale, op.shift if i == 0 else np.zeros(1))
        rewriter.put(name, shifted, (branch,), rewriter.shape(add.name))
        branches.append(name)
    rewriter.set(add.name, Add(), branches)
    rewriter.redirect(node.name, add.name)
    rewriter.drop(node.name)
    return branches


def _into_weights_after(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    scale = channels_of(op.scale, len(rewriter.shape(node.name)))
    if scale is None or np.any(op.shift != 0):
        return None
    for reader in rewriter.readers(node.name):
        layer = reader.op
        if isinstance(layer, Conv | Linear):
            weight = scale_inputs(layer.weight, scale, layer.groups if isinstance(layer, Conv) else 1)
            rewriter.set(reader.name, replace(layer, weight=weight), node.inputs)
            return [node.name, node.inputs[0]]
    return None


def _behind_pool(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    scale = channels_of(op.scale, len(rewriter.shape(node.name)))
    if scale is None or np.any(op.shift != 0):
        return None
    for reader in rewriter.readers(node.name):
        if isinstance(reader.op, Pool) and not (isinstance(reader.op, MaxPool) and np.any(scale <= 0)):
            spread = per_channel(scale, len(rewriter.shape(reader.name)))
            return _move_behind(rewriter, node, reader, Affine(spread, np.zeros(1)))
    return None


def _behind_move(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    shape = rewriter.shape(node.name)
    for reader in rewriter.readers(node.name):
        if isinstance(reader.op, Reshape | Rearrange):
            move = reader.op
            # Padding stays 0 whatever its scale.
            scale, shift = _moved(op.scale, shape, move, np.nan), _moved(op.shift, shape, move, 0.0)
            return _move_behind(rewriter, node, reader, Affine(settled(scale), compact(shift)))
    return None


def _moved(values: Array, shape: tuple[int, ...], move: Reshape | Rearrange, padding: float) -> Array:
    """Give what values that broadcast against an image become behind a move; what it pads gets the padding."""
    whole = np.broadcast_to(values, shape)
    if isinstance(move, Reshape):
        return whole.reshape(move.shape)
    return np.where(move.index >= 0, whole.reshape(-1)[move.index], padding)


def _behind_concat(rewriter: Rewriter, node: Node, op: Affine) -> Sequence[str] | None:
    shape = rewriter.shape(node.name)
    scale = channels_of(op.scale, len(shape))
    if scale is None or np.any(op.shift != 0):
        return None
    for reader in rewriter.readers(node.name):
        if isinstance(reader.op, Concat) and reader.op.axis == 0:
            parts = [
                np.broadcast_to(scale if name == node.name else 1.0, rewriter.shape(name)[:1])
                for name in reader.inputs
            ]
            spread = per_channel(np.concatenate(parts), len(shape))
            return _move_behind(rewriter, node, reader, Affine(spread, np.zeros(1)))
    return None


def _move_behind(rewriter: Rewriter, node: Node, reader: Node, affine: Affine) -> Sequence[str]:
    behind = rewriter.fresh(f"{reader.name}.affine")
    rewriter.redirect(reader.name, behind)
    rewriter.set(reader.name, reader.op, (node.inputs[0] if i == node.name else i for i in reader.inputs))
    rewriter.put(behind, affine, (reader.name,), rewriter.shape(reader.name))
    # What is behind may be an affine that now has another to merge with.
    return [node.name, behind, *(r.name for r in rewriter.readers(behind))]


_RULES: tuple[Callable[[Rewriter, Node, Affine], Sequence[str] | None], ...] = (
    _drop_unit,
    _merge_affines,
    _into_weights_before,
    _before_add,
    _into_weights_after,
    _behind_pool,
    _behind_move,
    _behind_concat,
)
