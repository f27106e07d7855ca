"""Puts neurons before a max pool that would not work on spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.layers import (
    Affine,
    Concat,
    Identity,
    Input,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
    channels_of,
    per_channel,
)
from neurocompile.passes.base import Fidelity, Rewriter


@dataclass(frozen=True)
class RectifyPools:
    """Give each MaxPool whose input is not made of spikes neurons of its own.

    Spikes are never negative, so with ``m`` the largest amount by which a channel falls below 0, ``relu(x + m)``
    is what the neurons send, and ``m`` is subtracted behind the pool: ``max(relu(x + m)) - m == max(x)``, since a
    maximum moves with what is added to all of its values, and padding never wins. Exact on all images of which no
    value falls below the channel's smallest on the calibration images; smaller ones are taken for that.

    Made of spikes are ReLUs, and the input, whose current needs no neurons; moved, joined, pooled, or scaled by
    positive numbers for each channel.

    Parameters
    ----------
    lowest
        For each value that ``pools`` names the smallest that each channel has, ``(channels,)``.
    """

    fidelity: ClassVar[Fidelity] = "exact"
    lowest: Mapping[str, Array]

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rewriter = Rewriter(graph)
        neurons: dict[str, str] = {}
        for pool, value in _pooled(graph).items():
            axes = len(graph.types[value].shape)
            depth = per_channel(np.maximum(0, -self.lowest[value]), axes)
            if value not in neurons:
                neurons[value] = _add_neurons(rewriter, value, depth)
            (before,) = graph[pool].inputs
            if np.any(depth):
                restored = rewriter.fresh(f"{pool}.restore")
                rewriter.redirect(pool, restored)
                rewriter.set(restored, Affine(np.ones(1), -depth), (pool,))
            # A pool of a pool reads what is not restored yet.
            rewriter.set(pool, graph[pool].op, (neurons[value] if before == value else before,))
        return rewriter.graph()


def pools(graph: Graph) -> tuple[str, ...]:
    """Name the values that need neurons before they are pooled: their channels' smallest have to be measured."""
    return tuple(dict.fromkeys(_pooled(graph).values()))


def _pooled(graph: Graph) -> dict[str, str]:
    """Find, for each MaxPool that would not work on spikes, the value before it and before the pools before it."""
    spikes: set[str] = set()
    found: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input | ReLU) or (_keeps_spikes(graph, node) and spikes.issuperset(node.inputs)):
            spikes.add(node.name)
        elif isinstance(node.op, MaxPool):
            (before,) = node.inputs
            found[node.name] = found.get(before, before)
    return found


def _keeps_spikes(graph: Graph, node: Node) -> bool:
    op = node.op
    if isinstance(op, Affine):
        scale = channels_of(op.scale, len(graph.types[node.name].shape))
        return scale is not None and bool(np.all(scale > 0)) and not np.any(op.shift)
    return isinstance(op, Reshape | Rearrange | Concat | MaxPool | Identity)


def _add_neurons(rewriter: Rewriter, value: str, depth: Array) -> str:
    neurons = rewriter.fresh(f"{value}.rectified")
    source = value
    if np.any(depth):
        source = rewriter.fresh(f"{value}.raised")
        rewriter.set(source, Affine(np.ones(1), depth), (value,))
    rewriter.set(neurons, ReLU(), (source,))
    return neurons
