"""What a neuromorphic encoder is, whoever implements it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurocompile.codecs.arrays import Array
from neurocompile.codecs.config import CodingScheme
from neurocompile.codecs.decoders.output import DecodingMethod, DecodingResult
from neurocompile.codecs.metrics.encoding import EncodingMetrics
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode, TemporalScheme


@dataclass(frozen=True, eq=False)
class ConversionResult:
    """A network that was converted to a spiking one.

    Parameters
    ----------
    snn_weights
        Of each layer, by its name.
    threshold_balancing
        The threshold of each layer's neurons; a last layer that only accumulates has none.
    normalization_factors
        What each layer's weights were scaled by.
    accuracy_original, accuracy_converted
        The share of images that the network decides right, before and after.
    accuracy_loss_pct
        The relative loss, in percent of the original accuracy.
    num_timesteps_simulated
        T.
    conversion_time_s
        In seconds, without the simulation that the accuracy is from.
    snn_biases
        Of each layer that has them: the current into its neurons at every step.
    """

    snn_weights: dict[str, npt.NDArray[np.floating]]
    threshold_balancing: dict[str, float]
    normalization_factors: dict[str, float]
    accuracy_original: float
    accuracy_converted: float
    accuracy_loss_pct: float
    num_timesteps_simulated: int
    conversion_time_s: float
    snn_biases: dict[str, npt.NDArray[np.floating]] = field(default_factory=dict)


@runtime_checkable
class NeuromorphicEncoderProtocol(Protocol):
    """Turns data into spikes and back, and networks into spiking ones."""

    def encode_rate(self, data: Array, duration_ms: float) -> SpikeTrain:
        """Encode values as rates."""
        ...

    def encode_temporal(self, data: Array, scheme: TemporalScheme) -> TemporalCode:
        """Encode values as times, phases or an order of spikes."""
        ...

    def encode_population(self, data: Array, num_neurons: int) -> PopulationCode:
        """Encode values as spikes of populations."""
        ...

    def convert_ann_to_snn(
        self, ann_model: Any, calibration_data: Array, num_timesteps: int = 256
    ) -> ConversionResult:
        """Convert a trained network."""
        ...

    def decode_spikes(self, spike_train: SpikeTrain, method: DecodingMethod) -> DecodingResult:
        """Read values from spikes."""
        ...

    def benchmark_encoding(self, data: Array, coding_scheme: CodingScheme) -> EncodingMetrics:
        """Measure a scheme on data."""
        ...
