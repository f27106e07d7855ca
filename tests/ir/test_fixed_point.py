from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir.fixed_point import BIAS_EXPONENT_MAX, BIAS_MANTISSA_MAX, shift, split_bias

LARGEST_BIAS = BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX


@given(bias=st.integers(-LARGEST_BIAS, LARGEST_BIAS))
def test_bias_is_the_nearest_that_the_widths_allow(bias: int) -> None:
    mantissa, exponent = (int(part) for part in split_bias(np.array(bias)))
    assert abs(mantissa) <= BIAS_MANTISSA_MAX
    assert 0 <= exponent <= BIAS_EXPONENT_MAX
    # No coarser power of two than needed, and rounded to the nearest of its multiples.
    assert exponent == 0 or abs(bias) > BIAS_MANTISSA_MAX << (exponent - 1)
    assert abs((mantissa << exponent) - bias) * 2 <= 1 << exponent


@pytest.mark.parametrize(
    ("bias", "parts"),
    [
        (0, (0, 0)),
        (BIAS_MANTISSA_MAX, (BIAS_MANTISSA_MAX, 0)),
        (-BIAS_MANTISSA_MAX, (-BIAS_MANTISSA_MAX, 0)),
        (BIAS_MANTISSA_MAX + 1, (2048, 1)),
        (LARGEST_BIAS, (BIAS_MANTISSA_MAX, BIAS_EXPONENT_MAX)),
        (-LARGEST_BIAS, (-BIAS_MANTISSA_MAX, BIAS_EXPONENT_MAX)),
        (8191, (4095, 1)),
        (16383, (2048, 3)),
    ],
)
def test_bias_at_the_edges(bias: int, parts: tuple[int, int]) -> None:
    mantissa, exponent = split_bias(np.array([bias]))
    assert (mantissa.item(), exponent.item()) == parts


@given(value=st.integers(-(2**31), 2**31 - 1), exponent=st.integers(-8, 8))
def test_shift_multiplies_and_rounds_down(value: int, exponent: int) -> None:
    expected = value * 2**exponent if exponent >= 0 else value // 2**-exponent
    assert shift(np.array([value], np.int64), exponent).item() == expected
