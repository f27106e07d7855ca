"""Integrate-and-fire neurons over all steps, with their gradients: one operation for PyTorch's autograd.

Written step by step with tensors that autograd records, neurons take longer to train than convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from neurocompile.ir.fixed_point import CURRENT_SHIFT
from neurocompile.twin.fixed_point import integrated, membrane_units
from neurocompile.twin.surrogates import Surrogate


@dataclass(frozen=True)
class Neuron:
    """What a neuron does.

    Parameters
    ----------
    reset, signed, wait
        As of ``IntegrateAndFire``.
    integer
        Whether currents and membranes are Loihi's: of units of their own, which wrap around and saturate.
    surrogate
        Whose gradients spikes have.
    """

    reset: Literal["subtract", "zero"]
    signed: bool
    wait: bool
    integer: bool
    surrogate: Surrogate


def integrate(
    current: Tensor, bias: Tensor, threshold: Tensor, v_init: Tensor, neuron: Neuron
) -> tuple[Tensor, Tensor]:
    """Give the spikes of all steps, and the membranes when it is decided on them, both ``(B, T, *shape)``.

    A step's membrane is ``u = v + current + bias``, its spike ``s = H(u - threshold)``, or with signs
    ``s = H(u - threshold) - H(-u)`` where something was sent that can be taken back. Then
    ``v = u - s * threshold``, or ``v = u * (1 - s)``. Backwards H has the surrogate's derivative in thresholds,
    and what integers lose by wrapping around and saturating counts as if it were not lost (Bengio et al. 2013).

    Parameters
    ----------
    current
        ``(B, T, *shape)``.
    bias, threshold, v_init
        Broadcast to ``shape``.
    neuron
        What it does.
    """
    spikes, membranes = _Integration.apply(current, bias, threshold, v_init, neuron)  # type: ignore[no-untyped-call]
    return spikes, membranes


class _Integration(torch.autograd.Function):
    """Saves the membranes, from which backwards all else follows."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, bias: Tensor, threshold: Tensor, v_init: Tensor, neuron: Neuron
    ) -> tuple[Tensor, Tensor]:
        received = membrane_units(current) if neuron.integer else current
        membranes = torch.empty(current.shape, dtype=current.dtype, device=current.device)
        spikes = torch.empty_like(membranes)
        v = torch.zeros_like(membranes[:, 0]) + v_init
        sent = torch.zeros_like(v)
        steps = received.shape[1]
        if neuron.wait:
            for t in range(steps):
                v = integrated(v, received[:, t], bias, neuron.integer)
        for t in range(steps):
            u, s = membranes[:, t], spikes[:, t]
            u.copy_(v if neuron.wait else integrated(v, received[:, t], bias, neuron.integer))
            torch.gt(u, threshold, out=s)
            if neuron.signed:
                s -= ((u < 0) & (sent > 0)).to(s.dtype)
                sent += s
            v = torch.addcmul(u, s, threshold if neuron.reset == "subtract" else u, value=-1)
        ctx.neuron = neuron
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(membranes, spikes, threshold, bias, v_init)
        return spikes, membranes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        neuron: Neuron = ctx.neuron
        membranes, spikes, threshold, bias, v_init = ctx.saved_tensors
        of_spikes, of_membranes = gradients
        received = torch.empty_like(membranes)
        later = torch.zeros_like(membranes[:, 0])
        of_threshold = torch.zeros_like(later)
        sent = spikes.sum(dim=1)
        for t in reversed(range(spikes.shape[1])):
            u, s = membranes[:, t], spikes[:, t]
            # A spike counts by what it sends, and by what it takes off the membrane.
            sends = torch.zeros_like(u) if of_spikes is None else of_spikes[:, t]
            taken = threshold if neuron.reset == "subtract" else u
            of_spike = torch.addcmul(sends, later, taken, value=-1).div_(threshold)
            x = u / threshold
            slope = of_spike * neuron.surrogate.derivative(x - 1)
            of_threshold -= slope
            if neuron.reset == "subtract":
                of_threshold.addcmul_(later, s, value=-1)
                later = later + slope
            else:
                later = torch.addcmul(later, later, s, value=-1).add_(slope)
            if neuron.signed and t:
                sent -= s
                later += of_spike * (neuron.surrogate.derivative(x) * (sent > 0))
            if of_membranes is not None:
                later += of_membranes[:, t]
            received[:, t] = later
        if neuron.wait:
            # All that is received comes before the first step.
            received[:] = later[:, None]
        return (
            received * 2.0**CURRENT_SHIFT if neuron.integer else received,
            received.sum(dim=1).sum_to_size(bias.shape),
            of_threshold.sum_to_size(threshold.shape),
            later.sum_to_size(v_init.shape),
            None,
        )
