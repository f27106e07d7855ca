"""What leads from a source to a receiver, as a core stores it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.kernels import Window
from neurocompile.ir.paths import paths
from neurocompile.ir.processes import (
    ConvSynapses,
    Encoder,
    LinearSynapses,
    PoolSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile.mapping.boxes import Box, needed

_FULL_BITS = 8
"""Of weights that are not rounded yet, or made of several."""


@dataclass(frozen=True)
class Link:
    """All synapses of one path.

    Parameters
    ----------
    source, receiver
        Their names.
    steps
        The operators on the way, in order; a receiver that is a pool is the last.
    shapes
        Of what each step takes.
    shape
        Of the receiver's current; of what a pool takes, if the receiver is one.
    from_host
        Whether the source is the encoder, which takes no core.
    """

    source: str
    receiver: str
    steps: tuple[Op, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    from_host: bool = False

    @cached_property
    def shared(self) -> bool:
        """Whether one kernel serves all places, so that a core stores it once."""
        kinds = ConvSynapses | PoolSynapses | ScaleSynapses | SpikeMaxPool | WireSynapses
        axes = {len(shape) for shape in (*self.shapes, self.shape)}
        return len(axes) == 1 and min(axes) > 1 and all(isinstance(op, kinds) for op in self.steps)

    @cached_property
    def window(self) -> Window:
        """The window that all the steps together make over space; wires count as nothing."""
        windows = [op.window for op in self.steps if isinstance(op, ConvSynapses | PoolSynapses | SpikeMaxPool)]
        if len(windows) == 1:
            return windows[0]
        axes = len(self.shapes[0]) - 1
        kernel, stride, before = [1] * axes, [1] * axes, [0] * axes
        for window in windows:
            for i in range(axes):
                kernel[i] += (window.kernel[i] - 1) * window.dilation[i] * stride[i]
                before[i] += window.before[i] * stride[i]
                stride[i] *= window.stride[i]
        return Window(tuple(kernel), tuple(stride), (*before, *before))

    @cached_property
    def fan_in(self) -> int:
        """The synapses of a neuron, at most."""
        count = 1
        for op in self.steps:
            if isinstance(op, ConvSynapses):
                count *= math.prod(op.weight.shape[1:])
            elif isinstance(op, PoolSynapses | SpikeMaxPool):
                count *= op.window.places
            elif isinstance(op, LinearSynapses):
                count *= op.weight.shape[1]
        return count

    @cached_property
    def channel_fan_in(self) -> int:
        """How many channels a neuron listens to, at most."""
        return math.prod(op.weight.shape[1] for op in self.steps if isinstance(op, ConvSynapses))

    @cached_property
    def weight_bits(self) -> int:
        """The width that the weights need: of the largest and its sign, without a power of two that all share."""
        weighted = [op.weight for op in self.steps if isinstance(op, Synapses)]
        if not weighted:
            return 1
        return _bits(weighted[0]) if len(weighted) == 1 else _FULL_BITS

    def boxes(self, box: Box) -> tuple[Box, ...]:
        """Give what a box of the receiver needs, of the source and of what each step gives."""
        found = [box]
        for op, shape in zip(reversed(self.steps), reversed(self.shapes), strict=True):
            found.append(needed(op, found[-1], shape))
        return tuple(reversed(found))

    def channels(self, boxes: tuple[Box, ...]) -> tuple[int, int]:
        """Give the channels, of such boxes, where weights begin."""
        return next(box[0] for op, box in zip(self.steps, boxes, strict=False) if not isinstance(op, WireSynapses))


@dataclass(frozen=True)
class Readers:
    """The cores at the end of a link.

    Parameters
    ----------
    link
        That leads to them.
    needs
        For each core of the receiver, in order, the box of the source's values that it needs.
    """

    link: Link
    needs: tuple[Box, ...]

    @cached_property
    def _bounds(self) -> tuple[Array, Array]:
        """Different boxes ``(boxes, axes, 2)``, and how many cores need each: those of all channels alike."""
        bounds = np.array(self.needs, np.int64).reshape(len(self.needs), -1)
        boxes, cores = np.unique(bounds, axis=0, return_counts=True)
        return boxes.reshape(len(boxes), -1, 2), cores

    def pairs(self, box: Box) -> int:
        """Count the pairs of a value in a box of the source and a core that needs it."""
        starts, ends = np.array(box, np.int64).reshape(-1, 2).T
        boxes, cores = self._bounds
        shared = np.minimum(boxes[:, :, 1], ends) - np.maximum(boxes[:, :, 0], starts)
        return int(np.maximum(shared, 0).prod(axis=1) @ cores)


def slots(link: Link, channels: int) -> int:
    """Tell how many output axons a neuron takes for a core, if one tells so many channels apart at most."""
    return 2 if link.shared and link.shapes[0][0] > channels else 1


def links(graph: Graph, receiver: Node) -> tuple[Link, ...]:
    """List the paths into a receiver."""
    found = []
    for path in paths(graph, receiver):
        steps = [node.op for node in path.synapses]
        shapes = [graph.types[path.source].shape, *(graph.types[node.name].shape for node in path.synapses)]
        shape = shapes[-1]
        if isinstance(receiver.op, SpikeMaxPool):
            steps.append(receiver.op)
        else:
            shapes.pop()
        from_host = isinstance(graph[path.source].op, Encoder)
        found.append(Link(path.source, receiver.name, tuple(steps), tuple(shapes), shape, from_host))
    return tuple(found)


def _bits(weight: Array) -> int:
    if weight.dtype != np.int8:
        return _FULL_BITS
    used = int(np.bitwise_or.reduce(np.abs(weight.astype(np.int16)), axis=None))
    shared = (used & -used).bit_length() - 1 if used else 0
    return max(1, (int(np.abs(weight.astype(np.int16)).max(initial=0)) >> shared).bit_length() + 1)
