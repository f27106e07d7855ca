"""Phase code: a value is when in a cycle of an oscillation a neuron fires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.encoders.encoder import ValueEncoder
from neurocompile.codecs.spike_steps import Part, raster


@dataclass(kw_only=True, eq=False)
class PhaseCodingEncoder(ValueEncoder):
    """Sends a spike in each cycle, at the phase ``2 pi x`` of it, a step less for the whole of a cycle.

    ``aux``: ``phases`` in radians, ``(B, N)``; ``period_steps``, what a cycle lasts; ``phase_steps``, the steps
    from the phase of 0 to that of 1.

    Parameters
    ----------
    frequency_hz
        Of the oscillation; None is one cycle in the window.
    wrap
        Whether 1 has the phase ``2 pi``, which is the phase 0 of the next cycle, so that nothing tells 1 from 0.
        Otherwise it has the last step of the cycle.
    jitter
        The standard deviation of noise on the times in training, in steps; spikes stay in their cycles.
    """

    frequency_hz: float | None = None
    wrap: bool = False
    jitter: float = 0.0

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(frequency_hz=self.frequency_hz)
        checks.steps(0, jitter=self.jitter)
        if not checks.issues:
            checks.require(
                2 <= self.period_steps <= self.num_steps * (1 + 1e-9),
                f"a cycle has {self.period_steps:g} steps, and the window {self.num_steps}",
                "cycles of at least 2 steps, and a window of at least a cycle",
            )

    @property
    def period_steps(self) -> float:
        """What a cycle lasts, in steps; it need not be whole."""
        return float(self.num_steps) if self.frequency_hz is None else 1000 / (self.frequency_hz * self.dt_ms)

    @property
    def phase_steps(self) -> float:
        """The steps from the phase of 0 to that of 1."""
        return self.period_steps if self.wrap else self.period_steps - 1

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        offset = xp.reshape(xp.astype(constant(share), xp.float64) * self.phase_steps, (1, -1))
        cycles = math.ceil(self.num_steps / self.period_steps)
        starts = [k * self.period_steps for k in range(cycles)]
        parts = [Part(xp.astype(xp.round(start + self._noisy(offset)), xp.int64)) for start in starts]
        spikes = raster(parts, self.grid(share))
        phases = share * (2 * math.pi * self.phase_steps / self.period_steps)
        aux = {"phases": phases, "period_steps": self.period_steps, "phase_steps": self.phase_steps}
        return spikes, aux

    def _noisy(self, offset: Array) -> Array:
        if not (self.jitter and self.training):
            return offset
        noise = self.jitter * self.draws(offset).normal(tuple(offset.shape))
        return (offset + noise).clip(0.0, float(self.phase_steps))
