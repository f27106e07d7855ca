"""Loihi's integers in tensors of floats: exact forwards, and straight through backwards.

Rounding has a derivative of 0 or none. Backwards it counts as if it were not there (Bengio et al. 2013): what is
trained are reals, and what they are worth is that of the integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neurocompile.ir.fixed_point import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA_MAX,
    CURRENT_SHIFT,
    MEMBRANE_BITS,
    MEMBRANE_MAX,
    WEIGHT_MAX,
)


class _Through(torch.autograd.Function):
    """A function's values forwards, and the gradient of its argument backwards."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rule: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ARG004
        return rule(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None


def through(values: Tensor, rule: Callable[[Tensor], Tensor]) -> Tensor:
    """Give what a rule makes of values; the gradient goes to them as if it had changed nothing."""
    given: Tensor = _Through.apply(values, rule)  # type: ignore[no-untyped-call]
    return given


def membrane_units(current: Tensor) -> Tensor:
    """Give what currents are worth in a membrane, where they wrap around at 24 bits."""
    return through(current * 2.0**CURRENT_SHIFT, _wrapped)


def _wrapped(units: Tensor) -> Tensor:
    low, high = units.aminmax()
    if -low <= MEMBRANE_MAX and high <= MEMBRANE_MAX:
        return units
    # All of it is exact: units are multiples of 2 ** 6, and the others powers of two.
    around = 2.0**MEMBRANE_BITS
    return units - ((units / around + 0.5).floor() * around)


def saturated(v: Tensor) -> Tensor:
    """Keep membranes within 24 bits."""
    return through(v, lambda x: x.clamp(-MEMBRANE_MAX, MEMBRANE_MAX))


def integrated(v: Tensor, received: Tensor, bias: Tensor | float, integer: bool) -> Tensor:
    """Add what membranes receive, in their units, and the bias: Loihi's saturate."""
    total = v + received + bias
    return saturated(total) if integer else total


def rounded_weight(weight: Tensor) -> Tensor:
    """Give the nearest mantissas of weights."""
    return weight.round().clamp(-WEIGHT_MAX, WEIGHT_MAX)


def rounded_bias(bias: Tensor) -> Tensor:
    """Give the nearest biases of 13 bits with the sign and an exponent, as ``ir.fixed_point.split_bias`` does."""
    most = float(BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX)
    whole = bias.round().clamp(-most, most)
    rounded = whole
    for exponent in range(1, BIAS_EXPONENT_MAX + 1):
        unit = 2.0**exponent
        large = rounded.abs() > BIAS_MANTISSA_MAX * unit / 2
        rounded = torch.where(large, (whole / unit - 0.5).ceil() * unit, rounded)
    return rounded


def rounded_threshold(threshold: Tensor, most: float) -> Tensor:
    """Give the nearest thresholds that a mantissa of units of current holds, from one unit to ``most``."""
    unit = 2.0**CURRENT_SHIFT
    return ((threshold / unit).round() * unit).clamp(unit, most)


def rounded_membrane(v: Tensor) -> Tensor:
    """Give the nearest membranes."""
    return saturated(v.round())
