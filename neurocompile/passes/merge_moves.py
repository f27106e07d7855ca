"""Merges what only moves values, and lets it cancel out."""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    Affine,
    BatchNorm,
    Choose,
    Concat,
    Function,
    Identity,
    Multiply,
    Rearrange,
    ReLU,
    Reshape,
    compact,
)
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class MergeMoves:
    """Make one of Reshapes and Rearranges in a row, and none of those that leave all where it is.

    A Rearrange that leaves no value out moves behind what works element by element, and behind an Add, a product
    or a Concat of values that were all rearranged alike. So the transpositions around each layer of a network with
    channels last cancel out, and its neurons have their channels first, where thresholds are chosen by them. For
    these the channels of an image are best, so what flattens one moves too, and what makes one of less stays.
    """

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        waiting = deque(node.name for node in graph.nodes if isinstance(node.op, Reshape | Rearrange))
        # Each step takes a move out, makes one of two, or leads one on towards the output: this ends.
        while waiting:
            name = waiting.popleft()
            if name in rewriter and isinstance(rewriter[name].op, Reshape | Rearrange):
                waiting.extend(_step(rewriter, rewriter[name]))
        return rewriter.graph()


def _step(rewriter: Rewriter, node: Node) -> list[str]:
    """Apply the first rule that fits, and name the moves that have a new neighbour."""
    if not rewriter.readers(node.name) and not rewriter.is_output(node.name):
        rewriter.drop(node.name)
        return []
    for rule in (_without_effect, _joined, _led_on):
        touched = rule(rewriter, node)
        if touched is not None:
            return touched
    return []


def _without_effect(rewriter: Rewriter, node: Node) -> list[str] | None:
    source = node.inputs[0]
    shape = rewriter.shape(source)
    op = node.op
    if isinstance(op, Rearrange):
        if op.index.size != math.prod(shape) or np.any(op.index.reshape(-1) != np.arange(op.index.size)):
            return None
        if op.index.shape != shape:
            rewriter.set(node.name, Reshape(op.index.shape), node.inputs)
            return [node.name]
    elif rewriter.shape(node.name) != shape:
        return None
    readers = [reader.name for reader in rewriter.readers(node.name)]
    rewriter.redirect(node.name, source)
    rewriter.drop(node.name)
    return [source, *readers]


def _joined(rewriter: Rewriter, node: Node) -> list[str] | None:
    before = rewriter[node.inputs[0]]
    if not isinstance(before.op, Reshape | Rearrange):
        return None
    if isinstance(before.op, Reshape) and isinstance(node.op, Reshape):
        both: Op = node.op
    else:
        index = _index(rewriter, node)
        earlier = _index(rewriter, before).reshape(-1)
        both = Rearrange(np.where(index >= 0, earlier[index], -1).astype(np.int32))
    rewriter.set(node.name, both, before.inputs)
    return [node.name, before.name]


def _index(rewriter: Rewriter, node: Node) -> Array:
    """Give the place that each value comes from."""
    if isinstance(node.op, Rearrange):
        return node.op.index
    shape = rewriter.shape(node.name)
    return np.arange(math.prod(shape)).reshape(shape)


def _led_on(rewriter: Rewriter, node: Node) -> list[str] | None:
    """Lead a move on behind the first of its readers that it can pass."""
    shape, moved = rewriter.shape(node.inputs[0]), rewriter.shape(node.name)
    if isinstance(node.op, Reshape) and len(moved) != 1:
        return None
    index = _index(rewriter, node)
    if len(moved) > len(shape) or not _is_permutation(index, shape):
        return None
    for reader in rewriter.readers(node.name):
        passed = _before_move(rewriter, node, index, reader)
        if passed is None:
            continue
        before, inputs, shape, behind_it = passed
        behind = rewriter.fresh(f"{reader.name}.moved")
        rewriter.redirect(reader.name, behind)
        rewriter.put(reader.name, before, inputs, shape)
        rewriter.put(behind, Rearrange(behind_it), (reader.name,), behind_it.shape)
        moves = [node.name, *reader.inputs, behind, *(r.name for r in rewriter.readers(behind))]
        return [name for name in dict.fromkeys(moves) if name in rewriter]
    return None


def _before_move(
    rewriter: Rewriter, node: Node, index: Array, reader: Node
) -> tuple[Op, tuple[str, ...], tuple[int, ...], Array] | None:
    """Tell what a reader is before the rearrangement, what it reads and gives there, and what comes behind."""
    source = node.inputs[0]
    shape = rewriter.shape(source)
    op = reader.op
    if isinstance(op, Add | Multiply | Choose):
        moves = [rewriter[name] for name in reader.inputs]
        if not all(isinstance(move.op, Reshape | Rearrange) for move in moves):
            return None
        inputs = tuple(move.inputs[0] for move in moves)
        alike = {rewriter.shape(i) for i in inputs} == {shape} and all(
            np.array_equal(_index(rewriter, move), index) for move in moves
        )
        return (op, inputs, shape, index) if alike else None
    if isinstance(op, Concat):
        return _concat_before_move(rewriter, reader, op)
    if isinstance(op, BatchNorm):
        op = op.affine(index.ndim)
    if isinstance(op, Affine):
        back = _Back(index, shape)
        return Affine(back(op.scale), back(op.shift)), (source,), shape, index
    if isinstance(op, ReLU):
        return ReLU(_Back(index, shape)(op.ceiling)), (source,), shape, index
    return (op, (source,), shape, index) if isinstance(op, Function | Identity) else None


@dataclass(frozen=True)
class _Back:
    """Gives what values that broadcast against an image were before it was rearranged."""

    index: Array
    shape: tuple[int, ...]

    def __call__(self, values: Array) -> Array:
        if values.size == 1:
            return values.reshape(1)
        found = np.empty(math.prod(self.shape))
        found[self.index.reshape(-1)] = np.broadcast_to(values, self.index.shape).reshape(-1)
        return compact(found.reshape(self.shape))


def _concat_before_move(
    rewriter: Rewriter, reader: Node, op: Concat
) -> tuple[Op, tuple[str, ...], tuple[int, ...], Array] | None:
    """Join branches that were all transposed alike before they are transposed."""
    moves = [rewriter[name] for name in reader.inputs]
    if not all(isinstance(move.op, Reshape | Rearrange) for move in moves):
        return None
    inputs = tuple(move.inputs[0] for move in moves)
    # What transposes an axis of one place may be a Reshape, and be more than one transposition.
    orders = set.intersection(*(_orders(_index(rewriter, m), rewriter.shape(m.inputs[0])) for m in moves))
    if not orders:
        return None
    order = min(orders)
    joined = Concat(order[op.axis])
    shape = joined.output_shape(*(rewriter.shape(name) for name in inputs))
    index = np.arange(math.prod(shape), dtype=np.int32).reshape(shape).transpose(order)
    return joined, inputs, shape, index


def _orders(index: Array, shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Give the orders of axes in which an image may have been transposed; none if it was rearranged otherwise."""
    if index.ndim != len(shape):
        return set()
    places = np.arange(math.prod(shape)).reshape(shape)
    return {
        order
        for order in itertools.permutations(range(len(shape)))
        if tuple(shape[axis] for axis in order) == index.shape and np.array_equal(places.transpose(order), index)
    }


def _is_permutation(index: Array, shape: tuple[int, ...]) -> bool:
    size = math.prod(shape)
    if index.size != size or index.min() < 0:
        return False
    return bool(np.all(np.bincount(index.reshape(-1), minlength=size) == 1))
