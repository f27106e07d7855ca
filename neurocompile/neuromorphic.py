"""The encoder document's interface: values to spike trains and back, and networks to spiking ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neurocompile.ann_to_snn import ANNtoSNNConverter
from neurocompile.codecs.arrays import Array
from neurocompile.codecs.protocol import ConversionResult
from neurocompile.codecs.train_codec import TrainCodec


@dataclass(frozen=True)
class NeuromorphicEncoder(TrainCodec):
    """Encodes values as spike trains, decodes them, and converts networks: ``NeuromorphicEncoderProtocol``.

    Parameters
    ----------
    converter
        Of networks.
    """

    converter: ANNtoSNNConverter = field(default_factory=ANNtoSNNConverter)

    def convert_ann_to_snn(
        self, ann_model: Any, calibration_data: Array, num_timesteps: int = 256, *, labels: Array | None = None
    ) -> ConversionResult:
        """Convert a network, as ``ANNtoSNNConverter.convert`` does."""
        return self.converter.convert(ann_model, calibration_data, num_timesteps, labels=labels)
