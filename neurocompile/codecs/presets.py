"""Encoders, decoders and losses that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from neurocompile.codecs.config import DecodingConfig, EncodingConfig


class CodecPreset(NamedTuple):
    """Options of an encoder, of the decoder that reads what a network behind it sends, and of its losses.

    Parameters
    ----------
    encoding
        Of the encoder.
    decoding
        Of the decoder.
    losses
        Fields for ``losses.LossConfig.from_dict``, which needs PyTorch.
    """

    encoding: EncodingConfig
    decoding: DecodingConfig
    losses: Mapping[str, Any]


_CLASSES = {"probspikes_temperature": 0.1}
"""With rates of 1 at most, a temperature of 1 would leave a loss of 1.46 to ten classes that are told apart."""

_VALUES = {"w_probspikes": 0.0}
"""What regularises alone: the loss of the values that are decoded is the user's."""


def rate_classification_preset() -> CodecPreset:
    """Classes by spike counts, of inputs as rates."""
    return CodecPreset(EncodingConfig(type="rate_bernoulli"), DecodingConfig(type="rate"), _CLASSES)


def ttfs_classification_preset() -> CodecPreset:
    """Classes by the first spike, of inputs as latencies; what is 0 sends nothing."""
    return CodecPreset(
        EncodingConfig(type="ttfs", allow_no_spike=True), DecodingConfig(type="first_spike"), _CLASSES
    )


def population_classification_preset() -> CodecPreset:
    """Classes by the most active population, of inputs as populations."""
    return CodecPreset(EncodingConfig(type="population"), DecodingConfig(type="population"), _CLASSES)


def regression_preset() -> CodecPreset:
    """Values by populations, of inputs as populations over more steps, since a value takes more of them."""
    decoding = DecodingConfig(type="population", population_mode="regression")
    return CodecPreset(EncodingConfig(type="population", num_steps=100), decoding, _VALUES)
