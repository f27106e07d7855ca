"""Puts MaxPools where they read the spikes of one layer of neurons."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from neurocompile.ir import Graph, Node
from neurocompile.ir.layers import Concat, MaxPool, ReLU, channels_of
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class HoistPools:
    """Swap a MaxPool with the ReLU that alone reads it, and move one that alone reads a Concat into the branches.

    Exact: a ReLU and a maximum only ever compare, ``relu(max(x)) == max(relu(x))``, and a pool works on each
    channel by itself, so that it does the same before the channels of branches are joined.
    """

    fidelity: ClassVar[Fidelity] = "exact"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        pools = [node.name for node in graph.nodes if isinstance(node.op, MaxPool)]
        # Each step moves a pool towards the output past a ReLU, or later one towards the input past a Concat: this
        # ends.
        for step in (_behind_relu, _before_concat):
            waiting = deque(pools)
            while waiting:
                waiting.extend(step(rewriter, rewriter[waiting.popleft()]))
        return rewriter.graph()


def _behind_relu(rewriter: Rewriter, pool: Node) -> list[str]:
    readers = rewriter.readers(pool.name)
    if len(readers) != 1 or rewriter.is_output(pool.name):
        return []
    (relu,) = readers
    if not isinstance(relu.op, ReLU) or channels_of(relu.op.ceiling, len(rewriter.shape(pool.name))) is None:
        return []
    rewriter.redirect(relu.name, pool.name)
    rewriter.put(relu.name, relu.op, pool.inputs, rewriter.shape(pool.inputs[0]))
    rewriter.set(pool.name, pool.op, (relu.name,))
    # A pool before this one may now be read by the ReLU.
    return [pool.name, *(name for name in pool.inputs if isinstance(rewriter[name].op, MaxPool))]


def _before_concat(rewriter: Rewriter, pool: Node) -> list[str]:
    joined = rewriter[pool.inputs[0]]
    if not isinstance(joined.op, Concat) or joined.op.axis != 0 or rewriter.is_shared(joined.name):
        return []
    branches = []
    for branch in joined.inputs:
        name = rewriter.fresh(f"{pool.name}.branch")
        shape = (rewriter.shape(branch)[0], *rewriter.shape(pool.name)[1:])
        rewriter.put(name, pool.op, (branch,), shape)
        branches.append(name)
    rewriter.set(pool.name, joined.op, branches)
    rewriter.drop(joined.name)
    return branches
