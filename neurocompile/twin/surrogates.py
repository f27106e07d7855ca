"""Spikes with surrogate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from neurocompile.checks import choice_issues, number_issues
from neurocompile.errors import DataError

SurrogateName = Literal["fast_sigmoid", "arctan", "triangle", "sigmoid", "rectangular"]


def _fast_sigmoid(x: Tensor, scale: float) -> Tensor:
    """``1 / (1 + scale |x|) ** 2`` (Zenke and Ganguli 2018)."""
    return (1 + scale * x.abs()).square().reciprocal()


def _arctan(x: Tensor, scale: float) -> Tensor:
    """``scale / 2 / (1 + (pi / 2 scale x) ** 2)`` (Fang et al. 2021)."""
    return scale / 2 / (1 + (math.pi / 2 * scale * x).square())


def _triangle(x: Tensor, scale: float) -> Tensor:
    """``max(0, 1 - scale |x|)`` (Esser et al. 2016; Bellec et al. 2018 take 0.3 of it)."""
    return (1 - scale * x.abs()).relu()


def _sigmoid(x: Tensor, scale: float) -> Tensor:
    """``scale s (1 - s)`` with ``s = 1 / (1 + exp(-scale x))`` (Zenke and Vogels 2021)."""
    s = (scale * x).sigmoid()
    return scale * s * (1 - s)


def _rectangular(x: Tensor, scale: float) -> Tensor:
    """``scale`` where ``|x| < 1 / (2 scale)``, else 0 (Wu et al. 2018, whose a is ``1 / scale``)."""
    return scale * (scale * x.abs() < 0.5).to(x.dtype)


_DERIVATIVES: dict[SurrogateName, tuple[Callable[[Tensor, float], Tensor], float]] = {
    "fast_sigmoid": (_fast_sigmoid, 10.0),
    "arctan": (_arctan, 2.0),
    "triangle": (_triangle, 1.0),
    "sigmoid": (_sigmoid, 4.0),
    "rectangular": (_rectangular, 1.0),
}
"""Each with its scale unless another is given. With these all are 1 at the threshold, as arctan is in Fang et al.
and the rectangle in Wu et al. Zenke and Ganguli take 1 per millivolt, and have 10 mV from rest to threshold."""

MOST_SCALE = 1e4
"""Above, float16 can't hold the value at the threshold."""


class _Spike(torch.autograd.Function):
    """A step forwards, and a surrogate's derivative backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: Tensor | None, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x, unit)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, unit = ctx.saved_tensors
        if unit is None:
            return gradients[0] * ctx.surrogate.derivative(x), None, None
        return gradients[0] * (ctx.surrogate.derivative(x / unit) / unit), None, None


@dataclass(frozen=True)
class Surrogate:
    """Spikes whose gradient is that of something smoother.

    The step that makes a spike has a derivative of 0 or none, by which nothing could be learned; this one is put
    in its place (Neftci et al. 2019).

    Parameters
    ----------
    name
        Of the derivative, as a function of ``x = v - v_threshold``, s being the scale:

        - ``fast_sigmoid``: ``1 / (1 + s |x|) ** 2`` (Zenke and Ganguli 2018);
        - ``arctan``: ``s / 2 / (1 + (pi / 2 s x) ** 2)`` (Fang et al. 2021);
        - ``triangle``: ``max(0, 1 - s |x|)`` (Esser et al. 2016, Bellec et al. 2018);
        - ``sigmoid``: the derivative of ``1 / (1 + exp(-s x))`` (Zenke and Vogels 2021);
        - ``rectangular``: ``s`` where ``|x| < 1 / (2 s)`` (Wu et al. 2018).
    scale
        How narrow it is, per unit of the membrane, above 0 and up to 1e4. Unless it is given the derivative is 1
        at the threshold, and fits thresholds of about 1: 10, 2, 1, 4 and 1 in the order above.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    name: SurrogateName = "arctan"
    scale: float | None = None

    def __post_init__(self) -> None:
        issues = list(choice_issues("name", self.name, get_args(SurrogateName), op="Surrogate"))
        if self.scale is not None:
            issues.extend(number_issues("scale", self.scale, 0, MOST_SCALE, above=True, op="Surrogate"))
        if issues:
            raise DataError.of(issues)

    def __call__(self, x: Tensor, unit: Tensor | None = None) -> Tensor:
        """Give spikes, 1 where ``x > 0`` and else 0, of the type of x.

        Parameters
        ----------
        x
            How far the membrane is above the threshold.
        unit
            Of the membrane, such as the threshold: the gradient is that of ``x / unit``. It broadcasts, and gets
            none itself.

        A neuron at its threshold is silent, as those of ``neurocompile.ir`` are. With ``x = v - v_threshold`` that
        is ``v > v_threshold`` exactly: a difference of floats is 0 for equal ones only, and gradients reach the
        threshold too.
        """
        spikes: Tensor = _Spike.apply(x, unit, self)  # type: ignore[no-untyped-call]
        return spikes

    def derivative(self, x: Tensor) -> Tensor:
        """Give what stands for the derivative at x."""
        derivative, scale = _DERIVATIVES[self.name]
        return derivative(x, scale if self.scale is None else self.scale)
