"""From options to encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurocompile.codecs.config import EncoderConfig, EncodingConfig, Tuning
from neurocompile.codecs.encoders.delta import DeltaEncoder
from neurocompile.codecs.encoders.encoder import Encoder
from neurocompile.codecs.encoders.latency import LatencyEncoder, TimeToFirstSpikeEncoder
from neurocompile.codecs.encoders.phase import PhaseCodingEncoder
from neurocompile.codecs.encoders.population import PopulationEncoder
from neurocompile.codecs.encoders.rank_order import RankOrderEncoder
from neurocompile.codecs.encoders.rate import (
    BernoulliRateEncoder,
    BurstEncoder,
    DeterministicRateEncoder,
    PoissonRateEncoder,
)


def make_encoder(config: EncodingConfig | EncoderConfig) -> Encoder:
    """Return the encoder that options describe.

    Raises
    ------
    DataError
        If options that are right by themselves do not fit the encoder, like a cycle that the window is too short
        for.
    """
    if isinstance(config, EncoderConfig):
        return _in_ms(config)
    return _in_steps(config)


def _in_ms(config: EncoderConfig) -> Encoder:
    common: dict[str, Any] = {
        "num_steps": config.num_steps,
        "dt_ms": config.dt_ms,
        "normalization": "minmax" if config.normalize_input else "none",
        "seed": config.seed,
    }
    rates: dict[str, Any] = {
        "max_firing_rate_hz": config.max_firing_rate_hz,
        "min_firing_rate_hz": config.min_firing_rate_hz,
        "refractory_period_ms": config.refractory_period_ms,
        "rate_includes_refractory": config.rate_includes_refractory,
        "jitter_ms": config.jitter_ms,
    }
    jitter = config.jitter_ms / config.dt_ms
    scheme = config.coding_scheme
    if scheme == "rate_poisson":
        return PoissonRateEncoder(**common, **rates)
    if scheme == "rate_burst":
        pause = config.refractory_period_ms
        # The next spike has to be later than the pause.
        return BurstEncoder(**common, isi_min_ms=max(2.0, pause + config.dt_ms), refractory_period_ms=pause)
    if scheme == "temporal_ttfs":
        return TimeToFirstSpikeEncoder(**common, jitter=jitter)
    if scheme == "temporal_rank_order":
        return RankOrderEncoder(**common)
    if scheme == "temporal_phase":
        return PhaseCodingEncoder(**common, frequency_hz=config.phase_frequency_hz, jitter=jitter)
    tuning: Tuning = "gaussian" if scheme == "population_gaussian" else "triangular"
    size = config.population_size
    return PopulationEncoder(**common, **rates, tuning=tuning, population_size=size)


def _in_steps(config: EncodingConfig) -> Encoder:
    common: dict[str, Any] = {
        "num_steps": config.num_steps,
        "dt_ms": config.dt_ms,
        "normalization": config.normalization,
        "normalization_scope": config.normalization_scope,
        "input_range": config.input_range,
        "seed": config.seed,
    }
    rates: dict[str, Any] = {
        "max_firing_rate_hz": config.max_firing_rate_hz,
        "min_firing_rate_hz": config.min_firing_rate_hz,
        "refractory_period_ms": config.refractory_period_ms,
    }
    latency: dict[str, Any] = {
        "mapping": config.latency_mapping,
        "t_min": config.t_min,
        "t_max": config.t_max,
        "tau": config.tau,
        "allow_no_spike": config.allow_no_spike,
        "jitter": config.jitter,
    }
    makers: dict[str, Callable[[], Encoder]] = {
        "rate_bernoulli": lambda: BernoulliRateEncoder(
            **common,
            rate_gain=config.rate_gain,
            rate_bias=config.rate_bias,
            deterministic_eval=config.deterministic_eval,
            eval_threshold=config.eval_threshold,
        ),
        "rate_poisson": lambda: PoissonRateEncoder(
            **common, **rates, jitter_ms=config.jitter * config.dt_ms, deterministic_eval=config.deterministic_eval
        ),
        "rate_deterministic": lambda: DeterministicRateEncoder(**common, **rates),
        "rate_burst": lambda: BurstEncoder(
            **common,
            max_spikes=config.burst_spikes,
            isi_min_ms=config.burst_isi_min_ms,
            refractory_period_ms=config.refractory_period_ms,
        ),
        "latency": lambda: LatencyEncoder(
            **common, **latency, spikes=config.latency_spikes, interval=config.latency_interval
        ),
        "ttfs": lambda: TimeToFirstSpikeEncoder(**common, **latency),
        "rank_order": lambda: RankOrderEncoder(**common, interval=config.rank_interval, first=config.rank_first),
        "phase": lambda: PhaseCodingEncoder(
            **common, frequency_hz=config.phase_frequency_hz, jitter=config.jitter
        ),
        "population": lambda: PopulationEncoder(
            **common,
            **rates,
            population_size=config.population_size,
            sigma=config.sigma,
            centers=config.centers,
            tuning=config.tuning,
            jitter_ms=config.jitter * config.dt_ms,
            deterministic_eval=config.deterministic_eval,
        ),
        "delta": lambda: DeltaEncoder(
            **common,
            theta_up=config.theta_up,
            theta_down=config.theta_down,
            mode=config.delta_mode,
            adaptation=config.adaptation,
            adaptation_decay=config.adaptation_decay,
        ),
    }
    return makers[config.type]()
