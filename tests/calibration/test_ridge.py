from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.calibration import ridge as module
from neurocompile.calibration.ridge import Ridge
from neurocompile.ir import Array


def by_least_squares(inputs: Array, lacking: Array, penalty: float) -> Array:
    """The same change by an orthogonal method: the penalty as more rows of the system."""
    found = []
    for a, r in zip(inputs, lacking, strict=True):
        root = np.sqrt(penalty * np.sum(a**2) / a.shape[1])
        rows = np.concatenate([a, root * np.eye(a.shape[1])])
        right = np.concatenate([r, np.zeros((a.shape[1], r.shape[1]))])
        found.append(np.linalg.lstsq(rows, right, rcond=None)[0].T)
    return np.stack(found)


def samples(seed: int, groups: int, count: int, inputs: int, outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(groups, inputs, inputs))
    return rng.normal(size=(groups, count, inputs)) @ mixing, rng.normal(size=(groups, count, outputs))


def fitted(inputs: Array, lacking: Array, penalty: float, part: int = 1000) -> Array:
    ridge = Ridge(len(inputs), inputs.shape[2], lacking.shape[2])
    for start in range(0, inputs.shape[1], part):
        ridge.add(inputs[:, start : start + part], lacking[:, start : start + part])
    return ridge.change(penalty)


@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(1, 3),
    count=st.integers(1, 30),
    size=st.integers(1, 8),
    penalty=st.sampled_from([0.01, 0.1, 1.0, 10.0]),
)
def test_solves_the_augmented_system(seed: int, groups: int, count: int, size: int, penalty: float) -> None:
    inputs, lacking = samples(seed, groups, count, size, 2)
    expected = by_least_squares(inputs, lacking, penalty)
    np.testing.assert_allclose(fitted(inputs, lacking, penalty), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("part", [1, 7, 40])
def test_parts_give_what_all_at_once_gives(part: int) -> None:
    inputs, lacking = samples(0, 2, 40, 6, 3)
    np.testing.assert_allclose(fitted(inputs, lacking, 0.1, part), fitted(inputs, lacking, 0.1), rtol=1e-9)


@pytest.mark.parametrize("part", [1, 3, 8])
def test_a_row_for_each_sample_gives_what_a_row_for_each_input_gives(
    monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    inputs, lacking = samples(1, 2, 8, 12, 3)
    expected = fitted(inputs, lacking, 0.3)
    monkeypatch.setattr(module, "_MOST_INPUTS", 8)
    np.testing.assert_allclose(fitted(inputs, lacking, 0.3, part), expected, rtol=1e-9)


def test_of_more_samples_than_rows_the_first_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, lacking = samples(2, 1, 30, 12, 2)
    expected = by_least_squares(inputs[:, :8], lacking[:, :8], 0.3)
    monkeypatch.setattr(module, "_MOST_INPUTS", 8)
    np.testing.assert_allclose(fitted(inputs, lacking, 0.3, 5), expected, rtol=1e-6)


@pytest.mark.parametrize("most", [2, 1000])
def test_inputs_that_are_always_0_change_nothing(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(module, "_MOST_INPUTS", most)
    inputs, lacking = samples(3, 2, 2, 4, 3)
    inputs[0] = 0
    found = fitted(inputs, lacking, 0.1)
    assert np.all(found[0] == 0)
    assert np.all(np.isfinite(found))
    assert np.any(found[1] != 0)


def test_one_input_that_is_always_0_keeps_its_weights() -> None:
    inputs, lacking = samples(4, 1, 20, 5, 2)
    inputs[..., 3] = 0
    found = fitted(inputs, lacking, 0.1)
    np.testing.assert_allclose(found[..., 3], 0, atol=1e-12)


def test_a_large_penalty_leaves_the_weights() -> None:
    inputs, lacking = samples(5, 1, 20, 5, 2)
    sizes = [np.abs(fitted(inputs, lacking, penalty)).max() for penalty in (0.1, 1.0, 10.0, 1e12)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-9


def test_without_a_penalty_to_speak_of_finds_the_weights_that_were_changed() -> None:
    inputs, _ = samples(6, 2, 50, 5, 2)
    change = np.random.default_rng(7).normal(size=(2, 3, 5))
    np.testing.assert_allclose(
        fitted(inputs, inputs @ np.swapaxes(change, 1, 2), 1e-12), change, rtol=1e-5, atol=1e-6
    )
