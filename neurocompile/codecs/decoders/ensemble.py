"""Several decoders that decide together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.decoders.decoder import Decoder, softmax
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


@dataclass(frozen=True)
class EnsembleDecoder(Decoder):
    """Decides by the mean of its members' softmax probabilities (Lakshminarayanan et al. 2017, Deep ensembles).

    The scores are the logarithms of it, so that at temperature 1 the confidence is the mean probability itself.
    ``aux["members"]`` has each member's probabilities.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    members
        Each with its own temperature, which puts its scores on a scale with the others'.
    weights
        What each counts; None is alike.
    eps
        The least that a logarithm gets.
    """

    members: tuple[Decoder, ...] = ()
    weights: tuple[float, ...] | None = None
    eps: float = 1e-7

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(eps=self.eps)
        checks.require(bool(self.members), "an ensemble without members")
        for member in self.members:
            checks.require(
                not member.regresses,
                f"a {type(member).__name__} that gives values instead of a decision is a member",
            )
        weights = self._weights
        checks.require(
            len(weights) == len(self.members) and all(w >= 0 for w in weights) and 0 < sum(weights) < float("inf"),
            f"weights={list(weights)} do not weigh {len(self.members)} members",
        )

    @property
    def _weights(self) -> tuple[float, ...]:
        return (1.0,) * len(self.members) if self.weights is None else self.weights

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        xp = namespace(spikes)
        scores = [member.scores(spikes, batch, membrane)[0] / member.temperature for member in self.members]
        if len({tuple(each.shape) for each in scores}) > 1:
            raise DataError(
                f"the members score {', '.join(str(each.shape[1]) for each in scores)} outputs",
                op="EnsembleDecoder",
                remedy="members have to decide between the same classes",
            )
        shares = [softmax(each) for each in scores]
        total = sum(self._weights)
        mean = sum(weight / total * share for weight, share in zip(self._weights, shares, strict=True))
        return xp.log(xp.clip(mean, self.eps, None)), {"members": tuple(shares)}
