"""Decoding by the likelihood of spikes, with a confidence that is a probability."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import array_api_compat

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import Tuning
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.groups import Groups
from neurocompile.codecs.decoders.readings import ready_steps, spike_counts
from neurocompile.codecs.firing import LEAST, tuned, without_pauses
from neurocompile.codecs.spike_batch import SpikeBatch

GRID = 129
"""Values at which a likelihood is computed first: the prior's range in 128 parts."""

_FINE, _ROUNDS = 4, 5


@dataclass(frozen=True)
class TuningCurves:
    """The probabilities of spikes, in a step in which a neuron can fire.

    Parameters
    ----------
    centers, widths
        ``(P,)``, or ``(G, 1, P)`` where groups differ; float64.
    tuning
        The form of the curves, as ``PopulationEncoder`` has them.
    highest, lowest
        The probabilities at the center and far from it.
    pause
        Steps without a spike after each, that ``highest`` and ``lowest`` are the means with; 0 if they are of a
        step in which a neuron can fire.
    """

    centers: Array
    widths: Array
    tuning: Tuning
    highest: float
    lowest: float
    pause: int = 0

    def log_likelihood(self, x: Array, counts: Array, ready: Array) -> Array:
        """Return the log-likelihood of values ``(B, G, S)``, for counts and ready steps ``(B, G, P)``, float64."""
        xp = namespace(x)
        away = (x[..., None] - self.centers) / self.widths
        mean = self.lowest + (self.highest - self.lowest) * tuned(away, self.tuning)
        p = without_pauses(mean, self.pause).clip(LEAST, 1 - LEAST)
        log_p = xp.log(p)
        if self.tuning == "gaussian" and self.lowest == 0:
            # Where a Gaussian is too small to be told from 0, its exponent is not.
            exponent = math.log(self.highest) - 0.5 * away * away
            log_p = xp.where(p > 2 * LEAST, log_p, xp.minimum(exponent, log_p))
        return process_log_likelihood(log_p, p, counts, ready)


def process_log_likelihood(log_p: Array, p: Array, counts: Array, ready: Array) -> Array:
    """Return the log-likelihood of a Poisson process on a grid of steps, ``(B, G, S)``.

    Each step in which a neuron is ready has a spike with the probability p, independent of the others. The shorter
    the steps, the closer it is to that of Poisson counts, ``sum(n * log(r) - r * T)``.

    Parameters
    ----------
    log_p, p
        The neurons' probabilities for S values, which broadcast against ``(B, G, S, P)``.
    counts, ready
        Spikes, and steps in which a neuron could fire, ``(B, G, P)``.
    """
    xp = namespace(p)
    fired, quiet = counts[:, :, None, :], (ready - counts)[:, :, None, :]
    return (fired @ xp.matrix_transpose(log_p) + quiet @ xp.matrix_transpose(xp.log1p(-p)))[:, :, 0]


def _first_highest(log_likelihood: Array) -> Array:
    """Return where ``(B, G, S)`` is highest, and of places that only rounding tells apart the first."""
    xp = namespace(log_likelihood)
    highest = xp.max(log_likelihood, axis=2, keepdims=True)
    equal = log_likelihood >= highest - 1e-10 * (1 + xp.abs(highest))
    return xp.argmax(xp.astype(equal, xp.uint8), axis=2)


def most_likely(
    log_likelihood: Callable[[Array], Array], low: float, high: float, like: Array
) -> tuple[Array, Array]:
    """Find the value of the highest likelihood in a range, on a grid that is refined around it.

    Parameters
    ----------
    log_likelihood
        From values, which broadcast against ``(B, G, S)``, to their log-likelihoods ``(B, G, S)``.
    low, high
        The range.
    like
        Whose world and device the values are to have.

    Returns
    -------
    tuple
        The values ``(B, G)``, the lowest of equally likely ones, and the log-likelihoods ``(B, G, GRID)`` of
        `grid_of` the range.
    """
    xp = namespace(like)
    coarse = log_likelihood(grid_of(low, high, like))
    step = (high - low) / (GRID - 1)
    best = low + step * xp.astype(_first_highest(coarse), xp.float64)
    places = xp.arange(-_FINE, _FINE + 1, dtype=xp.float64, device=array_api_compat.device(like)) / _FINE
    for _ in range(_ROUNDS):
        near = xp.clip(best[:, :, None] + step * places, low, high)
        chosen = _first_highest(log_likelihood(near))
        best = xp.take_along_axis(near, chosen[:, :, None], axis=2)[:, :, 0]
        step /= _FINE
    return best, coarse


def grid_of(low: float, high: float, like: Array) -> Array:
    """Return ``GRID`` values from ``low`` to ``high``, ``(1, 1, GRID)``, float64."""
    xp = namespace(like)
    return xp.linspace(low, high, GRID, dtype=xp.float64, device=array_api_compat.device(like))[None, None]


def probability_within(log_likelihood: Array, low: float, high: float, values: Array, tolerance: float) -> Array:
    """Return the posterior probability that what was encoded is near the decoded value, ``(B, G)``.

    The prior is uniform over the range. Each value of the grid stands for the part of the range that is nearest.

    Parameters
    ----------
    log_likelihood
        ``(B, G, GRID)``, of `grid_of` the range.
    low, high
        The range.
    values
        The decoded values, ``(B, G)``.
    tolerance
        What is near, as a share of the range.
    """
    xp = namespace(log_likelihood)
    half = (high - low) / (GRID - 1) / 2
    grid = grid_of(low, high, log_likelihood)
    left, right = xp.clip(grid - half, low, None), xp.clip(grid + half, None, high)
    density = xp.exp(log_likelihood - xp.max(log_likelihood, axis=2, keepdims=True))
    reach = tolerance * (high - low)
    near_left = xp.maximum(left, values[:, :, None] - reach)
    near_right = xp.minimum(right, values[:, :, None] + reach)
    near = density * xp.clip(near_right - near_left, 0.0, None)
    return xp.clip(xp.sum(near, axis=2) / xp.sum(density * (right - left), axis=2), 0.0, 1.0)


@dataclass(frozen=True)
class BayesianDecoder(Decoder):
    """Finds the most likely value of each group of tuned neurons.

    It needs ``population_map``, ``centers`` and ``widths`` in the batch's ``aux``. What ``PopulationEncoder``
    puts there of the options from ``tuning`` to ``input_range`` comes before those of the decoder. The confidence
    is the posterior probability that the value is within ``tolerance`` of the decoded one, if every value of
    ``input_range`` was as likely and spikes are drawn: of those decoded with a confidence of 0.9, 90 % are so
    near. Of several values it is the mean, and ``aux["value_confidence"]`` has each. The search has no gradient.

    Parameters
    ----------
    temperature
        Has no meaning for a regression.
    tuning
        The form of the tuning curves.
    highest, lowest
        A neuron's probability of a spike at its center and far from it, in a step in which it can fire.
    refractory
        Steps after a spike without another.
    rate_includes_refractory
        Whether ``highest`` and ``lowest`` are spikes per step with the pauses counted in.
    input_range
        Which values there are.
    tolerance
        What is near, as a share of the range.
    """

    tuning: Tuning = "gaussian"
    highest: float = 1.0
    lowest: float = 0.0
    refractory: int = 0
    rate_includes_refractory: bool = False
    input_range: tuple[float, float] = (0.0, 1.0)
    tolerance: float = 0.05

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.require(
            0 <= self.lowest < self.highest <= 1,
            f"lowest={self.lowest} and highest={self.highest} are no probabilities in this order",
        )
        checks.not_negative(refractory=self.refractory)
        checks.range(input_range=self.input_range)
        checks.positive(tolerance=self.tolerance)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        xp = namespace(spikes)
        spikes = constant(spikes)
        groups = Groups.of(batch, spikes)
        told = replace(self, **{name: batch.aux[name] for name in _TOLD if name in batch.aux})
        # Autocast leaves double precision as it is.
        centers, widths = (
            _of_groups(xp.astype(constant(groups.tuning(batch, name)), xp.float64))
            for name in ("centers", "widths")
        )
        pause = told.refractory if told.rate_includes_refractory else 0
        curves = TuningCurves(centers, widths, told.tuning, told.highest, told.lowest, pause)
        counts = xp.astype(groups.split(spike_counts(spikes)), xp.float64)
        ready = xp.astype(groups.split(ready_steps(spikes, batch.mask, told.refractory)), xp.float64)
        values, confidence = likely_values(curves, counts, ready, told.input_range, self.tolerance)
        return xp.astype(values, spikes.dtype), {"value_confidence": xp.astype(confidence, spikes.dtype)}

    @property
    def regresses(self) -> bool:  # noqa: D102
        return True


# Options that the batch may tell.
_TOLD = ("tuning", "highest", "lowest", "refractory", "rate_includes_refractory", "input_range")


def _of_groups(tuning: Array) -> Array:
    return tuning[:, None, :] if tuning.ndim == 2 else tuning


def likely_values(
    curves: TuningCurves, counts: Array, ready: Array, input_range: tuple[float, float], tolerance: float
) -> tuple[Array, Array]:
    """Return the most likely values of groups, and the probability that each is near, both ``(B, G)``.

    Parameters
    ----------
    curves
        Of the neurons.
    counts, ready
        Spikes, and steps in which a neuron could fire, ``(B, G, P)``, float64.
    input_range, tolerance
        As ``BayesianDecoder`` has them.
    """

    def log_likelihood(x: Array) -> Array:
        return curves.log_likelihood(x, counts, ready)

    values, coarse = most_likely(log_likelihood, *input_range, counts)
    return values, probability_within(coarse, *input_range, values, tolerance)
