"""What the original network answers, as probabilities to learn from."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.processes import Readout

_LEAST = 1e-7
"""Probability: the logarithm of 0 is none."""


def log_probabilities(outputs: Array, readout: Readout, classes: int) -> Array:
    """Turn what the original network gives into the logarithms of probabilities.

    Parameters
    ----------
    outputs
        ``(N, *outputs)``, as its last layer gives them.
    readout
        That layer, as ``Decoder`` names it.
    classes
        C, 2 for a single output.

    Returns
    -------
    Array
        ``(N, C)``, float32.
    """
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    if readout == "argmax":
        scores = np.log(np.clip(np.eye(classes)[flat[:, 0].astype(np.intp)], _LEAST, 1))
    elif readout == "softmax":
        scores = np.log(np.clip(flat, _LEAST, 1))
    elif readout == "sigmoid":
        certain = np.clip(flat, _LEAST, 1 - _LEAST)
        scores = np.log(certain) - np.log1p(-certain)
    else:
        scores = flat
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    scores = scores - scores.max(axis=1, keepdims=True)
    shares: Array = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return shares.astype(np.float32)
