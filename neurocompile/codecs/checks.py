"""Checks of options, which are told all at once."""

from __future__ import annotations

import math
from dataclasses import Field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from neurocompile.checks import number_issues
from neurocompile.errors import DataError, Issue

# Quotients of times that are decimal fractions miss a whole number by a rounding of each, 2 ** -52 of it.
_ROUNDING = 1e-9
#: What options that values are multiplied by or compared with may be at most: single precision holds its products.
LARGEST = 1e30
#: What a window, a pause and noise may have at most, so that 64 bits hold every place on a grid.
MOST_STEPS = 2**31
#: The least that scores are divided by: single precision holds the quotients of counts.
_COLDEST = 1e-20
# PyTorch's generators take no more.
_SEEDS = 2**63


def whole_steps(time_ms: float, dt_ms: float) -> int:
    """Return how many whole steps a time has, 3 for 0.3 ms in steps of 0.1 ms."""
    return math.floor(time_ms / dt_ms * (1 + _ROUNDING))


class Checks:
    """Collects what is wrong with the options of something.

    Parameters
    ----------
    op
        What they are options of.
    """

    def __init__(self, op: str) -> None:
        self.op = op
        self.issues: list[Issue] = []

    def require(self, holds: bool, problem: str, remedy: str | None = None) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.issues.append(Issue(problem, op=self.op, remedy=remedy))

    def positive(self, **values: float | None) -> None:
        """Note each that is not positive and finite; None is left to a default."""
        for name, value in values.items():
            if value is not None:
                self.issues += number_issues(name, value, 0, above=True, op=self.op)

    def not_negative(self, **values: float | None) -> None:
        """Note each that is negative or not finite."""
        for name, value in values.items():
            if value is not None:
                self.issues += number_issues(name, value, 0, op=self.op)

    def steps(self, least: int, **values: float | None) -> None:
        """Note each that is no number of steps from the least to `MOST_STEPS`; None is left to a default."""
        for name, value in values.items():
            if value is not None:
                self.issues += number_issues(name, value, least, MOST_STEPS, op=self.op)

    def countable(self, dt_ms: float, **times: float | None) -> None:
        """Note each finite time that has more than `MOST_STEPS` steps."""
        for name, value in times.items():
            self.require(
                value is None or not 0 < MOST_STEPS * dt_ms < value < math.inf,
                f"{name}={value} has more than {MOST_STEPS} steps of {dt_ms} ms",
                "a shorter time or longer steps",
            )

    def seed(self, seed: int | None) -> None:
        """Note a seed that a generator does not take."""
        self.require(
            seed is None or 0 <= seed < _SEEDS,
            f"seed={seed} is not from 0 to 2**63 - 1",
            "choose a whole number in between",
        )

    def temperature(self, temperature: float) -> None:
        """Note what scores can't be divided by."""
        self.issues += number_issues("temperature", temperature, _COLDEST, LARGEST, op=self.op)

    def range(self, **bounds: tuple[float, float]) -> None:
        """Note each pair that does not ascend, or is beyond what single precision holds with room to spare."""
        for name, (low, high) in bounds.items():
            self.require(
                -LARGEST <= low < high <= LARGEST, f"{name}={[low, high]} does not ascend within 1e30 of 0"
            )

    def steps_within(self, t_min: int, t_max: int, num_steps: int) -> None:
        """Note a first and last step that are not in this order in the window."""
        self.require(
            0 <= t_min <= t_max < num_steps,
            f"t_min={t_min} and t_max={t_max} do not lie in this order within {num_steps} steps",
        )

    def population(self, size: int, centers: str) -> None:
        """Note a number of neurons that centers can't be laid out for."""
        self.positive(population_size=size)
        self.require(
            size != 1 or centers == "uniform",
            "population_size=1: the distance between centers divides by one less than their number",
            "at least 2 neurons, 8 or more for a value to be read back",
        )

    def delta(self, theta_up: float, theta_down: float, adaptation: float, decay: float) -> None:
        """Note thresholds that are not positive, or that grow without end."""
        self.positive(theta_up=theta_up, theta_down=theta_down)
        self.not_negative(adaptation=adaptation)
        self.require(0 <= decay < 1, f"adaptation_decay={decay} is not in [0, 1)")

    def rates(
        self, dt_ms: float, lowest_hz: float, highest_hz: float, refractory_ms: float, counted_in: bool
    ) -> None:
        """Note rates that can't be had with these steps and this pause after each spike.

        Parameters
        ----------
        dt_ms, refractory_ms
            A step, and the pause.
        lowest_hz, highest_hz
            The rates of the values 0 and 1.
        counted_in
            Whether they are rates with the pauses, rather than of a neuron that is ready.
        """
        before = len(self.issues)
        self.positive(dt_ms=dt_ms, max_firing_rate_hz=highest_hz)
        self.not_negative(min_firing_rate_hz=lowest_hz, refractory_period_ms=refractory_ms)
        self.countable(dt_ms, refractory_period_ms=refractory_ms)
        if len(self.issues) > before:
            return
        self.require(
            lowest_hz <= highest_hz,
            f"min_firing_rate_hz={lowest_hz} is above max_firing_rate_hz={highest_hz}",
            "choose a lower one, or a higher highest rate",
        )
        pause = whole_steps(refractory_ms, dt_ms) if counted_in else 0
        limit = 1000 / (dt_ms * (1 + pause))
        after = f" and a refractory period of {refractory_ms} ms" if pause else ""
        self.require(
            highest_hz <= limit * (1 + _ROUNDING),
            f"max_firing_rate_hz={highest_hz} can't be had with steps of {dt_ms} ms{after}",
            f"at most {limit:g} Hz, or shorter {'pauses' if pause else 'steps'}",
        )

    def done(self) -> None:
        """Raise everything that was noted.

        Raises
        ------
        DataError
            If anything was.
        """
        if self.issues:
            raise DataError.of(self.issues)


def fits(value: Any, kind: Any) -> bool:
    """Tell whether a value is of a type, as annotations of options write it."""
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in get_args(kind))
    if origin is tuple:
        parts = get_args(kind)
        if not isinstance(value, tuple):
            return False
        if parts[-1] is Ellipsis:
            return all(fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(fits(*pair) for pair in zip(value, parts, strict=True))
    if kind in (int, float):
        # A bool is an int to Python, and 25 steps are no truth value.
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, NoneType if kind is None else kind)


@cache
def _types(options: type) -> dict[str, Any]:
    """Give the types of a class's options; looking them up takes longer than encoding 1,000 values."""
    return get_type_hints(options)


class CheckedOptions:
    """A dataclass whose fields are options: their types and rules are checked when it is made.

    NumPy's numbers become Python's, which JSON can hold.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __post_init__(self) -> None:
        made: Any = type(self)
        checks = Checks(made.__name__)
        kinds = _types(made)
        for field in fields(self):
            if field.init:
                value, kind = getattr(self, field.name), kinds[field.name]
                if isinstance(value, np.generic):
                    value = value.item()
                    object.__setattr__(self, field.name, value)
                remedy = f"one of {', '.join(get_args(kind))}" if isinstance(value, str) else None
                checks.require(
                    fits(value, kind), f"{field.name}={value!r} is not known or of another type", remedy
                )
        # Rules compare numbers, which they can do only once all are numbers.
        if not checks.issues:
            self._rules(checks)
        checks.done()

    def _rules(self, checks: Checks) -> None:
        """Note what is wrong with options of the right types."""
