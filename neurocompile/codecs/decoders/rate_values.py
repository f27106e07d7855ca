"""Values of neurons whose rates stand for them, in the unit of what was encoded: shares of [0, 1]."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.decoders.bayesian import grid_of, probability_within, process_log_likelihood
from neurocompile.codecs.decoders.readings import interval_rates, ready_steps, spike_counts
from neurocompile.codecs.encoders import BurstEncoder, FiringRateEncoder, make_encoder
from neurocompile.codecs.firing import LEAST


def fired_share(spikes: Array, mask: Array, refractory: int) -> Array:
    """Return spikes by steps in which there could be one, ``(B, N)``: the most likely probability of a spike."""
    ready = ready_steps(spikes, mask, refractory)
    return spike_counts(spikes) / namespace(spikes).clip(ready, 1.0, None)


def values_of_rates(probability: Array, config: EncoderConfig) -> Array:
    """Return the values ``(B, N)`` that probabilities of a spike in a step without a pause stand for.

    If all values have one rate, there is nothing to read, and they are 0.
    """
    xp = namespace(probability)
    per_step = config.dt_ms / 1000
    low, high = config.min_firing_rate_hz * per_step, config.max_firing_rate_hz * per_step
    counted_in = config.rate_includes_refractory
    mean = probability / (1 + config.refractory_steps * probability) if counted_in else probability
    return xp.clip((mean - low) / (high - low), 0.0, 1.0) if high > low else xp.zeros_like(mean)


def certainty_of_rates(
    values: Array, spikes: Array, mask: Array, config: EncoderConfig, tolerance: float
) -> Array:
    """Return the posterior probability that what was encoded is within a tolerance of values, ``(B, N)``."""
    xp = namespace(values)
    encoder = cast(FiringRateEncoder, make_encoder(replace(config, coding_scheme="rate_poisson")))
    p = encoder.probability(encoder.rates(grid_of(0.0, 1.0, values)))[..., None].clip(LEAST, 1 - LEAST)
    ready = ready_steps(spikes, mask, config.refractory_steps)
    counts, ready = (xp.astype(each, xp.float64)[..., None] for each in (spike_counts(spikes), ready))
    log_likelihood = process_log_likelihood(xp.log(p), p, counts, ready)
    return probability_within(log_likelihood, 0.0, 1.0, xp.astype(values, xp.float64), tolerance)


def values_of_bursts(
    spikes: Array, mask: Array, config: EncoderConfig, by_interval: bool, tolerance: float
) -> tuple[Array, Array]:
    """Return the values of bursts and the probabilities that they are near, both ``(B, N)``.

    A count says in which of ``max_spikes`` parts of [0, 1] a value is, and its middle is taken; the interval says
    where in it.
    """
    xp = namespace(spikes)
    # The distances of a burst go by the window, which need not be the configuration's.
    config = replace(config, time_window_ms=spikes.shape[1] * config.dt_ms)
    encoder = cast(BurstEncoder, make_encoder(config))
    most = encoder.max_spikes
    shortest, longest = encoder.isi_steps
    counts = spike_counts(spikes)
    one = xp.ones_like(counts)
    values = ((counts - 0.5) / most).clip(0.0, 1.0)
    width = one / most
    if by_interval and longest > shortest:
        several = counts > 1
        interval = 1 / xp.where(several, interval_rates(spikes, mask), one)
        finer = (longest - interval + 0.5) / (longest - shortest)
        finer = xp.minimum(xp.maximum(finer, (counts - 1) / most), counts / most).clip(0.0, 1.0)
        values = xp.where(several, finer, values)
        width = xp.where(several, one / (longest - shortest), width)
    # Nothing but 0 sends nothing.
    sure = xp.where(counts == 0, one, (2 * tolerance / width).clip(0.0, 1.0))
    return values, sure
