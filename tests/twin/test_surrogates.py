"""Spikes with surrogate gradients."""

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.errors import DataError
from neurocompile.ir.processes import IntegrateAndFire
from neurocompile.twin import Surrogate, SurrogateName

NAMES = get_args(SurrogateName)
DEFAULTS = {"fast_sigmoid": 10.0, "arctan": 2.0, "triangle": 1.0, "sigmoid": 4.0, "rectangular": 1.0}

# What each is the derivative of.
SMOOTH_STEPS: dict[str, Callable[[float, float], float]] = {
    "fast_sigmoid": lambda x, s: x / (1 + s * abs(x)),
    "arctan": lambda x, s: math.atan(math.pi / 2 * s * x) / math.pi,
    "triangle": lambda x, s: math.copysign(min(abs(x), 1 / s) - s / 2 * min(abs(x), 1 / s) ** 2, x),
    "sigmoid": lambda x, s: 1 / (1 + math.exp(-s * x)),
    "rectangular": lambda x, s: min(max(s * x, -0.5), 0.5),
}

every_surrogate = pytest.mark.parametrize("name", NAMES)


def gradient(surrogate: Surrogate, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().requires_grad_()
    surrogate(x).sum().backward()
    assert x.grad is not None
    return x.grad


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_spike_is_strictly_above_the_threshold(name: SurrogateName, dtype: torch.dtype) -> None:
    smallest = torch.finfo(dtype).tiny
    x = torch.tensor([-math.inf, -1, -smallest, -0.0, 0.0, smallest, 1, math.inf], dtype=dtype)
    spikes = Surrogate(name)(x)
    assert spikes.dtype == dtype
    assert spikes.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.data())
def test_the_difference_to_the_threshold_decides_as_the_comparison_does(value: float, data: st.DataObject) -> None:
    threshold = np.float32(value)
    nearby = [np.nextafter(threshold, np.float32(side)) for side in (-np.inf, np.inf)]
    v = np.float32(data.draw(st.sampled_from([*nearby, threshold]) | st.floats(width=32, allow_nan=False)))
    spike = Surrogate()(torch.tensor(v) - torch.tensor(threshold))
    assert bool(spike) == bool(v > threshold)


@every_surrogate
def test_the_spikes_are_those_of_the_neurons(name: SurrogateName) -> None:
    rng = np.random.default_rng(5)
    # Quarters, so that membranes meet their thresholds exactly, and often.
    current = rng.integers(-2, 5, (20, 3, 6)) / 4
    bias, threshold, start = rng.integers(-1, 2, 6) / 4, rng.integers(1, 5, 6) / 4, rng.integers(0, 3, 6) / 4
    expected = IntegrateAndFire(bias, threshold, start).run(current)
    v = torch.from_numpy(start).expand(3, 6)
    met = 0
    for step, spikes in zip(torch.from_numpy(current), expected, strict=True):
        v = v + step + torch.from_numpy(bias)
        met += int((v == torch.from_numpy(threshold)).sum())
        fired = Surrogate(name)(v - torch.from_numpy(threshold))
        assert np.array_equal(fired.numpy(), spikes)
        v = v - fired * torch.from_numpy(threshold)
    assert met


@every_surrogate
@pytest.mark.parametrize("scale", [None, 0.5, 3.0, 25.0])
def test_the_gradient_is_that_of_the_smooth_step(name: SurrogateName, scale: float | None) -> None:
    s = DEFAULTS[name] if scale is None else scale
    # None of these is at an edge of the triangle or the rectangle.
    x = [-2.3, -0.9, -0.31, -0.013, 0.007, 0.013, 0.17, 0.43, 1.1, 5.0]
    step, h = SMOOTH_STEPS[name], 1e-6
    expected = [(step(value + h, s) - step(value - h, s)) / (2 * h) for value in x]
    got = gradient(Surrogate(name, scale), torch.tensor(x, dtype=torch.float64))
    assert got.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert got.any()


@every_surrogate
def test_unless_a_scale_is_given_it_is_1_at_the_threshold(name: SurrogateName) -> None:
    assert gradient(Surrogate(name), torch.zeros(1)).item() == 1


@pytest.mark.parametrize(
    ("name", "x", "scale", "expected"),
    [
        ("fast_sigmoid", 0.5, 2.0, 1 / 4),
        ("arctan", 1 / math.pi, 2.0, 1 / 2),
        ("triangle", -0.25, 2.0, 1 / 2),
        ("triangle", 0.75, 2.0, 0.0),
        ("sigmoid", math.log(3), 1.0, 3 / 16),
        ("rectangular", 0.24, 2.0, 2.0),
        ("rectangular", -0.26, 2.0, 0.0),
        ("rectangular", 0.25, 2.0, 0.0),
    ],
)
def test_the_formulas_at_single_points(name: SurrogateName, x: float, scale: float, expected: float) -> None:
    got = gradient(Surrogate(name, scale), torch.tensor([x], dtype=torch.float64))
    assert got.item() == pytest.approx(expected)


@every_surrogate
def test_what_comes_from_above_is_multiplied_and_the_threshold_learns(name: SurrogateName) -> None:
    v = torch.tensor([0.8, 1.0, 1.3], requires_grad=True)
    threshold = torch.tensor(1.0, requires_grad=True)
    weights = torch.tensor([2.0, -3.0, 5.0])
    (weights * Surrogate(name)(v - threshold)).sum().backward()
    assert v.grad is not None
    assert threshold.grad is not None
    torch.testing.assert_close(v.grad, weights * gradient(Surrogate(name), v - threshold))
    torch.testing.assert_close(threshold.grad, -v.grad.sum())


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("scale", [None, 1e-3, 1e4])
def test_gradients_are_finite(name: SurrogateName, dtype: torch.dtype, scale: float | None) -> None:
    most = torch.finfo(dtype).max
    x = torch.tensor([-most, -300, -1, -1e-3, 0, 1e-3, 1, 300, most], dtype=dtype)
    got = gradient(Surrogate(name, scale), x)
    assert got.dtype == dtype
    assert got.isfinite().all()
    assert got.ge(0).all()


def test_every_option_is_checked_at_once() -> None:
    with pytest.raises(DataError) as raised:
        Surrogate("step", 0)  # type: ignore[arg-type]
    assert [str(issue).partition("\n")[0] for issue in raised.value.issues] == [
        "Surrogate: name='step' is no choice",
        "Surrogate: scale=0 is no number above 0 to 10000",
    ]
    assert "fast_sigmoid, arctan, triangle, sigmoid, rectangular" in str(raised.value)
