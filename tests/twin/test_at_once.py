"""Digits at once: the whole numbers that they spell, with the gradient of a staircase."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conformance import networks
from conformance.networks import Network, compiled, images
from torch import Tensor

from neurocompile.errors import GraphError
from neurocompile.ir.processes import DigitNeurons
from neurocompile.options import Options
from neurocompile.twin import Surrogate, Twin
from neurocompile.twin.coding import numbers
from neurocompile.twin.neurons import DigitTwin


def neurons(integer: bool, threshold: float, bias: float) -> DigitTwin:
    dtype = np.int32 if integer else np.float64
    op = DigitNeurons(np.array([bias], dtype), np.array([threshold], dtype), ahead=2)
    return DigitTwin(op, Surrogate())


def first_of(digits: int, current: Tensor) -> Tensor:
    """Let a current come in the first step, as from the encoder."""
    stream = torch.zeros(len(current), digits, 1, dtype=torch.float64)
    stream[:, 0, 0] = current
    return stream


@pytest.mark.parametrize("digits", [1, 2, 4, 7])
@pytest.mark.parametrize("integer", [False, True])
def test_numbers_are_those_that_digits_spell(digits: int, integer: bool) -> None:
    # An odd threshold of currents has no halves, which digits may round to either side.
    layer = neurons(integer, 64 * 1001 if integer else 1.001, 128 if integer else 0.1)
    currents = torch.arange(-500, 3000).double() if integer else torch.linspace(-0.5, 3, 3000).double()
    stream = first_of(digits, currents)
    spikes, _ = layer(stream)
    found = layer.at_once(numbers(stream), digits)
    assert torch.equal(found, numbers(spikes))
    assert set(found.unique().tolist()) == set(range(2**digits))


def test_gradients_are_those_of_a_clipped_line() -> None:
    layer = neurons(False, 2.0, 0.0)
    current = torch.tensor([-0.9, 0.5, 1.1, 3.9, 4.5]).double().reshape(-1, 1, 1).requires_grad_()
    found = layer.at_once(current, 2)
    torch.autograd.backward(found.sum())
    assert found.flatten().tolist() == [0, 0, 1, 2, 2]
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.5, 0.5, 0.5, 0.5, 0.5]
    beyond = torch.tensor([-3.0, 9.0]).double().reshape(-1, 1, 1).requires_grad_()
    torch.autograd.backward(layer.at_once(beyond, 2).sum())
    assert beyond.grad is not None
    assert beyond.grad.flatten().tolist() == [0, 0]


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize(
    "network", [networks.mlp, networks.residual, networks.pool_of_spikes, networks.pool_of_currents]
)
def test_a_network_at_once_does_nearly_what_its_digits_do(network: Network, precision: str) -> None:
    layers, steps = network(), 6
    twin = Twin(compiled(layers, Options(code="digit", steps=steps, precision=precision)))  # type: ignore[arg-type]
    stream = twin.encode(images(layers, 20), steps)
    with torch.no_grad():
        digits, whole = twin(stream), twin(stream, at_once=True)
    assert whole.spikes.keys() == digits.spikes.keys()
    for name, found in whole.spikes.items():
        spelled = numbers(digits.spikes[name])
        assert found.shape == spelled.shape
        assert (found - spelled).abs().mean() < 1
        assert torch.equal(whole.activity().spikes[name], found / 2**steps)
    assert whole.output.shape == (20, 1, *digits.output.shape[2:])
    assert (whole.scores - digits.scores).abs().max() < 0.05 * digits.scores.abs().max()
    assert whole.potentials.shape == whole.output.shape
    scale = digits.potentials[:, -1].abs().max()
    assert (whole.potentials[:, 0] - digits.potentials[:, -1]).abs().max() < 0.05 * scale


def test_other_neurons_do_not_run_at_once() -> None:
    layers = networks.mlp()
    twin = Twin(compiled(layers, Options(code="rate", steps=4)))
    assert not twin.spells
    with pytest.raises(GraphError, match="not all neurons send digits"):
        twin(twin.encode(images(layers, 2), 4), at_once=True)
    b = networks.Builder(14)
    b.linear(5)
    assert not Twin(compiled(b.graph(), Options(code="rate", steps=4))).spells
