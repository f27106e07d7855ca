"""Whether a confidence is the share of decisions that are right, and how to make it so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.checks import whole_issues
from neurocompile.codecs.arrays import as_numpy
from neurocompile.errors import DataError, Issue

_WIDEST = 1e6


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature at which the softmax of the logits fits the labels best.

    It minimises the negative log-likelihood (Guo, C. et al. (2017). On calibration of modern neural networks),
    which as a function of the inverse of the temperature is convex.

    Parameters
    ----------
    logits
        ``(B, C)``, of a decoder at temperature 1.
    labels
        ``(B,)``, whole numbers below C.

    Returns
    -------
    float
        From 1e-6 to 1e6: so low that no probability but 1 is left where logits decide everything right, and 1e6
        where they tell nothing.

    Raises
    ------
    DataError
        If the shapes do not fit, the logits are not finite, or a label is none of the outputs.
    """
    scores, truth = as_numpy(logits).astype(np.float64), as_numpy(labels)
    issues = []
    if scores.ndim != 2 or scores.size == 0:
        issues.append(Issue(f"the logits have the shape {list(scores.shape)}", remedy="give them as (B, C)"))
    elif truth.shape != (len(scores),):
        issues.append(Issue(f"there are {len(scores)} logits, and the labels have the shape {list(truth.shape)}"))
    elif truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= scores.shape[1]:
        issues.append(Issue(f"the labels are not whole numbers from 0 to {scores.shape[1] - 1}"))
    if not np.isfinite(scores).all():
        issues.append(Issue("the logits are not all finite"))
    if issues:
        raise DataError.of(issues)
    scores = scores - scores.max(axis=1, keepdims=True)
    right = scores[np.arange(len(scores)), truth]

    def slope(inverse: float) -> float:
        weights = np.exp(inverse * scores)
        expected = np.sum(weights * scores, axis=1) / np.sum(weights, axis=1)
        return float(np.sum(expected - right))

    low, high = np.log(1 / _WIDEST), np.log(_WIDEST)
    # Each halves what is left of the 28 that the logarithm spans, until it is known to 1e-9.
    for _ in range(35):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def expected_calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 10) -> float:
    """Give the mean difference of confidence and share of right decisions, over equal ranges of confidence.

    Guo et al. (2017); ranges count by the decisions in them.

    Parameters
    ----------
    confidence
        ``(B,)``, in [0, 1].
    right
        ``(B,)``, ``bool``.
    bins
        How many ranges.

    Raises
    ------
    DataError
        If the shapes differ, there is nothing, a confidence is not in [0, 1], or there are no ranges.
    """
    sure, truth = as_numpy(confidence).astype(np.float64), as_numpy(right).astype(bool)
    issues = list(whole_issues("bins", bins))
    if issues:
        raise DataError.of(issues)
    if sure.ndim != 1 or sure.shape != truth.shape or sure.size == 0:
        raise DataError(
            f"confidences {list(sure.shape)} and decisions {list(truth.shape)} do not make pairs",
            remedy="give both as (N,)",
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        raise DataError("confidences are not all in [0, 1]", remedy="give probabilities")
    where = np.minimum((sure * bins).astype(int), bins - 1)
    excess = np.bincount(where, weights=sure - truth, minlength=bins)
    return float(np.abs(excess).sum() / len(sure))
