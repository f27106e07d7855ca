"""Chooses thresholds that Lava's stock neurons hold."""

from __future__ import annotations

import math

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Node
from neurocompile.ir.fixed_point import STATE_EXPONENT_MAX
from neurocompile.ir.processes import GradedNeurons

_THRESHOLD_MAX = 1024
"""Of neurons whose membrane is never reset, so that 24 bits hold 128 thresholds."""


def stock_unit(unit: Array, neurons: Node) -> Array:
    """Give the next larger unit with which the threshold of a layer is one that stock neurons hold.

    A sigma-delta neuron divides by a power of two, so the threshold is ``levels`` times one. What makes up the
    reset by subtraction of ``ATRLIF`` is half a threshold, so that is a whole number, and not large, since its
    membrane is not reset.

    Parameters
    ----------
    unit
        The part of the threshold that a current of 1 is worth, ``(1,)``; the threshold is a whole number of units.
    neurons
        The layer.

    Raises
    ------
    GraphError
        If one message can bring more thresholds than currents have room for.
    """
    (threshold,) = np.rint(1 / unit).astype(np.int64)
    op = neurons.op
    if isinstance(op, GradedNeurons):
        if threshold < op.levels:
            raise GraphError(
                "messages can bring more thresholds at once than 24 bits have room for",
                neurons.name,
                type(op).__name__,
                "choose fewer --bits, or --target lava",
            )
        exponent = min(math.floor(math.log2(threshold / op.levels)), STATE_EXPONENT_MAX)
        return np.array([1 / (op.levels << exponent)])
    return np.array([1 / max(min(threshold, _THRESHOLD_MAX) // 2 * 2, 2)])
