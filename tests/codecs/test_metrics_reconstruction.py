from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from neurocompile.codecs.metrics.reconstruction import mean_squared_error, r2, rank_consistency
from neurocompile.errors import DataError

signals = arrays(float, st.integers(2, 20), elements=st.floats(-100, 100))


def test_the_mean_scores_zero_and_the_signal_one() -> None:
    x = np.array([1.0, 2.0, 6.0])
    assert r2(x, x) == 1
    assert r2(x, np.full(3, 3.0)) == 0
    assert r2(x, -x) < 0
    assert mean_squared_error(x, x + 2) == 4


@given(signals, st.floats(1e-3, 1e3))
def test_it_does_not_depend_on_the_unit(x: np.ndarray, unit: float) -> None:
    decoded = np.round(x)
    if np.ptp(x) > 1e-3:
        assert r2(unit * x, unit * decoded) == pytest.approx(r2(x, decoded), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_neither_vanish_nor_overflow(scale: float) -> None:
    assert r2(np.array([0, scale]), np.array([0, 0.9 * scale])) == pytest.approx(1 - 0.01 / 0.5)


@pytest.mark.parametrize(("decoded", "score"), [(0.3, 1), (0.3 + 1e-8, 1), (0.31, 0)])
def test_a_constant_signal_is_met_or_not(decoded: float, score: float) -> None:
    assert r2(np.full(5, 0.3), np.full(5, decoded)) == score


@given(st.permutations(range(7)))
def test_ranks_as_kendall_counts_them(order: list[int]) -> None:
    assert rank_consistency(np.arange(7), order) == pytest.approx((1 + kendalltau(range(7), order).statistic) / 2)


def test_ranks_are_compared_within_a_sample() -> None:
    x = np.array([[1, 2, 3], [30, 20, 10]])
    assert rank_consistency(x, np.array([[1, 5, 9], [3, 2, 1]])) == 1
    assert rank_consistency(x, np.array([[1, 5, 9], [1, 2, 3]])) == 0.5


def test_equal_values_make_no_pair_and_decoded_ones_break_it() -> None:
    assert rank_consistency([1, 1, 1], [3, 1, 2]) == 1
    assert rank_consistency([1, 2], [3, 3]) == 0


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        mean_squared_error([np.inf, 1], [np.nan])
    assert [issue.problem for issue in caught.value.issues] == [
        "[2] values were encoded and [1] decoded",
        "1 of the original values are not finite",
        "1 of the decoded values are not finite",
    ]
    with pytest.raises(DataError, match="no values"):
        r2([], [])
