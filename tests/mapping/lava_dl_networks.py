"""Networks of lava-dl's notebooks, in ``tutorials/lava/lib/dl/netx``, that print where their layers lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.codes import RateCode
from neurocompile.ir.layers import Conv, Input, Linear, ReLU, Reshape
from neurocompile.ir.processes import Encoder
from neurocompile.passes.lower import Lower

Kernel = tuple[int, int, tuple[int, int], tuple[int, int]]
"""Channels, size, stride and padding."""


def square(channels: int, size: int, stride: int, padding: int) -> Kernel:
    return channels, size, (stride, stride), (padding, padding)


PILOTNET = (
    square(24, 3, 2, 0),
    square(36, 3, 2, 0),
    square(48, 3, 2, 0),
    (64, 3, (2, 1), (1, 0)),
    square(64, 3, 1, 0),
)
YOLO_KP = (
    square(16, 3, 2, 1),
    square(32, 3, 2, 1),
    square(64, 3, 2, 1),
    square(128, 3, 2, 1),
    square(256, 3, 1, 1),
    square(256, 3, 2, 1),
    square(512, 3, 1, 1),
    square(256, 1, 1, 0),
    square(512, 3, 1, 1),
    square(48, 1, 1, 0),
)


def network(
    image: tuple[int, ...], kernels: Sequence[Kernel], dense: Sequence[int] = (), *, input_neurons: bool = False
) -> Graph:
    """Build processes; what gives the output has no neurons but the decoder's."""
    nodes = [Node("images", Input(image))]
    if input_neurons:
        nodes.append(Node("input", ReLU(), ("images",)))
    for i, (channels, size, stride, padding) in enumerate(kernels):
        inputs = Graph.of(nodes, [nodes[-1].name]).types[nodes[-1].name].shape[0]
        conv = Conv(weights(channels, inputs, size, size), np.zeros(channels), stride, padding * 2)
        nodes.append(Node(f"w{i}", conv, (nodes[-1].name,)))
        nodes.append(Node(f"conv{i}", ReLU(), (f"w{i}",)))
    if dense:
        shape = Graph.of(nodes, [nodes[-1].name]).types[nodes[-1].name].shape
        nodes.append(Node("flat", Reshape((int(np.prod(shape)),)), (nodes[-1].name,)))
    for i, outputs in enumerate(dense):
        (inputs,) = Graph.of(nodes, [nodes[-1].name]).types[nodes[-1].name].shape
        nodes.append(Node(f"u{i}", Linear(weights(outputs, inputs), np.zeros(outputs)), (nodes[-1].name,)))
        nodes.append(Node(f"dense{i}", ReLU(), (f"u{i}",)))
    return Lower(Encoder(()), RateCode(8, reset="zero"))(Graph.of(nodes[:-1], [nodes[-2].name]))


def weights(*shape: int) -> Array:
    return np.broadcast_to(np.float64(1), shape)


def pilotnet(*, input_neurons: bool) -> Graph:
    return network((3, 66, 200), PILOTNET, (100, 50, 10, 1), input_neurons=input_neurons)


def yolo_kp() -> Graph:
    return network((3, 448, 448), YOLO_KP)
