"""Values of tuned neurons that ``TrainCodec`` encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.decoders.bayesian import TuningCurves, likely_values
from neurocompile.codecs.decoders.population import population_vector
from neurocompile.codecs.decoders.readings import ready_steps, spike_counts
from neurocompile.codecs.encoders import PopulationEncoder, make_encoder
from neurocompile.codecs.spike_train import PopulationCode
from neurocompile.errors import DataError


@dataclass(frozen=True, eq=False)
class Populations:
    """What was counted of populations, and their tuning.

    Parameters
    ----------
    counts, ready
        Spikes, and steps in which there could be one, ``(B, G, P)``, float64.
    centers, widths
        ``(P,)`` or ``(G, P)``, float64.
    input_range
        The values that the centers are spread over.
    steps
        T.
    """

    counts: Array
    ready: Array
    centers: Array
    widths: Array
    input_range: tuple[float, float]
    steps: int

    @classmethod
    def of_code(cls, code: PopulationCode, spikes: Array, mask: Array, config: EncoderConfig) -> Populations:
        """Count the spikes ``(B, T, G * P)`` of a code's trains."""
        xp = namespace(spikes)
        counts, ready = _counted(spikes, mask, config, code.num_neurons_per_dim)
        centers, widths = (xp.astype(each, xp.float64) for each in (code.tuning_centers, code.tuning_widths))
        return cls(counts, ready, centers, widths, code.input_range, int(spikes.shape[1]))

    @classmethod
    def of_train(cls, spikes: Array, mask: Array, config: EncoderConfig) -> Populations:
        """Count the spikes ``(B, T, G * P)`` of populations of the configuration's size.

        Raises
        ------
        DataError
            If the neurons are not whole populations.
        """
        size, neurons = config.population_size, int(spikes.shape[2])
        if neurons % size:
            raise DataError(
                f"{neurons} neurons are not populations of {size}",
                remedy="decode with the configuration that the train was encoded with, or give the PopulationCode",
            )
        counts, ready = _counted(spikes, mask, config, size)
        encoder = cast(PopulationEncoder, make_encoder(replace(config, coding_scheme=_scheme(config))))
        centers, widths = encoder.curves(counts)
        return cls(counts, ready, centers, widths, encoder.input_range, int(spikes.shape[1]))

    def vector(self, config: EncoderConfig) -> tuple[Array, Array]:
        """Return population vectors, and the shares of the greatest possible activity, both ``(B, G)``."""
        xp = namespace(self.counts)
        values = population_vector(self.counts, self.centers, xp.ones_like(self.counts[0]), 1e-7)
        most = self.counts.shape[2] * self.steps * config.max_firing_rate_hz * config.dt_ms / 1000
        return values, (xp.sum(self.counts, axis=2) / most).clip(0.0, 1.0)

    def likely(self, config: EncoderConfig, tolerance: float) -> tuple[Array, Array]:
        """Return the most likely values, and the probabilities that they are near, both ``(B, G)``."""
        per_step = config.dt_ms / 1000
        centers, widths = (each[:, None] if each.ndim == 2 else each for each in (self.centers, self.widths))
        curves = TuningCurves(
            centers,
            widths,
            "triangular" if _scheme(config) == "population_triangular" else "gaussian",
            config.max_firing_rate_hz * per_step,
            config.min_firing_rate_hz * per_step,
            config.refractory_steps if config.rate_includes_refractory else 0,
        )
        return likely_values(curves, self.counts, self.ready, self.input_range, tolerance)


def _scheme(config: EncoderConfig) -> CodingScheme:
    return config.coding_scheme if config.coding_scheme == "population_triangular" else "population_gaussian"


def _counted(spikes: Array, mask: Array, config: EncoderConfig, size: int) -> tuple[Array, Array]:
    xp = namespace(spikes)
    shape = (spikes.shape[0], spikes.shape[2] // size, size)
    counts, ready = spike_counts(spikes), ready_steps(spikes, mask, config.refractory_steps)
    return xp.reshape(xp.astype(counts, xp.float64), shape), xp.reshape(xp.astype(ready, xp.float64), shape)
