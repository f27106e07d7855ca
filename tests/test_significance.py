from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from neurocompile.significance import PairedLoss, score_interval, share_at_most

Z = 1.959963984540054


@st.composite
def losses(draw: st.DrawFn, most: int = 20_000) -> PairedLoss:
    images = draw(st.integers(1, most))
    only_ann = draw(st.integers(0, images))
    # Small counts are the common ones.
    only_snn = draw(st.integers(0, images - only_ann) | st.integers(0, min(5, images - only_ann)))
    return PairedLoss(images, only_ann, only_snn, draw(st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.999])))


@pytest.mark.parametrize(
    ("counts", "confidence", "ends", "digits"),
    [
        # Fagerland, Lydersen and Laake (2014), Recommended tests and confidence intervals for paired binomial
        # proportions, Statistics in Medicine 33, 2850-2875: airway hyper-responsiveness.
        ((21, 1, 7), 0.95, (-0.517, -0.026), 3),
        # The R package contingencytables of the same authors: response to therapy, Cavo et al. (2012).
        ((161, 6, 16), 0.95, (-0.1240, -0.0054), 4),
        # The R package PropCIs by Scherer: scoreci.mp(25, 28, 618, 0.90).
        ((618, 28, 25), 0.90, (-0.0148, 0.0247), 4),
    ],
)
def test_intervals_are_the_published_ones(
    counts: tuple[int, int, int], confidence: float, ends: tuple[float, float], digits: int
) -> None:
    assert tuple(round(end, digits) for end in score_interval(*counts, confidence)) == ends


def score(images: int, first: int, second: int, difference: float) -> float:
    """Standardise a measured difference, supposing the true one, by maximising the likelihood numerically."""

    def unlikely(share: float) -> float:
        shares = share + difference, share, 1 - 2 * share - difference
        return -sum(n * np.log(p) for n, p in zip((first, second, images - first - second), shares, strict=True))

    bounds = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    share = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = 2 * share + difference - difference**2
    return float(((first - second) / images - difference) / np.sqrt(variance / images))


@pytest.mark.parametrize("counts", [(20, 3, 1), (50, 4, 12), (500, 9, 2), (10_000, 43, 30), (10_000, 1, 300)])
def test_the_interval_ends_where_the_score_is_as_large_as_the_confidence_allows(
    counts: tuple[int, int, int],
) -> None:
    low, high = score_interval(*counts, 0.95)
    assert score(*counts, low) == pytest.approx(Z, abs=1e-3)
    assert score(*counts, high) == pytest.approx(-Z, abs=1e-3)


@pytest.mark.parametrize("images", [1, 44, 10_000, 10_000_000])
def test_counts_at_the_edge_have_the_interval_of_one_share(images: int) -> None:
    # Then the score is that of Wilson (1927) for a single share, of which the ends are known.
    equal = Z**2 / (images + Z**2)
    assert score_interval(images, 0, 0, 0.95) == pytest.approx((-equal, equal))
    worst = (images - Z**2) / (images + Z**2)
    assert score_interval(images, images, 0, 0.95) == pytest.approx((worst, 1))
    assert score_interval(images, 0, images, 0.95) == pytest.approx((-1, -worst))


@pytest.mark.parametrize("expected", [(40, 30), (10, 2), (3, 0), (1, 1)])
def test_the_interval_holds_the_loss_as_often_as_it_says(expected: tuple[int, int]) -> None:
    images, repetitions = 10_000, 2_000
    only_ann, only_snn = (count / images for count in expected)
    drawn = np.random.default_rng(0).multinomial(
        images, (only_ann, only_snn, 1 - only_ann - only_snn), repetitions
    )
    counted, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    held = 0
    for (ann, snn), repeated in zip(counted.tolist(), times.tolist(), strict=True):
        low, high = score_interval(images, ann, snn, 0.95)
        held += repeated * (low <= only_ann - only_snn <= high)
    # Few images make it more cautious; by the chance of the draws 0.95 is between 0.935 and 0.965.
    assert 0.935 <= held / repetitions <= (0.965 if sum(expected) > 5 else 1)


@given(losses())
def test_the_loss_is_in_its_interval(loss: PairedLoss) -> None:
    assert -100 <= loss.low <= loss.points <= loss.high <= 100
    assert loss.low < loss.high


@given(losses())
def test_swapped_networks_mirror_it(loss: PairedLoss) -> None:
    swapped = PairedLoss(loss.images, loss.only_snn_right, loss.only_ann_right, loss.confidence)
    assert (swapped.points, swapped.low, swapped.high) == (-loss.points, -loss.high, -loss.low)
    assert swapped.p_value == pytest.approx(loss.p_value)


@given(losses(most=3_000))
def test_the_interval_and_the_test_agree(loss: PairedLoss) -> None:
    assert loss.measurable == (not loss.low <= 0 <= loss.high)


def test_a_loss_that_only_the_score_finds_is_not_measurable() -> None:
    # The published interval above ends at -2.6 points, and McNemar's exact test finds nothing.
    loss = PairedLoss(21, 1, 7)
    assert not loss.measurable
    assert loss.low == pytest.approx(-51.7, abs=0.05)
    assert loss.high == 0


@pytest.mark.parametrize(
    ("counts", "p_value"),
    [
        ((0, 0), 1),
        ((1, 0), 1),
        ((5, 5), 1),
        # Twice the sum of the binomial coefficients up to the smaller count, over 2 to the number of both.
        ((7, 1), 2 * (1 + 8) / 2**8),
        ((0, 10), 2 / 2**10),
        ((16, 6), 0.0525),
    ],
)
def test_mcnemars_exact_test(counts: tuple[int, int], p_value: float) -> None:
    assert PairedLoss(10_000, *counts).p_value == pytest.approx(p_value, abs=5e-5)


@pytest.mark.parametrize(("only_ann", "only_snn", "points"), [(60, 20, 0.4), (20, 60, -0.4)])
def test_a_loss_or_a_gain_is_measurable(only_ann: int, only_snn: int, points: float) -> None:
    loss = PairedLoss(10_000, only_ann, only_snn)
    assert loss.points == pytest.approx(points)
    assert loss.measurable
    assert not PairedLoss(10_000, only_ann, only_snn, 0.999999).measurable


def test_nothing_is_measurable_on_one_image() -> None:
    lost = PairedLoss(1, 1, 0)
    assert (lost.points, lost.p_value, lost.measurable, lost.high) == (100, 1, False, 100)
    assert lost.low == pytest.approx(-58.69, abs=0.01)


def test_images_are_counted_on_which_one_network_alone_is_right() -> None:
    ann = np.array([True, True, True, False, False, True])
    snn = np.array([True, False, False, True, False, True])
    assert PairedLoss.of(ann, snn) == PairedLoss(6, 2, 1)


@pytest.mark.parametrize(
    ("count", "total", "bound"),
    [
        # Where none is counted the bound is the share of which none is counted with the probability left.
        (0, 10_000, 1 - 0.05**1e-4),
        (0, 1, 0.95),
        (1, 1, 1),
        (10_000, 10_000, 1),
        (1, 2, np.sqrt(0.95)),
        (4, 10_000, 9.151e-4),
    ],
)
def test_the_bound_of_a_share(count: int, total: int, bound: float) -> None:
    assert share_at_most(count, total) == pytest.approx(bound, rel=1e-4)


@given(st.integers(1, 1_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_bound_of_a_share_is_above_it_and_rises_with_confidence(counted: tuple[int, int]) -> None:
    count, total = counted
    assert count / total <= share_at_most(count, total, 0.9) <= share_at_most(count, total, 0.99) <= 1
