"""What is trained: reals, of which the forward pass may make integers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from neurocompile.ir import Array
from neurocompile.twin.fixed_point import through

Rule = Callable[[Tensor], Tensor]
"""Gives the nearest values that a process may have."""

LEAST_THRESHOLD = 2.0**-10
"""Of real neurons, whose thresholds are 1 when they are converted."""


class Parameter(nn.Module):
    """An array of a process, trained in units of its own.

    An optimiser such as Adam moves all values by about as much in a step: weights of an input that is counted in
    65,535ths, and integers in the thousands, are brought to the size of others.

    Parameters
    ----------
    values
        To begin with.
    rule
        What the process may have instead.
    unit
        Of what is trained, which the power of two that is nearest to it stands for: so nothing is rounded.
    """

    unit: Tensor

    def __init__(self, values: Array, rule: Rule | None = None, unit: float = 1.0) -> None:
        super().__init__()
        power = 2.0 ** round(math.log2(unit))
        self.register_buffer("unit", torch.tensor(power, dtype=torch.float64))
        self.latent = nn.Parameter(torch.tensor(values.astype(np.float64) / power))
        self._rule = rule

    def forward(self) -> Tensor:
        """Give the values that the process has."""
        values = self.latent * self.unit
        return values if self._rule is None else through(values, self._rule)


def weight_unit(weight: Array) -> float:
    """Give the unit in which weights have the variance ``1 / inputs``, as of networks made to be trained."""
    inputs = weight[0].size if weight.ndim > 1 else 1
    size = float(np.sqrt(np.mean(np.square(weight, dtype=np.float64)) * inputs))
    return size or 1.0


def least_threshold(threshold: Tensor) -> Tensor:
    """Keep real thresholds above 0."""
    return threshold.clamp(min=LEAST_THRESHOLD)
