"""Integrate-and-fire neurons as one operation: what autograd gives for the same neurons, step by step."""

import itertools

import pytest
import torch
from torch import Tensor

from neurocompile.ir.fixed_point import MEMBRANE_MAX
from neurocompile.twin import Surrogate
from neurocompile.twin.fixed_point import membrane_units
from neurocompile.twin.integration import Neuron, integrate

NEURONS = [
    Neuron(reset, signed, wait, integer, Surrogate(name))
    for reset, signed, wait, integer, name in itertools.product(
        ("subtract", "zero"), (False, True), (False, True), (False, True), ("arctan", "rectangular")
    )
]


def step_by_step(current: Tensor, bias: Tensor, threshold: Tensor, v_init: Tensor, neuron: Neuron) -> list[Tensor]:
    """Run neurons with autograd recording all that they do."""
    unit = threshold.detach()
    v = torch.zeros_like(current[:, 0]) + v_init
    sent = torch.zeros_like(v)
    spikes, membranes = [], []
    received = membrane_units(current) if neuron.integer else current
    if neuron.wait:
        for a in received.unbind(1):
            v = v + a + bias
    for a in received.unbind(1):
        v = v if neuron.wait else v + a + bias
        membranes.append(v)
        s = neuron.surrogate(v - threshold, unit)
        if neuron.signed:
            s = s - neuron.surrogate(-v, unit) * (sent > 0)
        sent = sent + s.detach()
        spikes.append(s)
        v = v - s * threshold if neuron.reset == "subtract" else v * (1 - s)
    return [torch.stack(spikes, dim=1), torch.stack(membranes, dim=1)]


def given(integer: bool) -> list[Tensor]:
    """Give currents (2, 5, 3, 4), biases, thresholds and initial membranes of three channels."""
    generator = torch.Generator().manual_seed(3)
    scale = 640.0 if integer else 1.0
    current = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) * (10 if integer else 0.8)
    channels = torch.randn(3, 3, 1, generator=generator, dtype=torch.float64)
    values = [current, 0.1 * scale * channels[0], scale * (1 + channels[1].abs()), 0.3 * scale * channels[2]]
    if integer:
        values = [value.round() for value in values]
    return [value.requires_grad_() for value in values]


@pytest.mark.parametrize("neuron", NEURONS, ids=str)
@pytest.mark.parametrize("read", ["spikes", "membranes", "both"])
def test_gradients_are_those_of_autograd(neuron: Neuron, read: str) -> None:
    generator = torch.Generator().manual_seed(4)
    weights = [torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    results = []
    for run in (integrate, step_by_step):
        values = given(neuron.integer)
        traces = run(*values, neuron)
        chosen = {"spikes": slice(0, 1), "membranes": slice(1, 2), "both": slice(0, 2)}[read]
        total = sum((w * x).sum() for w, x in zip(weights[chosen], traces[chosen], strict=True))
        results.append((traces, torch.autograd.grad(total, values)))
    (traces, gradients), (expected_traces, expected) = results
    for one, other in zip(traces, expected_traces, strict=True):
        assert torch.equal(one, other)
    assert traces[0].abs().sum() > 0
    for one, other in zip(gradients, expected, strict=True):
        assert other.abs().sum() > 0
        torch.testing.assert_close(one, other)


def test_integers_saturate_and_pass_gradients_on() -> None:
    current = torch.full((1, 3, 1), 2.0**16, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    neuron = Neuron("subtract", False, False, True, Surrogate("triangle", 1e-4))
    _, membranes = integrate(current, zero, zero + 2**20, zero, neuron)
    assert membranes.max() == MEMBRANE_MAX
    (gradient,) = torch.autograd.grad(membranes[:, -1].sum(), current)
    assert (gradient != 0).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8])
def test_the_rectangle_leads_straight_through_the_staircase(steps: int, signed: bool) -> None:
    """The gradient of the rate with respect to a constant current, of neurons that start at half a threshold."""
    current = torch.cat(
        [torch.linspace(-0.6, -0.2, 9), torch.linspace(0.005, 0.995, 400), torch.linspace(1.3, 2, 9)]
    )
    current = current.double().requires_grad_()
    zero, half, one = (torch.tensor(v, dtype=torch.float64) for v in (0, 0.5, 1))
    neuron = Neuron("subtract", signed, wait=False, integer=False, surrogate=Surrogate("rectangular"))
    spikes, _ = integrate(current[:, None].expand(-1, steps), zero, one, half, neuron)
    torch.autograd.backward(spikes.mean(dim=1).sum())
    assert current.grad is not None
    assert current.grad[:9].tolist() == current.grad[-9:].tolist() == [0] * 9
    within = current.grad[9:-9]
    if steps <= 2:
        assert (within == 1).all()
    assert within.median() == 1
    assert within.min() >= 0.5
