"""Poisson spikes, drawn interval by interval."""

from __future__ import annotations

import numpy as np

from neurocompile.codecs.arrays import NumpyDraws
from neurocompile.codecs.spike_steps import Part, poisson_steps, raster
from neurocompile.ir.op import Array


def poisson_spikes(rate: Array, steps: int, refractory: int, generator: np.random.Generator) -> Array:
    """Draw spikes that are independent of each other but for a pause after each.

    Fewer steps have the same spikes.

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
    if not len(active):
        return np.zeros((steps, len(rate)), np.bool_)
    draws = NumpyDraws(generator)
    parts = poisson_steps(np.minimum(ready[active], 1), steps, refractory, draws, prefix=True)
    spikes: Array = raster((Part(part.steps, active) for part in parts), (1, steps, len(rate)))[0]
    return spikes
