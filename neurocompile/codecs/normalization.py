"""From values to shares of [0, 1], which codes need.

``minmax`` looks at each sample by itself unless it is told otherwise: the spikes of a sample do not then depend on
which others are in its batch, and evaluation one by one gives what evaluation by batches gives. What it loses is
how samples compare; whoever needs that gives the range of the data set with ``clamp``, or ``scope="batch"``. A
sample, or a batch, all of whose values are equal has no contrast, and becomes zeros; one of a single value can't
have any, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurocompile.codecs.arrays import Array, namespace
from neurocompile.codecs.config import Normalization, Scope
from neurocompile.errors import DataError


@dataclass(frozen=True, eq=False)
class NormalizationStats:
    """What a decoder needs to turn shares back into values.

    Parameters
    ----------
    kind
        ``none``, ``minmax``, ``sigmoid`` or ``clamp``.
    low, high
        What 0 and 1 stand for, ``(B, 1)``; for ``sigmoid`` the values are the shares' logits.
    """

    kind: Normalization
    low: Array
    high: Array

    def restore(self, share: Array) -> Array:
        """Return the values ``(B, N)`` that shares ``(B, N)`` stand for.

        A share of 0 or 1 has no logit; it is taken for the nearest that single precision tells from it.
        """
        if self.kind == "sigmoid":
            xp = namespace(share)
            # 2 ** -24 is half the distance of 1 and the float32 before it.
            share = share.clip(2.0**-24, 1 - 2.0**-24)
            return xp.log(share / (1 - share))
        # A range may be wider than the largest float, its halves are not.
        return self.low * (1 - share) + self.high * share


def normalize(
    x: Array, kind: Normalization, scope: Scope = "sample", input_range: tuple[float, float] = (0.0, 1.0)
) -> tuple[Array, NormalizationStats]:
    """Turn values into shares of [0, 1].

    Parameters
    ----------
    x
        ``(B, N)``, finite.
    kind
        ``none`` takes ``input_range`` for [0, 1] and refuses values outside of it; ``clamp`` clips them;
        ``minmax`` takes the smallest and largest value; ``sigmoid`` is the logistic function.
    scope
        Whether ``minmax`` takes them of each sample or of the batch.
    input_range
        Of ``none`` and ``clamp``.

    Returns
    -------
    tuple[Array, NormalizationStats]
        ``(B, N)``, and what turns it back.

    Raises
    ------
    DataError
        If the values are outside of the range and ``kind`` is ``none``, or ``minmax`` has one value alone.
    """
    xp = namespace(x)
    low, high = input_range
    if kind == "sigmoid":
        zero = xp.zeros_like(x[:, :1])
        # By the hyperbolic tangent, no value overflows.
        return 0.5 + 0.5 * xp.tanh(0.5 * x), NormalizationStats(kind, zero, zero + 1)
    if kind == "minmax":
        if (x.shape[1] if scope == "sample" else x.shape[0] * x.shape[1]) == 1:
            raise DataError(
                f"a {scope} of one value, of which 'minmax' makes 0 whatever it is",
                remedy="give values in [0, 1] without normalizing them, or normalize by their range ('clamp')",
            )
        axis = 1 if scope == "sample" else None
        floor, ceiling = xp.min(x, axis=axis, keepdims=True), xp.max(x, axis=axis, keepdims=True)
        if scope == "batch":
            floor, ceiling = (xp.zeros_like(x[:, :1]) + bound for bound in (floor, ceiling))
        return _share(x, floor, ceiling), NormalizationStats(kind, floor, ceiling)
    if kind == "none" and not bool(xp.all((x >= low) & (x <= high))):
        raise DataError(
            f"values from {float(xp.min(x)):g} to {float(xp.max(x)):g} are not all in [{low:g}, {high:g}]",
            remedy="normalize them ('minmax', 'sigmoid', 'clamp'), or give their range",
        )
    floor = xp.full_like(x[:, :1], low)
    ceiling = xp.full_like(x[:, :1], high)
    return _share(x.clip(low, high), floor, ceiling), NormalizationStats(kind, floor, ceiling)


def _share(x: Array, floor: Array, ceiling: Array) -> Array:
    xp = namespace(x)
    large = xp.finfo(x.dtype).max / 2
    if bool(xp.any((floor < -large) | (ceiling > large))):
        # The widest range is wider than the largest float; its halves are not.
        x, floor, ceiling = x / 2, floor / 2, ceiling / 2
    span = ceiling - floor
    return (x - floor) / xp.where(span == 0, 1.0, span)
