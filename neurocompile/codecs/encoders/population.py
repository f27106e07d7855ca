"""Population code: neurons that prefer different values share the work of telling one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import array_api_compat

from neurocompile.codecs.arrays import Array, admit, constant, namespace
from neurocompile.codecs.checks import LARGEST, Checks
from neurocompile.codecs.config import Centers, Tuning
from neurocompile.codecs.encoders.rate import FiringRateEncoder
from neurocompile.codecs.firing import tuned
from neurocompile.codecs.normalization import normalize
from neurocompile.errors import DataError

# The document's beta: how many standard deviations the distance between centers is.
_BETA = 1.5
# Of the input range: quotients by narrower curves' widths overflow.
_NARROWEST = 1e-6


@dataclass(kw_only=True, eq=False)
class PopulationEncoder(FiringRateEncoder):
    """Turns each of N values into the spikes of P neurons with tuning curves.

    A neuron that prefers ``c`` has the activation ``exp(-(x - c)**2 / (2 * sigma**2))`` (``gaussian``) or
    ``max(0, 1 - abs(x - c) / sigma)`` (``triangular``), and fires with the rate ``f_min + (f_max - f_min) *
    activation``. The neurons of value ``i`` are ``i * P`` to ``i * P + P - 1``.

    ``aux``: ``population_map``, the value that each of ``N * P`` neurons belongs to; ``centers`` and ``widths``,
    ``(P,)``, or ``(N, P)`` where each value has its own; ``rates`` in Hz, ``(B, N * P)``. Rates keep their
    gradient. ``tuning``, ``highest``, ``lowest``, ``refractory``, ``rate_includes_refractory`` and ``input_range``
    are what ``BayesianDecoder`` calls so.

    Parameters
    ----------
    population_size
        P.
    tuning
        The form of the curves.
    centers
        ``linear``: ``low + j * (high - low) / (P - 1)``, from end to end of ``input_range``. ``uniform``: the
        middles of P equal parts of it, so that each neuron answers for as many values. ``learned``: those of
        ``fit``, or of ``learned_centers``, which a tensor with gradient may be.
    sigma
        The width of each curve, in the unit of ``input_range``; half the base of a triangle. None goes by the
        distance to the next centers: all of it for triangles, which then add up to 1 everywhere between the
        outer centers, and ``1 / 1.5`` of it for Gaussians.
    jitter_ms
        The standard deviation of noise on the times of Poisson spikes.
    deterministic_eval
        Whether evaluation draws no Poisson spikes, but puts as many at even distances.
    """

    _shapeless: ClassVar[tuple[str, ...]] = ("centers", "widths", "population_map")
    population_size: int = 8
    tuning: Tuning = "gaussian"
    centers: Centers = "linear"
    sigma: float | None = None
    jitter_ms: float = 0.0
    deterministic_eval: bool = True
    learned_centers: Array = field(default=None, init=False, repr=False)

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.not_negative(jitter_ms=self.jitter_ms)
        checks.countable(self.dt_ms, jitter_ms=self.jitter_ms)
        if self.sigma is not None:
            narrowest = _NARROWEST * (self.input_range[1] - self.input_range[0])
            checks.require(
                narrowest <= self.sigma <= LARGEST,
                f"sigma={self.sigma} is not between a millionth of the input range and {LARGEST:g}",
            )
        checks.population(self.population_size, self.centers)

    def fit(self, samples: Array, rounds: int = 100) -> PopulationEncoder:
        """Learn where values are: centers by Lloyd's algorithm (1982), for each of N values by itself.

        It begins with quantiles and ends when nothing moves, or after so many rounds.

        Parameters
        ----------
        samples
            ``(S, N)``, normalized as the encoder does it.
        rounds
            The most.

        Raises
        ------
        DataError
            If a value has fewer than P different ones among the samples.
        """
        samples = admit(samples, "the samples")
        xp = namespace(samples)
        if samples.ndim != 2:
            raise DataError(
                f"samples are (S, N), and these have the shape {list(samples.shape)}", remedy="reshape them"
            )
        x = constant(self._values(normalize(samples, *self._normalization)[0]))
        learned = [_cluster(column, self.population_size, rounds) for column in x.T]
        self.centers = "learned"
        self.learned_centers = xp.stack(learned)
        return self

    @property
    def _normalization(self) -> tuple[Any, Any, tuple[float, float]]:
        return self.normalization, self.normalization_scope, self.input_range

    def _values(self, share: Array) -> Array:
        low, high = self.input_range
        return low * (1 - share) + high * share

    def curves(self, like: Array) -> tuple[Array, Array]:
        """Return the centers and widths, ``(P,)`` or ``(N, P)``, in the world of an array.

        Raises
        ------
        DataError
            If centers are to be learned and were not.
        """
        xp = namespace(like)
        low, high = self.input_range
        size = self.population_size
        place = xp.arange(size, dtype=like.dtype, device=array_api_compat.device(like))
        if self.centers == "learned":
            if self.learned_centers is None:
                raise DataError("the centers are not learned yet", remedy="call fit, or set learned_centers")
            centers = admit(self.learned_centers, "learned_centers")
            namespace(like, centers)
            fits = centers.ndim in (1, 2) and centers.shape[-1] == size
            if not fits or bool(xp.any(centers[..., 1:] <= centers[..., :-1])):
                raise DataError(
                    f"learned_centers of {size} neurons do not ascend, or are {list(centers.shape)}",
                    remedy="give (P,) or (N, P), ascending",
                )
            centers = xp.astype(centers, like.dtype)
        elif self.centers == "linear":
            centers = low + place * ((high - low) / (size - 1))
        else:
            centers = low + (place + 0.5) * ((high - low) / size)
        if self.sigma is not None:
            return centers, xp.full_like(centers, self.sigma)
        factor = 1.0 if self.tuning == "triangular" else 1 / _BETA
        if size == 1:
            return centers, xp.full_like(centers, (high - low) * factor)
        gaps = centers[..., 1:] - centers[..., :-1]
        # A neuron between uneven neighbours reaches to the farther one.
        left = xp.concat([gaps[..., :1], gaps], axis=-1)
        right = xp.concat([gaps, gaps[..., -1:]], axis=-1)
        return centers, (xp.maximum(left, right) * factor).clip(_NARROWEST * (high - low), None)

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        batch, dims = share.shape
        centers, widths = self.curves(share)
        if centers.ndim == 2 and centers.shape[0] != dims:
            raise DataError(
                f"centers were learned for {centers.shape[0]} values, and the input has {dims}",
                remedy="learn them again for these",
            )
        away = (self._values(share)[:, :, None] - centers) / widths
        rates = xp.reshape(self.rates(tuned(away, self.tuning)), (batch, -1))
        drawn = self.training or not self.deterministic_eval
        spikes = self.poisson(rates, self.jitter_ms) if drawn else self.even(rates)
        owners = xp.arange(dims * self.population_size, device=array_api_compat.device(share))
        per_step = self.dt_ms / 1000
        return spikes, {
            "population_map": owners // self.population_size,
            "centers": centers,
            "widths": widths,
            "rates": rates,
            "tuning": self.tuning,
            # Rates may be above one spike a step by a rounding.
            "highest": min(self.highest_rate_hz * per_step, 1.0),
            "lowest": self.min_firing_rate_hz * per_step,
            "refractory": self.refractory_steps,
            "rate_includes_refractory": self.rate_includes_refractory,
            "input_range": self.input_range,
        }


def _cluster(values: Array, size: int, rounds: int) -> Array:
    xp = namespace(values)
    values = xp.sort(values)
    different = xp.unique_values(values)
    if different.shape[0] < size:
        raise DataError(
            f"{size} centers can't be learned from {different.shape[0]} different values",
            remedy="give more samples, or take fewer neurons",
        )
    picks = [(2 * j + 1) * different.shape[0] // (2 * size) for j in range(size)]
    centers = different[xp.asarray(picks, device=array_api_compat.device(values))]
    for _ in range(rounds):
        # Sorted values belong to sorted centers in runs, whose ends the middles between centers are.
        ends = [0, *map(int, xp.searchsorted(values, (centers[1:] + centers[:-1]) / 2)), values.shape[0]]
        runs = zip(ends, ends[1:], centers, strict=False)
        moved = xp.stack([xp.mean(values[a:b]) if b > a else center for a, b, center in runs])
        if bool(xp.all(moved == centers)):
            break
        centers = moved
    return centers
