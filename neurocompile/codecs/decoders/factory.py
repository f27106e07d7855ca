"""A decoder of its options."""

from __future__ import annotations

from dataclasses import replace

from neurocompile.codecs.config import DecodingConfig
from neurocompile.codecs.decoders.bayesian import BayesianDecoder
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.delta import DeltaDecoder
from neurocompile.codecs.decoders.ensemble import EnsembleDecoder
from neurocompile.codecs.decoders.membrane import MembraneDecoder
from neurocompile.codecs.decoders.population import PopulationDecoder
from neurocompile.codecs.decoders.rates import InterSpikeIntervalDecoder, RateDecoder, SlidingRateDecoder
from neurocompile.codecs.decoders.times import FirstSpikeDecoder, PhaseDecoder, RankOrderDecoder


def make_decoder(config: DecodingConfig) -> Decoder:
    """Make the decoder that a configuration describes.

    The temperature of an ensemble is that of its members.
    """
    t = config.temperature
    if config.type == "ensemble":
        members = tuple(
            make_decoder(replace(config, type=member, members=(), weights=None)) for member in config.ensemble
        )
        return EnsembleDecoder(members=members, weights=config.weights, eps=config.eps)
    if config.type == "rate":
        return RateDecoder(t)
    if config.type == "first_spike":
        return FirstSpikeDecoder(t)
    if config.type == "population":
        return PopulationDecoder(t, config.population_mode, config.eps)
    if config.type == "membrane":
        return MembraneDecoder(t, config.membrane_mode)
    if config.type == "sliding_rate":
        return SlidingRateDecoder(t, config.window)
    if config.type == "isi":
        return InterSpikeIntervalDecoder(t)
    if config.type == "bayesian":
        return BayesianDecoder(t)
    if config.type == "rank_order":
        return RankOrderDecoder(t, config.modulation)
    return PhaseDecoder(t) if config.type == "phase" else DeltaDecoder(t)
