"""Encoders and decoders that belong together."""

from __future__ import annotations

from typing import NamedTuple

from neurocompile.codecs.config import DecodingConfig, EncodingConfig


class CodecPreset(NamedTuple):
    """Options of an encoder and of the decoder that reads what it, or a network behind it, sends.

    Parameters
    ----------
    encoding
        Of the encoder.
    decoding
        Of the decoder.
    """

    encoding: EncodingConfig
    decoding: DecodingConfig


def rate_classification_preset() -> CodecPreset:
    """Classes by spike counts, of inputs as rates."""
    return CodecPreset(EncodingConfig(type="rate_bernoulli"), DecodingConfig(type="rate"))


def ttfs_classification_preset() -> CodecPreset:
    """Classes by the first spike, of inputs as latencies; what is 0 sends nothing."""
    return CodecPreset(EncodingConfig(type="ttfs", allow_no_spike=True), DecodingConfig(type="first_spike"))


def population_classification_preset() -> CodecPreset:
    """Classes by the most active population, of inputs as populations."""
    return CodecPreset(EncodingConfig(type="population"), DecodingConfig(type="population"))


def regression_preset() -> CodecPreset:
    """Values by populations, of inputs as populations over more steps, since a value takes more of them."""
    decoding = DecodingConfig(type="population", population_mode="regression")
    return CodecPreset(EncodingConfig(type="population", num_steps=100), decoding)
