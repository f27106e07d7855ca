from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.errors import GraphError
from neurocompile.ir import Array
from neurocompile.ir.functions import FUNCTIONS
from neurocompile.passes.piecewise import Curve, Piecewise, fit

PARAMETERS = {"power": (3.0, 1.0), "selu": (1.6732632423543772, 1.0507009873554805)}
JUMPING = {"greater", "greater_or_equal"}
OF_POSITIVES = {"log", "power", "reciprocal", "sqrt"}

tolerances = st.sampled_from([0.05, 0.01, 0.002])


@st.composite
def fits(draw: st.DrawFn) -> tuple[Curve, tuple[float, float]]:
    """A continuous function and a range in which it is finite."""
    name = draw(st.sampled_from(sorted(FUNCTIONS.keys() - JUMPING)))
    low = draw(st.floats(0.25 if name in OF_POSITIVES else -12, 12))
    return curve(name), (low, low + draw(st.floats(0.1, 20)))


def curve(name: str) -> Curve:
    alpha, gamma = PARAMETERS.get(name, (1.0, 1.0))
    return lambda x: FUNCTIONS[name](x, alpha, gamma)


def between(low: float, high: float) -> Array:
    """Places that are no multiple of the fit's own."""
    return np.linspace(low, high, 10_007)


@given(chosen=fits(), tolerance=tolerances)
def test_the_error_is_the_one_stated_and_within_the_tolerance(
    chosen: tuple[Curve, tuple[float, float]], tolerance: float
) -> None:
    f, limits = chosen
    found = fit(f, *limits, tolerance)
    x = between(*limits)
    rounding = 1e-12 * np.abs(x).max() + 2.0**-24 * np.abs(f(x)).max() * (found.lines.ramps == ())
    # Both look at single places, between which a curve may have a bend.
    between_places = np.abs(np.diff(f(x))).max()
    assert np.abs(found.lines(x) - f(x)).max() <= found.error + between_places + rounding
    assert found.error <= tolerance * np.ptp(f(x)) * (1 + 1e-4) + rounding


@given(chosen=fits(), seed=st.integers(0, 99))
def test_a_sample_brings_the_error_down_where_its_values_are(
    chosen: tuple[Curve, tuple[float, float]], seed: int
) -> None:
    f, limits = chosen
    sample = np.clip(np.random.default_rng(seed).normal(np.mean(limits), 0.5, 500), *limits)
    without, found = fit(f, *limits, 0.01), fit(f, *limits, 0.01, sample)

    def square_error(lines: Piecewise) -> float:
        x = np.linspace(*limits, 8193)
        errors, everywhere = lines(sample) - f(sample), lines(x) - f(x)
        return float(np.mean(errors**2) + 0.01 * np.mean(everywhere**2))

    values = f(between(*limits))
    assert found.error <= 0.01 * np.ptp(values) * (1 + 1e-4) or found.lines.ramps == ()
    assert len(found.lines.ramps) <= len(without.lines.ramps)
    assert square_error(found.lines) <= square_error(without.lines) * (1 + 1e-6) + 1e-18 * np.ptp(f(sample)) ** 2


@given(chosen=fits())
def test_lines_are_continuous(chosen: tuple[Curve, tuple[float, float]]) -> None:
    f, limits = chosen
    lines = fit(f, *limits, 0.01).lines
    steepest = sum(abs(ramp.height / ramp.width) for ramp in lines.ramps) + abs(lines.slope)
    x = between(*limits)
    values = lines(x)
    assert np.abs(np.diff(values)).max() <= steepest * (x[1] - x[0]) * 1.01 + 1e-12 * np.abs(values).max()


# As few as a search through all lines on a grid needs, for ranges that networks have.
@pytest.mark.parametrize(
    ("name", "limits", "most"),
    [
        ("gelu", (-8, 8), 3),
        ("swish", (-8, 8), 3),
        ("mish", (-8, 8), 3),
        ("hard_swish", (-8, 8), 5),
        ("elu", (-8, 8), 2),
        ("softplus", (-8, 8), 3),
        ("sigmoid", (-8, 8), 5),
        ("tanh", (-4, 4), 5),
        ("erf", (-4, 4), 5),
        ("exp", (-4, 4), 5),
    ],
)
def test_few_ramps_suffice(name: str, limits: tuple[float, float], most: int) -> None:
    assert len(fit(curve(name), *limits, 0.01).lines.ramps) <= most


@pytest.mark.parametrize("pieces", [3, 8, 20])
def test_a_parabola_takes_as_many_lines_as_it_has_to(pieces: int) -> None:
    """The best line is off by ``w**2 / 8`` in a part of width ``w``, so ``n`` of them by ``1 / (2 * n**2)``."""
    assert len(fit(np.square, -1, 1, 1.1 / (2 * pieces**2)).lines.ramps) == pieces


def test_straight_lines_are_exact() -> None:
    found = fit(lambda x: np.clip(x, 0, 2), -2, 6, 0.01)
    (ramp,) = found.lines.ramps
    assert (ramp.start, ramp.direction, ramp.width, ramp.height) == pytest.approx((0, 1, 2, 2), abs=0.02)
    assert ramp.clipped
    assert found.relative_error <= 0.01


def test_one_line_needs_no_ramp() -> None:
    found = fit(lambda x: 3 * x - 2, -1, 4, 0.01)
    assert found.lines.ramps == ()
    np.testing.assert_allclose(found.lines(np.array([-10.0, 10.0])), [-32, 28], rtol=1e-3)


def test_a_jump_is_a_steep_ramp() -> None:
    found = fit(curve("greater"), -3, 4, 0.01)
    x = between(-3, 4)
    near = np.abs(x - 1) < 0.02
    (ramp,) = found.lines.ramps
    assert abs(ramp.start - 1) < 0.02
    assert np.abs(found.lines(x) - (x > 1))[~near].max() <= 0.01
    assert 0.4 < found.relative_error <= 1


def test_a_constant_needs_no_ramp() -> None:
    assert fit(lambda x: np.full_like(x, 7), -1, 4, 0.01).lines == Piecewise(7.0)


def test_what_float32_does_not_resolve_is_constant() -> None:
    assert fit(np.tanh, 11, 12, 0.01).lines.ramps == ()


def test_a_sharp_bend_near_the_end_of_a_range() -> None:
    """The curve is 0 up to -3, and rises and falls in the last part of the range alone."""
    assert fit(curve("hard_swish"), -9.5625, -2.8125, 0.01).relative_error <= 0.01


@pytest.mark.parametrize(
    ("name", "limits", "x", "expected"),
    [
        ("gelu", (-4, 4), 8, 8),
        ("swish", (-4, 4), -8, 0),
        ("sigmoid", (-4, 4), 9, 1),
        ("tanh", (-4, 4), -9, -1),
        ("softplus", (-3, 3), 6, 6),
        ("elu", (-3, 3), -6, -1),
    ],
)
def test_beyond_the_range_it_goes_on_as_the_curve_does(
    name: str, limits: tuple[float, float], x: float, expected: float
) -> None:
    scale = np.ptp(curve(name)(between(*limits)))
    assert fit(curve(name), *limits, 0.01).lines(np.array([x]))[0] == pytest.approx(expected, abs=0.12 * scale)


def test_a_parabola_goes_on_rising_to_both_sides() -> None:
    lines = fit(np.square, -2, 2, 0.01).lines
    assert lines(np.array([-3.0, 3.0])) == pytest.approx([7.5, 7.5], abs=0.3)


def test_beyond_where_a_curve_is_defined_it_stays() -> None:
    lines = fit(np.sqrt, 0, 4, 0.01).lines
    assert lines(np.array([-5.0])) == pytest.approx(0, abs=0.02)


def test_ramps_lead_away_from_zero() -> None:
    """Most values of a network are near 0: few neurons fire for them."""
    lines = fit(np.tanh, -4, 4, 0.01).lines
    assert all(ramp.direction == np.sign(ramp.start + ramp.direction * ramp.width / 2) for ramp in lines.ramps)


def test_a_range_on_one_side_of_zero() -> None:
    lines = fit(np.square, 10, 20, 0.01).lines
    assert {ramp.direction for ramp in lines.ramps} == {1.0, -1.0}
    assert lines(np.array([9.0])) < lines(np.array([10.0]))


def test_curve_that_is_not_finite() -> None:
    with pytest.raises(GraphError, match=r"is not finite for every input from -1 to 1"):
        fit(np.reciprocal, -1, 1, 0.01)
