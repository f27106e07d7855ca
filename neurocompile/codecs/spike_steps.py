"""In which steps neurons fire: what is computed spike by spike, and takes as long as there are spikes.

Functions here give steps in parts ``(K, M)``, ``int64``: the next K spikes of each of M neurons, ascending. A
step that is at least T is no spike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import array_api_compat
import numpy as np
import numpy.typing as npt

from neurocompile.codecs.arrays import Array, Draws, constant, namespace
from neurocompile.codecs.axes import time_to_batch_first

# Numbers in a part, which then stay in a core's second cache.
_PART = 2**14
# The values of a byte.
_BYTES = 256
# A spike in so many steps is none: 64 bits hold the sums of intervals down to this.
_RAREST = 1e-12
# Of a part: with more, neurons that are through draw on for long.
_MOST_ROWS = 16


class Part(NamedTuple):
    """Spikes of some neurons.

    Parameters
    ----------
    steps
        ``(K, M)``.
    neurons
        Which neurons these are, ``(M,)``; None is all of them.
    """

    steps: Array
    neurons: Array | None = None


def poisson_steps(
    probability: Array, steps: int, refractory: int, draws: Draws, prefix: bool = False
) -> Iterator[Part]:
    """Draw spikes that are independent of each other but for a pause after each.

    The interval of a neuron that fires with the probability ``p`` at every step is geometric, and that is an
    exponential one rounded down with the scale ``-1 / log(1 - p)`` (Devroye 1986, chapter X.2).

    Parameters
    ----------
    probability
        Of a spike in a step that is not in a pause, ``(M,)``, from 0 to 1.
    steps
        T.
    refractory
        So many steps after each spike there is none.
    draws
        Of the randomness.
    prefix
        Whether fewer steps have the same spikes, in NumPy. All neurons then draw as often as the one with the
        most spikes, and every part is of all of them.

    Yields
    ------
    Part
        At least one.
    """
    xp = namespace(probability)
    p = xp.astype(constant(probability), xp.float64)
    certain, never = p >= 1, p < _RAREST
    # A certain spike comes at once, and an impossible one after the end.
    scale = xp.where(certain, 0.0, -1 / xp.log1p(-xp.where(certain | never, 0.5, p)))
    last = xp.astype(xp.where(never, steps, -1 - refractory), xp.int64)
    neurons = None
    while True:
        rows = max(1, min(_PART // scale.shape[0], _MOST_ROWS))
        times = xp.astype(draws.exponential((rows, *scale.shape)) * scale, xp.int64)
        times += 1 + refractory
        times[0] += last
        # Row by row, since sums along the first axis are slow in NumPy.
        for k in range(1, rows):
            times[k] += times[k - 1]
        yield Part(times, neurons)
        last = times[-1]
        going = xp.nonzero(last < steps)[0]
        if not going.shape[0]:
            return
        if not prefix and going.shape[0] < last.shape[0]:
            last, scale = last[going], scale[going]
            neurons = going if neurons is None else neurons[going]


def thinned_steps(probability: Array, refractory: int, draws: Draws) -> Iterator[Part]:
    """Draw spikes whose probability changes from step to step.

    Candidates come with the largest probability of each neuron, and stay with the quotient of that of their step
    and it (Lewis and Shedler 1979).

    Parameters
    ----------
    probability
        ``(T, M)``, from 0 to 1, of a spike in a step that is not in a pause.
    refractory
        So many steps after each spike there is none.
    draws
        Of the randomness.

    Yields
    ------
    Part
        Of one spike of each neuron.
    """
    xp = namespace(probability)
    probability = constant(probability)
    steps = probability.shape[0]
    most = xp.max(probability, axis=0)
    neurons = xp.arange(most.shape[0], device=array_api_compat.device(most))
    pause = xp.zeros_like(neurons)
    for candidates in poisson_steps(most, steps, 0, draws, prefix=True):
        for now in candidates.steps:
            inside = now.clip(None, steps - 1)
            kept = draws.uniform(tuple(most.shape)) * most < probability[inside, neurons]
            kept &= (now < steps) & (now >= pause)
            pause = xp.where(kept, now + 1 + refractory, pause)
            yield Part(xp.where(kept, now, steps)[None, :])


def even_steps(probability: Array, steps: int, refractory: int) -> Iterator[Part]:
    """Return spikes at even distances, as many as Poisson spikes with the same pauses would have in the mean.

    A neuron that adds up its rate, beginning with a half, and fires at every whole number has its spike ``k = 0,
    1, ...`` in the step ``ceil((k + 1/2) / rate) - 1``.

    Parameters
    ----------
    probability, steps, refractory
        As for ``poisson_steps``.

    Yields
    ------
    Part
        Of all neurons.
    """
    xp = namespace(probability)
    # A first spike two windows later is as good as none.
    p = xp.astype(constant(probability), xp.float64).clip(0.25 / steps, None)
    least = 1 + refractory
    most = math.ceil(steps / (refractory + 1 / float(xp.max(p)))) + 1
    rows = math.ceil(most / math.ceil(most * p.shape[0] / _PART))
    for begin in range(0, most, rows):
        k = xp.arange(begin, begin + rows, dtype=xp.float64, device=array_api_compat.device(p))[:, None]
        # Of k + 1/2 distances, what is beyond the least. Rounding keeps its order, and so whole pauses.
        beyond = (k + 0.5) * (1 - p) / p
        yield Part(xp.astype(xp.ceil(beyond + least / 2) + (k * least - 1), xp.int64))


def jittered(times: Array, steps: int, refractory: int, deviation: float, draws: Draws) -> Array:
    """Move spikes by normal noise, keep their order and pauses, and those in the window that were in it.

    A spike that noise brings before the window is put to its beginning, and one too near to the spike before it as
    late as the pause asks for; a spike that is then beyond the end is lost.

    Parameters
    ----------
    times
        ``(K, M)``, of all neurons, ascending.
    steps, refractory
        T, and the steps after a spike that have none.
    deviation
        The noise's standard deviation, in steps.
    draws
        Of the randomness.

    Returns
    -------
    Array
        ``(K, M)``.
    """
    xp = namespace(times)
    noise = xp.astype(xp.round(draws.normal(tuple(times.shape)) * deviation), xp.int64)
    moved = xp.where(times < steps, (times + noise).clip(0, steps - 1), times)
    separate(moved, xp.zeros_like(moved[0]), refractory)
    return moved


def separate(times: Array, earliest: Array, refractory: int) -> Array:
    """Delay spikes ``(K, M)``, in place, until each is the pause after the one before it.

    Parameters
    ----------
    times
        They change.
    earliest
        ``(M,)``, the step in which the first may be.
    refractory
        So many steps after each spike there is none.

    Returns
    -------
    Array
        ``(M,)``, the step in which the next may be.
    """
    xp = namespace(times)
    for row in times:
        row[...] = xp.maximum(row, earliest)
        earliest = row + (1 + refractory)
    return earliest


def raster(parts: Iterable[Part], shape: tuple[int, int, int]) -> Array:
    """Put the spikes of ``B * N`` neurons on the grid.

    Parameters
    ----------
    parts
        At least one.
    shape
        ``(B, T, N)``.

    Returns
    -------
    Array
            ``(B, T, N)``, ``bool``: a view of ``(T, B, N)``, in which what is too late for the window comes last.
    """
    batch, steps, neurons = shape
    width = batch * neurons
    size = steps * width
    following = iter(parts)
    first = next(following)
    xp = namespace(first.steps)
    device = array_api_compat.device(first.steps)
    # The last place takes all that is not in the window.
    grid = xp.zeros(size + 1, dtype=xp.bool, device=device)
    everyone = xp.arange(width, device=device)
    for part in chain([first], following):
        places = part.steps * width
        places += everyone if part.neurons is None else part.neurons
        grid[xp.reshape(places.clip(None, size), (-1,))] = True
    return time_to_batch_first(xp.reshape(grid[:size], (steps, batch, neurons)))


def bernoulli(probability: Array, steps: int, draws: Draws) -> Array:
    """Draw every step by itself.

    A byte decides all draws but one in 256, which a number of its own decides: those make up for the steps of a
    probability that bytes have.

    Parameters
    ----------
    probability
        ``(B, N)``, from 0 to 1.
    steps
        T.
    draws
        Of the randomness.

    Returns
    -------
    Array
        ``(B, T, N)``, ``bool``.
    """
    xp = namespace(probability)
    p = xp.astype(constant(probability), xp.float64)
    # A byte is never below 256 of 255; so the less likely of spike and silence is drawn.
    turned = p > 0.5
    p = xp.where(turned, 1 - p, p)
    limit = xp.floor(p * (_BYTES * _BYTES / (_BYTES - 1)))
    rest = p * _BYTES - limit * ((_BYTES - 1) / _BYTES)
    batch, neurons = probability.shape
    drawn = draws.bytes((batch, steps, neurons))
    spikes = xp.reshape(drawn < xp.astype(limit, xp.uint8)[:, None, :], (-1,))
    places = _rare_places(spikes.shape[0], draws)
    owners = places // (steps * neurons) * neurons + places % neurons
    spikes[places] = draws.uniform(tuple(places.shape)) < xp.reshape(rest, (-1,))[owners]
    spikes = xp.reshape(spikes, (batch, steps, neurons))
    spikes ^= turned[:, None, :]
    return spikes


def _rare_places(size: int, draws: Draws) -> Array:
    """Draw which of ``size`` places a number of its own decides: each of them once in 256 times."""
    scale = -1 / math.log1p(-1 / _BYTES)
    # Twelve standard deviations above the mean, there are always enough.
    many = size / _BYTES
    gaps = draws.exponential((int(many + 12 * math.sqrt(many) + 64),)) * scale
    xp = namespace(gaps)
    places = xp.cumulative_sum(xp.astype(gaps, xp.int64) + 1) - 1
    return places[places < size]


def evenly(probability: Array, steps: int) -> Array:
    """Fire in the steps whose threshold is below the probability.

    The thresholds are ``(i + 1/2) / T`` in van der Corput's order (1935): in any stretch of steps there are as
    many spikes as the probability asks for, but for a few; in all there are ``p * T``, rounded.

    Parameters
    ----------
    probability
        ``(B, N)``, from 0 to 1.
    steps
        T.

    Returns
    -------
    Array
        ``(B, T, N)``, ``bool``.
    """
    xp = namespace(probability)
    device = array_api_compat.device(probability)
    # Comparing short integers takes a quarter of the time of comparing floats.
    short = xp.int16 if steps < 2**15 else xp.int32
    thresholds = (xp.arange(steps, dtype=probability.dtype, device=device) + 0.5) / steps
    below = xp.searchsorted(thresholds, xp.reshape(constant(probability), (-1,)))
    ranks = xp.asarray(_spread(steps).copy(), dtype=short, device=device)
    return ranks[None, :, None] < xp.reshape(xp.astype(below, short), (probability.shape[0], 1, -1))


@lru_cache(maxsize=16)
def _spread(steps: int) -> npt.NDArray[np.int64]:
    """Return the numbers below T in van der Corput's order."""
    bits = max(1, (steps - 1).bit_length())
    numbers = np.arange(steps)
    reversed_bits = sum(((numbers >> k) & 1) << (bits - 1 - k) for k in range(bits))
    spread = np.empty(steps, np.int64)
    spread[np.argsort(reversed_bits)] = numbers
    return spread
