"""What decoders return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neurocompile.codecs.arrays import Array

DecodingMethod = Literal[
    "spike_count",
    "spike_rate",
    "time_to_first_spike",
    "membrane_potential",
    "population_vector",
    "bayesian_mle",
    "rank_order",
    "phase",
]


@dataclass(frozen=True, eq=False)
class DecoderOutput:
    """A batch of decisions.

    Parameters
    ----------
    logits_proxy
        ``(B, C)``, float32 or float64: scores that a softmax or a loss takes, or values of a regression.
    prediction
        ``(B,)``: the output with the highest score, the first of several. Of a regression the values, ``(B,)`` if
        there is one for each sample and else ``(B, C)``.
    confidence
        ``(B,)``, in [0, 1]. What it promises is written at each decoder. Without a gradient.
    aux
        ``count_histogram`` ``(B, N)``, the spikes of each neuron; ``first_spike_times`` ``(B, N)``, in steps, -1
        for silent neurons; ``margin`` ``(B,)``, the highest score minus the second, 0 where there is one score or
        they are not compared; and what each decoder adds.
    """

    logits_proxy: Array
    prediction: Array
    confidence: Array
    aux: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DecodingResult:
    """Values that were read from spikes.

    Parameters
    ----------
    values
        One for each neuron, or for each dimension of a population code.
    confidence
        One for each value, in [0, 1], as ``SpikeDecoder`` says for each method.
    method
        How they were read.
    reconstruction_mse, reconstruction_r2
        How far they are from the encoded values, if these were given.
    """

    values: Array
    confidence: Array
    method: DecodingMethod
    reconstruction_mse: float | None = None
    reconstruction_r2: float | None = None
