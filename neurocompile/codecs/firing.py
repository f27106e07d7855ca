"""From values to probabilities of spikes: the formulas that encoders and decoders have in common."""

from __future__ import annotations

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.config import Tuning

#: Probabilities of 0 and 1 are for what can't be told apart from them in a window.
LEAST = 1e-12


def tuned(away: Array, tuning: Tuning) -> Array:
    """Return the activations of neurons whose centers are so many widths away from a value.

    They are ``exp(-away**2 / 2)`` (``gaussian``) or ``max(0, 1 - abs(away))`` (``triangular``).
    """
    xp = namespace(away)
    return xp.exp(-0.5 * away * away) if tuning == "gaussian" else (1 - xp.abs(away)).clip(0.0, None)


def without_pauses(mean: Array, pause: int) -> Array:
    """Return the probability of a spike in a step without a pause.

    Parameters
    ----------
    mean
        Spikes per step, the pauses counted in.
    pause
        Steps without a spike after each.
    """
    # Rounding may bring the mean above what the pauses allow by a part of 1e7.
    return (mean / (1 - pause * mean).clip(1e-6, None)).clip(0.0, 1.0)
