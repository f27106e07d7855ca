"""Times the Poisson encoder: by intervals, as it does it, and step by step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.processes.input_spikes import input_spikes

VALUES, STEPS, REFRACTORY = 1000, 1000, 20
HERTZ, STEP_MS = 200, 0.1
TURNS = 51


def encoding() -> dict[str, float]:
    """Measure the milliseconds that an image takes, the median of some turns, which both take in one run."""
    generator = np.random.default_rng(0)
    rate = generator.random(VALUES) * HERTZ * STEP_MS / 1e3
    ways: dict[str, Callable[[], Array]] = {
        "intervals": lambda: input_spikes("poisson", rate[None], STEPS, REFRACTORY, 0, 0),
        "steps": lambda: _step_by_step(rate, generator),
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, encode in ways.items():
            began = time.process_time()
            encode()
            milliseconds[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(found) for name, found in milliseconds.items()}


def _step_by_step(rate: Array, generator: np.random.Generator) -> Array:
    ready = rate / (1 - rate * REFRACTORY)
    pause, spikes = np.zeros(VALUES, np.int64), np.empty((STEPS, VALUES), np.bool_)
    for fired in spikes:
        np.less(generator.random(VALUES), ready, out=fired)
        fired &= pause <= 0
        pause -= 1
        pause[fired] = REFRACTORY
    return spikes
