"""Balances thresholds by normalising weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Affine, ReLU
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.fold_affine import FoldAffine


@dataclass(frozen=True)
class Balance:
    """Scale weights so that the threshold of the neurons that each ReLU becomes is 1.

    With ``l`` the layer's thresholds and ``l_prev`` those of the layers that it reads, ``W' = W * l_prev / l`` and
    ``b' = b / l`` (Diehl et al. 2015; per channel: Kim et al. 2020). The network computes what it did before,
    since ``relu(x) == l * relu(x / l)``. A ReLU's own ceiling is divided by ``l`` too.

    Parameters
    ----------
    thresholds
        For each ReLU the value of its threshold, which broadcasts against one image; all positive.
    """

    fidelity: ClassVar[Fidelity] = "exact"
    thresholds: Mapping[str, Array]

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            if not isinstance(node.op, ReLU):
                continue
            shape = graph.types[node.name].shape
            threshold = self.thresholds[node.name]
            before, after = rewriter.fresh(f"{node.name}.normalise"), rewriter.fresh(f"{node.name}.restore")
            rewriter.redirect(node.name, after)
            # A ReLU before this one may have moved its restoring scale in between.
            rewriter.put(before, Affine(1 / threshold, np.zeros(1)), rewriter[node.name].inputs, shape)
            rewriter.set(node.name, ReLU(node.op.ceiling / threshold), (before,))
            rewriter.put(after, Affine(threshold, np.zeros(1)), (node.name,), shape)
        return FoldAffine()(rewriter.graph())
