"""Decoders that read when outputs spike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.readings import (
    first_spike_ranks,
    first_spike_steps,
    mean_phases,
    spike_counts,
    steps_of,
)
from neurocompile.codecs.spike_batch import SpikeBatch


@dataclass(frozen=True)
class FirstSpikeDecoder(Decoder):
    """Scores an output by ``-t / T``, t being the step of its first spike: the earliest wins.

    A silent output has ``t = T``, behind all that spike. Where the batch's ``aux`` has the ``latency_map`` of an
    encoder, ``aux["values"]`` has the shares that the times stand for, 0 for silence.
    """

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        xp = namespace(spikes)
        first = first_spike_steps(spikes, batch.mask)
        scores = -first / steps_of(batch.mask, spikes)
        if "latency_map" not in batch.aux:
            return scores, {}
        values = xp.clip(batch.aux["latency_map"].share(first), 0.0, 1.0)
        return scores, {"values": xp.where(spike_counts(spikes) > 0, values, xp.zeros_like(values))}


@dataclass(frozen=True)
class RankOrderDecoder(Decoder):
    """Scores an output by ``rank * ln(modulation)``, the logarithm of what rank order coding makes of its rank.

    ``aux["values"]`` has ``modulation ** rank`` itself (Thorpe, S. and Gautrais, J. (1998). Rank order coding), 0
    for silent outputs. The logarithm tells late ranks apart where single precision has only zeros, and the softmax
    of it is an output's share of all the values.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    modulation
        What each rank is worth of the one before it.
    """

    modulation: float = 0.9

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.require(0 < self.modulation < 1, f"modulation={self.modulation} is not between 0 and 1")

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del batch, membrane
        xp = namespace(spikes)
        ranks, _ = first_spike_ranks(spikes)
        values = rank_values(ranks, spikes, self.modulation)
        return ranks * math.log(self.modulation), {"values": xp.astype(values, spikes.dtype)}


def rank_values(ranks: Array, spikes: Array, modulation: float) -> Array:
    """Return ``modulation ** rank`` of neurons ``(B, N)``, 0 for silent ones.

    It is in double precision: single would make late ranks 0.
    """
    xp = namespace(ranks)
    values = xp.exp(xp.astype(ranks, xp.float64) * math.log(modulation))
    return xp.where(spike_counts(spikes) > 0, values, xp.zeros_like(values))


@dataclass(frozen=True)
class PhaseDecoder(Decoder):
    """Scores an output by the phase of its spikes, as a share of what the encoder uses; a silent one has 0.

    ``aux["values"]`` has the scores too, and ``aux["resultant_length"]`` how well an output's spikes agree.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    period
        Of the oscillation, in steps; None is the ``period_steps`` in the batch's ``aux``, and all the steps of the
        sample if it has none.
    span
        The steps from the phase of 0 to that of 1; None is the ``phase_steps`` in the batch's ``aux``, and a step
        less than the period if it has none.
    """

    period: float | None = None
    span: float | None = None

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(period=self.period, span=self.span)
        if self.period is not None and self.span is not None:
            checks.require(self.span <= self.period, f"span={self.span} is longer than a period of {self.period}")

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        xp = namespace(spikes)
        steps = steps_of(batch.mask, spikes)
        period = self.period or batch.aux.get("period_steps", steps)
        span = self.span or batch.aux.get("phase_steps", xp.clip(period - xp.ones_like(steps), 1.0, None))
        values, lengths = phase_values(spikes, period, span)
        return values, {"values": values, "resultant_length": lengths}


def phase_values(
    spikes: Array, period: float | Array, span: float | Array, start: float = 0.0
) -> tuple[Array, Array]:
    """Return the values that phases stand for, and how well a neuron's spikes agree, both ``(B, N)``.

    Parameters
    ----------
    spikes
        ``(B, T, N)``, floats.
    period, span
        As ``PhaseDecoder`` has them; ``(B, 1)`` where samples differ.
    start
        The step at which a cycle begins.
    """
    xp = namespace(spikes)
    phases, lengths = mean_phases(spikes, period, start)
    # Rounding to the grid may bring a phase of 0 to the end of the cycle before.
    early = phases * period > (period + span) / 2
    return xp.where(early, xp.zeros_like(phases), xp.clip(phases * (period / span), 0.0, 1.0)), lengths
