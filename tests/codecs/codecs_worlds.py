"""The two worlds of arrays, for tests to go through, and an encoder of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from neurocompile.codecs.encoders import (
    BernoulliRateEncoder,
    BurstEncoder,
    DeterministicRateEncoder,
    Encoder,
    LatencyEncoder,
    PhaseCodingEncoder,
    PoissonRateEncoder,
    PopulationEncoder,
    RankOrderEncoder,
    TimeToFirstSpikeEncoder,
)

WORLDS: dict[str, Callable[[Any], Any]] = {"numpy": np.asarray, "torch": lambda x: torch.tensor(np.asarray(x))}

# All that encode values; each takes the common options.
ENCODERS: dict[str, Callable[..., Encoder]] = {
    "bernoulli": BernoulliRateEncoder,
    "poisson": lambda **o: PoissonRateEncoder(**{"max_firing_rate_hz": 400.0, "refractory_period_ms": 2.0} | o),
    "poisson_mean": lambda **o: PoissonRateEncoder(
        refractory_period_ms=2.0, rate_includes_refractory=True, deterministic_eval=True, **o
    ),
    "poisson_jitter": lambda **o: PoissonRateEncoder(max_firing_rate_hz=300.0, jitter_ms=2.0, **o),
    "deterministic": DeterministicRateEncoder,
    "burst": BurstEncoder,
    "latency": lambda **o: LatencyEncoder(jitter=1.0, **o),
    "ttfs": lambda **o: TimeToFirstSpikeEncoder(jitter=1.0, **o),
    "ttfs_log": lambda **o: TimeToFirstSpikeEncoder(mapping="log", allow_no_spike=True, **o),
    "rank_order": RankOrderEncoder,
    "phase": lambda **o: PhaseCodingEncoder(frequency_hz=100.0, jitter=1.0, **o),
    "population": PopulationEncoder,
    "triangular": lambda **o: PopulationEncoder(tuning="triangular", centers="uniform", jitter_ms=1.0, **o),
}
# These draw in evaluation too.
ALWAYS_RANDOM = ("poisson", "poisson_jitter")
