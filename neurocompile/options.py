"""How a network is to be compiled."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from neurocompile.calibration.ceilings import Calibration, Granularity, Statistic
from neurocompile.errors import DataError, Issue
from neurocompile.ir.processes import MOST_STEPS, EncoderCode, Reset

Precision = Literal["float", "int8"]
Decoding = Literal["membrane", "count"]


@dataclass(frozen=True)
class Options:
    """How a network is to be compiled.

    Parameters
    ----------
    steps
        For which the network runs.
    reset
        Of the neurons: ``subtract`` the threshold, or to ``zero``.
    precision
        ``float``: reals, rounded so that their sums are exact. ``int8``: Loihi's integers.
    encoder
        ``constant`` current, or ``poisson`` spikes.
    decoder
        ``membrane``: what the outputs have accumulated. ``count``: spikes of output neurons.
    calibration
        How thresholds are chosen.
    seed
        Of the Poisson encoder.
    target
        What it is compiled for: where ``neurocompile run`` runs it unless told otherwise.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    steps: int = 64
    reset: Reset = "subtract"
    precision: Precision = "float"
    encoder: EncoderCode = "constant"
    decoder: Decoding = "membrane"
    calibration: Calibration = field(default_factory=Calibration)
    seed: int = 0
    target: str = "numpy"

    def __post_init__(self) -> None:
        issues = list(self._issues())
        if issues:
            raise DataError.of(issues)
        # NumPy's integers are as good, but a deployment file can't hold them.
        object.__setattr__(self, "steps", operator.index(self.steps))
        object.__setattr__(self, "seed", operator.index(self.seed))

    def _issues(self) -> Iterator[Issue]:
        yield from steps_issues(self.steps)
        yield from _choice_issues("reset", self.reset, Reset)
        yield from _choice_issues("precision", self.precision, Precision)
        yield from _choice_issues("encoder", self.encoder, EncoderCode)
        yield from _choice_issues("decoder", self.decoder, Decoding)
        if isinstance(self.calibration, Calibration):
            yield from _choice_issues("calibration.statistic", self.calibration.statistic, Statistic)
            yield from _choice_issues("calibration.granularity", self.calibration.granularity, Granularity)
            percentile = self.calibration.percentile
            if not isinstance(percentile, int | float) or not 0 < percentile <= 100:
                remedy = "choose a number above 0 and up to 100, such as 99.9"
                yield Issue(f"percentile={percentile} is not in (0, 100]", remedy=remedy)
        else:
            yield Issue(f"calibration={self.calibration!r} is no Calibration", remedy="give a Calibration")
        if not _is_whole(self.seed) or self.seed < 0:
            yield Issue(
                f"seed={self.seed} is no whole number from 0", remedy="choose 0 or any larger whole number"
            )
        if not isinstance(self.target, str):
            yield Issue(f"target={self.target!r} is no name", remedy="name a backend, such as numpy or lava")


def steps_issues(steps: int) -> Iterator[Issue]:
    """List what is wrong with a number of time steps."""
    if not _is_whole(steps) or not 1 <= steps <= MOST_STEPS:
        remedy = f"choose a whole number from 1 to {MOST_STEPS}"
        yield Issue(f"steps={steps} is not in 1 to {MOST_STEPS}", remedy=remedy)


def _choice_issues(name: str, value: Any, choices: Any) -> Iterator[Issue]:
    if value not in get_args(choices):
        yield Issue(f"{name}={value!r} is no choice", remedy=f"choose one of {', '.join(get_args(choices))}")


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True
