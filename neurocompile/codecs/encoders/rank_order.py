"""Rank-order code: channels fire in the order of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import array_api_compat

from neurocompile.codecs.arrays import Array, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.encoders.encoder import ValueEncoder
from neurocompile.codecs.spike_steps import Part, raster
from neurocompile.errors import DataError


@dataclass(kw_only=True, eq=False)
class RankOrderEncoder(ValueEncoder):
    """Sends one spike for each channel, the largest first, at a fixed distance (Thorpe and Gautrais 1998).

    Equal values fire in the order of their channels. ``aux``: ``rank_order``, the channels of a sample from the
    first to the last, flattened; ``ranks``, each channel's place from 0 on, and ``spike_times``, its step or -1
    where there is no spike, both ``(B, N)``.

    Parameters
    ----------
    interval
        Steps from one spike to the next.
    first
        How many channels fire, the others being too late to count; None is all.
    """

    _shapeless: ClassVar[tuple[str, ...]] = ("rank_order",)
    interval: int = 1
    first: int | None = None

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.steps(1, interval=self.interval)
        checks.positive(first=self.first)
        checks.require(
            ((self.first or 1) - 1) * self.interval < self.num_steps,
            f"the first {self.first} spikes, {self.interval} steps apart, do not fit {self.num_steps} steps",
            "fewer spikes or more steps",
        )

    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        xp = namespace(share)
        batch, channels = share.shape
        fire = channels if self.first is None else min(self.first, channels)
        if (fire - 1) * self.interval >= self.num_steps:
            raise DataError(
                f"{fire} channels, {self.interval} steps apart, do not fit {self.num_steps} steps",
                op=type(self).__name__,
                remedy=f"a window of at least {(fire - 1) * self.interval + 1} steps, or fewer channels that fire",
            )
        order = xp.astype(xp.argsort(-constant(share), axis=1, stable=True), xp.int64)
        device = array_api_compat.device(share)
        places = xp.arange(channels, dtype=xp.int64, device=device)
        ranks = xp.empty_like(order)
        samples = xp.arange(batch, device=device)[:, None]
        ranks[samples, order] = xp.zeros_like(order) + places
        late = ranks >= fire
        times = ranks * self.interval
        in_window = xp.reshape(xp.where(late, self.num_steps, times), (1, -1))
        spikes = raster([Part(in_window)], self.grid(share))
        times = xp.where(late, -1, times)
        return spikes, {"rank_order": order, "ranks": ranks, "spike_times": times}
