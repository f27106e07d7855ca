"""Spikes of the input, whose rate or time is a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from neurocompile.codecs.arrays import NumpyDraws
from neurocompile.codecs.encoders import BurstEncoder, TimeToFirstSpikeEncoder
from neurocompile.codecs.spike_steps import Part, bernoulli, even_steps, poisson_steps, raster
from neurocompile.ir.op import Array

SpikeCode = Literal["poisson", "bernoulli", "deterministic", "burst", "ttfs"]
"""How spikes are laid out; the number of them is the same, in the mean, but for ``ttfs``."""

DRAWN: tuple[SpikeCode, ...] = ("poisson", "bernoulli")
"""Those that depend on a seed."""


def input_spikes(code: SpikeCode, rate: Array, steps: int, refractory: int, seed: int, first: int) -> Array:
    """Give spikes whose numbers tell rates, or whose times tell values.

    ``poisson``: independent of each other but for a pause after each. ``bernoulli``: every step is drawn by
    itself. ``deterministic``: at even distances. ``burst``: one after another, from the first step on. ``ttfs``:
    one spike, in the step ``(T - 1) * (1 - rate)``, to the nearest, and none for 0.

    Parameters
    ----------
    code
        Of the spikes.
    rate
        Spikes for each step, the pauses counted in: ``(B, N)``, from 0 to ``1 / (1 + refractory)``.
    steps
        T. Fewer steps have the same Poisson spikes.
    refractory
        So many steps after each spike of ``poisson`` there is none.
    seed
        Of what is drawn. Each image has a generator of its own, so the spikes do not depend on how images are
        grouped.
    first
        The index of the first image in the data set.

    Returns
    -------
    Array
        ``(B, T, N)``, ``bool``.
    """
    images, neurons = rate.shape
    if code == "burst":
        encoder = BurstEncoder(
            num_steps=steps, max_spikes=steps, isi_min_ms=1.0, isi_max_ms=1.0, normalization="none"
        )
        spikes: Array = encoder(rate).spikes
        return spikes
    if code == "ttfs":
        once = TimeToFirstSpikeEncoder(num_steps=steps, normalization="none", allow_no_spike=True)
        first_spikes: Array = once(rate).spikes
        return first_spikes
    if code == "deterministic":
        evenly: Array = raster(even_steps(rate.reshape(-1), steps, 0), (images, steps, neurons))
        return evenly
    drawn = np.empty((images, steps, neurons), np.bool_)
    for i, row in enumerate(rate):
        draws = NumpyDraws(np.random.default_rng([seed, first + i]))
        if code == "bernoulli":
            drawn[i] = bernoulli(row[None], steps, draws)[0]
        elif row.any():
            drawn[i] = raster(_poisson(row, steps, refractory, draws), (1, steps, neurons))[0]
        else:
            drawn[i] = False
    return drawn


def _poisson(rate: Array, steps: int, refractory: int, draws: NumpyDraws) -> Iterator[Part]:
    # A step that is not in a pause has to fire more often, for the rate to be right with the pauses.
    ready = rate / (1 - rate * refractory)
    active = np.flatnonzero(ready > 0)
    for part in poisson_steps(np.minimum(ready[active], 1), steps, refractory, draws, prefix=True):
        yield Part(part.steps, active)
