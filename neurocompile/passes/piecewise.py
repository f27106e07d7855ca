"""Fits straight lines to a curve: as few as an error allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.ir import Array

Curve = Callable[[Array], Array]
"""From values ``(n,)`` to values ``(n,)``."""

_CELLS = 1 << 10
"""Of the grid on which lines may bend."""

_FINER = 8
"""Times as fine is this grid in cells where the curve itself bends sharply."""

_SHARP = 1 / 16
"""Of the tolerance: a curve that is farther from a straight line within a cell bends sharply there."""

_SHARES = (1.0, 0.9, 0.7, 0.4)
"""Of the tolerance, in turn: the next where a curve's sharp bend between two places of the grid takes it all."""

_ROUNDING = 1e-4
"""Of the tolerance: by so much more than allowed an error may come out where values are large."""

_HALVINGS = 10
"""Of the error, in search of the smallest that as few pieces reach."""

_STARTS = np.linspace(-1, 1, 5)
"""Where the first piece may start, in errors from the curve."""

_EVENLY = 0.01
"""Of a sample's weight, spread over the whole range: pieces in which the sample has no values need some too."""

_BEYOND = 0.5
"""Of the range: as far outside of it is looked at whether a curve goes on."""

_CONSTANT = 2.0**-24
"""Of its size: a curve that rises and falls by less is constant in float32, in which networks are computed."""

_NOISE = 1e-12
"""Of its inputs: a curve that rises and falls by less is 0 but for rounding."""


@dataclass(frozen=True)
class Ramp:
    """``height * min(max(direction * (x - start) / width, 0), 1)``: 0 on one side of its start, and clipped.

    Parameters
    ----------
    start
        The value from which it leads away.
    direction
        1 to larger values, -1 to smaller ones.
    width
        The distance from its start in which it was fitted.
    height
        What it adds at that distance.
    clipped
        Whether it stays there; otherwise it goes on.
    """

    start: float
    direction: float
    width: float
    height: float
    clipped: bool


@dataclass(frozen=True)
class Piecewise:
    """A continuous function of straight lines: ``base + slope * x`` and ramps.

    Ramps lead away from the end of a line that is nearest to 0, to both sides of it: around 0, where most of a
    network's values are, few of them are above 0, and few spikes stand for a value.
    """

    base: float
    slope: float = 0.0
    ramps: tuple[Ramp, ...] = ()

    def __call__(self, x: Array) -> Array:
        """Compute it for any values."""
        y: Array = self.base + self.slope * x
        for ramp in self.ramps:
            share = ramp.direction * (x - ramp.start) / ramp.width
            y = y + ramp.height * np.clip(share, 0, 1 if ramp.clipped else np.inf)
        return y


@dataclass(frozen=True)
class Fit:
    """Straight lines, and how far the curve is from them.

    Parameters
    ----------
    lines
        The function that was fitted.
    error
        The largest over the range.
    relative_error
        The same, relative to the difference between the curve's largest value in the range and its smallest.
    """

    lines: Piecewise
    error: float
    relative_error: float


def fit(curve: Curve, low: float, high: float, tolerance: float, sample: Array | None = None) -> Fit:
    """Fit as few ramps as can be found for a tolerance.

    With so many the largest error is made about as small as it can be. With a sample the mean square error over
    its values is made small instead, as far as the tolerance allows: what the next layer receives is a sum over
    many values, to which a single large error matters less than one that all have in common.

    Parameters
    ----------
    curve
        A function. One that jumps is fitted by a steep ramp, and its largest error is that of places at the jump.
    low, high
        The range in which it is fitted.
    tolerance
        The largest error, relative to the difference between the largest value and the smallest.
    sample
        Values in the range ``(n,)``, as many of them as there are where.

    Raises
    ------
    GraphError
        If the curve is not finite everywhere in the range.
    """
    # The error is measured between the places where lines may bend too.
    x = np.linspace(low, high, 2 * _CELLS * _FINER + 1)
    y = _evaluate(curve, x)
    if not np.isfinite(y).all():
        raise GraphError(f"is not finite for every input from {low:.6g} to {high:.6g}")
    span = float(np.ptp(y))
    if span <= max(_CONSTANT * float(np.abs(y).max()), _NOISE * max(abs(low), abs(high))):
        return Fit(Piecewise(float(y.mean())), span, 0.0)
    below = _goes_on(curve, x[1::-1], y[1::-1], _BEYOND * (low - high))
    above = _goes_on(curve, x[-2:], y[-2:], _BEYOND * (high - low))
    largest = tolerance * span
    grid = _grid(x[::2], y[::2], _SHARP * largest)
    found = []
    for share in _SHARES:
        bends = _smallest_error(*grid, share * largest, (not below, not above))
        places, heights = bends if sample is None else _nearest(curve, sample, *bends, x, y, largest)
        lines = _lead_away(places, heights, below, above)
        error = float(np.abs(lines(x) - y).max())
        found.append(Fit(lines, error, error / span))
        if error <= (1 + _ROUNDING) * largest:
            return found[-1]
    # At a jump no lines are within the tolerance.
    return found[0]


def _evaluate(curve: Curve, x: Array) -> Array:
    # What a curve is not defined for is seen in its values.
    with np.errstate(all="ignore"):
        return curve(x)


def _grid(x: Array, y: Array, sharp: float) -> tuple[Array, Array]:
    """Choose one place in so many, and all in cells with a sharp bend."""
    straight = np.interp(x, x[::_FINER], y[::_FINER])
    cells = (np.abs(y - straight) > sharp)[:-1].reshape(-1, _FINER).any(axis=1)
    chosen = np.append(np.repeat(cells, _FINER), True)
    chosen[::_FINER] = True
    return x[chosen], y[chosen]


def _goes_on(curve: Curve, x: Array, y: Array, width: float) -> bool:
    """Tell whether a curve beyond the last of two places is nearer to the line through both than to a constant."""
    distance = np.linspace(0, width, 65)
    rise = _evaluate(curve, x[1] + distance) - y[1]
    with np.errstate(all="ignore"):
        errors = [float(np.abs(rise - slope * distance).max()) for slope in ((y[1] - y[0]) / (x[1] - x[0]), 0.0)]
    return errors[0] < errors[1]


Bends = tuple[Array, Array]
"""Of a line: their places, the two ends among them, and their heights."""


def _smallest_error(x: Array, y: Array, error: float, level: tuple[bool, bool]) -> Bends:
    """Find few sloping pieces within an error of a curve, and about the smallest error that so few can keep.

    Parameters
    ----------
    level
        Whether a level piece may stand for the curve at its two ends.
    """
    best = _fewest(x, y, error, level)
    too_small = 0.0
    for _ in range(_HALVINGS):
        middle = (too_small + error) / 2
        found = _fewest(x, y, middle, level)
        if _sloping(found) <= _sloping(best):
            best, error = found, middle
        else:
            too_small = middle
    return best


def _fewest(x: Array, y: Array, error: float, level: tuple[bool, bool]) -> Bends:
    found = []
    for start in _STARTS:
        found += [_draw(x, y, error, start, (first, level[1])) for first in {False, level[0]}]
        mirrored = [_draw(-x[::-1], y[::-1], error, start, (first, level[0])) for first in {False, level[1]}]
        found += [(-places[::-1], values[::-1]) for places, values in mirrored]
    return min(found, key=_sloping)


def _sloping(bends: Bends) -> int:
    return int(np.count_nonzero(np.diff(bends[1])))


def _draw(x: Array, y: Array, error: float, start: float, level: tuple[bool, bool]) -> Bends:
    """Draw each piece as far as any can go from the end of the last (swing filter, Elmeleegy et al. 2009).

    A piece has to end where the curve bends away from it, up or down, and the slope taken is the one nearest to
    that side. Where the curve bends one way, the pieces then end at the tolerance on one side of it and touch the
    tolerance on the other side in between, which is the best that they can do.

    Parameters
    ----------
    start
        Where the first piece starts, in errors from the curve.
    level
        Whether the first piece is level, and whether the last one may be: these cost no ramp.
    """
    value = float(y[0] + start * error)
    at, places, values = 0, [0], [value]
    while at < len(x) - 1:
        distance = x[at + 1 :] - x[at]
        lowest = np.maximum.accumulate((y[at + 1 :] - error - value) / distance)
        highest = np.minimum.accumulate((y[at + 1 :] + error - value) / distance)
        is_level = (lowest <= 0) & (highest >= 0)
        if level[0] and at == 0 and is_level[0]:
            length, slope = _leading(is_level), 0.0
        else:
            length = _leading(lowest <= highest)
            low, high = float(lowest[length - 1]), float(highest[length - 1])
            if length < len(distance):
                slope = high if lowest[length] > high else low
            else:
                slope = 0.0 if level[1] and is_level[-1] else (low + high) / 2
        value += slope * float(distance[length - 1])
        at += length
        places.append(at)
        values.append(value)
    return x[places], np.array(values)


def _leading(true: Array) -> int:
    """Count the values before the first that is false."""
    return len(true) if true.all() else int(np.argmin(true))


def _nearest(
    curve: Curve, sample: Array, places: Array, heights: Array, x: Array, y: Array, largest: float
) -> Bends:
    """Move bends up or down towards the least mean square error, as far as the largest error on a grid allows."""
    # Level pieces stay so: both of their ends are one unknown.
    unknown = np.cumsum(np.diff(heights, prepend=heights[0]) != 0)
    unknowns = np.eye(unknown[-1] + 1)[:, unknown]
    on_sample = np.stack([np.interp(sample, places, unit) for unit in unknowns], axis=1)
    on_grid = np.stack([np.interp(x, places, unit) for unit in unknowns], axis=1)
    evenly = np.sqrt(_EVENLY * len(sample) / len(x))
    best, *_ = np.linalg.lstsq(
        np.concatenate([on_sample, evenly * on_grid]),
        np.concatenate([_evaluate(curve, sample), evenly * y]),
        rcond=None,
    )
    moved = best @ unknowns - heights
    change, error = np.interp(x, places, moved), np.interp(x, places, heights) - y
    room = np.maximum(largest - np.sign(change) * error, 0)
    with np.errstate(over="ignore"):
        shares = room[change != 0] / np.abs(change[change != 0])
    return places, heights + moved * (1 - _ROUNDING) * shares.min(initial=1.0)


def _lead_away(places: Array, heights: Array, below: bool, above: bool) -> Piecewise:
    """Make ramps of the pieces of a line; the outermost go on where the curve does.

    Parameters
    ----------
    below, above
        Whether the curve goes on beyond its ends.
    """
    slopes = np.diff(heights) / np.diff(places)
    if len(slopes) == 1 and below and above:
        return Piecewise(float(heights[0] - slopes[0] * places[0]), float(slopes[0]))
    # A piece that goes on to a side has to be a ramp to that side.
    candidates = range(int(below), len(places) - int(above))
    middle = min(candidates, key=lambda i: abs(float(places[i])))
    ramps = []
    for i in range(len(slopes)):
        start, end = (i, i + 1) if i >= middle else (i + 1, i)
        goes_on = (below and i == 0) or (above and i == len(slopes) - 1)
        height, width = float(heights[end] - heights[start]), float(places[end] - places[start])
        if height:
            direction = float(np.sign(width))
            ramps.append(Ramp(float(places[start]), direction, abs(width), height, not goes_on))
    return Piecewise(float(heights[middle]), 0.0, tuple(ramps))
