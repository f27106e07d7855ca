"""Decoding of changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, admit, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.readings import at_last_step
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


@dataclass(frozen=True)
class DeltaDecoder(Decoder):
    """Adds up ON and OFF spikes: ``x[t] = x[t - 1] + theta_up * on[t] - theta_down * off[t]``.

    Neurons are ON in their first half and OFF in the second, as ``DeltaEncoder`` has them.
    ``aux["reconstruction"]`` is the signal ``(B, T, N)``, and the scores are what it ends with. Of the encoder's
    mode ``reference`` it is what the encoder itself compared the signal with: where the signal changes by less
    than a threshold in a step it is within a threshold of it. Of ``difference`` it misses each change below a
    threshold, and of a larger one what is above.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    theta_up, theta_down
        The thresholds, where the batch's ``aux`` has no ``threshold_up`` and ``threshold_down``.
    """

    theta_up: float = 0.1
    theta_down: float = 0.1

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(theta_up=self.theta_up, theta_down=self.theta_down)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        del membrane
        xp = namespace(spikes)
        if spikes.shape[2] % 2:
            raise DataError(
                f"{spikes.shape[2]} neurons are not halves of ON and OFF", op="DeltaDecoder", remedy="give both"
            )
        half = spikes.shape[2] // 2
        began = admit(batch.aux.get("reference", xp.zeros_like(spikes[:, 0, :half])), "reference")
        # Single precision would lose the small changes of a large signal that was encoded in double.
        spikes = xp.astype(spikes, namespace(began, spikes).result_type(began, spikes))
        began = _fitting(began, "reference", spikes, 1)
        steps = spikes.shape[1]
        up = _fitting(batch.aux.get("threshold_up", self.theta_up), "threshold_up", spikes, steps)
        down = _fitting(batch.aux.get("threshold_down", self.theta_down), "threshold_down", spikes, steps)
        change = spikes[:, :, :half] * up - spikes[:, :, half:] * down
        signal = xp.cumulative_sum(change, axis=1) + began
        return at_last_step(signal, batch.mask), {"reconstruction": signal}


def _fitting(value: Array, name: str, spikes: Array, steps: int) -> Array:
    """Return what is known of each value in so many steps, so that it broadcasts against ``(B, T, N)``."""
    value = admit(value, name)
    if value.ndim == 0:
        return float(value)
    xp = namespace(value, spikes)
    shape = (spikes.shape[0], steps, spikes.shape[2] // 2)
    if value.shape[0] != shape[0] or math.prod(value.shape) != math.prod(shape):
        raise DataError(
            f"{name} has the shape {list(value.shape)}, for {shape[0]} samples of {spikes.shape[1]} steps and "
            f"{shape[2]} values",
            op="DeltaDecoder",
            remedy="give what the encoder has put into aux, or leave it out",
        )
    return xp.astype(xp.reshape(value, shape), spikes.dtype)
