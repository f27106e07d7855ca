"""Decoding by groups of neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import PopulationMode
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.groups import Groups
from neurocompile.codecs.decoders.readings import spike_counts, steps_of
from neurocompile.codecs.spike_batch import SpikeBatch


@dataclass(frozen=True)
class PopulationDecoder(Decoder):
    """Decides by the spikes of groups, which the batch's ``population_map`` gives.

    ``classification``: a group's score is the sum of its spikes. ``regression``: its value is the mean of its
    centers, weighted by spikes (the population vector); a silent group has the mean of its centers. The confidence
    of a regression is the share of the greatest possible activity, ``sum(counts) / (P * T)``, in the mean over the
    groups. It says how much was heard, and is no probability; ``BayesianDecoder`` gives one.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it; a regression has none.
    mode
        Which of them.
    eps
        The spikes that the mean of the centers counts for.
    """

    mode: PopulationMode = "classification"
    eps: float = 1e-7

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(eps=self.eps)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        xp = namespace(spikes)
        groups = Groups.of(batch, spikes)
        counts = groups.split(spike_counts(spikes))
        if self.mode == "classification":
            return xp.sum(counts, axis=2), {}
        centers = groups.tuning(batch, "centers")
        activity = xp.sum(counts, axis=2) / (xp.sum(groups.present, axis=1) * steps_of(batch.mask, spikes))
        values = population_vector(counts, centers, groups.present, self.eps)
        return values, {"value_confidence": xp.clip(constant(activity), 0.0, 1.0)}

    @property
    def regresses(self) -> bool:  # noqa: D102
        return self.mode == "regression"


def population_vector(counts: Array, centers: Array, present: Array, eps: float) -> Array:
    """Return ``sum(counts * centers) / sum(counts)``, and the mean of the centers without spikes.

    Parameters
    ----------
    counts
        ``(B, G, P)``.
    centers
        ``(P,)`` or ``(G, P)``.
    present
        ``(G, P)``, 1 for members of a group.
    eps
        The spikes that the mean of the centers counts for.
    """
    xp = namespace(counts)
    mean = xp.sum(centers * present, axis=-1) / xp.sum(present, axis=-1)
    return (xp.sum(counts * centers, axis=2) + eps * mean) / (xp.sum(counts, axis=2) + eps)
