"""Layers of neurons: what they integrate, and what they send."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from neurocompile.ir import fixed_point
from neurocompile.ir.op import Array, TensorType, require, require_broadcast
from neurocompile.ir.processes.process import Process

Reset = Literal["subtract", "zero"]

_N = TypeVar("_N", bound="Neurons")


@dataclass(frozen=True, eq=False)
class Neurons(Process, abstract=True):
    """What layers of neurons have in common.

    In an integer stream a current counts ``2 ** 6`` in the membrane and wraps around at 24 bits, where the
    membrane saturates.

    Parameters
    ----------
    bias, v_threshold
        In membrane units; they broadcast against one image's neurons.
    """

    bias: Array
    v_threshold: Array

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        for values in self._membrane_values():
            require_broadcast(values, shapes[0])
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        kinds = {values.dtype.kind for values in self._membrane_values()}
        require(kinds == {"i" if output.integer else "f"}, f"its parameters do not fit a {output}")
        return output

    @property
    def sends(self) -> np.dtype[np.generic]:
        """The type of the spikes."""
        return np.dtype(np.int8)

    @property
    def largest(self) -> int:
        """The largest spike."""
        return 1

    @abstractmethod
    def lookahead(self, steps: int) -> int:
        """Tell how many steps later than its input a layer starts, of a run of so many steps."""

    @abstractmethod
    def value(self, spikes: Array) -> Array:
        """Give what spikes ``(T, B, *shape)`` stand for ``(B, *shape)``, in thresholds."""

    def received(self, current: Array) -> Array:
        """Give what a current ``(T, B, *shape)`` and the bias stand for, in thresholds: ``(B, *shape)``."""
        scale = 2**fixed_point.CURRENT_SHIFT if self._is_integer else 1
        shares: Array = (current.mean(axis=0) * scale + self.bias) / self.v_threshold
        return shares

    def scaled(self: _N, bias: Array, v_threshold: Array) -> _N:
        """Give the same neurons with another bias and threshold, which may be integers."""
        return replace(self, bias=bias, v_threshold=v_threshold)

    def _membrane_values(self) -> tuple[Array, ...]:
        return self.bias, self.v_threshold

    @property
    def _is_integer(self) -> bool:
        return self.bias.dtype.kind == "i"

    def _membrane(self, current: Array) -> Array:
        """Give a membrane at 0 for what a current ``(T, B, *shape)`` leads to."""
        return np.zeros(current.shape[1:], np.int32 if self._is_integer else np.float64)

    def _in_membrane(self, values: Array) -> Array:
        return values.astype(np.int32) if self._is_integer else values

    def _integrate(self, v: Array, current: Array, bias: Array | float) -> None:
        if self._is_integer:
            fixed_point.integrate(v, current, bias)
        else:
            v += current
            v += bias


@dataclass(frozen=True, eq=False)
class IntegrateAndFire(Neurons):
    """Integrate-and-fire neurons without leak: a value is the number of spikes.

    At each step ``v += current + bias``; where ``v > v_threshold`` the neuron fires, and then either
    ``v -= v_threshold`` (reset by subtraction, Rueckauer et al. 2017) or ``v = 0``.

    Parameters
    ----------
    v_init
        The membrane before the first step; it broadcasts against one image's neurons.
    reset
        ``subtract`` or ``zero``.
    signed
        Whether a neuron that has fired takes a spike back, by one of -1, where its membrane falls below 0 (Wang
        et al. 2022): so it corrects what it fired too early.
    wait
        Whether it first integrates all steps of its input in silence, and then fires for as many.
    """

    v_init: Array
    reset: Reset = "subtract"
    signed: bool = False
    wait: bool = False

    @property
    def sends(self) -> np.dtype[np.generic]:  # noqa: D102
        return np.dtype(np.int8 if self.signed else np.bool_)

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        require(
            not self.signed or self.reset == "subtract", "takes spikes back, which needs a reset by subtraction"
        )
        return super().infer(*inputs)

    def lookahead(self, steps: int) -> int:  # noqa: D102
        return steps - 1 if self.wait else 0

    def value(self, spikes: Array) -> Array:  # noqa: D102
        mean: Array = spikes.mean(axis=0)
        return mean

    def scaled(self, bias: Array, v_threshold: Array) -> IntegrateAndFire:
        """Give the same neurons with another bias and threshold; what they start with grows with the threshold."""
        v_init = self.v_init / self.v_threshold * v_threshold
        if v_threshold.dtype.kind == "i":
            v_init = np.rint(v_init).astype(v_threshold.dtype)
        return replace(self, bias=bias, v_threshold=v_threshold, v_init=v_init)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        (current,) = inputs
        bias, threshold = self._in_membrane(self.bias), self._in_membrane(self.v_threshold)
        v = self._membrane(current)
        v += self._in_membrane(self.v_init)
        spikes = np.empty(current.shape, self.sends)
        sent = np.zeros(v.shape if self.signed else (), np.int16)
        if self.wait:
            for a in current:
                self._integrate(v, a, bias)
        for a, s in zip(current, spikes, strict=True):
            if not self.wait:
                self._integrate(v, a, bias)
            np.greater(v, threshold, out=s)
            if self.signed:
                s -= (v < 0) & (sent > 0)
                sent += s
            if self.reset == "subtract":
                v -= s * threshold
            else:
                v[s] = 0
        return spikes

    def _membrane_values(self) -> tuple[Array, ...]:
        return (*super()._membrane_values(), self.v_init)


@dataclass(frozen=True, eq=False)
class DigitNeurons(Neurons):
    """Neurons that send the binary digits of a value, the highest first, as spikes of -1, 0 and 1.

    The spike of step ``k`` is worth ``2 ** -(k + 1)`` thresholds. A membrane holds what has still to be sent,
    and doubles at every step instead of the spikes growing smaller: ``v = 2 * v + current``. Each layer starts
    ``ahead`` steps after the one before, so that a digit is decided on with the next digits of the input at
    hand, and is then worth ``2 ** ahead`` thresholds of the membrane: where ``v`` is above two thirds of that
    the neuron sends 1, and where it is below minus two thirds, and more than 0 has been sent, -1; either is
    subtracted. What two thirds leave is what the digits still to come can send without two spikes in a row, so
    that the spikes are the fewest (Reitwiesner 1960); the last digit rounds to the nearest, at one half.
    Negative digits also correct what was decided too early. Such codes are known as radix encoding (Wang et al.
    2021); redundant digits, the highest first, are those of online arithmetic (Ercegovac and Lang 2004).

    The membrane starts with twice the bias. An integer membrane saturates, which changes no digit as long as ``2
    ** (ahead + 1)`` thresholds and a current fit into it: one that is so far above 0 or below stays so until the
    end.

    Parameters
    ----------
    ahead
        How many steps later than its input a layer starts, 1 or more.
    """

    ahead: int

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        require(self.ahead >= 1, f"starts {self.ahead} steps late")
        return super().infer(*inputs)

    def lookahead(self, steps: int) -> int:  # noqa: D102, ARG002
        return self.ahead

    def value(self, spikes: Array) -> Array:  # noqa: D102
        total: Array = np.zeros(spikes.shape[1:])
        for s in spikes:
            total = 2 * total + s
        shares: Array = total / (1 << len(spikes))
        return shares

    def received(self, current: Array) -> Array:  # noqa: D102
        scale = 2**fixed_point.CURRENT_SHIFT if self._is_integer else 1
        shares: Array = (self.value(current) * scale + self.bias) / self.v_threshold
        return shares

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        (current,) = inputs
        half = self._in_membrane(self.v_threshold) * 2 ** (self.ahead - 1)
        early = half * 4 // 3 if self._is_integer else half * 4 / 3
        silence = np.zeros_like(current[0])
        v = self._membrane(current)
        v += self._in_membrane(self.bias)
        spikes = np.empty(current.shape, self.sends)
        sent = np.zeros(v.shape, np.int32)
        for k in range(-self.ahead, len(spikes)):
            v *= 2
            received = k + self.ahead
            self._integrate(v, current[received] if received < len(current) else silence, 0)
            if k < 0:
                continue
            s = spikes[k]
            limit = half if k == len(spikes) - 1 else early
            np.greater(v, limit, out=s)
            s -= (v < -limit) & (sent > 0)
            sent *= 2
            sent += s
            v -= 2 * s * half
        return spikes


@dataclass(frozen=True, eq=False)
class GradedNeurons(Neurons):
    """Neurons that send a value in one message: the membrane in parts of the threshold, rounded to the nearest.

    ``message = clip(floor(v * levels / v_threshold + 1 / 2), 0, levels)`` with ``v = current + bias``: Loihi 2's
    spikes carry integers (Orchard et al. 2021).

    Parameters
    ----------
    levels
        The message that stands for the threshold, up to 255.
    """

    levels: int

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        require(1 <= self.levels <= 255, f"has {self.levels} levels")
        require(bool(np.all(self.v_threshold > 0)), "has a threshold that is not above 0")
        return super().infer(*inputs)

    @property
    def sends(self) -> np.dtype[np.generic]:  # noqa: D102
        return np.dtype(np.uint8)

    @property
    def largest(self) -> int:  # noqa: D102
        return self.levels

    def lookahead(self, steps: int) -> int:  # noqa: D102, ARG002
        return 0

    def value(self, spikes: Array) -> Array:  # noqa: D102
        mean: Array = spikes.mean(axis=0)
        return mean / self.levels

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        (current,) = inputs
        bias, threshold = self._in_membrane(self.bias), self._in_membrane(self.v_threshold)
        messages = np.empty(current.shape, self.sends)
        for a, message in zip(current, messages, strict=True):
            v = self._membrane(current)
            self._integrate(v, a, bias)
            if self._is_integer:
                parts = (v.astype(np.int64) * (2 * self.levels) + threshold) // (2 * threshold)
            else:
                parts = np.floor(v * self.levels / threshold + 0.5)
            np.clip(parts, 0, self.levels, out=message, casting="unsafe")
        return messages
