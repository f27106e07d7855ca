"""Decoders that read how often outputs spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.readings import (
    at_last_step,
    interval_rates,
    sliding_rates,
    spike_counts,
    steps_of,
)
from neurocompile.codecs.spike_batch import SpikeBatch


@dataclass(frozen=True)
class RateDecoder(Decoder):
    """Scores an output by its spikes.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    per_step
        Whether spikes per step are the scores instead of counts, so that a loss does not grow with the steps.
    """

    per_step: bool = False

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        counts = spike_counts(spikes)
        return counts / steps_of(batch.mask, spikes) if self.per_step else counts, {}


@dataclass(frozen=True)
class SlidingRateDecoder(Decoder):
    """Scores an output by its spikes per step in the last steps; ``aux["rates"]`` has it for every step.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    window
        How many steps.
    """

    window: int = 10

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(window=self.window)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        rates = sliding_rates(spikes, self.window)
        return at_last_step(rates, batch.mask), {"rates": rates}


@dataclass(frozen=True)
class InterSpikeIntervalDecoder(Decoder):
    """Scores an output by the inverse of its mean interval between spikes, in spikes per step."""

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        return interval_rates(spikes, batch.mask), {}
