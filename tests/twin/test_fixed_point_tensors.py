"""Loihi's integers in tensors are those in arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir import fixed_point
from neurocompile.twin import fixed_point as twin

INTEGERS = st.lists(st.integers(-(2**17), 2**17 - 1), min_size=1, max_size=20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@given(st.lists(st.integers(-(4095 << 7), 4095 << 7), min_size=1, max_size=20))
def test_biases(dtype: torch.dtype, biases: list[int]) -> None:
    mantissa, exponent = fixed_point.split_bias(np.array(biases))
    assert twin.rounded_bias(torch.tensor(biases, dtype=dtype)).tolist() == (mantissa << exponent).tolist()


def test_every_bias_that_is_rounded_stays() -> None:
    biases = torch.arange(-(4095 << 7), 4095 << 7, 7.0)
    once = twin.rounded_bias(biases)
    assert torch.equal(twin.rounded_bias(once), once)
    assert (once - biases).abs().max() <= 64
    assert twin.rounded_bias(torch.tensor([1e9, -1e9])).tolist() == [4095 << 7, -(4095 << 7)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@given(INTEGERS, st.integers(-(4095 << 7), 4095 << 7), st.integers(-(2**23) + 1, 2**23 - 1))
def test_membranes_wrap_and_saturate(dtype: torch.dtype, currents: list[int], bias: int, start: int) -> None:
    v = np.full(len(currents), start, np.int32)
    fixed_point.integrate(v, np.array(currents, np.int32) * 7, np.array(bias))
    units = twin.membrane_units(torch.tensor(currents, dtype=dtype) * 7)
    assert twin.saturated(start + (units + bias)).tolist() == v.tolist()


def test_weights_thresholds_and_membranes_stay_in_their_widths() -> None:
    assert twin.rounded_weight(torch.tensor([0.6, -127.6, 300.0])).tolist() == [1, -127, 127]
    thresholds = twin.rounded_threshold(torch.tensor([-5.0, 31.0, 100.0, 1e9]), 64.0 * 1000)
    assert thresholds.tolist() == [64, 64, 128, 64_000]
    assert twin.rounded_membrane(torch.tensor([1.4, -1e9])).tolist() == [1, -(2**23) + 1]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: twin.through(x, torch.round),
        lambda x: twin.membrane_units(x) / 64,
        lambda x: twin.saturated(x * 4) / 4,
    ],
)
def test_gradients_go_straight_through(function: object) -> None:
    x = torch.tensor([0.3, 2.7, 5e6], dtype=torch.float64, requires_grad=True)
    assert callable(function)
    function(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1]
