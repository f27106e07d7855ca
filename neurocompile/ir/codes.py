"""How values are coded in spikes: a code fixes the neurons, and how encoder, pools and decoder read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from neurocompile.ir.op import Array
from neurocompile.ir.processes import DigitNeurons, GradedNeurons, IntegrateAndFire, Neurons, Reset

_ONE = np.array(1.0)

_AHEAD = 3
"""Digits of the input that are at hand before one is decided on."""


class Code(ABC):
    """How a value from 0 to 1 becomes spikes.

    Every code has the same form: in each step each neuron sends a number, and the value is their sum, each worth
    ``radix`` times the next one.
    """

    radix: ClassVar[int] = 1
    """How much more a spike is worth than one a step later."""

    steps: int
    """For which a network runs."""

    @property
    def message(self) -> float:
        """What a 1 is worth in thresholds, as a current."""
        return 1.0

    @property
    def highest(self) -> float:
        """The largest value that can be sent, in thresholds."""
        return 1.0

    @property
    @abstractmethod
    def resolution(self) -> float:
        """The distance of the values that can be sent, in thresholds."""

    def rounded(self, values: Array) -> Array:
        """Give the nearest values in thresholds that can be sent."""
        nearest = np.floor(np.clip(values, 0, self.highest) / self.resolution + 0.5) * self.resolution
        return np.minimum(nearest, self.highest)

    @abstractmethod
    def neurons(self, bias: Array, start: Array | None = None) -> Neurons:
        """Give neurons with the threshold 1.

        Parameters
        ----------
        bias
            Broadcasts against one image.
        start
            Where membranes start, in thresholds, for neurons that can choose it; None for the usual.
        """


@dataclass(frozen=True)
class RateCode(Code):
    """A value is the number of spikes, out of as many as there are steps.

    Parameters
    ----------
    steps
        T.
    reset
        Of the neurons: ``subtract`` the threshold, or to ``zero``.
    signed
        Whether neurons take back what they fired too early.
    wait
        Whether a layer starts when the one before has finished.
    """

    steps: int
    reset: Reset = "subtract"
    signed: bool = False
    wait: bool = False

    @property
    def resolution(self) -> float:  # noqa: D102
        return 1 / self.steps

    def neurons(self, bias: Array, start: Array | None = None) -> IntegrateAndFire:  # noqa: D102
        # Half a threshold to start with rounds the count of spikes to the nearest instead of down (Bu et al.
        # 2022). A reset to zero throws away what is left, so there it only adds spikes.
        if start is None or self.reset == "zero":
            start = np.array(0.5 if self.reset == "subtract" else 0.0)
        return IntegrateAndFire(bias, _ONE, start, self.reset, self.signed, self.wait)


@dataclass(frozen=True)
class DigitCode(Code):
    """A value is a row of binary digits, the highest first, some of them negative.

    Parameters
    ----------
    steps
        The number of digits.
    """

    radix: ClassVar[int] = 2
    steps: int

    @property
    def highest(self) -> float:  # noqa: D102
        return 1 - self.resolution

    @property
    def resolution(self) -> float:  # noqa: D102
        return 2.0**-self.steps

    def neurons(self, bias: Array, start: Array | None = None) -> DigitNeurons:  # noqa: D102, ARG002
        return DigitNeurons(bias, _ONE, _AHEAD)


@dataclass(frozen=True)
class GradedCode(Code):
    """A value is one message of several bits.

    Parameters
    ----------
    bits
        Of a message.
    """

    bits: int
    steps: int = field(default=1, init=False)

    @property
    def levels(self) -> int:
        """The message that stands for the threshold."""
        return (1 << self.bits) - 1

    @property
    def message(self) -> float:  # noqa: D102
        return 1 / self.levels

    @property
    def resolution(self) -> float:  # noqa: D102
        return 1 / self.levels

    def neurons(self, bias: Array, start: Array | None = None) -> GradedNeurons:  # noqa: D102, ARG002
        return GradedNeurons(bias, _ONE, self.levels)
