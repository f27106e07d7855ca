"""Decoding of changes."""

from __future__ import annotations

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
        up = self._of(batch, "threshold_up", self.theta_up, spikes)
        down = self._of(batch, "threshold_down", self.theta_down, spikes)
        began = self._of(batch, "reference", 0.0, spikes)
        change = spikes[:, :, :half] * up - spikes[:, :, half:] * down
        signal = xp.cumulative_sum(change, axis=1) + began
        return at_last_step(signal, batch.mask), {"reconstruction": signal}

    def _of(self, batch: SpikeBatch, name: str, default: float, spikes: Array) -> Array:
        """Return what the batch's ``aux`` has, so that it broadcasts against ``(B, T, N)``."""
        value = batch.aux.get(name, default)
        if isinstance(value, (int, float)):
            return float(value)
        value = admit(value, name)
        xp = namespace(value, spikes)
        samples, steps, neurons = spikes.shape
        shape = (samples, 1, neurons // 2) if name == "reference" else (samples, steps, neurons // 2)
        size = shape[0] * shape[1] * shape[2]
        if value.shape[0] != samples or xp.reshape(value, (-1,)).shape[0] != size:
            raise DataError(
                f"{name} has the shape {list(value.shape)}, for {samples} samples of {steps} steps and "
                f"{neurons // 2} values",
                op="DeltaDecoder",
            )
        return xp.astype(xp.reshape(value, shape), spikes.dtype)
