"""Scalar functions that networks use as activations, by name; each takes values and up to two parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from neurocompile.ir.op import Array

ScalarFunction = Callable[[Array, float, float], Array]


def sigmoid(x: Array) -> Array:
    """Give ``1 / (1 + exp(-x))``, without overflow."""
    small = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, small) / (1 + small)
    return y


def softplus(x: Array) -> Array:
    """Give ``log(1 + exp(x))``, without overflow."""
    y: Array = np.logaddexp(0, x)
    return y


def erf(x: Array) -> Array:
    """Give the error function within 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    y: Array = np.sign(x) * (1 - series * np.exp(-(x**2)))
    return y


def _below_zero(x: Array) -> Array:
    """Keep exponentials of the part above 0, which is not used, from overflowing."""
    return np.minimum(x, 0)


FUNCTIONS: Mapping[str, ScalarFunction] = {
    "celu": lambda x, a, _: np.where(x > 0, x, a * np.expm1(_below_zero(x) / a)),
    "elu": lambda x, a, _: np.where(x > 0, x, a * np.expm1(_below_zero(x))),
    "erf": lambda x, _, __: erf(x),
    "exp": lambda x, _, __: np.exp(x),
    "gelu": lambda x, _, __: x * (1 + erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x, _, __: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "greater": lambda x, a, _: (x > a).astype(np.float64),
    "greater_or_equal": lambda x, a, _: (x >= a).astype(np.float64),
    "hard_swish": lambda x, _, __: x * np.clip(x / 6 + 0.5, 0, 1),
    "log": lambda x, _, __: np.log(x),
    "mish": lambda x, _, __: x * np.tanh(softplus(x)),
    "power": lambda x, a, _: x**a,
    "reciprocal": lambda x, _, __: 1 / x,
    "selu": lambda x, a, gamma: gamma * np.where(x > 0, x, a * np.expm1(_below_zero(x))),
    "sigmoid": lambda x, _, __: sigmoid(x),
    "softplus": lambda x, _, __: softplus(x),
    "softsign": lambda x, _, __: x / (1 + np.abs(x)),
    "sqrt": lambda x, _, __: np.sqrt(x),
    "swish": lambda x, a, _: x * sigmoid(a * x),
    "tanh": lambda x, _, __: np.tanh(x),
}
"""As ONNX defines them; the parameters are ``alpha`` and ``gamma``, the exponent, or what is compared with."""
