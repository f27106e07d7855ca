"""How close decoded values are to those that were encoded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.codecs.arrays import as_numpy
from neurocompile.errors import DataError, Issue

Values = npt.NDArray[np.floating]


def mean_squared_error(original: npt.ArrayLike, decoded: npt.ArrayLike) -> float:
    """Give the mean of the squared differences.

    Parameters
    ----------
    original, decoded
        Of one shape, finite.

    Raises
    ------
    DataError
        If the shapes differ, or there is nothing in them, or something that is not finite.
    """
    x, estimate = _checked(original, decoded)
    return float(np.mean((x - estimate) ** 2))


def r2(original: npt.ArrayLike, decoded: npt.ArrayLike) -> float:
    """Give the coefficient of determination, ``1 - sum((x - x')^2) / sum((x - mean(x))^2)``, over all values.

    Of a constant signal the denominator is 0. Then it is 1 if the decoded values are the same to the precision of
    their floats, and else 0.

    Parameters
    ----------
    original, decoded
        As for `mean_squared_error`.

    Raises
    ------
    DataError
        As `mean_squared_error`.
    """
    x, estimate = _checked(original, decoded)
    if x.min() == x.max():
        return float(np.allclose(x, estimate, rtol=1e-6, atol=1e-6))
    # Scaled first, so that squares of very small or large values neither vanish nor overflow.
    centre = x.mean()
    scale = np.abs(x - centre).max()
    spread = (x - centre) / scale
    residual = (x - estimate) / scale
    return float(1 - np.sum(residual**2) / np.sum(spread**2))


def rank_consistency(original: npt.ArrayLike, decoded: npt.ArrayLike) -> float:
    """Give the share of pairs of different values in a sample that decoding leaves in their order.

    A pair whose decoded values are equal counts as out of order. Without any pair of different values it is 1.

    Parameters
    ----------
    original, decoded
        Shape ``(channels,)`` or ``(B, channels)``; pairs are within a sample.

    Raises
    ------
    DataError
        As `mean_squared_error`.
    """
    x, estimate = _checked(original, decoded)
    kept = pairs = 0
    for values, decoded_values in zip(np.atleast_2d(x), np.atleast_2d(estimate), strict=True):
        order = np.sign(values[:, None] - values)
        pairs += int(np.count_nonzero(order))
        kept += int(np.count_nonzero((order != 0) & (np.sign(decoded_values[:, None] - decoded_values) == order)))
    return kept / pairs if pairs else 1.0


def _checked(original: npt.ArrayLike, decoded: npt.ArrayLike) -> tuple[Values, Values]:
    x, estimate = (as_numpy(values).astype(np.float64) for values in (original, decoded))
    issues = []
    if x.shape != estimate.shape:
        issues.append(Issue(f"{list(x.shape)} values were encoded and {list(estimate.shape)} decoded"))
    elif x.size == 0:
        issues.append(Issue("there are no values"))
    issues += [
        Issue(f"{np.count_nonzero(~np.isfinite(values))} of the {name} values are not finite")
        for name, values in (("original", x), ("decoded", estimate))
        if not np.isfinite(values).all()
    ]
    if issues:
        raise DataError.of(issues)
    return x, estimate
