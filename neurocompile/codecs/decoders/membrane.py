"""Decoding by membranes, for outputs that spike seldom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocompile.codecs.arrays import Array, admit, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import MembraneMode
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.readings import at_last_step, membranes
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


@dataclass(frozen=True)
class MembraneDecoder(Decoder):
    """Scores an output by its membrane potential.

    Parameters
    ----------
    temperature
        As ``Decoder`` has it.
    mode
        Whether the membrane at the last step counts or the highest of all steps.
    tau_mem
        If no membrane is given, the decoder integrates the spikes itself, each 1, with this time constant in
        steps; None leaks nothing.
    """

    mode: MembraneMode = "final"
    tau_mem: float | None = None

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.positive(tau_mem=self.tau_mem)

    def scores(  # noqa: D102
        self, spikes: Array, batch: SpikeBatch, membrane: Array | None
    ) -> tuple[Array, dict[str, Any]]:
        xp = namespace(spikes)
        trace = membranes(spikes, self.tau_mem) if membrane is None else _admitted(membrane, batch)
        if self.mode == "final":
            return at_last_step(trace, batch.mask), {}
        valid = batch.mask[:, :, None]
        highest = xp.max(xp.where(valid, trace, -math.inf), axis=1)
        # A sample without steps has no highest.
        return xp.where(xp.any(valid, axis=1), highest, xp.zeros_like(highest)), {}


def _admitted(membrane: Array, batch: SpikeBatch) -> Array:
    """Check a membrane, and put 0 into the padding, where anything may be."""
    xp = namespace(membrane, batch.spikes)
    if membrane.ndim != 3 or tuple(membrane.shape[:2]) != tuple(batch.mask.shape):
        raise DataError(
            f"the membrane has the shape {list(membrane.shape)}",
            remedy=f"give it as (B, T, C) with the spikes' (B, T), {list(batch.mask.shape)}",
        )
    return admit(xp.where(batch.mask[:, :, None], membrane, xp.zeros_like(membrane)), "the membrane")
