"""What a code is worth: information, reconstruction, spikes, energy and time."""

from neurocompile.codecs.metrics.encoding import ENERGY_PER_SPIKE_NJ, EncodingMetrics
from neurocompile.codecs.metrics.information import (
    BiasCorrection,
    bits_per_spike,
    equally_filled_bins,
    mutual_information,
)
from neurocompile.codecs.metrics.reconstruction import mean_squared_error, r2, rank_consistency

# benchmark.py is on top of the decoders, which measure what they reconstruct by what is here.
__all__ = [
    "ENERGY_PER_SPIKE_NJ",
    "BiasCorrection",
    "EncodingMetrics",
    "bits_per_spike",
    "equally_filled_bins",
    "mean_squared_error",
    "mutual_information",
    "r2",
    "rank_consistency",
]
