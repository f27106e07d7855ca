"""Poisson spikes, drawn interval by interval."""

from __future__ import annotations

import numpy as np

from neurocompile.ir.op import Array


def poisson_spikes(rate: Array, steps: int, refractory: int, generator: np.random.Generator) -> Array:
    """Draw spikes that are independent of each other but for a pause after each.

    Drawing the intervals takes as long as there are spikes, not as there are steps. The interval of a process that
    fires with the probability ``p`` at every step is geometric, and that is an exponential one rounded down with
    the scale ``-1 / log(1 - p)`` (Devroye 1986, chapter X.2).

    Parameters
    ----------
    rate
        Spikes for each step, ``(N,)``, the pauses counted in: from 0 to ``1 / (1 + refractory)``.
    steps
        T.
    refractory
        So many steps after each spike there is none.
    generator
        Of the randomness.

    Returns
    -------
    Array
        ``(T, N)``, ``bool``.
    """
    # A step that is not in a pause has to fire more often, for the rate to be right with the pauses.
    ready = rate / (1 - rate * refractory)
    active = np.flatnonzero(ready > 0)
    with np.errstate(divide="ignore"):
        scale = -1 / np.log1p(-np.minimum(ready[active], 1))
    spikes = np.zeros(steps * len(rate), np.bool_)
    time = np.floor(generator.standard_exponential(len(active)) * scale)
    inside = time < steps
    while inside.any():
        place = time * len(rate) + active
        spikes[place[inside].astype(np.intp)] = True
        # All draw again, those beyond the end too, so that fewer steps have the same spikes.
        time += np.floor(generator.standard_exponential(len(active)) * scale) + (1 + refractory)
        inside = time < steps
    return spikes.reshape(steps, len(rate))
