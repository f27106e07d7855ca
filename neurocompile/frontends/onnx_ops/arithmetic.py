"""Operators that combine values element by element."""

from __future__ import annotations

import numpy as np

from neurocompile.frontends.onnx_node import NO_BOUND, OnnxNode
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.ir import Array
from neurocompile.ir.layers import Add, Affine, Choose, Function, Identity, Multiply, ReLU

_ZERO = np.zeros(1)
_MINUS = -np.ones(1)


def add(node: OnnxNode) -> str:
    """Convert computed values and constants, of shapes that broadcast."""
    return _sum(node, [1.0] * len(node.inputs))


def subtract(node: OnnxNode) -> str:
    """Convert computed values and constants, of shapes that broadcast."""
    return _sum(node, [1.0, -1.0])


def mean(node: OnnxNode) -> str:
    """Convert computed values and constants, of shapes that broadcast."""
    count = len(node.inputs)
    return _sum(node, [1 / count] * count)


def multiply(node: OnnxNode) -> str:
    """Convert a product with constants; one of computed values only if it is a function of the same values."""
    shape = _common_shape(node)
    if all(node.is_computed(i) for i in range(2)):
        return node.add(Multiply(), node.spread(0, shape), node.spread(1, shape))
    at = 0 if node.is_computed(0) else 1
    return node.add(Affine(_operand(node, 1 - at), _ZERO), node.spread(at, shape))


def divide(node: OnnxNode) -> str:
    """Convert a division by constants; one by computed values only if it is a function of the same values."""
    shape = _common_shape(node)
    if node.is_computed(1):
        inverse = node.add(Function("reciprocal"), node.spread(1, shape))
        if node.is_computed(0):
            return node.add(Multiply(), node.spread(0, shape), inverse)
        return node.add(Affine(_operand(node, 0), _ZERO), inverse)
    divisor = _operand(node, 1)
    if np.any(divisor == 0):
        raise node.error("divides by 0", "check the normalisation in the model")
    return node.add(Affine(1 / divisor.astype(np.float64), _ZERO), node.spread(0, shape))


def negate(node: OnnxNode) -> str:
    """Convert any values."""
    return node.add(Affine(_MINUS, _ZERO))


def absolute(node: OnnxNode) -> str:
    """Convert any values: the positive part plus the negative one."""
    positive = node.add(ReLU())
    return node.add(Add(), positive, node.add(ReLU(), node.add(Affine(_MINUS, _ZERO))))


def maximum(node: OnnxNode) -> str:
    """Convert two operands, computed or constant: one plus what the other is above it."""
    return _extreme(node, 1.0)


def minimum(node: OnnxNode) -> str:
    """Convert two operands, computed or constant: one minus what it is above the other."""
    return _extreme(node, -1.0)


def power(node: OnnxNode) -> str:
    """Convert a constant whole exponent above 0."""
    if node.is_computed(1):
        raise node.error("raises to a computed power", "use a constant exponent")
    exponent = node.scalar(1)
    if exponent is None or not 1 <= exponent <= 16 or exponent != int(exponent):
        raise node.error(f"raises to the power {exponent}", "use a whole exponent from 1 to 16")
    return node.add(Identity() if exponent == 1 else Function("power", exponent))


def greater(node: OnnxNode) -> str:
    """Convert a comparison with one number, where a Where chooses by it between functions of the same values."""
    return _compare(node, "greater", swapped=node.op == "Less")


def greater_or_equal(node: OnnxNode) -> str:
    """Convert a comparison with one number, where a Where chooses by it between functions of the same values."""
    return _compare(node, "greater_or_equal", swapped=node.op == "LessOrEqual")


def where(node: OnnxNode) -> str:
    """Convert a choice between functions of the same values, by a condition that is computed from them."""
    if not node.is_computed(0):
        raise node.error("chooses by a constant", "export the model without it")
    shape = _common_shape(node)
    return node.add(Choose(), node.spread(0, shape), *(_branch(node, i, shape) for i in (1, 2)))


def _branch(node: OnnxNode, i: int, shape: tuple[int, ...]) -> str:
    """Give a layer for an operand; a constant one is made of the condition."""
    if node.is_computed(i):
        return node.spread(i, shape)
    return node.add(Affine(_ZERO, _operand(node, i)), node.spread(0, shape))


def _compare(node: OnnxNode, function: str, *, swapped: bool) -> str:
    at = 0 if node.is_computed(0) else 1
    if node.is_computed(1 - at):
        raise node.error("compares computed values with each other", "compare with one number")
    bound = node.scalar(1 - at)
    if bound is None or not np.isfinite(bound):
        raise node.error(f"compares with {bound}", "compare with one finite number")
    # a < b is b > a, and -a > -b.
    sign = -1.0 if swapped != (at == 1) else 1.0
    compared = node.source(at) if sign == 1 else node.add(Affine(_MINUS, _ZERO), node.source(at))
    return node.add(Function(function, sign * bound), compared)


def _sum(node: OnnxNode, signs: list[float]) -> str:
    shape = _common_shape(node)
    branches, shift = [], _ZERO
    for i, sign in enumerate(signs):
        if not node.is_computed(i):
            shift = shift + sign * _operand(node, i)
            continue
        branch = node.spread(i, shape)
        branches.append(branch if sign == 1 else node.add(Affine(np.array([sign]), _ZERO), branch))
    total = branches[0] if len(branches) == 1 else node.add(Add(), *branches)
    if np.any(shift) or len(branches) < len(signs):
        return node.add(Affine(np.ones(1), shift), total)
    return total


def _extreme(node: OnnxNode, sign: float) -> str:
    """Give ``b + sign * relu(sign * (a - b))``."""
    if len(node.inputs) == 1:
        return node.add(Identity())
    if len(node.inputs) != 2:
        raise node.error(f"compares {len(node.inputs)} operands", "compare two at a time")
    shape = _common_shape(node)
    at = 0 if node.is_computed(0) else 1
    first = node.spread(at, shape)
    if node.is_computed(1 - at):
        second = node.spread(1 - at, shape)
        difference = node.add(Add(), first, node.add(Affine(_MINUS, _ZERO), second))
        above = node.add(ReLU(), node.add(Affine(np.array([sign]), _ZERO), difference))
        return node.add(Add(), second, node.add(Affine(np.array([sign]), _ZERO), above))
    bound = _operand(node, 1 - at).astype(np.float64)
    if np.all(sign * bound <= -NO_BOUND):
        return node.add(Identity(), first)
    if np.any(np.abs(bound) >= NO_BOUND):
        raise node.error(f"compares with {sign * np.max(sign * bound):g}", "leave out what has no effect")
    above = node.add(ReLU(), node.add(Affine(np.array([sign]), -sign * bound), first))
    return node.add(Affine(np.array([sign]), bound), above)


def _common_shape(node: OnnxNode) -> tuple[int, ...]:
    """Give the shape, for one image, to which all operands broadcast."""
    computed = [node.shape(i) for i in range(len(node.inputs)) if node.is_computed(i)]
    ranks = {len(shape) for shape in computed}
    if len(ranks) > 1:
        problem = f"combines values of {[list(shape) for shape in computed]}, whose batch axes do not meet"
        raise node.error(problem, "give all branches the same number of axes")
    constants = [_operand(node, i) for i in range(len(node.inputs)) if not node.is_computed(i)]
    try:
        # One number fits any image, also one of no axes.
        return np.broadcast_shapes(*computed, *(value.shape for value in constants if value.size > 1))
    except ValueError as error:
        problem = f"combines values of {[list(shape) for shape in computed]} and constants that do not fit"
        raise node.error(problem, "check the shapes of its operands") from error


def _operand(node: OnnxNode, i: int) -> Array:
    """Give a constant operand so that it broadcasts against one image."""
    value = node.reals(i)
    axes = next(len(node.shape(k)) for k in range(len(node.inputs)) if node.is_computed(k))
    if value.ndim <= axes:
        return value if value.ndim else value.reshape(1)
    if value.ndim > axes + 1:
        problem = f"its constant of shape {list(value.shape)} has more axes than the network's values"
        raise node.error(problem, "give it one axis less")
    if len(value) != 1:
        problem = f"its constant of shape {list(value.shape)} differs from image to image"
        raise node.error(problem, "use one constant for all images")
    return value[0] if axes else value.reshape(1)


OPERATORS = {
    "Abs": Operator(absolute, "neurons"),
    "Add": Operator(add, "currents"),
    "Div": Operator(divide, "folded"),
    "Greater": Operator(greater, "piecewise neurons"),
    "GreaterOrEqual": Operator(greater_or_equal, "piecewise neurons"),
    "Less": Operator(greater, "piecewise neurons"),
    "LessOrEqual": Operator(greater_or_equal, "piecewise neurons"),
    "Max": Operator(maximum, "neurons"),
    "Mean": Operator(mean, "currents"),
    "Min": Operator(minimum, "neurons"),
    "Mul": Operator(multiply, "folded"),
    "Neg": Operator(negate, "folded"),
    "Pow": Operator(power, "piecewise neurons"),
    "Sub": Operator(subtract, "currents"),
    "Sum": Operator(add, "currents"),
    "Where": Operator(where, "piecewise neurons"),
}
