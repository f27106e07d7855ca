"""What classifiers end with: computed by the decoder, from what the outputs have accumulated."""

from __future__ import annotations

import math

from neurocompile.frontends.onnx_node import OnnxNode
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.ir.layers import ArgMax, Reshape, Softmax


def softmax(node: OnnxNode) -> str:
    """Convert it at the network's output."""
    shape = node.shape()
    log = node.op == "LogSoftmax"
    if node.opset >= 13:
        return node.add(Softmax(node.image_axis(node.integer("axis", -1), len(shape) + 1), log))
    # Older ones work on all axes from this one on together.
    axis = node.image_axis(node.integer("axis", 1), len(shape) + 1)
    if len(shape) - axis == 1:
        return node.add(Softmax(axis, log))
    flat = node.add(Reshape((*shape[:axis], math.prod(shape[axis:]))))
    return node.add(Reshape(shape), node.add(Softmax(axis, log), flat))


def argmax(node: OnnxNode) -> str:
    """Convert it at the network's output."""
    shape = node.shape()
    axis = node.image_axis(node.integer("axis", 0), len(shape) + 1)
    if node.flag("select_last_index", False):
        raise node.error("takes the last of equal values", "use select_last_index=0")
    best = node.add(ArgMax(axis))
    if node.flag("keepdims", True):
        return best
    return node.add(Reshape(shape[:axis] + shape[axis + 1 :]), best)


OPERATORS = {
    "ArgMax": Operator(argmax, "decoder"),
    "LogSoftmax": Operator(softmax, "decoder"),
    "Softmax": Operator(softmax, "decoder"),
}
