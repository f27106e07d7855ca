"""Rounds weights so that the errors of a sum cancel out."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.fixed_point import WEIGHT_MAX

_DAMPING = 0.001
"""Of the mean of the moments' diagonal: what hardly varies in calibration must not take the others' errors."""


def round_weights(weight: Array, moments: Array) -> tuple[Array, Array]:
    """Round weights to integers one input after another, and let the inputs still to come make up for the error.

    With ``H`` the second moments of the inputs, the error that rounding one weight causes is least if the
    weights not yet rounded change by ``-error / inv(H)[j, j] * inv(H)[j, later]``: optimal brain surgery
    (Hassibi and Stork 1993) in a fixed order, as in GPTQ (Frantar et al. 2023). What is left at the end goes to
    the bias.

    Parameters
    ----------
    weight
        ``(out, in)``, in units of the integers.
    moments
        ``(blocks, size + 1, size + 1)``, as ``second_moments`` measures them for one group.

    Returns
    -------
    weight, bias
        Whole numbers from -127 to 127, and what is to be added to the bias ``(out,)``, in the same units.
    """
    outputs, inputs = weight.shape
    count, size = len(moments), moments.shape[1] - 1
    padded = np.pad(weight, ((0, 0), (0, count * size - inputs))).reshape(outputs, count, size)
    rounded = [_rounded_block(padded[:, i], moments[i]) for i in range(count)]
    whole = np.concatenate([values[:, :size] for values in rounded], axis=1)
    return whole[:, :inputs], np.sum([values[:, size] for values in rounded], axis=0)


def _rounded_block(weight: Array, moments: Array) -> Array:
    """Give the integers ``(out, size)`` of one block, and behind them what is to be added to the bias."""
    inputs = weight.shape[1]
    damped = moments + _DAMPING * float(np.mean(np.diag(moments))) * np.eye(inputs + 1)
    # Large inputs first, while there are many others to make up for their errors; the bias last.
    order = np.append(np.argsort(-np.diag(moments)[:inputs], kind="stable"), inputs)
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    values = np.concatenate([weight, np.zeros((len(weight), 1))], axis=1)[:, order]
    for j in range(inputs):
        rounded = np.clip(np.rint(values[:, j]), -WEIGHT_MAX, WEIGHT_MAX)
        error = (values[:, j] - rounded) / upper[j, j]
        values[:, j] = rounded
        values[:, j + 1 :] -= error[:, None] * upper[j, j + 1 :]
    restored = np.empty_like(values)
    restored[:, order] = values
    return restored


def without_bias(moments: Array) -> Array:
    """Give moments ``(..., size + 1, size + 1)`` with which nothing is left for the bias."""
    alone: Array = moments.copy()
    alone[..., -1, :-1] = alone[..., :-1, -1] = 0
    return alone
