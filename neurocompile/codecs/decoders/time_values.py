"""Values of neurons whose spikes' times stand for them, in the unit of what was encoded: shares of [0, 1]."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.decoders.readings import first_spike_ranks, first_spike_steps, spike_counts
from neurocompile.codecs.decoders.times import phase_values, rank_values
from neurocompile.codecs.encoders import PhaseCodingEncoder, make_encoder


def values_of_first_spikes(
    spikes: Array, mask: Array, config: EncoderConfig, start_ms: float, tolerance: float
) -> tuple[Array, Array]:
    """Return ``1 - t / T``, 0 for silence, and the probabilities that it is near, both ``(B, N)``.

    T is the last step's time, at which 0 fires. The probability is that of jitter far from the ends of the window:
    of spikes that were kept within it, more are near.
    """
    xp = namespace(spikes)
    last = max(1, spikes.shape[1] - 1)
    first = first_spike_steps(spikes, mask) - start_ms / config.dt_ms
    fired = spike_counts(spikes) > 0
    nothing = xp.zeros_like(first)
    reach, jitter = tolerance * last, config.jitter_ms / config.dt_ms
    # Without jitter a spike is within half a step of its value's time.
    near = math.erf(reach / (jitter * math.sqrt(2))) if jitter else min(1.0, 2 * reach)
    return xp.where(fired, (1 - first / last).clip(0.0, 1.0), nothing), xp.where(fired, nothing + near, nothing)


def values_of_ranks(spikes: Array, modulation: float) -> tuple[Array, Array]:
    """Return ``modulation ** rank``, 0 for silence, and 1 by the neurons that share the rank, both ``(B, N)``."""
    xp = namespace(spikes)
    ranks, sharing = first_spike_ranks(spikes)
    fired = spike_counts(spikes) > 0
    return rank_values(ranks, spikes, modulation), xp.where(fired, 1 / sharing, xp.zeros_like(sharing))


def values_of_phases(
    spikes: Array, config: EncoderConfig, frequency_hz: float, start_ms: float
) -> tuple[Array, Array]:
    """Return the mean phases as shares of the cycle, and how well cycles agree, both ``(B, N)``; 0 for silence."""
    phase = replace(config, coding_scheme="temporal_phase", phase_frequency_hz=frequency_hz)
    encoder = cast(PhaseCodingEncoder, make_encoder(phase))
    return phase_values(spikes, encoder.period_steps, encoder.phase_steps, start_ms / config.dt_ms)
