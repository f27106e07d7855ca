"""What can be read from spikes on a grid: counts, times, intervals, ranks, phases and membranes.

``spikes`` are ``(B, T, N)`` as `stream_of` gives them, with nothing in the padding, and times are in steps. Soft
spikes between 0 and 1 are taken for the probabilities of spikes, independent of each other, so that every reading
is differentiable in them. No reading uses a matrix product, which autocast would run in half precision.
"""

from __future__ import annotations

import math

import array_api_compat

from neurocompile.codecs.arrays import Array, admit, namespace
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


def stream_of(batch: SpikeBatch) -> Array:
    """Return the spikes ``(B, T, N)`` as float32, or float64 if they were so, their features flattened.

    Raises
    ------
    DataError
        If there are none, or some are not in [0, 1].
    """
    spikes = batch.spikes
    xp = namespace(spikes)
    if 0 in spikes.shape:
        raise DataError(
            f"the spikes are empty: they have the shape {list(spikes.shape)}",
            remedy="give at least one sample, step and neuron",
        )
    whole = xp.isdtype(spikes.dtype, ("bool", "integral"))
    spikes = xp.astype(spikes, xp.float32) if whole else admit(spikes, "the array of spikes")
    if batch.spikes.dtype != xp.bool and not bool(xp.all((spikes >= 0) & (spikes <= 1))):
        raise DataError(
            f"spikes from {float(xp.min(spikes)):g} to {float(xp.max(spikes)):g} are not all in [0, 1]",
            remedy="give 0 and 1, or the probabilities of spikes",
        )
    return xp.reshape(spikes, (*spikes.shape[:2], -1))


def spike_counts(spikes: Array) -> Array:
    """Count the spikes of each neuron, ``(B, N)``."""
    return namespace(spikes).sum(spikes, axis=1)


def steps_of(mask: Array, like: Array) -> Array:
    """Count the steps of each sample, ``(B, 1)``, as floats like ``like``; at least 1."""
    xp = namespace(mask)
    return xp.clip(xp.sum(xp.astype(mask, like.dtype), axis=1, keepdims=True), 1, None)


def first_spike_steps(spikes: Array, mask: Array) -> Array:
    """Count the steps before each neuron's first spike, ``(B, N)``; a silent one has all the sample's steps.

    This is the sum over the steps of ``prod_{u <= t} (1 - s_u)``, the probability that there was none up to t.
    """
    xp = namespace(spikes)
    silent = xp.cumulative_prod(1 - spikes, axis=1)
    return xp.sum(silent * xp.astype(mask, spikes.dtype)[:, :, None], axis=1)


def last_spike_steps(spikes: Array, mask: Array) -> Array:
    """Count the steps before each neuron's last spike, ``(B, N)``; a silent one has -1."""
    xp = namespace(spikes)
    after = first_spike_steps(xp.flip(spikes, axis=1), xp.flip(mask, axis=1))
    return steps_of(mask, spikes) - 1 - after


def first_spike_ranks(spikes: Array) -> tuple[Array, Array]:
    """Count the neurons whose first spike is in an earlier step, and those that have theirs in the same.

    Returns
    -------
    tuple
        The ranks ``(B, N)``, from 0 on, and how many neurons share each. A silent neuron is behind all, at the
        number of neurons, and shares its rank with nobody.
    """
    xp = namespace(spikes)
    silent = xp.cumulative_prod(1 - spikes, axis=1)
    before = xp.concat([xp.ones_like(silent[:, :1]), silent[:, :-1]], axis=1)
    first = before - silent
    arriving = xp.sum(first, axis=2)
    arrived = xp.cumulative_sum(arriving, axis=1)
    ranks = xp.sum(first * (arrived - arriving)[:, :, None], axis=1) + silent[:, -1] * spikes.shape[2]
    return ranks, xp.sum(first * arriving[:, :, None], axis=1) + silent[:, -1]


def sliding_rates(spikes: Array, window: int) -> Array:
    """Count spikes in the window that ends at each step, ``(B, T, N)``, per step of it.

    At the beginning the window has only the steps that there were.
    """
    xp = namespace(spikes)
    counts = xp.cumulative_sum(spikes, axis=1)
    steps = spikes.shape[1]
    if window < steps:
        earlier = xp.concat([xp.zeros_like(counts[:, :window]), counts[:, :-window]], axis=1)
        counts = counts - earlier
    seen = xp.arange(1, steps + 1, dtype=spikes.dtype, device=array_api_compat.device(spikes))
    return counts / xp.clip(seen, None, float(window))[None, :, None]


def interval_rates(spikes: Array, mask: Array) -> Array:
    """Return the inverse of each neuron's mean interval between spikes, ``(B, N)``, in spikes per step.

    One spike makes no interval, and counts as one in all the steps. Of probabilities it is the quotient of what
    intervals and the time from the first spike to the last are expected to be, neither of which silence has.
    """
    xp = namespace(spikes)
    counts, steps = spike_counts(spikes), steps_of(mask, spikes)
    silent = xp.prod(1 - spikes, axis=1)
    intervals = counts - 1 + silent
    # Silence has its first spike at T and its last at -1.
    span = last_spike_steps(spikes, mask) - first_spike_steps(spikes, mask) + silent * (steps + 1)
    several = (counts > 1) & (intervals > 0)
    # An interval has at least a step, of which rounding leaves less where a second spike is improbable.
    safe = xp.where(several, xp.maximum(span, intervals), xp.ones_like(span))
    return xp.where(several, intervals / safe, counts / steps)


def ready_steps(spikes: Array, mask: Array, refractory: int) -> Array:
    """Count the steps in which each neuron could have fired, ``(B, N)``: all but the pauses after its spikes."""
    xp = namespace(spikes)
    steps = steps_of(mask, spikes)
    places = xp.arange(spikes.shape[1], dtype=spikes.dtype, device=array_api_compat.device(spikes))
    # A pause after a spike ends with the window at the latest.
    pauses = xp.clip(steps - 1 - places[None, :], 0, float(refractory))
    return steps - xp.sum(spikes * pauses[:, :, None], axis=1)


def mean_phases(spikes: Array, period: float | Array, start: float = 0.0) -> tuple[Array, Array]:
    """Return the mean phase of each neuron's spikes, and how well they agree, both ``(B, N)``.

    The mean is that of directions on the circle (Mardia and Jupp 2000, Directional Statistics).

    Parameters
    ----------
    spikes
        The spikes.
    period
        Of the oscillation, in steps; ``(B, 1)`` where samples differ.
    start
        The step at which a cycle begins.

    Returns
    -------
    tuple
        The phase as a share of the cycle, in [0, 1), and the resultant length: 1 if all spikes have one phase, and
        towards 0 the more they scatter. A silent neuron has 0 and 0.
    """
    xp = namespace(spikes)
    places = xp.arange(spikes.shape[1], dtype=xp.float64, device=array_api_compat.device(spikes))
    angles = 2 * math.pi * (((places[None, :] - start) / period) % 1.0)
    cosine, sine = (
        xp.sum(spikes * xp.astype(part(angles), spikes.dtype)[:, :, None], axis=1) for part in (xp.cos, xp.sin)
    )
    counts = spike_counts(spikes)
    squares = cosine**2 + sine**2
    # The direction of nothing has no gradient, so it is not asked for.
    some = squares > 1e-12
    one = xp.ones_like(cosine)
    phases = xp.atan2(xp.where(some, sine, 0 * one), xp.where(some, cosine, one)) / (2 * math.pi)
    # Rounding may make 1 of a phase just below 0.
    phases = xp.where(phases < 0, phases + 1, phases)
    phases = xp.where(phases >= 1, 0 * one, phases)
    length = xp.sqrt(xp.where(some, squares, one)) / xp.where(some, counts, one)
    return phases, xp.clip(xp.where(some, length, 0 * one), 0.0, 1.0)


def membranes(spikes: Array, tau_mem: float | None) -> Array:
    """Integrate the spikes, ``v[t] = exp(-1 / tau_mem) * v[t - 1] + s[t]``, without a threshold, ``(B, T, N)``.

    Parameters
    ----------
    spikes
        The spikes.
    tau_mem
        The membrane's time constant in steps; None leaks nothing.
    """
    xp = namespace(spikes)
    if tau_mem is None:
        return xp.cumulative_sum(spikes, axis=1)
    decay = math.exp(-1 / tau_mem)
    v = xp.zeros_like(spikes[:, 0])
    trace = []
    for t in range(spikes.shape[1]):
        v = decay * v + spikes[:, t]
        trace.append(v)
    return xp.stack(trace, axis=1)


def at_last_step(trace: Array, mask: Array) -> Array:
    """Return what a trace ``(B, T, N)`` has at each sample's last step, ``(B, N)``, or 0 if it has no steps."""
    xp = namespace(trace, mask)
    later = xp.concat([mask[:, 1:], xp.zeros_like(mask[:, :1])], axis=1)
    last = (mask & ~later)[:, :, None]
    return xp.sum(xp.where(last, trace, xp.zeros_like(trace)), axis=1)
