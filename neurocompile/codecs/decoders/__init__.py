"""Decoders: from spikes back to values and decisions."""

from neurocompile.codecs.decoders.bayesian import BayesianDecoder
from neurocompile.codecs.decoders.calibration import expected_calibration_error, fit_temperature
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.delta import DeltaDecoder
from neurocompile.codecs.decoders.ensemble import EnsembleDecoder
from neurocompile.codecs.decoders.factory import make_decoder
from neurocompile.codecs.decoders.membrane import MembraneDecoder
from neurocompile.codecs.decoders.output import DecoderOutput, DecodingMethod, DecodingResult
from neurocompile.codecs.decoders.population import PopulationDecoder
from neurocompile.codecs.decoders.rates import InterSpikeIntervalDecoder, RateDecoder, SlidingRateDecoder
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.decoders.times import FirstSpikeDecoder, PhaseDecoder, RankOrderDecoder

__all__ = [
    "BayesianDecoder",
    "Decoder",
    "DecoderOutput",
    "DecodingMethod",
    "DecodingResult",
    "DeltaDecoder",
    "EnsembleDecoder",
    "FirstSpikeDecoder",
    "InterSpikeIntervalDecoder",
    "MembraneDecoder",
    "PhaseDecoder",
    "PopulationDecoder",
    "RankOrderDecoder",
    "RateDecoder",
    "SlidingRateDecoder",
    "SpikeDecoder",
    "expected_calibration_error",
    "fit_temperature",
    "make_decoder",
]
