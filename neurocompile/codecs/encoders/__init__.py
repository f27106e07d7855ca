"""Encoders: from values to spikes."""

from neurocompile.codecs.encoders.delta import DeltaEncoder
from neurocompile.codecs.encoders.encoder import Encoder, ValueEncoder
from neurocompile.codecs.encoders.factory import make_encoder
from neurocompile.codecs.encoders.latency import LatencyEncoder, LatencyMap, TimeToFirstSpikeEncoder
from neurocompile.codecs.encoders.phase import PhaseCodingEncoder
from neurocompile.codecs.encoders.population import PopulationEncoder
from neurocompile.codecs.encoders.rank_order import RankOrderEncoder
from neurocompile.codecs.encoders.rate import (
    BernoulliRateEncoder,
    BurstEncoder,
    DeterministicRateEncoder,
    FiringRateEncoder,
    PoissonRateEncoder,
)

__all__ = [
    "BernoulliRateEncoder",
    "BurstEncoder",
    "DeltaEncoder",
    "DeterministicRateEncoder",
    "Encoder",
    "FiringRateEncoder",
    "LatencyEncoder",
    "LatencyMap",
    "PhaseCodingEncoder",
    "PoissonRateEncoder",
    "PopulationEncoder",
    "RankOrderEncoder",
    "TimeToFirstSpikeEncoder",
    "ValueEncoder",
    "make_encoder",
]
