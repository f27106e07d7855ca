from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from neurocompile.codecs.metrics.information import (
    BiasCorrection,
    bits_per_spike,
    equally_filled_bins,
    mutual_information,
)
from neurocompile.errors import DataError

CORRECTIONS: tuple[BiasCorrection, ...] = ("none", "miller_madow", "panzeri_treves")


def draw(channel: np.ndarray, samples: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw equally likely stimuli, and the responses of a channel whose rows are their distributions."""
    stimuli = generator.integers(len(channel), size=samples)
    thresholds = np.cumsum(channel, axis=1)[:, :-1]
    return stimuli, np.sum(generator.random((samples, 1)) > thresholds[stimuli], axis=1)


def information(channel: np.ndarray) -> float:
    """Compute the information from the definition, for equally likely stimuli."""
    output = channel.mean(axis=0)
    ratio = np.divide(channel, output, out=np.ones_like(channel), where=channel > 0)
    return float(np.sum(channel * np.log2(ratio)) / len(channel))


def binary_entropy(p: float) -> float:
    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def symmetric(p: float) -> np.ndarray:
    return np.array([[1 - p, p], [p, 1 - p]])


def erasing(p: float) -> np.ndarray:
    return np.array([[1 - p, p, 0], [0, p, 1 - p]])


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize(
    ("channel", "capacity"),
    [
        (symmetric(0.11), 1 - binary_entropy(0.11)),
        (symmetric(0.3), 1 - binary_entropy(0.3)),
        (erasing(0.25), 0.75),
        (np.eye(8), 3.0),
        (np.full((4, 5), 0.2), 0.0),
    ],
    ids=["symmetric", "noisy symmetric", "erasure", "noiseless", "independent"],
)
def test_channels_have_their_capacity(channel: np.ndarray, capacity: float, correction: BiasCorrection) -> None:
    assert information(channel) == pytest.approx(capacity)
    drawn = draw(channel, 200_000, np.random.default_rng(0))
    assert mutual_information(*drawn, correction) == pytest.approx(capacity, abs=0.005)


@pytest.mark.parametrize("correction", ["miller_madow", "panzeri_treves"])
@pytest.mark.parametrize("levels", [4, 8])
def test_correction_takes_the_bias_of_few_samples_away(levels: int, correction: BiasCorrection) -> None:
    counts = np.arange(40)
    channel = poisson.pmf(counts, np.linspace(2, 12, levels)[:, None])
    channel /= channel.sum(axis=1, keepdims=True)
    truth = information(channel)
    generator = np.random.default_rng(1)
    samples = [draw(channel, 50 * levels, generator) for _ in range(200)]
    plain, corrected = (
        np.mean([mutual_information(*sample, kind) for sample in samples]) - truth for kind in ("none", correction)
    )
    assert plain > 0.05
    assert abs(corrected) < 0.4 * plain


def test_counting_unseen_responses_corrects_more_of_it() -> None:
    # Many equally likely responses, few samples: most of what can occur was not seen with each stimulus.
    channel = np.full((4, 20), 1 / 20)
    generator = np.random.default_rng(2)
    samples = [draw(channel, 120, generator) for _ in range(100)]
    none, madow, treves = (np.mean([mutual_information(*s, kind) for s in samples]) for kind in CORRECTIONS)
    assert none > madow > treves
    assert treves < 0.25 * none


def test_words_are_rows() -> None:
    generator = np.random.default_rng(3)
    bits = generator.integers(0, 2, (4_000, 3))
    # The first two letters tell the stimulus, the third is chance.
    assert mutual_information(bits[:, :2], bits) == pytest.approx(2, abs=0.01)
    assert mutual_information(bits[:, 0], bits[:, 1:]) == pytest.approx(0, abs=0.01)


labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)


@given(labels, st.sampled_from(CORRECTIONS))
def test_it_is_never_negative_nor_above_what_there_is_to_know(
    pairs: list[tuple[int, int]], kind: BiasCorrection
) -> None:
    stimuli, responses = np.array(pairs).T
    share = np.unique(stimuli, return_counts=True)[1] / len(stimuli)
    assert 0 <= mutual_information(stimuli, responses, kind) <= -np.sum(share * np.log2(share)) + 1e-9


@given(labels)
def test_names_of_labels_do_not_matter(pairs: list[tuple[int, int]]) -> None:
    stimuli, responses = np.array(pairs).T
    renamed = mutual_information(np.array(list("abcde"))[stimuli], 3.5 - responses)
    assert renamed == pytest.approx(mutual_information(stimuli, responses))


def test_bins_hold_as_many_values_each() -> None:
    values = np.random.default_rng(4).random(1_000) ** 3
    bins = equally_filled_bins(values, 8)
    assert np.bincount(bins).tolist() == [125] * 8
    order = np.argsort(values)
    assert np.all(np.diff(bins[order]) >= 0)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.integers(1, 5))
def test_equal_values_share_a_bin(values: list[int], bins: int) -> None:
    labels = equally_filled_bins(np.array(values, float), bins)
    assert 0 <= labels.min() <= labels.max() < bins
    for value in set(values):
        assert len(set(labels[np.array(values) == value])) == 1


def test_few_values_keep_a_bin_each() -> None:
    assert equally_filled_bins([7.0, 7.0, 7.0, 1.0], 4).tolist() == [1, 1, 1, 0]


def test_bits_per_spike() -> None:
    assert bits_per_spike(3.0, 12.0) == 0.25
    assert bits_per_spike(0.0, 0.0) == 0


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        mutual_information(np.array([0.0, np.nan]), np.zeros((3, 1, 1)), "shuffle")  # type: ignore[arg-type]
    problems = [issue.problem for issue in caught.value.issues]
    assert problems == [
        "some of the stimuli are NaN",
        "the responses have the shape [3, 1, 1], not (N,) or (N, L)",
        "there are 2 stimuli and 3 responses",
        "no bias correction 'shuffle'",
    ]


def test_one_number_is_no_label_of_samples() -> None:
    with pytest.raises(DataError, match=r"stimuli have the shape \[\], not"):
        mutual_information(3, [0, 1])


def test_no_samples_are_an_error() -> None:
    with pytest.raises(DataError, match="no samples"):
        mutual_information(np.array([], int), np.array([], int))
