from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, poisson

from neurocompile.codecs.config import DecodingConfig
from neurocompile.codecs.decoders.bayesian import BayesianDecoder, TuningCurves, likely_values
from neurocompile.codecs.decoders.factory import make_decoder
from neurocompile.codecs.decoders.population import PopulationDecoder
from neurocompile.codecs.encoders import PopulationEncoder
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError

NEURONS = 10
CENTERS = np.linspace(0, 1, NEURONS)
WIDTHS = np.full(NEURONS, 1 / 13.5)
STEPS = 400


def gaussian(x: np.ndarray, highest: float, lowest: float = 0.0) -> np.ndarray:
    return lowest + (highest - lowest) * np.exp(-0.5 * ((x[..., None] - CENTERS) / WIDTHS) ** 2)


def drawn(x: np.ndarray, highest: float, seed: int = 0, lowest: float = 0.0) -> SpikeBatch:
    """Draw the spikes of populations, ``(B, G)`` values, in steps of their own."""
    p = gaussian(x, highest, lowest).reshape(len(x), -1)
    spikes = np.random.default_rng(seed).random((len(x), STEPS, p.shape[1])) < p[:, None]
    owners = np.arange(p.shape[1]) // NEURONS
    return SpikeBatch(spikes, aux={"population_map": owners, "centers": CENTERS, "widths": WIDTHS})


@pytest.mark.parametrize(
    "decoder", [PopulationDecoder(mode="regression"), BayesianDecoder(highest=0.1, lowest=0.0)]
)
def test_values_come_back(decoder: PopulationDecoder | BayesianDecoder) -> None:
    x = np.random.default_rng(1).uniform(0, 1, (50, 3))
    values = decoder(drawn(x, 0.1)).logits_proxy
    assert 1 - np.mean((values - x) ** 2) / np.var(x) > 0.95


def test_the_likelihood_uses_more_of_the_spikes_than_the_vector() -> None:
    x = np.random.default_rng(2).uniform(0, 1, (100, 4))
    batch = drawn(x, 0.02, lowest=0.002)
    vector = PopulationDecoder(mode="regression")(batch).logits_proxy
    likely = BayesianDecoder(highest=0.02, lowest=0.002)(batch).logits_proxy
    assert np.mean((likely - x) ** 2) < 0.6 * np.mean((vector - x) ** 2)


def test_a_confidence_of_a_share_is_right_in_that_share() -> None:
    generator = np.random.default_rng(3)
    # Windows of different activity, so that there are all sorts of confidence.
    x = generator.uniform(0, 1, (1_500, 2))
    batch = drawn(x, 0.004, seed=4, lowest=0.0002)
    decoder = BayesianDecoder(highest=0.004, lowest=0.0002, tolerance=0.05)
    out = decoder(batch)
    confidence = out.aux["value_confidence"]
    near = np.abs(out.logits_proxy - x) <= 0.05
    assert confidence.mean() == pytest.approx(near.mean(), abs=0.02)
    assert np.ptp(confidence) > 0.5
    for low, high in ((0, 0.5), (0.5, 0.75), (0.75, 1.01)):
        chosen = (confidence >= low) & (confidence < high)
        assert chosen.sum() > 100
        assert confidence[chosen].mean() == pytest.approx(near[chosen].mean(), abs=0.05)
    np.testing.assert_allclose(out.confidence, confidence.mean(axis=1), rtol=1e-5)


def test_confidence_stays_right_with_pauses() -> None:
    generator = np.random.default_rng(5)
    x = generator.uniform(0, 1, 800)
    p, spikes, ready = gaussian(x, 0.05), np.zeros((800, STEPS, NEURONS), bool), np.zeros((800, NEURONS), int)
    for t in range(STEPS):
        spikes[:, t] = (generator.random(p.shape) < p) & (ready <= t)
        ready[spikes[:, t]] = t + 21
    tuning = {"population_map": np.zeros(NEURONS, int), "centers": CENTERS, "widths": WIDTHS}
    out = BayesianDecoder(highest=0.05, refractory=20, tolerance=0.01)(SpikeBatch(spikes, aux=tuning))
    near = np.abs(out.prediction - x) <= 0.01
    assert out.confidence.mean() == pytest.approx(near.mean(), abs=0.03)
    assert 0.3 < near.mean() < 0.9


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize(
    "options",
    [
        {"tuning": "triangular", "min_firing_rate_hz": 30.0, "max_firing_rate_hz": 200.0},
        {"refractory_period_ms": 5.0},
        {"refractory_period_ms": 5.0, "rate_includes_refractory": True, "max_firing_rate_hz": 160.0},
        {"input_range": (-3.0, 5.0), "centers": "uniform"},
    ],
    ids=["rates", "pauses", "pauses counted in", "range"],
)
def test_an_encoder_tells_how_it_is_decoded(world: Any, options: dict[str, Any]) -> None:
    low, high = options.get("input_range", (0.0, 1.0))
    x = np.random.default_rng(9).uniform(low, high, (40, 10))
    encoder = PopulationEncoder(num_steps=200, normalization="none", seed=0, **options)
    out = make_decoder(DecodingConfig(type="bayesian"))(encoder(world(x)))
    values, confidence = np.asarray(out.logits_proxy), np.asarray(out.aux["value_confidence"])
    assert 1 - np.mean((values - x) ** 2) / np.var(x) > 0.99
    near = np.abs(values - x) <= 0.05 * (high - low)
    assert confidence.mean() == pytest.approx(near.mean(), abs=0.03)


def test_what_is_told_is_checked() -> None:
    batch = PopulationEncoder(population_size=4)(np.linspace(0, 1, 3))
    wrong = SpikeBatch(batch.spikes, aux={**batch.aux, "highest": 2.0})
    with pytest.raises(DataError, match=r"highest=2\.0 are no probabilities"):
        BayesianDecoder()(wrong)


@pytest.mark.parametrize("tuning", ["gaussian", "triangular"])
@pytest.mark.parametrize("lowest", [0.0, 0.01])
def test_the_most_likely_value_is_that_of_a_search(tuning: str, lowest: float) -> None:
    widths = WIDTHS * (3 if tuning == "triangular" else 1)
    curves = TuningCurves(CENTERS, widths, tuning, 0.3, lowest)  # type: ignore[arg-type]

    def probability(x: np.ndarray | float) -> np.ndarray:
        away = np.abs(np.asarray(x)[..., None] - CENTERS) / widths
        curve = np.exp(-0.5 * away**2) if tuning == "gaussian" else np.maximum(0, 1 - away)
        return lowest + (0.3 - lowest) * curve

    generator = np.random.default_rng(6)
    for x in generator.uniform(0, 1, 10):
        p = probability(x)
        counts = generator.binomial(40, p).astype(float)
        found, _ = likely_values(curves, counts[None, None], np.full((1, 1, NEURONS), 40.0), (0, 1), 0.05)

        def unlikely(value: np.ndarray | float, counts: np.ndarray = counts) -> np.ndarray:
            return -np.sum(binom.logpmf(counts, 40, probability(value)), axis=-1)

        grid = np.linspace(0, 1, 2_001)
        best = grid[np.argmin(unlikely(grid))]
        best = minimize_scalar(unlikely, bounds=(max(0, best - 1e-3), min(1, best + 1e-3)), method="bounded").x
        assert unlikely(found[0, 0]) <= unlikely(best) + 1e-3
        assert found[0, 0] == pytest.approx(best, abs=2e-3)


def test_with_short_steps_it_is_the_likelihood_of_poisson_counts() -> None:
    curves = TuningCurves(CENTERS, WIDTHS, "gaussian", 1e-4, 0.0)
    counts = np.array([0, 0, 3, 9, 4, 0, 0, 0, 0, 0], float)
    x = np.linspace(0.2, 0.6, 9)
    ours = curves.log_likelihood(x[None, None], counts[None, None], np.full((1, 1, NEURONS), 1e5))[0, 0]
    theirs = poisson.logpmf(counts, 1e5 * gaussian(x, 1e-4)).sum(axis=1)
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], rtol=1e-3, atol=1e-3)


def test_improbable_spikes_do_not_underflow() -> None:
    curves = TuningCurves(CENTERS, WIDTHS / 40, "gaussian", 0.5, 0.0)
    counts = np.zeros((1, 1, NEURONS))
    counts[0, 0, [0, 9]] = 1
    values, confidence = likely_values(curves, counts, np.full((1, 1, NEURONS), 50.0), (0, 1), 0.05)
    assert values[0, 0] == pytest.approx(0.5, abs=1e-3)
    assert np.isfinite(confidence).all()


def test_groups_may_be_shuffled_and_have_tuning_of_their_own() -> None:
    x = np.random.default_rng(7).uniform(0, 1, (20, 2))
    batch = drawn(x, 0.1)
    order = np.random.default_rng(8).permutation(2 * NEURONS)
    each = {name: np.tile(batch.aux[name], 2)[order] for name in ("centers", "widths")}
    shuffled = SpikeBatch(
        batch.spikes[:, :, order], aux={"population_map": batch.aux["population_map"][order], **each}
    )
    for decoder in (PopulationDecoder(mode="regression"), BayesianDecoder(highest=0.1)):
        np.testing.assert_allclose(decoder(shuffled).logits_proxy, decoder(batch).logits_proxy, atol=1e-4)
    by_group = SpikeBatch(batch.spikes, aux={**batch.aux, "centers": np.stack([CENTERS, 10 * CENTERS])})
    values = PopulationDecoder(mode="regression")(by_group).logits_proxy
    np.testing.assert_allclose(
        values, PopulationDecoder(mode="regression")(batch).logits_proxy * [1, 10], rtol=1e-5
    )


def test_groups_of_different_sizes_decide_and_give_values() -> None:
    spikes = np.ones((1, 4, 3), bool)
    aux = {"population_map": np.array([1, 0, 1]), "centers": np.array([0.2, 0.6, 0.4])}
    out = PopulationDecoder()(SpikeBatch(spikes, aux=aux))
    assert out.logits_proxy.tolist() == [[4, 8]]
    values = PopulationDecoder(mode="regression")(SpikeBatch(spikes, aux=aux))
    np.testing.assert_allclose(values.logits_proxy, [[0.6, 0.3]], rtol=1e-6)


def test_the_confidence_of_the_vector_is_the_share_of_activity() -> None:
    spikes = np.zeros((1, 10, 4), bool)
    spikes[0, :5, 0] = True
    aux = {"population_map": np.zeros(4, int), "centers": np.linspace(0, 1, 4)}
    out = PopulationDecoder(mode="regression")(SpikeBatch(spikes, aux=aux))
    assert out.confidence[0] == pytest.approx(5 / 40)
    assert out.prediction.shape == (1,)
    silent = PopulationDecoder(mode="regression")(SpikeBatch(np.zeros_like(spikes), aux=aux))
    assert silent.prediction[0] == pytest.approx(0.5)
    assert silent.confidence[0] == 0


def test_centers_can_be_learned_through_the_decoder() -> None:
    centers = torch.linspace(0, 1, 4, requires_grad=True)
    spikes = torch.zeros(1, 5, 4)
    spikes[0, :, 1] = 1
    owners = torch.zeros(4, dtype=torch.int64)
    out = PopulationDecoder(mode="regression")(
        SpikeBatch(spikes, aux={"population_map": owners, "centers": centers})
    )
    out.logits_proxy.sum().backward()
    torch.testing.assert_close(centers.grad, torch.tensor([0.0, 1.0, 0.0, 0.0]), atol=1e-6, rtol=0)


@given(st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any))
def test_the_vector_stays_between_the_centers(counts: list[int]) -> None:
    spikes = np.arange(20)[:, None] < np.array(counts)
    aux = {"population_map": np.zeros(4, int), "centers": np.array([-2.0, 0.0, 1.0, 5.0])}
    value = PopulationDecoder(mode="regression")(SpikeBatch(spikes[None], aux=aux)).prediction[0]
    assert value == pytest.approx(np.average(aux["centers"], weights=counts), abs=1e-5)


@pytest.mark.parametrize(
    ("aux", "problems"),
    [
        ({}, ["no population_map"]),
        ({"population_map": np.zeros(3, int)}, ["shape [3], for 4 neurons"]),
        ({"population_map": np.zeros((4, 1))}, ["shape [4, 1], for 4 neurons", "type float64"]),
        ({"population_map": np.array([-1, 0, 3, 3])}, ["the group -1", "leaves 2 groups empty, the first is 1"]),
        ({"population_map": np.zeros(4, int)}, ["no centers"]),
        ({"population_map": np.zeros(4, int), "centers": np.zeros(3)}, ["centers have the shape [3]"]),
        (
            {"population_map": np.array([0, 0, 0, 1]), "centers": np.zeros((2, 3))},
            ["centers have the shape [2, 3]"],
        ),
        ({"population_map": np.zeros(4, int), "centers": np.full(4, np.nan)}, ["centers holds NaN"]),
        (
            {"population_map": np.zeros(4, int), "centers": np.arange(4.0), "widths": np.zeros(4)},
            ["widths are not all above 0"],
        ),
        ({"population_map": np.zeros(4, int), "centers": torch.zeros(4)}, ["not all NumPy arrays"]),
    ],
)
def test_maps_and_centers_that_do_not_fit_are_told(aux: dict[str, object], problems: list[str]) -> None:
    decoder = BayesianDecoder() if "widths" in aux else PopulationDecoder(mode="regression")
    with pytest.raises(DataError) as caught:
        decoder(SpikeBatch(np.zeros((1, 2, 4), bool), aux=aux))
    assert len(caught.value.issues) == len(problems)
    for issue, problem in zip(caught.value.issues, problems, strict=True):
        assert problem in issue.problem
