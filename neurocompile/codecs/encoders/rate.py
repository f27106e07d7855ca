"""Rate codes: a value is how often a neuron fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, admit, namespace
from neurocompile.codecs.checks import LARGEST, Checks, whole_steps
from neurocompile.codecs.config import EvalThreshold
from neurocompile.codecs.encoders.encoder import ValueEncoder
from neurocompile.codecs.firing import without_pauses
from neurocompile.codecs.normalization import normalize
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.codecs.spike_steps import (
    Part,
    bernoulli,
    even_steps,
    evenly,
    jittered,
    poisson_steps,
    raster,
    thinned_steps,
)
from neurocompile.errors import DataError


@dataclass(kw_only=True, eq=False)
class BernoulliRateEncoder(ValueEncoder):
    """Draws every step by itself: ``spike = (U < p)`` with ``p = clamp(rate_gain * x + rate_bias, 0, 1)``.

    ``aux``: ``rates``, the probabilities ``(B, N)``.

    Parameters
    ----------
    rate_gain, rate_bias
        From shares of [0, 1] to probabilities.
    deterministic_eval
        Whether evaluation compares ``p`` with thresholds instead of random numbers.
    eval_threshold
        ``even``: each step has a threshold of its own, so that counts are ``p * T``, rounded. ``half``: 0.5 at
        every step, which makes every neuron fire always or never.
    """

    rate_gain: float = 1.0
    rate_bias: float = 0.0
    deterministic_eval: bool = True
    eval_threshold: EvalThreshold = "even"

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        for name, value in (("rate_gain", self.rate_gain), ("rate_bias", self.rate_bias)):
            checks.require(abs(value) <= LARGEST, f"{name}={value} is not within {LARGEST:g} of 0")

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        p = (self.rate_gain * share + self.rate_bias).clip(0.0, 1.0)
        if self.training or not self.deterministic_eval:
            spikes = bernoulli(p, self.num_steps, self.draws(p))
        elif self.eval_threshold == "even":
            spikes = evenly(p, self.num_steps)
        else:
            spikes = xp.repeat((p >= 0.5)[:, None, :], self.num_steps, axis=1)
        return spikes, {"rates": p}


@dataclass(kw_only=True, eq=False)
class FiringRateEncoder(ValueEncoder):
    """What encoders whose neurons have rates in Hz share.

    Parameters
    ----------
    max_firing_rate_hz, min_firing_rate_hz
        The rates of the shares 1 and 0; None is one spike a step. They are those of a neuron that is ready, whose
        rate with pauses is ``r / (1 + r * refractory)``.
    refractory_period_ms
        So long after a spike there is none: the next has to be later than this.
    rate_includes_refractory
        Whether the rates are those with the pauses.
    """

    max_firing_rate_hz: float | None = None
    min_firing_rate_hz: float = 0.0
    refractory_period_ms: float = 0.0
    rate_includes_refractory: bool = False

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        if self.dt_ms > 0:
            checks.rates(
                self.dt_ms,
                self.min_firing_rate_hz,
                self.highest_rate_hz,
                self.refractory_period_ms,
                self.rate_includes_refractory,
            )

    @property
    def highest_rate_hz(self) -> float:
        """The rate of the share 1."""
        if self.max_firing_rate_hz is not None:
            return self.max_firing_rate_hz
        pause = self.refractory_steps if self.rate_includes_refractory else 0
        return 1000 / (self.dt_ms * (1 + pause))

    @property
    def refractory_steps(self) -> int:
        """How many steps after a spike have none."""
        return whole_steps(self.refractory_period_ms, self.dt_ms)

    def rates(self, share: Array) -> Array:
        """Return the rates of shares, in Hz."""
        return self.min_firing_rate_hz + (self.highest_rate_hz - self.min_firing_rate_hz) * share

    def probability(self, rates: Array) -> Array:
        """Return the probability of a spike in a step without a pause, for rates in Hz."""
        p = (rates * (self.dt_ms / 1000)).clip(0.0, 1.0)
        return without_pauses(p, self.refractory_steps) if self.rate_includes_refractory else p

    def even(self, rates: Array) -> Array:
        """Return spikes ``(B, T, N)`` at even distances, for rates ``(B, N)`` in Hz."""
        xp = namespace(rates)
        flat = xp.reshape(self.probability(rates), (-1,))
        parts = even_steps(flat, self.num_steps, self.refractory_steps)
        return raster(parts, self.grid(rates))

    def poisson(self, rates: Array, jitter_ms: float = 0.0) -> Array:
        """Draw spikes ``(B, T, N)`` for rates ``(B, N)`` in Hz."""
        xp = namespace(rates)
        draws = self.draws(rates)
        flat = xp.reshape(self.probability(rates), (-1,))
        grid = (self.num_steps, self.refractory_steps)
        parts = poisson_steps(flat, *grid, draws, prefix=jitter_ms > 0)
        if jitter_ms:
            times = xp.concat([part.steps for part in parts])
            parts = iter([Part(jittered(times, *grid, jitter_ms / self.dt_ms, draws))])
        return raster(parts, self.grid(rates))


@dataclass(kw_only=True, eq=False)
class PoissonRateEncoder(FiringRateEncoder):
    """Draws a Poisson process of the rate ``f_min + (f_max - f_min) * x``, with an exact refractory period.

    A step without a pause fires with the probability ``rate * dt``. ``aux``: ``rates`` in Hz, ``(B, N)``.

    Parameters
    ----------
    jitter_ms
        The standard deviation of noise on spike times. Pauses are kept, so that a crowded spike comes later.
    deterministic_eval
        Whether evaluation puts as many spikes at even distances.
    """

    jitter_ms: float = 0.0
    deterministic_eval: bool = False

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.not_negative(jitter_ms=self.jitter_ms)
        checks.countable(self.dt_ms, jitter_ms=self.jitter_ms)

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        rates = self.rates(share)
        if not self.training and self.deterministic_eval:
            return self.even(rates), {"rates": rates}
        return self.poisson(rates, self.jitter_ms), {"rates": rates}

    def encode_profile(self, x: Array) -> SpikeBatch:
        """Draw an inhomogeneous process, whose rate follows a stream.

        It is drawn in evaluation too.

        Parameters
        ----------
        x
            ``(B, T, N)`` with ``T = num_steps``. ``minmax`` looks at all steps of a sample.

        Returns
        -------
        SpikeBatch
            ``(B, T, N)``; ``aux``: ``rates`` in Hz, ``(B, T, N)``, and ``normalization``.

        Raises
        ------
        DataError
            If it is empty, not finite, of another rank or length, or outside of the range.
        """
        x = admit(x)
        if x.ndim != 3 or x.shape[1] != self.num_steps:
            raise DataError(
                f"a stream of the shape {list(x.shape)} is not (B, T, N) with {self.num_steps} steps",
                remedy="give num_steps the length of the stream",
            )
        xp = namespace(x)
        batch, steps, neurons = x.shape
        flat = xp.reshape(x, (batch, -1))
        share, stats = normalize(flat, self.normalization, self.normalization_scope, self.input_range)
        rates = xp.reshape(self.rates(share), (batch, steps, neurons))
        draws = self.draws(x)
        by_step = xp.reshape(xp.permute_dims(self.probability(rates), (1, 0, 2)), (steps, -1))
        parts = thinned_steps(by_step, self.refractory_steps, draws)
        if self.jitter_ms:
            # Candidates that were left out are gaps, which go to the end.
            times = xp.sort(xp.concat([part.steps for part in parts]), axis=0)
            moved = jittered(times, steps, self.refractory_steps, self.jitter_ms / self.dt_ms, draws)
            parts = iter([Part(moved)])
        return SpikeBatch(raster(parts, (batch, steps, neurons)), aux={"rates": rates, "normalization": stats})


@dataclass(kw_only=True, eq=False)
class DeterministicRateEncoder(FiringRateEncoder):
    """Puts spikes at even distances: a count is the rate times the window, rounded.

    ``aux``: ``rates`` in Hz, ``(B, N)``.
    """

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        rates = self.rates(share)
        return self.even(rates), {"rates": rates}


@dataclass(kw_only=True, eq=False)
class BurstEncoder(ValueEncoder):
    """Sends a burst: larger values have more spikes, closer together.

    ``n = ceil(max_spikes * x)`` spikes from the first step on, ``ceil(isi_max - (isi_max - isi_min) * x)`` apart
    (Guo et al. 2021). ``aux``: ``burst_sizes`` and ``burst_intervals`` in steps, both ``(B, N)``.

    Parameters
    ----------
    max_spikes
        Of a burst.
    isi_min_ms, isi_max_ms
        The distances for the shares 1 and 0; None is the largest with which every burst fits the window.
    refractory_period_ms
        What distances have to be longer than.
    """

    max_spikes: int = 5
    isi_min_ms: float = 2.0
    isi_max_ms: float | None = None
    refractory_period_ms: float = 0.0

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(max_spikes=self.max_spikes, isi_min_ms=self.isi_min_ms, isi_max_ms=self.isi_max_ms)
        checks.not_negative(refractory_period_ms=self.refractory_period_ms)
        checks.countable(
            self.dt_ms,
            isi_min_ms=self.isi_min_ms,
            isi_max_ms=self.isi_max_ms,
            refractory_period_ms=self.refractory_period_ms,
        )
        if checks.issues:
            return
        shortest, longest = self.isi_steps
        checks.require(
            shortest > whole_steps(self.refractory_period_ms, self.dt_ms),
            f"isi_min_ms={self.isi_min_ms} is within the refractory period of {self.refractory_period_ms} ms",
            "a longer interval",
        )
        checks.require(
            shortest <= longest,
            f"isi_min_ms={self.isi_min_ms} is above the longest interval of {longest * self.dt_ms:g} ms",
            "fewer spikes, a longer window, or a larger isi_max_ms",
        )
        checks.require(
            (self.max_spikes - 1) * longest < self.num_steps,
            f"{self.max_spikes} spikes up to isi_max_ms={self.isi_max_ms} apart do not fit the window",
            "a smaller isi_max_ms",
        )

    @property
    def isi_steps(self) -> tuple[int, int]:
        """The shortest and longest distance, in steps."""
        shortest = max(1, whole_steps(self.isi_min_ms, self.dt_ms))
        if self.isi_max_ms is not None:
            return shortest, whole_steps(self.isi_max_ms, self.dt_ms)
        return shortest, (self.num_steps - 1) // max(1, self.max_spikes - 1)

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        shortest, longest = self.isi_steps
        sizes = xp.astype(xp.ceil(share * self.max_spikes), xp.int64)
        intervals = xp.astype(xp.ceil(longest - (longest - shortest) * share), xp.int64)
        size, interval = xp.reshape(sizes, (-1,)), xp.reshape(intervals, (-1,))
        steps = [xp.where(k < size, k * interval, self.num_steps) for k in range(self.max_spikes)]
        spikes = raster([Part(xp.stack(steps))], self.grid(share))
        return spikes, {"burst_sizes": sizes, "burst_intervals": intervals}
