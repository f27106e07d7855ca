from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.metrics.encoding import EncodingMetrics
from neurocompile.codecs.metrics.reconstruction import r2, rank_consistency
from neurocompile.codecs.protocol import NeuromorphicEncoderProtocol
from neurocompile.codecs.spike_train import SpikeTrain, TemporalCode, TemporalScheme
from neurocompile.codecs.train_codec import TrainCodec
from neurocompile.errors import DataError

CONFIG = EncoderConfig(dt_ms=0.5, time_window_ms=400.0, normalize_input=False, seed=0)
ENCODER = TrainCodec(CONFIG)
X = np.random.default_rng(0).uniform(0, 1, (3, 20))


def test_it_is_the_protocol_but_for_the_compiler() -> None:
    methods = [name for name in vars(NeuromorphicEncoderProtocol) if not name.startswith("_")]
    assert len(methods) == 6
    assert [name for name in methods if not hasattr(ENCODER, name)] == ["convert_ann_to_snn"]


def test_rates_come_back_in_the_shape_of_the_data() -> None:
    train = ENCODER.encode_rate(X, 800.0)
    assert train.num_timesteps == 1_600
    assert train.duration_ms == 800
    assert train.neuron_ids.tolist() == [*range(20)] * 3
    result = ENCODER.decode_spikes(train, "spike_count")
    assert result.values.shape == X.shape
    assert r2(X, result.values) > 0.95
    assert ENCODER.encode_rate(X).duration_ms == 400


def test_bursts_are_chosen_by_the_scheme() -> None:
    encoder = TrainCodec(EncoderConfig("rate_burst", dt_ms=0.5, normalize_input=False))
    train = encoder.encode_rate(X[0], 100.0)
    assert train.num_spikes.max() <= 5
    assert r2(X[0], encoder.decode_spikes(train, "spike_rate").values) > 0.95


@pytest.mark.parametrize("duration_ms", [50.0, 100.0, 400.0])
def test_bursts_are_read_by_the_window_that_they_were_sent_in(duration_ms: float) -> None:
    x = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    encoder = TrainCodec(EncoderConfig("rate_burst", normalize_input=False))
    result = encoder.decode_spikes(encoder.encode_rate(x, duration_ms), "spike_rate")
    np.testing.assert_allclose(result.values, x, atol=0.01)


@pytest.mark.parametrize(("scheme", "method"), [("ttfs", "time_to_first_spike"), ("phase", "phase")])
def test_times_come_back(scheme: TemporalScheme, method: Any) -> None:
    code = ENCODER.encode_temporal(X, scheme)
    assert (code.scheme, code.rank_order) == (scheme, None)
    assert code.phase_frequency_hz == (40.0 if scheme == "phase" else None)
    np.testing.assert_allclose(ENCODER.decode_spikes(code, method).values, X, atol=0.02)


def test_ranks_come_back_with_their_order() -> None:
    code = ENCODER.encode_temporal(X, "rank_order")
    assert code.rank_order is not None
    np.testing.assert_array_equal(code.rank_order, np.argsort(-X, axis=1))
    assert rank_consistency(X, ENCODER.decode_spikes(code, "rank_order").values) == 1
    one = ENCODER.encode_temporal(X[0], "rank_order")
    assert one.rank_order is not None
    np.testing.assert_array_equal(one.rank_order, np.argsort(-X[0]))


@pytest.mark.parametrize("scheme", ["rate_poisson", "population_triangular"])
@pytest.mark.parametrize("method", ["population_vector", "bayesian_mle"])
def test_populations_come_back(scheme: CodingScheme, method: Any) -> None:
    encoder = TrainCodec(EncoderConfig(scheme, dt_ms=0.5, time_window_ms=400.0, normalize_input=False, seed=1))
    code = encoder.encode_population(X, 12)
    assert len(code.spike_trains) == X.size
    assert code.num_neurons_per_dim == 12
    np.testing.assert_allclose(code.tuning_centers, np.linspace(0, 1, 12))
    values = encoder.decode_spikes(code, method).values
    assert values.shape == X.shape
    assert r2(X, values) > 0.95
    assert encoder.encode_population(X[0]).num_neurons_per_dim == 10
    column = encoder.encode_population(X[:, :1], 12)
    assert encoder.decode_spikes(column, method).values.shape == (3, 1)


def test_the_number_of_neurons_may_be_other_than_the_configurations() -> None:
    encoder = TrainCodec(EncoderConfig(population_size=1))
    assert encoder.encode_population(X, 4).num_neurons_per_dim == 4
    with pytest.raises(DataError, match="population_size=1"):
        encoder.encode_population(X)


@given(arrays(np.float64, st.integers(2, 12), elements=st.floats(-1e6, 1e6)))
def test_any_values_make_a_round_trip(x: np.ndarray) -> None:
    encoder = TrainCodec(EncoderConfig(dt_ms=1.0, seed=0, phase_frequency_hz=20.0))
    codes = [encoder.encode_rate(x), *(encoder.encode_temporal(x, scheme) for scheme in get_args(TemporalScheme))]
    for code, method in zip(codes, ["spike_count", "time_to_first_spike", "rank_order", "phase"], strict=True):
        result = encoder.decode_spikes(code, method)  # type: ignore[arg-type]
        assert result.values.shape == x.shape
        assert np.isfinite(result.values).all()
        assert ((result.values >= 0) & (result.values <= 1)).all()
    order = encoder.decode_spikes(codes[2], "rank_order").values
    shares = (x - x.min()) / np.ptp(x) if np.ptp(x) else np.zeros_like(x)
    assert rank_consistency(shares, order) == 1
    np.testing.assert_allclose(encoder.decode_spikes(codes[1], "time_to_first_spike").values, shares, atol=0.006)
    np.testing.assert_allclose(encoder.decode_spikes(codes[3], "phase").values, shares, atol=0.03)


def test_equal_calls_give_equal_spikes() -> None:
    first, second = (ENCODER.encode_rate(X) for _ in range(2))
    np.testing.assert_array_equal(first.spike_times, second.spike_times)
    other = TrainCodec(replace(CONFIG, seed=1)).encode_rate(X)
    assert other.dense().shape == first.dense().shape
    assert not np.array_equal(first.dense(), other.dense())


def test_tensors_stay_tensors() -> None:
    x = torch.from_numpy(X)
    train = ENCODER.encode_rate(x)
    assert isinstance(train.spike_times, torch.Tensor)
    values = ENCODER.decode_spikes(train, "spike_count").values
    assert r2(X, values.numpy()) > 0.95
    code = ENCODER.encode_population(x, 8)
    assert r2(X, ENCODER.decode_spikes(code, "bayesian_mle").values.numpy()) > 0.95
    temporal = ENCODER.encode_temporal(x, "rank_order")
    assert rank_consistency(X, ENCODER.decode_spikes(temporal, "rank_order").values.numpy()) == 1


def test_it_measures_with_its_own_options() -> None:
    encoder = TrainCodec(EncoderConfig(dt_ms=1.0, seed=0))
    metrics = encoder.benchmark_encoding(torch.tensor(X, requires_grad=True), "temporal_ttfs")
    assert isinstance(metrics, EncodingMetrics)
    assert metrics.mean_firing_rate_hz == pytest.approx(10)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: ENCODER.encode_rate(np.array([])), "empty"),
        (lambda: ENCODER.encode_rate(np.array([np.inf])), "infinities"),
        (lambda: ENCODER.encode_rate(np.array([2.0])), "not all in"),
        (lambda: TrainCodec().encode_rate(np.array([0.3])), "one value"),
        (lambda: TrainCodec().encode_temporal(np.array([[0.3], [0.6]]), "ttfs"), "one value"),
        (lambda: ENCODER.encode_rate(X, 0.1), "shorter than a step"),
        (lambda: ENCODER.encode_temporal(X, "morse"), "no temporal scheme"),  # type: ignore[arg-type]
        (lambda: ENCODER.encode_temporal(np.zeros(900), "rank_order"), "900 channels"),
        (lambda: ENCODER.encode_population(X, 1), "population_size=1"),
    ],
)
def test_bad_input_is_told(call: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        call()


def test_silence_is_decoded_as_the_smallest_value() -> None:
    silent = SpikeTrain.from_dense(np.zeros((5, 800), bool), 0.5)
    for method in ("spike_count", "spike_rate", "membrane_potential"):
        result = ENCODER.decode_spikes(silent, method)  # type: ignore[arg-type]
        assert not result.values.any()
    late = ENCODER.decode_spikes(TemporalCode(silent, "ttfs"), "time_to_first_spike")
    assert not late.values.any()
    assert not late.confidence.any()
