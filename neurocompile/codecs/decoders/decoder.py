"""What all decoders of batches do: from scores to a decision."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import CheckedOptions, Checks
from neurocompile.codecs.decoders.output import DecoderOutput
from neurocompile.codecs.decoders.readings import spike_counts, stream_of
from neurocompile.codecs.spike_batch import SpikeBatch


@dataclass(frozen=True)
class Decoder(CheckedOptions):
    """Decides by the output with the highest score.

    The confidence is the softmax of the scores at the decision: a probability that the decision is right only if
    ``temperature`` was fitted to labelled outputs, by ``fit_temperature``. Where no output spikes it is ``1 / C``,
    chance. Scores of equal height are decided for the first.

    Parameters
    ----------
    temperature
        What scores are divided by.
    """

    temperature: float = 1.0

    def _rules(self, checks: Checks) -> None:
        checks.temperature(self.temperature)

    @property
    def regresses(self) -> bool:
        """Whether the scores are values, which are not compared with each other."""
        return False

    @abstractmethod
    def scores(self, spikes: Array, batch: SpikeBatch, membrane: Array | None) -> tuple[Array, dict[str, Any]]:
        """Score each output, before the temperature.

        Parameters
        ----------
        spikes
            ``(B, T, N)``, floats.
        batch
            That they are of.
        membrane
            ``(B, T, C)``, or None.

        Returns
        -------
        tuple
            The scores ``(B, C)``, and what to add to ``aux``.
        """

    def __call__(self, batch: SpikeBatch | Array, membrane: Array | None = None) -> DecoderOutput:
        """Decode a batch.

        Parameters
        ----------
        batch
            Spikes ``(B, T, N)`` or ``(B, T, C, H, W)``, of which the features are flattened.
        membrane
            ``(B, T, C)``, which only the decoder of membranes reads.

        Returns
        -------
        DecoderOutput
            Its ``logits_proxy`` has gradients in PyTorch.

        Raises
        ------
        DataError
            If the batch is empty, has values that are not finite, or lacks what the decoder needs.
        """
        if not isinstance(batch, SpikeBatch):
            batch = SpikeBatch(batch)
        spikes = stream_of(batch)
        scores, more = self.scores(spikes, batch, membrane)
        aux = {**_described(spikes), **more}
        return _regression(scores, aux) if self.regresses else _classification(scores / self.temperature, aux)


def _classification(logits: Array, aux: Mapping[str, Any]) -> DecoderOutput:
    xp = namespace(logits)
    certain = constant(logits)
    confidence = xp.max(softmax(certain), axis=-1)
    ordered = xp.sort(certain, axis=-1)
    alone = logits.shape[-1] == 1
    margin = xp.zeros_like(confidence) if alone else ordered[:, -1] - ordered[:, -2]
    return DecoderOutput(logits, xp.argmax(certain, axis=-1), confidence, {"margin": margin, **aux})


def _regression(values: Array, aux: Mapping[str, Any]) -> DecoderOutput:
    xp = namespace(values)
    certain = constant(values)
    confidence = xp.mean(aux["value_confidence"], axis=1)
    prediction = certain[:, 0] if values.shape[1] == 1 else certain
    aux = {"margin": xp.zeros_like(confidence), "values": values, **aux}
    return DecoderOutput(values, prediction, confidence, aux)


def _described(spikes: Array) -> dict[str, Array]:
    """Return the part of ``aux`` that comes of the spikes ``(B, T, N)`` alone."""
    xp = namespace(spikes)
    fired = xp.astype(constant(spikes) != 0, xp.uint8)
    first = xp.where(xp.max(fired, axis=1) != 0, xp.argmax(fired, axis=1), -1)
    return {"count_histogram": spike_counts(spikes), "first_spike_times": first}


def softmax(logits: Array) -> Array:
    """Return the softmax over the last axis, which finite logits of any size have."""
    xp = namespace(logits)
    raised = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))
    return raised / xp.sum(raised, axis=-1, keepdims=True)
