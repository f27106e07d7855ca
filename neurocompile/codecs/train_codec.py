"""Values to spike trains and back, by every scheme."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast, get_args

from neurocompile.codecs.arrays import Array, constant
from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.decoders.output import DecodingMethod, DecodingResult
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.encoders import PopulationEncoder, make_encoder
from neurocompile.codecs.metrics.benchmark import benchmark_encoding
from neurocompile.codecs.metrics.encoding import EncodingMetrics
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode, TemporalScheme, train_of
from neurocompile.errors import DataError


@dataclass(frozen=True)
class TrainCodec:
    """Encodes values as spike trains by every scheme, and decodes them.

    With a seed, equal calls give equal spikes. Values are ``(num_channels,)`` or ``(batch, num_channels)``; the
    neurons of a batch's samples follow each other in a train, sample after sample, and their ``neuron_ids`` begin
    again with each. Decoded values are shares of [0, 1]: what 0 and 1 stand for is not in a train.

    ``neurocompile.neuromorphic.NeuromorphicEncoder`` adds ``convert_ann_to_snn``, which is the compiler and stands
    on top of this package.

    Parameters
    ----------
    config
        The options. ``coding_scheme`` chooses among rate codes, and among tuning curves, and is what
        ``decode_spikes`` supposes.
    """

    config: EncoderConfig = field(default_factory=EncoderConfig)

    def encode_rate(self, data: Array, duration_ms: float | None = None) -> SpikeTrain:
        """Encode values as rates: by bursts if ``coding_scheme`` says so, and else by Poisson processes.

        Parameters
        ----------
        data
            The values.
        duration_ms
            Of the window; None is the configuration's.

        Raises
        ------
        DataError
            If the data is empty, not finite, of another rank, out of range, or the window is shorter than a step.
        """
        config = self._with("rate_burst" if self.config.coding_scheme == "rate_burst" else "rate_poisson")
        if duration_ms is not None:
            config = replace(config, time_window_ms=duration_ms)
        return train_of(make_encoder(config)(data), config.dt_ms)

    def encode_temporal(self, data: Array, scheme: TemporalScheme) -> TemporalCode:
        """Encode values as times (``ttfs``), phases (``phase``) or an order (``rank_order``) of spikes.

        Raises
        ------
        DataError
            As ``encode_rate``, if there is no such scheme, or more channels than the window has steps for ranks.
        """
        if scheme not in get_args(TemporalScheme):
            raise DataError(
                f"no temporal scheme '{scheme}'", remedy=f"one of {', '.join(get_args(TemporalScheme))}"
            )
        names: dict[TemporalScheme, CodingScheme] = {
            "ttfs": "temporal_ttfs",
            "rank_order": "temporal_rank_order",
            "phase": "temporal_phase",
        }
        batch = make_encoder(self._with(names[scheme]))(data)
        order = batch.aux.get("rank_order")
        if order is not None and batch.batch_size == 1:
            order = order[0]
        frequency = self.config.phase_frequency_hz if scheme == "phase" else None
        train = train_of(batch, self.config.dt_ms)
        return TemporalCode(train, scheme, phase_frequency_hz=frequency, rank_order=order)

    def encode_population(self, data: Array, num_neurons: int | None = None) -> PopulationCode:
        """Encode values as the spikes of tuned neurons, by triangles if ``coding_scheme`` says so.

        Parameters
        ----------
        data
            The values.
        num_neurons
            For each of them; None is the configuration's ``population_size``.

        Returns
        -------
        PopulationCode
            A train for each value, of a batch sample after sample.

        Raises
        ------
        DataError
            As ``encode_rate``, or if a population has less than 2 neurons.
        """
        triangular = self.config.coding_scheme == "population_triangular"
        scheme: CodingScheme = "population_triangular" if triangular else "population_gaussian"
        size = self.config.population_size if num_neurons is None else num_neurons
        config = replace(self.config, coding_scheme=scheme, population_size=size)
        encoder = cast(PopulationEncoder, make_encoder(config))
        batch = encoder(data)
        trains = train_of(batch, config.dt_ms).split(size)
        centers, widths = (constant(batch.aux[name]) for name in ("centers", "widths"))
        return PopulationCode(trains, centers, widths, encoder.input_range, size, batch.batch_size)

    def decode_spikes(
        self, spike_train: SpikeTrain | TemporalCode | PopulationCode, method: DecodingMethod
    ) -> DecodingResult:
        """Read values from spikes, as ``SpikeDecoder`` does with this configuration.

        Raises
        ------
        DataError
            If the spikes do not fit the configuration or the method.
        """
        return SpikeDecoder(self.config).decode(spike_train, method)

    def benchmark_encoding(self, data: Array, coding_scheme: CodingScheme) -> EncodingMetrics:
        """Measure a scheme on data with this configuration, as ``metrics.benchmark.benchmark_encoding`` does.

        Raises
        ------
        DataError
            If the data does not fit the scheme.
        """
        return benchmark_encoding(data, coding_scheme, self.config)

    def _with(self, scheme: CodingScheme) -> EncoderConfig:
        return replace(self.config, coding_scheme=scheme)
