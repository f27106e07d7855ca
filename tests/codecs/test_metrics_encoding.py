from __future__ import annotations

import io
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console

from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.metrics import benchmark
from neurocompile.codecs.metrics.benchmark import (
    COLUMNS,
    SCHEMES,
    benchmark_encoding,
    benchmark_schemes,
    metrics_rows,
    metrics_tables,
)
from neurocompile.codecs.metrics.encoding import ENERGY_PER_SPIKE_NJ, EncodingMetrics, SpikeTally
from neurocompile.errors import DataError

CONFIG = EncoderConfig(dt_ms=0.5, time_window_ms=50.0, population_size=8, seed=0, phase_frequency_hz=50.0)
DATA = np.random.default_rng(0).uniform(0, 1, (20, 15))


@given(arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 4))), st.integers(1, 3))
def test_the_tally_of_pieces_is_that_of_everything(spikes: np.ndarray, piece: int) -> None:
    tally = SpikeTally(0.5)
    for start in range(0, len(spikes), piece):
        tally.add(spikes[start : start + piece])
    samples, steps, neurons = spikes.shape
    assert tally.spikes_per_sample == pytest.approx(spikes.sum() / samples)
    assert tally.rate_hz == pytest.approx(spikes.sum() / samples / neurons / (steps * 0.5e-3))
    assert tally.sparsity == pytest.approx((~spikes).mean())
    first = [0.5 * train.argmax() for train in spikes.transpose(0, 2, 1).reshape(-1, steps) if train.any()]
    assert tally.latency_ms(steps * 0.5) == pytest.approx(np.mean(first) if first else steps * 0.5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_measured(scheme: CodingScheme) -> None:
    metrics = benchmark_encoding(DATA, scheme, CONFIG)
    assert all(math.isfinite(getattr(metrics, field.name)) for field in fields(metrics))
    # 300 values make 8 bins: 3 bits for each of 15 channels in 50 ms.
    most = 3 * 15 / 0.05
    assert 0.1 * most < metrics.information_rate_bits_per_s <= most
    assert metrics.reconstruction_accuracy > (0.6 if scheme == "rate_poisson" else 0.95)
    neurons = 15 * (8 if scheme.startswith("population") else 1)
    spikes = metrics.mean_firing_rate_hz * neurons * 0.05
    assert metrics.coding_efficiency_bits_per_spike == pytest.approx(
        metrics.information_rate_bits_per_s * 0.05 / spikes
    )
    assert metrics.energy_proxy_nJ == pytest.approx(0.9 * spikes)
    assert metrics.sparsity == pytest.approx(1 - spikes / (neurons * 100))
    assert 0 <= metrics.latency_to_first_spike_ms < 50
    assert metrics.encode_wall_time_ms > 0
    assert metrics.decode_wall_time_ms > 0


def test_one_spike_for_each_value_is_known_in_advance() -> None:
    x = np.tile(np.linspace(0, 1, 100), (4, 1))
    metrics = benchmark_encoding(x, "temporal_ttfs", CONFIG, energy_per_spike_nj=2.0)
    # A spike for each of 100 neurons, half of them in the first half of 99 steps.
    assert metrics.mean_firing_rate_hz == pytest.approx(1 / 0.05)
    assert metrics.latency_to_first_spike_ms == pytest.approx(99 * 0.5 / 2)
    assert metrics.sparsity == pytest.approx(0.99)
    assert metrics.energy_proxy_nJ == pytest.approx(200)
    # 400 values make 10 bins, and nothing is lost.
    assert metrics.coding_efficiency_bits_per_spike == pytest.approx(math.log2(10))
    assert metrics.information_rate_bits_per_s == pytest.approx(100 * math.log2(10) / 0.05)
    assert metrics.reconstruction_accuracy == pytest.approx(1)


@pytest.mark.parametrize("scheme", ["rate_poisson", "population_gaussian", "population_triangular"])
def test_round_trips_of_rates_and_populations_reach_their_target(scheme: CodingScheme) -> None:
    config = EncoderConfig(time_window_ms=400.0, seed=1)
    assert benchmark_encoding(DATA, scheme, config).reconstruction_accuracy > 0.95


def test_rank_order_keeps_every_order() -> None:
    x = np.random.default_rng(2).permuted(np.tile(np.arange(100.0), (5, 1)), axis=1)
    assert benchmark_encoding(x, "temporal_rank_order", CONFIG).reconstruction_accuracy == 1


def test_longer_windows_tell_more_at_a_lower_rate() -> None:
    short, long = (
        benchmark_encoding(DATA, "rate_poisson", replace(CONFIG, time_window_ms=window))
        for window in (25.0, 400.0)
    )
    assert long.reconstruction_accuracy > short.reconstruction_accuracy
    assert long.information_rate_bits_per_s * 0.4 > short.information_rate_bits_per_s * 0.025
    assert long.information_rate_bits_per_s < short.information_rate_bits_per_s


def test_pieces_are_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = benchmark_encoding(DATA, "temporal_ttfs", CONFIG)
    monkeypatch.setattr(benchmark, "_PIECE", 15 * 100 * 3)
    parts = benchmark_encoding(DATA, "temporal_ttfs", CONFIG)
    for field in fields(whole)[:7]:
        assert getattr(parts, field.name) == pytest.approx(getattr(whole, field.name)), field.name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_constant_input_has_no_information(scheme: CodingScheme) -> None:
    metrics = benchmark_encoding(np.full((6, 4), 0.3), scheme, CONFIG)
    assert metrics.information_rate_bits_per_s == 0
    assert metrics.coding_efficiency_bits_per_spike == 0
    assert 0 <= metrics.reconstruction_accuracy <= 1
    assert all(math.isfinite(getattr(metrics, field.name)) for field in fields(metrics))


def test_silence_has_the_window_as_its_latency() -> None:
    metrics = benchmark_encoding(np.zeros((3, 4)), "rate_poisson", CONFIG)
    assert metrics.latency_to_first_spike_ms == 50
    assert (metrics.sparsity, metrics.energy_proxy_nJ, metrics.mean_firing_rate_hz) == (1, 0, 0)
    assert metrics.reconstruction_accuracy == 1


def test_one_sample_may_come_without_its_axis() -> None:
    one, same = (benchmark_encoding(x, "temporal_ttfs", CONFIG) for x in (DATA[0], DATA[:1]))
    assert replace(one, encode_wall_time_ms=0, decode_wall_time_ms=0) == replace(
        same, encode_wall_time_ms=0, decode_wall_time_ms=0
    )


@pytest.mark.parametrize(
    ("data", "scheme", "energy", "problems"),
    [
        (
            np.zeros((2, 3, 4)),
            "rate",
            -1.0,
            ["shape [2, 3, 4]", "energy_per_spike_nj=-1.0", "no coding scheme 'rate'"],
        ),
        (np.zeros((0, 3)), "rate_poisson", 0.9, ["the data is empty"]),
        (np.array([[np.nan]]), "rate_poisson", 0.9, ["the data holds NaN"]),
        (np.zeros((1, 101)), "temporal_rank_order", 0.9, ["101 channels"]),
    ],
)
def test_bad_input_is_told(data: np.ndarray, scheme: CodingScheme, energy: float, problems: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        benchmark_encoding(data, scheme, CONFIG, energy)
    assert len(caught.value.issues) == len(problems)
    for issue, problem in zip(caught.value.issues, problems, strict=True):
        assert problem in issue.problem


def test_the_table_has_every_scheme() -> None:
    metrics = benchmark_schemes(DATA, CONFIG)
    rows = metrics_rows(metrics)
    assert [row[0] for row in rows] == list(SCHEMES)
    assert all(len(row) == len(COLUMNS) == 1 + len(fields(EncodingMetrics)) for row in rows)
    console = Console(file=io.StringIO(), width=80)
    console.print(*metrics_tables(metrics))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(cell in text for row in rows for cell in row)
    assert all(word in text for column in COLUMNS for word in column.split())


def test_metrics_are_what_the_document_says() -> None:
    assert [field.name for field in fields(EncodingMetrics)] == [
        "information_rate_bits_per_s",
        "reconstruction_accuracy",
        "coding_efficiency_bits_per_spike",
        "mean_firing_rate_hz",
        "latency_to_first_spike_ms",
        "sparsity",
        "energy_proxy_nJ",
        "encode_wall_time_ms",
        "decode_wall_time_ms",
    ]
    assert ENERGY_PER_SPIKE_NJ == 0.9
