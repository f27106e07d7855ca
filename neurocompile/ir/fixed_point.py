"""Loihi's integers, as Lava's fixed-point models compute them.

The widths are those that the port and variable types of ``lava.proc.lif`` and ``lava.proc.dense`` in lava-nc
0.10.0 declare for Loihi (Davies et al. 2018); Lava itself does not enforce them.
"""

from __future__ import annotations

import numpy as np

from neurocompile.ir.op import Array

WEIGHT_MAX = 127
"""Weight mantissas are signed bytes; -128 is left out, so that a sign change is always exact."""

CURRENT_SHIFT = 6
"""A unit of synaptic current is worth ``2 ** 6`` units of the membrane."""

MEMBRANE_BITS = 24
"""Currents wrap around, and membranes saturate, at 24 bits with the sign."""

MEMBRANE_MAX: int = 2 ** (MEMBRANE_BITS - 1) - 1

CURRENT_MAX = 2 ** (MEMBRANE_BITS - 1 - CURRENT_SHIFT) - 1
"""The largest current that does not wrap around."""

THRESHOLD_MAX = 2**17 - 1
"""A threshold is a 17-bit mantissa, worth ``2 ** 6`` units of the membrane."""

BIAS_MANTISSA_MAX = 2**12 - 1
BIAS_EXPONENT_MAX = 7
"""A bias is a mantissa of 13 bits with the sign, times a power of two of 3 bits."""

STATE_EXPONENT_MAX = 7
"""By up to so many bits a sigma-delta neuron shifts its state for a message: Lava gives the number 3 bits."""


def shift(x: Array, exponent: int) -> Array:
    """Multiply integers by a power of two; a negative exponent rounds down, as an arithmetic shift does."""
    return np.left_shift(x, exponent) if exponent >= 0 else np.right_shift(x, -exponent)


def split_bias(bias: Array) -> tuple[Array, Array]:
    """Split membrane units into mantissas and the smallest exponents that hold them.

    Parameters
    ----------
    bias
        Integers of at most ``BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX`` in size.

    Returns
    -------
    mantissa, exponent
        With ``mantissa << exponent`` the value nearest to ``bias`` (rounded down at ties) that the widths allow.
    """
    exponent = np.zeros(np.shape(bias), np.int64)
    mantissa = np.asarray(bias, np.int64)
    for e in range(1, BIAS_EXPONENT_MAX + 1):
        large = np.abs(mantissa) > BIAS_MANTISSA_MAX
        exponent = np.where(large, e, exponent)
        rounded = (np.asarray(bias, np.int64) + (1 << (e - 1)) - 1) >> e
        mantissa = np.where(large, rounded, mantissa)
    return mantissa, exponent


def integrate(v: Array, current: Array, bias: Array | float) -> None:
    """Add a current, which wraps around, and a bias to membranes ``v`` of 32 bits, which saturate, in place."""
    # Shifted left by 8 more bits than the membrane's unit and back, int32 wraps around at 24 bits.
    u = np.left_shift(current, 32 - MEMBRANE_BITS + CURRENT_SHIFT, dtype=np.int32, casting="unsafe")
    np.right_shift(u, 32 - MEMBRANE_BITS, out=u)
    u += np.asarray(bias, np.int32)
    v += u
    np.clip(v, -MEMBRANE_MAX, MEMBRANE_MAX, out=v)
