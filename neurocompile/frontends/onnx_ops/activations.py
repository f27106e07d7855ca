"""Activations: those made of straight lines are converted exactly, curves piecewise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurocompile.frontends.onnx_node import NO_BOUND, OnnxNode
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.ir import Array
from neurocompile.ir.layers import Add, Affine, Function, Identity, ReLU

_ZERO = np.zeros(1)


def relu(node: OnnxNode) -> str:
    """Convert any values."""
    return node.add(ReLU())


def clip(node: OnnxNode) -> str:
    """Convert any constant bounds; ReLU6 is one layer of neurons whose threshold is the upper bound."""
    low = float(node.attributes["min"]) if "min" in node.attributes else node.scalar(1)
    high = float(node.attributes["max"]) if "max" in node.attributes else node.scalar(2)
    if any(bound is not None and np.isnan(bound) for bound in (low, high)):
        raise node.error(f"clips to {low} and {high}", "use numbers as bounds")
    low = None if low is None or low <= -NO_BOUND else low
    high = None if high is None or high >= NO_BOUND else high
    if low is None and high is None:
        return node.add(Identity())
    if low is None:
        assert high is not None
        if high <= -NO_BOUND:
            raise node.error(f"clips to {high}, which leaves nothing", "check the bounds")
        above = node.add(ReLU(), node.add(Affine(-np.ones(1), np.array([high]))))
        return node.add(Affine(-np.ones(1), np.array([high])), above)
    if low >= NO_BOUND or (high is not None and high <= low):
        raise node.error(f"clips to {low} and {high}, which leaves nothing", "check the bounds")
    ceiling = np.array(np.inf if high is None else high - low)
    if low == 0:
        return node.add(ReLU(ceiling))
    rectified = node.add(ReLU(ceiling), node.add(Affine(np.ones(1), np.array([-low]))))
    return node.add(Affine(np.ones(1), np.array([low])), rectified)


def leaky_relu(node: OnnxNode) -> str:
    """Convert any slope: one layer of neurons for the positive part, one for the negative."""
    return _two_sided(node, np.array([node.number("alpha", 0.01)]))


def prelu(node: OnnxNode) -> str:
    """Convert constant slopes that broadcast: one layer of neurons for the positive part, one for the negative."""
    slope = node.reals(1)
    if slope.ndim == len(node.shape()) + 1 and len(slope) == 1:
        slope = slope[0]
    return _two_sided(node, slope.reshape(slope.shape or (1,)))


def _two_sided(node: OnnxNode, slope: Array) -> str:
    negative = node.add(ReLU(), node.add(Affine(-np.ones(1), _ZERO)))
    return node.add(Add(), node.add(ReLU()), node.add(Affine(-slope, _ZERO), negative))


def hard_sigmoid(node: OnnxNode) -> str:
    """Convert any slope and shift: one layer of neurons whose threshold is 1."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return node.add(ReLU(np.array(1.0)), node.add(Affine(np.array([alpha]), np.array([beta]))))


def gelu(node: OnnxNode) -> str:
    """Convert the exact form and the one by tanh."""
    return node.add(Function("gelu_tanh" if node.text("approximate", "none") == "tanh" else "gelu"))


def curve(name: str, alpha: float = 1.0, gamma: float = 1.0) -> Operator:
    """Make the importer of a smooth function, with the defaults that ONNX has for its parameters."""

    def importer(node: OnnxNode) -> str:
        """Convert any parameters."""
        return node.add(Function(name, node.number("alpha", alpha), node.number("gamma", gamma)))

    return Operator(importer, "piecewise neurons")


def straight(importer: Callable[[OnnxNode], str]) -> Operator:
    """Make the entry of an activation of straight lines."""
    return Operator(importer, "neurons")


OPERATORS = {
    "Celu": curve("celu"),
    "Clip": straight(clip),
    "Elu": curve("elu"),
    "Erf": curve("erf"),
    "Exp": curve("exp"),
    "Gelu": Operator(gelu, "piecewise neurons"),
    "HardSigmoid": straight(hard_sigmoid),
    "HardSwish": curve("hard_swish"),
    "LeakyRelu": straight(leaky_relu),
    "Log": curve("log"),
    "Mish": curve("mish"),
    "PRelu": straight(prelu),
    "Reciprocal": curve("reciprocal"),
    "Relu": straight(relu),
    # The float32 values of ONNX's defaults.
    "Selu": curve("selu", 1.6732632423543772, 1.0507009873554805),
    "Sigmoid": curve("sigmoid"),
    "Softplus": curve("softplus"),
    "Softsign": curve("softsign"),
    "Sqrt": curve("sqrt"),
    "Swish": curve("swish"),
    "Tanh": curve("tanh"),
}
