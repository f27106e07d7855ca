from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.decoders.output import DecodingMethod, DecodingResult
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.encoders import PopulationEncoder, make_encoder
from neurocompile.codecs.metrics.benchmark import METHODS
from neurocompile.codecs.metrics.reconstruction import r2, rank_consistency
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode
from neurocompile.codecs.train_codec import TrainCodec
from neurocompile.errors import DataError

CONFIG = EncoderConfig(time_window_ms=1_000.0, dt_ms=1.0, normalize_input=False, seed=0, max_firing_rate_hz=500.0)
X = np.random.default_rng(0).uniform(0, 1, 300)


def encoded(config: EncoderConfig, x: np.ndarray = X) -> SpikeTrain:
    spikes = make_encoder(config)(x).spikes
    return SpikeTrain.from_dense(spikes[0].T, config.dt_ms)


def train_of(*neurons: str, dt_ms: float = 1.0) -> SpikeTrain:
    """Write the spikes of neurons as strings of 0 and 1."""
    return SpikeTrain.from_dense(np.array([[step == "1" for step in neuron] for neuron in neurons]), dt_ms)


@pytest.mark.parametrize("method", ["spike_count", "spike_rate", "membrane_potential", "bayesian_mle"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"refractory_period_ms": 0.0},
        {"min_firing_rate_hz": 50.0},
        {"rate_includes_refractory": True, "max_firing_rate_hz": 300.0},
        {"dt_ms": 0.1, "max_firing_rate_hz": 1000.0},
    ],
    ids=["pauses", "no pauses", "baseline", "pauses counted in", "document"],
)
def test_rates_come_back_whatever_the_pauses(method: DecodingMethod, change: dict[str, float]) -> None:
    config = replace(CONFIG, **change)
    result = SpikeDecoder(config).decode(encoded(config), method, X)
    assert result.reconstruction_r2 is not None
    assert result.reconstruction_r2 > 0.95
    assert (
        SpikeDecoder(config).decode(encoded(config), method, X.tolist()).reconstruction_r2
        == result.reconstruction_r2
    )
    assert result.reconstruction_mse == pytest.approx(np.mean((result.values - X) ** 2))
    assert np.mean(result.values - X) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("method", ["spike_count", "spike_rate", "membrane_potential", "bayesian_mle"])
@pytest.mark.parametrize("refractory", [0.0, 4.0])
def test_the_probability_that_a_value_is_near_is_right(method: DecodingMethod, refractory: float) -> None:
    # Short windows, so that there are all sorts of confidence.
    config = replace(CONFIG, time_window_ms=150.0, refractory_period_ms=refractory, max_firing_rate_hz=400.0)
    x = np.random.default_rng(1).uniform(0, 1, 4_000)
    result = SpikeDecoder(config, tau_mem_ms=80.0).decode(encoded(config, x), method)
    near = np.abs(result.values - x) <= 0.05
    assert result.confidence.mean() == pytest.approx(near.mean(), abs=0.02)
    median = np.median(result.confidence)
    for chosen in (result.confidence < median, result.confidence >= median):
        assert result.confidence[chosen].mean() == pytest.approx(near[chosen].mean(), abs=0.04)


def test_the_documents_count_loses_what_pauses_take() -> None:
    config = replace(CONFIG, refractory_period_ms=2.0)
    plain = SpikeDecoder(config, pauses_corrected=False).decode(encoded(config, np.ones(100)), "spike_count")
    assert plain.values.mean() == pytest.approx(1 / (1 + 500 * 0.002), abs=0.01)
    four = train_of("0101010100")
    config = EncoderConfig(time_window_ms=10.0, dt_ms=1.0, refractory_period_ms=0.0, max_firing_rate_hz=800.0)
    for corrected in (True, False):
        assert SpikeDecoder(config, pauses_corrected=corrected).decode(four, "spike_count").values[
            0
        ] == pytest.approx(4 / (0.01 * 800))


def test_with_one_rate_for_everything_nothing_is_read() -> None:
    config = replace(CONFIG, min_firing_rate_hz=500.0)
    assert not SpikeDecoder(config).decode(encoded(config), "spike_count").values.any()


def test_a_leaky_membrane_is_by_that_of_endless_spikes() -> None:
    config = EncoderConfig(time_window_ms=4.0, dt_ms=1.0, refractory_period_ms=0.0)
    decoder = SpikeDecoder(config, tau_mem_ms=2.0)
    weights = np.exp(-np.arange(3, -1, -1) / 2)
    values = decoder.decode(train_of("1111", "1001", "0000"), "membrane_potential").values
    np.testing.assert_allclose(values, [1, (weights[0] + weights[3]) / weights.sum(), 0], rtol=1e-5)


def test_the_rate_of_the_last_window_is_read() -> None:
    config = EncoderConfig(time_window_ms=10.0, dt_ms=1.0, refractory_period_ms=0.0)
    train = train_of("1111110101", "1111110000")
    values = SpikeDecoder(config, rate_window_ms=4.0).decode(train, "spike_rate").values
    np.testing.assert_allclose(values, [0.5, 0])


@pytest.mark.parametrize("jitter", [0.0, 40.0])
def test_times_come_back_with_the_probability_that_they_are_near(jitter: float) -> None:
    config = replace(CONFIG, coding_scheme="temporal_ttfs", jitter_ms=jitter)
    x = np.random.default_rng(2).uniform(0.2, 0.8, 3_000)
    result = SpikeDecoder(config).decode(encoded(config, x), "time_to_first_spike")
    near = np.abs(result.values - x) <= 0.05
    assert result.confidence.mean() == pytest.approx(near.mean(), abs=0.02)
    assert np.abs(result.values - x).max() < (0.25 if jitter else 0.5 / 999 + 1e-6)


def test_silence_is_the_value_of_latest_spikes_without_confidence() -> None:
    result = SpikeDecoder(EncoderConfig(dt_ms=1.0)).decode(train_of("000", "001", "010"), "time_to_first_spike")
    np.testing.assert_allclose(result.values, [0, 0, 0.5])
    assert result.confidence[0] == 0


def test_times_count_from_the_reference() -> None:
    code = TemporalCode(train_of("00001", "00100"), "ttfs", reference_time_ms=2.0)
    values = SpikeDecoder(EncoderConfig(dt_ms=1.0)).decode(code, "time_to_first_spike").values
    np.testing.assert_allclose(values, [0.5, 1])


@given(st.permutations(range(40)))
def test_the_order_of_ranks_comes_back_whole(order: list[int]) -> None:
    config = replace(CONFIG, coding_scheme="temporal_rank_order", normalize_input=True)
    result = SpikeDecoder(config).decode(encoded(config, np.array(order, float)), "rank_order")
    assert rank_consistency(order, result.values) == 1
    np.testing.assert_allclose(result.values, 0.9 ** (39 - np.array(order)))
    assert (result.confidence == 1).all()


def test_a_thousand_ranks_are_told_apart() -> None:
    config = replace(CONFIG, coding_scheme="temporal_rank_order")
    x = np.random.default_rng(3).permutation(1_000) / 999
    assert rank_consistency(x, SpikeDecoder(config).decode(encoded(config, x), "rank_order").values) == 1


def test_neurons_that_share_a_rank_share_its_confidence() -> None:
    result = SpikeDecoder(EncoderConfig(dt_ms=1.0), modulation=0.5).decode(
        train_of("100", "010", "010", "000"), "rank_order"
    )
    np.testing.assert_allclose(result.values, [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(result.confidence, [1, 0.5, 0.5, 0])


@pytest.mark.parametrize("frequency", [10.0, 7.3])
def test_phases_come_back_to_half_a_step(frequency: float) -> None:
    config = replace(CONFIG, coding_scheme="temporal_phase", phase_frequency_hz=frequency)
    x = np.append(X, [0.0, 1.0])
    code = TemporalCode(encoded(config, x), "phase", phase_frequency_hz=frequency)
    result = SpikeDecoder(replace(config, phase_frequency_hz=40.0)).decode(code, "phase")
    np.testing.assert_allclose(result.values, x, atol=0.6 * frequency / 1000)
    assert (result.confidence > 0.99).all()
    assert SpikeDecoder(config).decode(code.spike_train, "phase").values == pytest.approx(result.values)


@pytest.mark.parametrize(
    ("method", "error"),
    [("spike_count", 0.1), ("membrane_potential", 0.1), ("spike_rate", 0.01), ("bayesian_mle", 0.01)],
)
def test_bursts_come_back(method: DecodingMethod, error: float) -> None:
    config = replace(CONFIG, coding_scheme="rate_burst")
    x = np.concatenate([X, [0.0, 1.0]])
    result = SpikeDecoder(config).decode(encoded(config, x), method)
    # A burst of one has no interval.
    assert np.abs(result.values - x)[x > 0.2].max() < error + 1e-6
    assert np.abs(result.values - x).max() < 0.1 + 1e-6
    near = np.abs(result.values - x) <= 0.05
    assert result.confidence.mean() == pytest.approx(near.mean(), abs=0.05)
    assert result.confidence[-2] == 1


@pytest.mark.parametrize("scheme", ["population_gaussian", "population_triangular"])
@pytest.mark.parametrize("method", ["population_vector", "bayesian_mle"])
def test_populations_come_back(scheme: str, method: DecodingMethod) -> None:
    config = replace(CONFIG, coding_scheme=scheme, population_size=12)  # type: ignore[arg-type]
    train = encoded(config)
    result = SpikeDecoder(config).decode(train, method, X)
    assert result.values.shape == X.shape
    assert result.reconstruction_r2 is not None
    assert result.reconstruction_r2 > 0.95
    encoder = make_encoder(config)
    assert isinstance(encoder, PopulationEncoder)
    dense = train.dense().reshape(len(X), 12, -1)
    trains = tuple(SpikeTrain.from_dense(each, 1.0, np.arange(12)) for each in dense)
    code = PopulationCode(trains, *encoder.curves(X), (0.0, 1.0), 12)
    by_code = SpikeDecoder(config).decode(code, method)
    np.testing.assert_allclose(by_code.values, result.values)
    np.testing.assert_allclose(by_code.confidence, result.confidence)
    assert by_code.values.shape == X.shape
    as_samples = PopulationCode(trains, *encoder.curves(X), (0.0, 1.0), 12, num_samples=3)
    assert SpikeDecoder(config).decode(as_samples, method).values.shape == (3, len(X) // 3)
    each = PopulationCode(trains, *(np.tile(part, (len(X), 1)) for part in encoder.curves(X)), (0.0, 1.0), 12)
    np.testing.assert_allclose(SpikeDecoder(config).decode(each, method).values, result.values)


@pytest.mark.parametrize("counted_in", [False, True])
def test_the_likelihood_of_populations_is_sure_when_it_is_right(counted_in: bool) -> None:
    config = replace(
        CONFIG,
        coding_scheme="population_gaussian",
        time_window_ms=60.0,
        max_firing_rate_hz=300.0,
        min_firing_rate_hz=20.0,
        rate_includes_refractory=counted_in,
    )
    x = np.random.default_rng(4).uniform(0, 1, 1_500)
    result = SpikeDecoder(config, tolerance=0.01).decode(encoded(config, x), "bayesian_mle")
    near = np.abs(result.values - x) <= 0.01
    assert 0.3 < near.mean() < 0.95
    # Pauses that are counted in make counts more regular than the likelihood has them: it is surer than it says.
    assert result.confidence.mean() == pytest.approx(near.mean(), abs=0.04)


def test_the_vectors_confidence_is_the_documents() -> None:
    config = EncoderConfig(
        "population_gaussian", dt_ms=1.0, population_size=2, max_firing_rate_hz=500.0, refractory_period_ms=0.0
    )
    result = SpikeDecoder(config).decode(train_of("1010", "1000"), "population_vector")
    assert result.confidence[0] == pytest.approx(3 / (2 * 0.004 * 500))
    assert result.values[0] == pytest.approx(1 / 3)
    assert SpikeDecoder(config).decode(train_of("1111", "1111"), "population_vector").confidence[0] == 1


@pytest.mark.parametrize("method", get_args(DecodingMethod))
def test_rows_of_one_neuron_are_its_samples(method: DecodingMethod) -> None:
    scheme = "population_gaussian" if method == "population_vector" else "rate_poisson"
    config = replace(CONFIG, coding_scheme=scheme, population_size=4)
    spikes = np.random.default_rng(5).random((3, 8, 50)) < 0.2
    together = SpikeTrain.from_dense(spikes.reshape(24, 50), 1.0, np.tile(np.arange(8), 3))
    decoder = SpikeDecoder(replace(config, phase_frequency_hz=100.0))
    result = decoder.decode(together, method)
    assert result.values.shape[0] == 3
    for i, sample in enumerate(spikes):
        alone = decoder.decode(SpikeTrain.from_dense(sample, 1.0), method)
        np.testing.assert_allclose(result.values[i], alone.values, rtol=1e-6)
        np.testing.assert_allclose(result.confidence[i], alone.confidence, rtol=1e-6)


@pytest.mark.parametrize("method", get_args(DecodingMethod))
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_any_spikes_give_finite_shares_in_both_worlds(method: DecodingMethod, rate: float) -> None:
    spikes = np.random.default_rng(6).random((8, 20)) < rate
    for scheme in ("rate_poisson", "rate_burst", "population_gaussian", "population_triangular"):
        if method == "population_vector" and not scheme.startswith("population"):
            continue
        config = EncoderConfig(
            scheme,  # type: ignore[arg-type]
            time_window_ms=20.0,
            dt_ms=1.0,
            population_size=4,
            phase_frequency_hz=100.0,
        )
        decoder = SpikeDecoder(config, tau_mem_ms=5.0)
        result = decoder.decode(SpikeTrain.from_dense(spikes, 1.0), method)
        for part in (result.values, result.confidence):
            assert np.isfinite(part).all()
            assert ((part >= 0) & (part <= 1)).all()
        theirs = decoder.decode(SpikeTrain.from_dense(torch.from_numpy(spikes), 1.0), method)
        np.testing.assert_allclose(result.values, theirs.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.confidence, theirs.confidence, rtol=1e-4, atol=1e-5)


def test_times_between_the_steps_are_read_from_the_nearest() -> None:
    times = np.array([[2.3, 4.0], [0.4, np.nan]])
    train = SpikeTrain(times, np.arange(2), 5.0, 1.0, np.array([2, 1]))
    values = SpikeDecoder(EncoderConfig(dt_ms=1.0)).decode(train, "time_to_first_spike").values
    np.testing.assert_allclose(values, [0.5, 1])


def population_code() -> PopulationCode:
    return PopulationCode((train_of("10", "01"),), np.array([0.0, 1.0]), np.array([0.5, 0.5]), (0.0, 1.0), 2)


@pytest.mark.parametrize(
    ("code", "method", "problem"),
    [
        (train_of("10"), "psychic", "no decoding method"),
        (train_of("10"), "population_vector", "no centers"),
        (train_of("10", dt_ms=0.5), "spike_count", "steps of 0.5 ms"),
        (population_code(), "spike_count", "does not read a population code"),
        (SpikeTrain(np.zeros((0, 0)), np.zeros(0, int), 3.0, 1.0, np.zeros(0, int)), "spike_count", "no neurons"),
        (
            SpikeTrain.from_dense(np.zeros((3, 3), bool), 1.0, np.array([0, 1, 0])),
            "spike_count",
            "3 rows are not 2 samples",
        ),
        (
            SpikeTrain.from_dense(np.zeros((4, 3), bool), 1.0, np.array([0, 0, 1, 1])),
            "spike_count",
            "4 rows are not 2 samples of the same neurons",
        ),
        (
            SpikeTrain.from_dense(np.zeros((4, 3), bool), 1.0, np.array([0, 1, 0, 2])),
            "spike_count",
            "4 rows are not 2 samples",
        ),
        (
            SpikeTrain.from_dense(np.zeros((3, 3), bool), 1.0, np.array([0, 1, 1])),
            "spike_count",
            "3 rows are not 1 samples",
        ),
    ],
)
def test_what_does_not_fit_is_refused(code: SpikeTrain, method: DecodingMethod, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        SpikeDecoder(EncoderConfig(dt_ms=1.0)).decode(code, method)


@pytest.mark.parametrize("frequency", [40.0, None])
@pytest.mark.parametrize("reference", [0.0, 7.0, 25.0])
def test_phases_count_from_the_reference(frequency: float | None, reference: float) -> None:
    # Cycles of 25 steps, of which the first begins at the reference.
    config = EncoderConfig("temporal_phase", dt_ms=1.0, time_window_ms=200.0, normalize_input=False)
    x = np.linspace(0, 1, 25)
    spikes = make_encoder(config)(x).spikes[0]
    late = np.roll(spikes, int(reference), axis=0)
    late[: int(reference)] = False
    code = TemporalCode(SpikeTrain.from_dense(late.T, 1.0), "phase", reference, frequency or 40.0)
    result = SpikeDecoder(config).decode(code, "phase")
    np.testing.assert_allclose(result.values, x, atol=1e-5)


@pytest.mark.parametrize("scheme", ["temporal_ttfs", "temporal_phase"])
def test_the_most_likely_value_of_times_is_read_from_them(scheme: CodingScheme) -> None:
    config = replace(CONFIG, coding_scheme=scheme)
    own: DecodingMethod = METHODS[scheme]
    by_config, by_code = SpikeDecoder(config), SpikeDecoder(CONFIG)
    train = encoded(config)
    likely, read = (by_config.decode(train, method, X) for method in ("bayesian_mle", own))
    assert likely.reconstruction_r2 is not None
    assert likely.reconstruction_r2 > 0.99
    np.testing.assert_array_equal(likely.values, read.values)
    np.testing.assert_array_equal(likely.confidence, read.confidence)
    frequency = config.phase_frequency_hz if scheme == "temporal_phase" else None
    code = TemporalCode(train, scheme.removeprefix("temporal_"), phase_frequency_hz=frequency)  # type: ignore[arg-type]
    np.testing.assert_array_equal(by_code.decode(code, "bayesian_mle").values, read.values)


@pytest.mark.parametrize("method", ["spike_count", "spike_rate", "membrane_potential", "population_vector"])
@pytest.mark.parametrize("scheme", ["temporal_ttfs", "temporal_phase", "temporal_rank_order"])
def test_counts_are_not_read_where_times_tell_values(scheme: CodingScheme, method: DecodingMethod) -> None:
    config = replace(CONFIG, coding_scheme=scheme)
    code = TrainCodec(config).encode_temporal(np.array([0.1, 0.5, 0.9]), scheme.removeprefix("temporal_"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"'{method}' does not read '{scheme}'") as caught:
        SpikeDecoder(config).decode(code, method)
    assert f"use '{METHODS[scheme]}'" in str(caught.value)


def test_a_codec_of_times_reads_the_rates_that_it_encodes() -> None:
    codec = TrainCodec(EncoderConfig("temporal_ttfs", normalize_input=False, seed=0))
    values = np.array([0.2, 0.5, 0.8])
    found = codec.decode_spikes(codec.encode_rate(values, 2000.0), "spike_rate").values
    np.testing.assert_allclose(found, values, atol=0.1)


def test_an_order_has_no_most_likely_values() -> None:
    config = replace(CONFIG, coding_scheme="temporal_rank_order")
    with pytest.raises(DataError, match="does not read"):
        SpikeDecoder(config).decode(encoded(config), "bayesian_mle")


def test_neurons_that_are_no_whole_populations_are_refused() -> None:
    config = EncoderConfig("population_gaussian", dt_ms=1.0, population_size=2)
    with pytest.raises(DataError, match="3 neurons are not populations of 2"):
        SpikeDecoder(config).decode(train_of("1", "0", "1"), "bayesian_mle")


def test_an_original_may_be_of_half_precision() -> None:
    x = torch.linspace(0, 1, 50, dtype=torch.bfloat16).requires_grad_()
    train = encoded(replace(CONFIG, coding_scheme="temporal_ttfs"), x.detach().float().numpy())
    result = SpikeDecoder(CONFIG).decode(train, "time_to_first_spike", x)
    assert result.reconstruction_r2 is not None
    assert result.reconstruction_r2 > 0.99


def test_an_original_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"\[3\] values were encoded and \[1\] decoded"):
        SpikeDecoder(EncoderConfig(dt_ms=1.0)).decode(train_of("10"), "spike_count", np.zeros(3))


def test_options_out_of_range_are_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        SpikeDecoder(tolerance=0.0, modulation=1.0, tau_mem_ms=-1.0, rate_window_ms=0.01)
    assert len(caught.value.issues) == 4


def test_results_are_what_the_document_says() -> None:
    assert [field.name for field in fields(DecodingResult)] == [
        "values",
        "confidence",
        "method",
        "reconstruction_mse",
        "reconstruction_r2",
    ]
    result = SpikeDecoder(CONFIG).decode(encoded(CONFIG), "spike_count")
    assert (result.reconstruction_mse, result.reconstruction_r2) == (None, None)
    assert r2(X, result.values) > 0.95
