"""Latency codes: a larger value fires earlier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import LatencyMapping
from neurocompile.codecs.encoders.encoder import ValueEncoder
from neurocompile.codecs.spike_steps import Part, raster


@dataclass(frozen=True)
class LatencyMap:
    """From shares to steps and back.

    ======================  ==============================================
    ``linear``              ``t_min + (t_max - t_min) * (1 - x)``
    ``exponential``         ``t_min + tau * log(1 / x)``
    ``log``                 ``t_min + (t_max - t_min) * (1 - log2(1 + x))``
    ======================  ==============================================

    Parameters
    ----------
    mapping
        Which of them.
    t_min, t_max
        The first and the last step.
    tau
        The time constant of ``exponential``, in steps: what it brings beyond ``t_max`` is clipped.
    """

    mapping: LatencyMapping
    t_min: int
    t_max: int
    tau: float

    def steps(self, share: Array) -> Array:
        """Return the times of shares, in steps: not rounded, and those of ``exponential`` not clipped."""
        xp = namespace(share)
        span = self.t_max - self.t_min
        if self.mapping == "linear":
            return self.t_min + span * (1 - share)
        if self.mapping == "log":
            return self.t_min + span * (1 - xp.log1p(share) / math.log(2))
        late = xp.full_like(share, 2.0 * self.t_max + 2)
        return xp.where(share > 0, self.t_min - self.tau * xp.log(xp.where(share > 0, share, 1.0)), late)

    def share(self, steps: Array) -> Array:
        """Return the shares that times stand for."""
        xp = namespace(steps)
        if self.mapping == "exponential":
            return xp.exp((self.t_min - steps) / self.tau)
        linear = 1 - (steps - self.t_min) / max(1, self.t_max - self.t_min)
        return linear if self.mapping == "linear" else xp.expm1(linear * math.log(2))


@dataclass(kw_only=True, eq=False)
class TimeToFirstSpikeEncoder(ValueEncoder):
    """Sends exactly one spike for each value in the window, a larger value's earlier.

    By ``linear`` it is in the step ``(T - 1) * (1 - x)``, to the nearest. ``aux``: ``spike_times``, the steps
    ``(B, N)``, -1 where there is no spike; ``latency_map``.

    Parameters
    ----------
    mapping
        ``linear``, ``exponential`` or ``log``, see ``LatencyMap``.
    t_min, t_max
        The first and the last step with spikes; None is the last of the window.
    tau
        The time constant of ``exponential``, in steps; None is a fifth of ``t_max - t_min``, and a value of 1 %
        of the largest is then the last to be told from 0.
    allow_no_spike
        Whether there is none for 0, and for what ``exponential`` brings beyond ``t_max``; else these have theirs
        at ``t_max``.
    jitter
        The standard deviation of noise on the times in training, in steps.
    """

    mapping: LatencyMapping = "linear"
    t_min: int = 0
    t_max: int | None = None
    tau: float | None = None
    allow_no_spike: bool = False
    jitter: float = 0.0

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(tau=self.tau)
        checks.steps(0, jitter=self.jitter)
        checks.steps_within(self.t_min, self.last_step, self.num_steps)

    @property
    def last_step(self) -> int:
        """The last step with spikes."""
        return self.num_steps - 1 if self.t_max is None else self.t_max

    @property
    def latency_map(self) -> LatencyMap:
        """From shares to steps and back."""
        tau = max(1, self.last_step - self.t_min) / 5 if self.tau is None else self.tau
        return LatencyMap(self.mapping, self.t_min, self.last_step, tau)

    def spike_times(self, share: Array) -> Array:
        """Return the steps of the first spikes, ``(B, N)``, -1 where there is none."""
        xp = namespace(share)
        share = constant(share)
        exact = self.latency_map.steps(share)
        silent = (share <= 0) | (xp.round(exact) > self.last_step)
        if self.jitter and self.training:
            exact = exact + self.jitter * self.draws(share).normal(tuple(share.shape))
        times = xp.astype(xp.round(exact.clip(float(self.t_min), float(self.last_step))), xp.int64)
        return xp.where(silent, -1, times) if self.allow_no_spike else times

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        times = self.spike_times(share)
        first = xp.reshape(xp.where(times < 0, self.num_steps, times), (1, -1))
        spikes = raster(self._parts(first), self.grid(share))
        return spikes, {"spike_times": times, "latency_map": self.latency_map}

    def _parts(self, first: Array) -> list[Part]:
        return [Part(first)]


@dataclass(kw_only=True, eq=False)
class LatencyEncoder(TimeToFirstSpikeEncoder):
    """Sends several spikes for each value, a larger value's earlier.

    The first is that of ``TimeToFirstSpikeEncoder``, and the others follow at equal distances; what is beyond the
    window is left out. ``aux`` is the same.

    Parameters
    ----------
    spikes
        How many for each value.
    interval
        Steps from one to the next.
    """

    mapping: LatencyMapping = "exponential"
    spikes: int = 3
    interval: int = 1

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(spikes=self.spikes)
        checks.steps(1, interval=self.interval)

    def _parts(self, first: Array) -> list[Part]:
        return [Part(first + k * self.interval) for k in range(self.spikes)]
