from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from neurocompile.codecs.decoders.calibration import expected_calibration_error, fit_temperature
from neurocompile.codecs.decoders.rates import RateDecoder
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


def classified(seed: int) -> tuple[SpikeBatch, np.ndarray]:
    """Draw the spikes of ten outputs, of which that of the class fires more."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(10, size=3_000)
    p = np.full((3_000, 10), 0.2)
    p[np.arange(3_000), labels] = 0.35
    return SpikeBatch(generator.random((3_000, 50, 10)) < p[:, None]), labels


def test_the_fitted_temperature_makes_confidence_the_share_that_is_right() -> None:
    batch, labels = classified(0)
    temperature = fit_temperature(RateDecoder()(batch).logits_proxy, labels)
    fresh, truth = classified(1)
    before, after = RateDecoder()(fresh), RateDecoder(temperature)(fresh)
    assert np.array_equal(before.prediction, after.prediction)
    right = after.prediction == truth
    assert 0.4 < right.mean() < 0.95
    assert expected_calibration_error(before.confidence, right) > 0.05
    assert expected_calibration_error(after.confidence, right) < 0.03
    # A class's counts are binomial, so the right temperature is known: one over the difference of their log-odds.
    odds = np.log(0.35 / 0.65) - np.log(0.2 / 0.8)
    assert temperature == pytest.approx(1 / odds, rel=0.05)


@given(st.integers(0, 1_000), st.floats(0.2, 5))
def test_it_is_the_most_likely_temperature(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=(40, 3))
    labels = np.array([generator.choice(3, p=row) for row in softmax(logits / 2, axis=1)])

    def unlikely(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(40), labels].mean())

    best = minimize_scalar(unlikely, bounds=(-13, 13), method="bounded").x
    assert unlikely(np.log(fit_temperature(logits, labels))) <= unlikely(best) + 1e-6


def test_logits_that_decide_everything_or_nothing_have_the_bounds() -> None:
    logits = np.eye(3)
    assert 1e-6 <= fit_temperature(logits, np.arange(3)) < 1e-2
    assert fit_temperature(logits, np.array([1, 2, 0])) == pytest.approx(1e6, rel=1e-3)


def test_calibration_error_is_the_mean_difference() -> None:
    confidence = np.array([0.95, 0.95, 0.15, 0.15])
    assert expected_calibration_error(confidence, np.array([True, True, False, False])) == pytest.approx(0.1)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0


@pytest.mark.parametrize(
    ("logits", "labels", "problem"),
    [
        (np.zeros(3), np.zeros(3, int), "shape"),
        (np.zeros((2, 3)), np.zeros(3, int), "2 logits"),
        (np.zeros((2, 3)), np.array([0, 3]), "from 0 to 2"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "whole numbers"),
        (np.full((2, 3), np.nan), np.array([0, 1]), "finite"),
    ],
)
def test_what_does_not_fit_is_refused(logits: np.ndarray, labels: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        fit_temperature(logits, labels)


@pytest.mark.parametrize(("confidence", "right"), [([0.5], [True, False]), ([], []), ([1.5], [True])])
def test_confidences_that_are_none_are_refused(confidence: list[float], right: list[bool]) -> None:
    with pytest.raises(DataError):
        expected_calibration_error(confidence, right)


@pytest.mark.parametrize("bins", [0, -1, 2.5])
def test_a_number_of_ranges_that_is_none_is_refused(bins: int) -> None:
    with pytest.raises(DataError, match=f"bins={bins}"):
        expected_calibration_error([0.5], [True], bins)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_tensors_are_taken_as_they_are(kind: torch.dtype) -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 0.0]], dtype=kind, requires_grad=True)
    labels = torch.tensor([1, 0, 1])
    plain = logits.detach().double().numpy()
    assert fit_temperature(logits, labels) == fit_temperature(plain, labels.numpy())
    confidence = torch.softmax(logits, dim=1).max(dim=1).values
    assert 0 <= expected_calibration_error(confidence, torch.tensor([True, True, False])) <= 1
