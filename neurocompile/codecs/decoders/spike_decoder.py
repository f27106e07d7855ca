"""From the spikes of ``TrainCodec`` back to values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import array_api_compat

from neurocompile.codecs.arrays import Array, as_numpy, namespace
from neurocompile.codecs.checks import CheckedOptions, Checks, whole_steps
from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.decoders.output import DecodingMethod, DecodingResult
from neurocompile.codecs.decoders.population_values import Populations
from neurocompile.codecs.decoders.rate_values import (
    certainty_of_rates,
    fired_share,
    values_of_bursts,
    values_of_rates,
)
from neurocompile.codecs.decoders.readings import interval_rates, membranes, spike_counts
from neurocompile.codecs.decoders.time_values import values_of_first_spikes, values_of_phases, values_of_ranks
from neurocompile.codecs.firing import without_pauses
from neurocompile.codecs.metrics.reconstruction import mean_squared_error, r2
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode, samples_of
from neurocompile.errors import DataError

_OF_POPULATIONS = ("population_vector", "bayesian_mle")
_OF_TIMES: Mapping[str, DecodingMethod] = {
    "temporal_ttfs": "time_to_first_spike",
    "temporal_rank_order": "rank_order",
    "temporal_phase": "phase",
}
"""How the codes are read whose counts tell nothing."""


@dataclass(frozen=True)
class SpikeDecoder(CheckedOptions):
    """Reads values, as shares of [0, 1], from trains that were encoded with a configuration.

    =======================  =====================================  =======================================
    method                   value                                  confidence
    =======================  =====================================  =======================================
    ``spike_count``          spikes by steps that could have one    that it is near
    ``spike_rate``           the inverse of the mean interval       that it is near
    ``membrane_potential``   the last membrane                      that it is near
    ``bayesian_mle``         the most likely value                  that it is near
    ``time_to_first_spike``  ``1 - t / T``; 0 for silence           that it is near; 0 for silence
    ``population_vector``    ``sum(count * center) / sum(count)``   ``sum(count) / (N * T * f_max)``
    ``rank_order``           ``modulation ** rank``; 0 for silence  1 by the neurons that share the rank; 0
    ``phase``                the mean phase; 0 for silence          how well the cycles agree; 0
    =======================  =====================================  =======================================

    "That it is near" is the posterior probability that the value is within ``tolerance`` of the encoded one, if
    all values of [0, 1] are as likely and they are encoded as the configuration says: of values decoded with a
    confidence of 0.9, 90 % are near, and more of first spikes that jitter has put to an end of the window. The
    others are no probabilities; that of the population vector is the encoder document's, at most 1.

    The membrane is that of a neuron without threshold, ``v[t] = exp(-dt / tau_mem) * v[t - 1] + s[t]``, by what it
    would be with a spike at every step. The most likely value of a rate is that of the count; of a first spike or
    a phase it is what ``time_to_first_spike`` or ``phase`` gives, with the confidence of that; an order of ranks
    has none. Methods that count are refused for a ``TemporalCode``. Bursts of ``rate_burst`` are read as
    ``BurstEncoder`` sends them: by the interval for ``spike_rate`` and ``bayesian_mle``, by the count for the
    others.

    Parameters
    ----------
    config
        What the trains were encoded with. Windows may differ from its own.
    tolerance
        What is near.
    modulation
        What each rank is worth of the one before it (Thorpe and Gautrais 1998).
    tau_mem_ms
        The time constant of the membrane; None leaks nothing.
    rate_window_ms
        So much of the train's end is what ``spike_rate`` reads; None is all of it.
    pauses_corrected
        Whether ``spike_count`` leaves the pauses after spikes out of the time, so that values are right whatever
        the refractory period. False is the encoder document's ``count / (T * f_max)``, which is at most
        ``1 / (1 + f_max * refractory)``.
    """

    config: EncoderConfig = field(default_factory=EncoderConfig)
    tolerance: float = 0.05
    modulation: float = 0.9
    tau_mem_ms: float | None = None
    rate_window_ms: float | None = None
    pauses_corrected: bool = True

    def _rules(self, checks: Checks) -> None:
        checks.positive(tolerance=self.tolerance, tau_mem_ms=self.tau_mem_ms)
        checks.require(0 < self.modulation < 1, f"modulation={self.modulation} is not between 0 and 1")
        if self.rate_window_ms is not None:
            checks.require(
                self.config.dt_ms <= self.rate_window_ms < math.inf,
                f"rate_window_ms={self.rate_window_ms} is less than a step of {self.config.dt_ms} ms or endless",
            )

    def decode(
        self,
        code: SpikeTrain | TemporalCode | PopulationCode,
        method: DecodingMethod,
        original: Array | None = None,
    ) -> DecodingResult:
        """Decode a train.

        Parameters
        ----------
        code
            Rows of a train with one ``neuron_id`` are samples of one neuron. Of a train, populations are neurons
            that follow each other, as many as the configuration's ``population_size``, with centers from 0 to 1.
        method
            How values are read.
        original
            What was encoded, as shares, to compare with.

        Returns
        -------
        DecodingResult
            ``(num_values,)``, or ``(num_samples, num_values)`` of several samples.

        Raises
        ------
        DataError
            If the code does not fit the configuration or the method.
        """
        if method not in get_args(DecodingMethod):
            raise DataError(
                f"no decoding method '{method}'", remedy=f"one of {', '.join(get_args(DecodingMethod))}"
            )
        if isinstance(code, PopulationCode):
            values, confidence = self._code(code, method)
        else:
            train = code.spike_train if isinstance(code, TemporalCode) else code
            spikes, mask = self._stream([train], samples_of(train))
            if self.config.coding_scheme.startswith("population") and method in _OF_POPULATIONS:
                populations = Populations.of_train(spikes, mask, self.config)
                values, confidence = self._populations(populations, method)
            else:
                values, confidence = self._train(code, spikes, mask, method)
        if values.shape[0] == 1:
            values, confidence = values[0], confidence[0]
        if original is None:
            return DecodingResult(values, confidence, method)
        encoded, decoded = as_numpy(original), as_numpy(values)
        if encoded.size == decoded.size:
            decoded = decoded.reshape(encoded.shape)
        mse, share = mean_squared_error(encoded, decoded), r2(encoded, decoded)
        return DecodingResult(values, confidence, method, mse, share)

    def _stream(self, trains: Sequence[SpikeTrain], samples: int) -> tuple[Array, Array]:
        """Return the spikes ``(samples, T, N)`` of trains as floats, and their mask."""
        for train in trains:
            if abs(train.dt_ms - self.config.dt_ms) > 1e-9 * train.dt_ms:
                raise DataError(
                    f"a train in steps of {train.dt_ms} ms was not encoded in steps of {self.config.dt_ms} ms",
                    remedy="decode with the configuration that it was encoded with",
                )
        xp = namespace(trains[0].spike_times)
        dense = xp.concat([train.dense() for train in trains])
        rows, steps = dense.shape
        mask = xp.ones((samples, steps), dtype=xp.bool, device=array_api_compat.device(dense))
        spikes = xp.astype(xp.reshape(dense, (samples, rows // samples, steps)), xp.float32)
        return xp.permute_dims(spikes, (0, 2, 1)), mask

    def _code(self, code: PopulationCode, method: DecodingMethod) -> tuple[Array, Array]:
        if method not in _OF_POPULATIONS:
            raise DataError(
                f"'{method}' does not read a population code", remedy=f"use {' or '.join(_OF_POPULATIONS)}"
            )
        spikes, mask = self._stream(code.spike_trains, code.num_samples)
        return self._populations(Populations.of_code(code, spikes, mask, self.config), method)

    def _populations(self, populations: Populations, method: DecodingMethod) -> tuple[Array, Array]:
        if method == "population_vector":
            return populations.vector(self.config)
        return populations.likely(self.config, self.tolerance)

    def _train(
        self, code: SpikeTrain | TemporalCode, spikes: Array, mask: Array, method: DecodingMethod
    ) -> tuple[Array, Array]:
        temporal = code if isinstance(code, TemporalCode) else None
        method = self._reader(temporal, method)
        start = temporal.reference_time_ms if temporal else 0.0
        if method == "population_vector":
            raise DataError(
                f"a train of '{self.config.coding_scheme}' has no centers for a population vector",
                remedy="give a PopulationCode, or a configuration with coding_scheme='population_gaussian'",
            )
        if method == "time_to_first_spike":
            return values_of_first_spikes(spikes, mask, self.config, start, self.tolerance)
        if method == "rank_order":
            return values_of_ranks(spikes, self.modulation)
        if method == "phase":
            frequency = temporal.phase_frequency_hz if temporal else None
            return values_of_phases(spikes, self.config, frequency or self.config.phase_frequency_hz, start)
        if self.config.coding_scheme == "rate_burst":
            by_interval = method in ("spike_rate", "bayesian_mle")
            return values_of_bursts(spikes, mask, self.config, by_interval, self.tolerance)
        values = self._rates(spikes, mask, method)
        return values, certainty_of_rates(values, spikes, mask, self.config, self.tolerance)

    def _reader(self, temporal: TemporalCode | None, method: DecodingMethod) -> DecodingMethod:
        """Return how a code is read by a method: the most likely of times and phases are those themselves."""
        scheme = f"temporal_{temporal.scheme}" if temporal else self.config.coding_scheme
        reader = _OF_TIMES.get(scheme)
        # A train alone does not tell that it was encoded as times, whatever the configuration encodes else.
        counted = temporal is None and method != "bayesian_mle"
        if reader is None or counted or method in _OF_TIMES.values():
            return method
        if method == "bayesian_mle" and scheme != "temporal_rank_order":
            return reader
        raise DataError(
            f"'{method}' does not read '{scheme}', whose values are not in its counts",
            remedy=f"use '{reader}', or decode with the coding_scheme of the train",
        )

    def _rates(self, spikes: Array, mask: Array, method: DecodingMethod) -> Array:
        pause, steps = self.config.refractory_steps, int(spikes.shape[1])
        if method == "spike_rate":
            window = steps if self.rate_window_ms is None else whole_steps(self.rate_window_ms, self.config.dt_ms)
            mean = interval_rates(spikes[:, -window:], mask[:, -window:])
        elif method == "membrane_potential":
            tau = None if self.tau_mem_ms is None else self.tau_mem_ms / self.config.dt_ms
            full = steps if tau is None else math.expm1(-steps / tau) / math.expm1(-1 / tau)
            mean = membranes(spikes, tau)[:, -1] / full
        elif self.pauses_corrected:
            return values_of_rates(fired_share(spikes, mask, pause), self.config)
        else:
            most = steps * self.config.dt_ms / 1000 * self.config.max_firing_rate_hz
            return (spike_counts(spikes) / most).clip(0.0, 1.0)
        return values_of_rates(without_pauses(mean, pause), self.config)
