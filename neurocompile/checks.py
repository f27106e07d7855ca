"""Checks of options."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from neurocompile.errors import Issue


def number_issues(
    name: str, value: object, low: float, high: float | None = None, *, above: bool = False, op: str | None = None
) -> Iterator[Issue]:
    """Tell whether an option is a finite number from ``low``, or above it, to ``high``."""
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        # No integer is too large for this, as it may be for math.isfinite.
        and -math.inf < value < math.inf
        and (value > low if above else value >= low)
        and (high is None or value <= high)
    )
    if not fits:
        span = f"{'above' if above else 'from'} {low:g}" + ("" if high is None else f" to {high:g}")
        yield Issue(f"{name}={value!r} is no number {span}", op=op, remedy=f"choose a number {span}")


def whole_issues(name: str, value: object, *, least: int = 1, op: str | None = None) -> Iterator[Issue]:
    """Tell whether an option is a whole number from 1, or another least one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        problem = f"{name}={value!r} is no whole number from {least}"
        yield Issue(problem, op=op, remedy=f"choose a whole number from {least}")


def choice_issues(name: str, value: object, choices: Sequence[str], *, op: str | None = None) -> Iterator[Issue]:
    """Tell whether an option is one of several words."""
    if value not in choices:
        yield Issue(f"{name}={value!r} is no choice", op=op, remedy=f"choose one of {', '.join(choices)}")
