"""Measures coding schemes on data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import numpy.typing as npt
from rich import box
from rich.table import Table

from neurocompile.codecs.arrays import admit, as_numpy
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.decoders.output import DecodingMethod
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.encoders import Encoder, make_encoder
from neurocompile.codecs.metrics.encoding import ENERGY_PER_SPIKE_NJ, EncodingMetrics, SpikeTally
from neurocompile.codecs.metrics.information import bits_per_spike, equally_filled_bins, mutual_information
from neurocompile.codecs.metrics.reconstruction import r2, rank_consistency
from neurocompile.codecs.normalization import normalize
from neurocompile.codecs.spike_train import train_of

SCHEMES: tuple[CodingScheme, ...] = get_args(CodingScheme)

METHODS: dict[CodingScheme, DecodingMethod] = {
    "rate_poisson": "spike_count",
    "rate_burst": "spike_rate",
    "temporal_ttfs": "time_to_first_spike",
    "temporal_rank_order": "rank_order",
    "temporal_phase": "phase",
    "population_gaussian": "bayesian_mle",
    "population_triangular": "bayesian_mle",
}
"""How each scheme is decoded."""

# A piece of data at a time, so that its spikes take up to 16 MB.
_PIECE = 2**24

Values = npt.NDArray[np.float64]


def benchmark_encoding(
    data: npt.ArrayLike,
    coding_scheme: CodingScheme,
    config: EncoderConfig | None = None,
    energy_per_spike_nj: float = ENERGY_PER_SPIKE_NJ,
) -> EncodingMetrics:
    """Encode data, decode it, and measure both.

    The information is that of decoded values, which by the data processing inequality is at most that of the
    spikes (Quian Quiroga, R. and Panzeri, S. (2009). Extracting information from neuronal populations). Encoded
    and decoded values, of all samples and channels together, are put into 2 to 16 equally filled bins, as many as
    leave four values for each pair of bins, and their mutual information is estimated with Panzeri and Treves's
    correction. This times the channels is the information of a sample; where channels depend on each other it is
    more than that. With N values it is at most ``log2(min(16, sqrt(N / 4)))`` bits for each, so that few values
    show little.

    Parameters
    ----------
    data
        ``(num_samples, num_channels)``, or ``(num_channels,)``.
    coding_scheme
        Which code.
    config
        Its options; the scheme in it does not count.
    energy_per_spike_nj
        In nanojoules.

    Raises
    ------
    DataError
        If the data is empty, not finite, of another rank, does not fit the scheme, or the energy is negative.
    """
    x = np.atleast_2d(as_numpy(admit(data, "the data")).astype(np.float64))
    checks = Checks("benchmark_encoding")
    checks.require(x.ndim == 2, f"the data has the shape {list(x.shape)}", "(num_samples, num_channels)")
    checks.not_negative(energy_per_spike_nj=energy_per_spike_nj)
    checks.require(coding_scheme in SCHEMES, f"no coding scheme '{coding_scheme}'", f"one of {', '.join(SCHEMES)}")
    checks.done()
    config = replace(config or EncoderConfig(), coding_scheme=coding_scheme)
    encoder, decoder = make_encoder(config), SpikeDecoder(config)
    tally = SpikeTally(config.dt_ms)
    encoding = decoding = 0.0
    encoded, decoded = [], []
    # What runs once, like imports and tables, is in no time.
    _there_and_back(x[:1], make_encoder(config), decoder)
    for piece in _pieces(x, config):
        spikes, values, times = _there_and_back(piece, encoder, decoder)
        tally.add(spikes)
        encoding, decoding = encoding + times[0], decoding + times[1]
        encoded.append(_shares(piece, encoder))
        decoded.append(values)
    shares, estimates = np.concatenate(encoded), np.concatenate(decoded)
    bits = _information(shares.ravel(), estimates.ravel()) * x.shape[1]
    window_ms = config.num_steps * config.dt_ms
    accuracy = rank_consistency if coding_scheme == "temporal_rank_order" else r2
    return EncodingMetrics(
        information_rate_bits_per_s=1000 * bits / window_ms,
        reconstruction_accuracy=accuracy(shares, estimates),
        coding_efficiency_bits_per_spike=bits_per_spike(bits, tally.spikes_per_sample),
        mean_firing_rate_hz=tally.rate_hz,
        latency_to_first_spike_ms=tally.latency_ms(window_ms),
        sparsity=tally.sparsity,
        energy_proxy_nJ=tally.spikes_per_sample * energy_per_spike_nj,
        encode_wall_time_ms=1000 * encoding,
        decode_wall_time_ms=1000 * decoding,
    )


def benchmark_schemes(
    data: npt.ArrayLike,
    config: EncoderConfig | None = None,
    schemes: Sequence[CodingScheme] = SCHEMES,
    energy_per_spike_nj: float = ENERGY_PER_SPIKE_NJ,
) -> dict[CodingScheme, EncodingMetrics]:
    """Measure schemes on the same data, as `benchmark_encoding` does each."""
    return {scheme: benchmark_encoding(data, scheme, config, energy_per_spike_nj) for scheme in schemes}


COLUMNS = (
    "scheme",
    "bits/s",
    "accuracy",
    "bits/spike",
    "rate (Hz)",
    "first spike (ms)",
    "sparsity",
    "energy (nJ)",
    "encode (ms)",
    "decode (ms)",
)
"""Of the table: the scheme, and the fields of ``EncodingMetrics`` in their order."""


def metrics_rows(metrics: Mapping[CodingScheme, EncodingMetrics]) -> list[tuple[str, ...]]:
    """Return a row of text for each scheme, with the columns `COLUMNS`."""
    return [
        (
            scheme,
            f"{each.information_rate_bits_per_s:,.0f}",
            f"{each.reconstruction_accuracy:.3f}",
            f"{each.coding_efficiency_bits_per_spike:.3f}",
            f"{each.mean_firing_rate_hz:.1f}",
            f"{each.latency_to_first_spike_ms:.2f}",
            f"{each.sparsity:.4f}",
            f"{each.energy_proxy_nJ:,.1f}",
            f"{each.encode_wall_time_ms:.2f}",
            f"{each.decode_wall_time_ms:.2f}",
        )
        for scheme, each in metrics.items()
    ]


def metrics_tables(metrics: Mapping[CodingScheme, EncodingMetrics]) -> tuple[Table, Table]:
    """Return the rows as tables for the terminal: two, since one would be wider than 80 characters."""
    rows = metrics_rows(metrics)
    return _table(rows, [0, 1, 2, 3, 5]), _table(rows, [0, 4, 6, 7, 8, 9])


def _table(rows: Sequence[tuple[str, ...]], columns: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE)
    for i in columns:
        # Where it is narrow, headers wrap and names stay whole.
        table.add_column(COLUMNS[i], justify="right" if i else "left", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(row[i] for i in columns))
    return table


def _pieces(x: Values, config: EncoderConfig) -> list[Values]:
    """Split data into samples that are encoded at once."""
    neurons = config.population_size if config.coding_scheme.startswith("population") else 1
    samples = max(1, _PIECE // (x.shape[1] * neurons * config.num_steps))
    return [x[start : start + samples] for start in range(0, len(x), samples)]


def _there_and_back(
    x: Values, encoder: Encoder, decoder: SpikeDecoder
) -> tuple[npt.NDArray[np.bool_], Values, tuple[float, float]]:
    """Return the spikes ``(B, T, N)``, the decoded values ``(B, C)``, and the seconds that each took."""
    start = time.perf_counter()
    batch = encoder(x)
    encoded = time.perf_counter()
    train = train_of(batch, encoder.dt_ms)
    prepared = time.perf_counter()
    values = decoder.decode(train, METHODS[decoder.config.coding_scheme]).values
    decoded = time.perf_counter()
    return batch.spikes, values.reshape(len(x), -1), (encoded - start, decoded - prepared)


def _shares(x: Values, encoder: Encoder) -> Values:
    """Return what the encoder makes spikes of."""
    shares: Values = normalize(x, encoder.normalization, encoder.normalization_scope, encoder.input_range)[0]
    return shares


def _information(encoded: Values, decoded: Values) -> float:
    """Estimate the information of a decoded value about the encoded one, in bits."""
    bins = min(16, max(2, math.isqrt(len(encoded) // 4)))
    return mutual_information(equally_filled_bins(encoded, bins), equally_filled_bins(decoded, bins))
