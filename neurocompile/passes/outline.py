"""Lowers a network whose numbers are not known yet, to tell what a target makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.codes import Code
from neurocompile.ir.layers import Affine, BatchNorm, Conv, Identity, Linear, ReLU
from neurocompile.ir.processes import Encoder
from neurocompile.passes import pipeline
from neurocompile.passes.base import Fidelity
from neurocompile.passes.lower import Lower
from neurocompile.passes.rectify_pools import RectifyPools, pools


@dataclass(frozen=True)
class Outline:
    """Replace weights by ones that take no memory, and affines by nothing.

    What such a network lowers to has the processes, neurons and synapses of the real one, up to an affine that
    can't be folded; so it can be told beforehand what a target makes of it.
    """

    fidelity: ClassVar[Fidelity] = "shape"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        return Graph(
            tuple(Node(node.name, _outlined(node.op), node.inputs) for node in graph.nodes), graph.outputs
        )


def outlined_processes(graph: Graph, code: Code) -> Graph:
    """Lower a graph of layers without its numbers.

    Parameters
    ----------
    graph
        Of layers, straightened, with nothing left to approximate.
    code
        Of the neurons.

    Raises
    ------
    GraphError
        With every layer that spikes do not compute.
    """
    graph = Outline()(graph)
    for step in pipeline.SIMPLIFY:
        graph = step(graph)
    lowest = {name: np.zeros(graph.types[name].shape[0]) for name in pools(graph)}
    return Lower(Encoder(()), code)(RectifyPools(lowest)(graph))


def _outlined(op: Op) -> Op:
    if isinstance(op, Conv | Linear):
        return replace(op, weight=_constant(1.0, op.weight.shape), bias=_constant(0.0, op.bias.shape))
    if isinstance(op, Affine | BatchNorm):
        return Identity()
    return ReLU() if isinstance(op, ReLU) else op


def _constant(value: float, shape: tuple[int, ...]) -> Array:
    single = np.array(value)
    single.setflags(write=False)
    return np.broadcast_to(single, shape)
