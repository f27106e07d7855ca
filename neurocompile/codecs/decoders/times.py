"""Decoders that read when outputs spike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.readings import first_spike_ranks, first_spike_steps, mean_phases, steps_of
from neurocompile.codecs.spike_batch import SpikeBatch


@dataclass(frozen=True)
class FirstSpikeDecoder(Decoder):
    """Scores an output by ``-t / T``, t being the step of its first spike: the earliest wins.

    A silent output has ``t = T``, behind all that spike.
    """

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        return -first_spike_steps(spikes, batch.mask) / steps_of(batch.mask, spikes), {}


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
        del membrane
        xp = namespace(spikes)
        ranks = first_spike_ranks(spikes)
        scores = ranks * math.log(self.modulation)
        silent = first_spike_steps(spikes, batch.mask) >= steps_of(batch.mask, spikes)
        return scores, {"values": xp.where(silent, xp.zeros_like(scores), xp.exp(scores))}


@dataclass(frozen=True)
class PhaseDecoder(Decoder):
    """Scores an output by the phase of its spikes, as a share of the cycle; a silent one has 0.

    ``aux["values"]`` has the phases too, and ``aux["resultant_length"]`` how well an output's spikes agree.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    period
        Of the oscillation, in steps; None is all the steps.
    """

    period: float | None = None

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(period=self.period)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        period = float(batch.time_steps) if self.period is None else self.period
        phases, lengths = mean_phases(spikes, period)
        return phases, {"values": phases, "resultant_length": lengths}
