"""Membranes rounded to whole numbers, with the gradient of a clipped line: one operation for autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def rounded(membrane: Tensor, bias: Tensor, unit: Tensor, most: int) -> Tensor:
    """Count the units of membranes, rounded to the nearest, and clipped to 0 and the most.

    Backwards rounding counts as if it were not there, and what was clipped has the gradient 0: that is how
    networks of few levels are trained (Esser et al. 2020).

    Parameters
    ----------
    membrane
        Of any shape.
    bias, unit
        Broadcast to it; the bias is added before.
    most
        The largest count.
    """
    counts: Tensor = _Rounding.apply(membrane, bias, unit, most)  # type: ignore[no-untyped-call]
    return counts


class _Rounding(torch.autograd.Function):
    """Saves what is rounded, from which backwards all else follows."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, bias: Tensor, unit: Tensor, most: int) -> Tensor:
        exact = torch.addcmul(bias / unit, membrane, 1 / unit)
        ctx.most = most
        ctx.save_for_backward(exact, bias, unit)
        return exact.round().clamp_(0, most)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        exact, bias, unit = ctx.saved_tensors
        # The derivative of clipping to what rounds to 0 and to the most, in one pass.
        total = torch.ops.aten.hardtanh_backward(gradients[0], exact, -0.5, ctx.most + 0.5) / unit
        of_unit = -(total * exact).sum_to_size(unit.shape)
        return total, total.sum_to_size(bias.shape), of_unit, None
