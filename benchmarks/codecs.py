"""How long encoding takes: 1,000 dimensions, 100 ms in steps of 0.1 ms, with a refractory period of 2 ms.

``python benchmarks/codecs.py`` prints a table: the median and the least of many calls of each scheme, in NumPy on
one core. ``delta`` has no single value to encode: it is timed on one step of a stream, and on a stream of 1,000.
``TrainCodec`` makes trains of the spikes too, and decodes them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.encoders import (
    BernoulliRateEncoder,
    DeltaEncoder,
    DeterministicRateEncoder,
    Encoder,
    LatencyEncoder,
    PoissonRateEncoder,
    make_encoder,
)
from neurocompile.codecs.train_codec import TrainCodec

DIMENSIONS = 1000
STEPS = 1000
DT_MS = 0.1
CALLS = 200
CALLS_OF_STREAMS = 20


def encoders() -> dict[str, Encoder]:
    grid = {"num_steps": STEPS, "dt_ms": DT_MS, "seed": 0}
    rates = {"max_firing_rate_hz": 1000.0, "refractory_period_ms": 2.0}
    made: dict[str, Encoder] = {
        "rate_bernoulli": BernoulliRateEncoder(**grid),
        "rate_bernoulli, evaluation": BernoulliRateEncoder(**grid).eval(),
        "rate_deterministic": DeterministicRateEncoder(**grid, **rates),
        "rate_poisson, evaluation": PoissonRateEncoder(**grid, **rates, deterministic_eval=True).eval(),
        "rate_poisson, jitter 1 ms": PoissonRateEncoder(**grid, **rates, jitter_ms=1.0),
        "latency, exponential": LatencyEncoder(**grid),
    }
    schemes = (
        "rate_poisson",
        "rate_burst",
        "temporal_ttfs",
        "temporal_rank_order",
        "temporal_phase",
        "population_gaussian",
        "population_triangular",
    )
    return made | {scheme: make_encoder(EncoderConfig(coding_scheme=scheme, seed=0)) for scheme in schemes}


def timed(call: Callable[[], object], calls: int) -> tuple[float, float]:
    """Return the median and the least time of a call, in ms."""
    took = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took), min(took)


def main() -> None:
    values = np.random.default_rng(0).random(DIMENSIONS)
    stream = np.random.default_rng(1).random((1, STEPS, DIMENSIONS)).astype(np.float32)
    print(f"| {'scheme':38} | spikes | median ms | least ms |")
    print("|---|---|---|---|")

    def row(name: str, call: Callable[[], object], spikes: int, calls: int = CALLS) -> None:
        median, least = timed(call, calls)
        print(f"| {name:38} | {spikes:6} | {median:9.2f} | {least:8.2f} |")

    for name, encoder in encoders().items():
        row(name, lambda encoder=encoder: encoder(values), int(encoder(values).spikes.sum()))
    for mode in ("reference", "difference"):
        delta = DeltaEncoder(mode=mode, theta_up=0.3, theta_down=0.3)
        count = int(delta(stream).spikes.sum())
        row(f"delta {mode}, a step", lambda delta=delta: delta(stream[:, :1]), count // STEPS)
        row(f"delta {mode}, 1,000 steps", lambda delta=delta: delta(stream), count, CALLS_OF_STREAMS)
    codec = TrainCodec(EncoderConfig(seed=0))
    rate, first, population = (
        codec.encode_rate(values),
        codec.encode_temporal(values, "ttfs"),
        codec.encode_population(values),
    )
    of_rate, of_first = int(rate.num_spikes.sum()), int(first.spike_train.num_spikes.sum())
    of_population = sum(int(train.num_spikes.sum()) for train in population.spike_trains)
    calls: tuple[tuple[str, Callable[[], object], int], ...] = (
        ("encode_rate", lambda: codec.encode_rate(values), of_rate),
        ("encode_temporal, ttfs", lambda: codec.encode_temporal(values, "ttfs"), of_first),
        ("encode_population", lambda: codec.encode_population(values), of_population),
        ("decode_spikes, spike_count", lambda: codec.decode_spikes(rate, "spike_count"), of_rate),
        ("decode_spikes, first spike", lambda: codec.decode_spikes(first, "time_to_first_spike"), of_first),
        ("decode_spikes, bayesian_mle", lambda: codec.decode_spikes(population, "bayesian_mle"), of_population),
    )
    for name, call, count in calls:
        row(f"TrainCodec.{name}", call, count, CALLS_OF_STREAMS)


if __name__ == "__main__":
    main()
