"""How a network is to be compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from neurocompile.calibration.ceilings import Calibration
from neurocompile.errors import DataError, Issue
from neurocompile.ir.processes import EncoderCode, Reset

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
        issues = []
        if not 1 <= self.steps <= 4096:
            issues.append(Issue(f"steps={self.steps} is not in 1 to 4096"))
        if not 0 < self.calibration.percentile <= 100:
            issues.append(Issue(f"percentile={self.calibration.percentile} is not in (0, 100]"))
        if self.seed < 0:
            issues.append(Issue(f"seed={self.seed} is negative"))
        if issues:
            raise DataError.of(issues)
