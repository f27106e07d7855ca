"""How a network is to be compiled."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from neurocompile.checks import choice_issues
from neurocompile.errors import DataError, Issue
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.processes import MOST_STEPS, Reset

CodeName = Literal["digit", "graded", "rate"]
CodeChoice = Literal["auto", "digit", "graded", "rate"]
"""The best first: ``auto`` takes the first that the target runs."""

Balance = Literal["max", "percentile", "channel", "mse", "ridge"]
Precision = Literal["float", "int8"]
Encoding = Literal["constant", "poisson", "bernoulli", "deterministic", "burst", "ttfs"]
Decoding = Literal["membrane", "membrane_max", "count", "first_spike"]

MOST_DIGITS = 10
"""Up to so many, sums of real weights are exact, and 24 bits hold a value."""

LEAST_BITS, MOST_BITS = 4, 8

MOST_WAITING_STEPS = 16
"""Of int8: a membrane that waits holds the currents of all steps, in 24 bits."""

_STEPS = {"digit": 8, "graded": 1, "rate": 32}
_BALANCES: dict[str, Balance] = {"digit": "channel", "graded": "mse", "rate": "ridge"}

_MANY_DIGITS = 6
"""With fewer, resolution costs so much that thresholds have to be a compromise of it and of clipping."""

_PERCENTILES = {"digit": 100.0, "graded": 99.9, "rate": 99.9}


@dataclass(frozen=True)
class Options:
    """How a network is to be compiled.

    What is None, and ``auto``, is chosen by ``resolved``.

    Parameters
    ----------
    code
        ``digit``: ternary spikes, each worth half of the one before. ``graded``: one message of several bits.
        ``rate``: a count of spikes. ``auto``: the first of them that the target and the other options take.
    steps
        For which the network runs; the number of digits of ``digit``, and 1 for ``graded``.
    bits
        Of the messages of ``graded``.
    reset
        Of the neurons of ``rate``: ``subtract`` the threshold, or to ``zero``.
    signed
        Whether the neurons of ``rate`` take back what they fired too early, by negative spikes. Where it is None
        they do with ``mse`` and ``ridge``, unless another option keeps them from it.
    wait
        Whether each layer of ``rate`` starts when the one before has finished.
    precision
        ``float``: reals, rounded so that their sums are exact. ``int8``: Loihi's integers.
    encoder
        ``constant`` current, or spikes: ``poisson``, ``bernoulli``, ``deterministic`` or ``burst``, as
        ``ir.processes.input_spikes`` lays them out; or ``ttfs``, one spike whose time tells the value, for
        networks that are then trained to read it.
    decoder
        ``membrane``: what the outputs have accumulated; ``membrane_max``: the most that they had. ``count``:
        spikes of output neurons; ``first_spike``: the earliest of them.
    balance
        How thresholds are chosen: the ``max`` of a layer's activations (Diehl et al. 2015), a ``percentile`` of
        them (Rueckauer et al. 2017), a percentile for each ``channel`` (Kim et al. 2020), by least squares for
        the number of steps (``mse``), or together with weights and biases, layer by layer (``ridge``).
    percentile
        Which, for ``percentile`` and ``channel``.
    refractory
        Steps after a spike of the Poisson encoder without another.
    seed
        Of the encoders that draw.
    target
        What it is compiled for: where ``neurocompile run`` runs it unless told otherwise.

    Raises
    ------
    DataError
        With every option that has no such value, or does not go with another.
    """

    code: CodeChoice = "auto"
    steps: int | None = None
    bits: int = 8
    reset: Reset = "subtract"
    signed: bool | None = None
    wait: bool = False
    precision: Precision = "float"
    encoder: Encoding = "constant"
    decoder: Decoding = "membrane"
    balance: Balance | None = None
    percentile: float | None = None
    refractory: int = 0
    seed: int = 0
    target: str = "numpy"

    def __post_init__(self) -> None:
        issues = list(self._issues())
        if issues:
            raise DataError.of(issues)
        # NumPy's integers are as good, but a deployment file can't hold them.
        for name in ("steps", "bits", "refractory", "seed"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else operator.index(value))

    @property
    def only_rate(self) -> tuple[str, ...]:
        """The options that no code but ``rate`` takes, as they are written on the command line."""
        return tuple(
            text
            for text, chosen in (
                ("--reset zero", self.reset == "zero"),
                ("--signed", bool(self.signed)),
                ("--wait", self.wait),
                (f"--encoder {self.encoder}", self.encoder != "constant"),
                (f"--decoder {self.decoder}", self.decoder != "membrane"),
            )
            if chosen
        )

    def resolved(self, codes: Sequence[str], *, stock: bool = False) -> Options:
        """Choose what was left open.

        Parameters
        ----------
        codes
            Those that the target runs.
        stock
            Whether the target runs stock neurons alone, which take no spikes back.

        Raises
        ------
        DataError
            If the target does not run the code, or one that the other options need, or not with these.
        """
        code = self._chosen(codes)[0] if self.code == "auto" else self.code
        if code not in codes:
            raise DataError(
                f"{self.target} does not run --code {code}", remedy=f"choose one of {', '.join(codes)}"
            )
        issues = list(self._stock_issues(code)) if stock else []
        if issues:
            raise DataError.of(issues)
        steps = self.steps or (MOST_WAITING_STEPS if self.wait else _STEPS[code])
        few = code == "digit" and steps < _MANY_DIGITS and self.percentile is None
        balance = self.balance or ("mse" if few else _BALANCES[code])
        takes_signed = code == "rate" and self.reset == "subtract" and not self.wait and not stock
        return replace(
            self,
            code=code,
            signed=(takes_signed and balance in ("mse", "ridge")) if self.signed is None else self.signed,
            steps=steps,
            balance=balance,
            percentile=_PERCENTILES[code] if self.percentile is None else self.percentile,
        )

    def reason(self, codes: Sequence[str]) -> str:
        """Tell why ``resolved`` takes the code that it takes."""
        return self._chosen(codes)[1] if self.code == "auto" else "as asked for"

    def _chosen(self, codes: Sequence[str]) -> tuple[CodeName, str]:
        if self.only_rate:
            return "rate", f"the only code with {', '.join(self.only_rate)}"
        if self.balance == "ridge":
            return "rate", "the code that --balance ridge is for"
        if "digit" in codes and (self.steps is None or self.steps <= MOST_DIGITS):
            return (
                "digit",
                f"ternary spikes, as exact as messages of 8 bits, and {self.target} runs its neurons",
            )
        if "graded" in codes and self.steps is None:
            return "graded", f"{self.target} runs no digits, and graded changes fewer decisions than rate"
        if self.steps is not None and self.steps > MOST_DIGITS:
            return "rate", f"the only code of {self.steps} steps"
        if self.steps is not None:
            return "rate", f"the only code of {self.steps} steps that {self.target} runs"
        return "rate", f"the only code that {self.target} runs"

    @property
    def spiking_code(self) -> Code:
        """The code that was chosen, of resolved options."""
        assert self.steps is not None
        if self.code == "digit":
            return DigitCode(self.steps)
        if self.code == "graded":
            return GradedCode(self.bits)
        return RateCode(self.steps, self.reset, bool(self.signed), self.wait)

    def _stock_issues(self, code: str) -> Iterator[Issue]:
        if self.signed or self.wait:
            option = "--signed" if self.signed else "--wait"
            problem = f"{self.target} has no neurons for {option}"
            yield Issue(problem, remedy="leave it out, or choose --target lava")
        if self.precision == "float" and self.reset == "subtract":
            problem = f"{self.target} has no neurons for --code {code} in real numbers"
            yield Issue(problem, remedy="choose --precision int8, or --code rate --reset zero")

    def _issues(self) -> Iterator[Issue]:
        yield from choice_issues("code", self.code, (*get_args(CodeName), "auto"))
        yield from choice_issues("reset", self.reset, get_args(Reset))
        yield from choice_issues("precision", self.precision, get_args(Precision))
        yield from choice_issues("encoder", self.encoder, get_args(Encoding))
        yield from choice_issues("decoder", self.decoder, get_args(Decoding))
        if self.balance is not None:
            yield from choice_issues("balance", self.balance, get_args(Balance))
        if self.steps is not None:
            yield from steps_issues(self.steps) or self._code_steps_issues()
        if not _is_whole(self.bits) or not LEAST_BITS <= self.bits <= MOST_BITS:
            span = f"{LEAST_BITS} to {MOST_BITS}"
            yield Issue(f"bits={self.bits} is not in {span}", remedy=f"choose a whole number from {span}")
        if self.percentile is not None and (
            not isinstance(self.percentile, int | float) or not 0 < self.percentile <= 100
        ):
            remedy = "choose a number above 0 and up to 100, such as 99.9"
            yield Issue(f"percentile={self.percentile} is not in (0, 100]", remedy=remedy)
        for name in ("refractory", "seed"):
            value = getattr(self, name)
            if not _is_whole(value) or value < 0:
                remedy = "choose 0 or any larger whole number"
                yield Issue(f"{name}={value} is no whole number from 0", remedy=remedy)
        if not isinstance(self.target, str):
            yield Issue(f"target={self.target!r} is no name", remedy="name a backend, such as numpy or lava")
        if self.code in ("digit", "graded") and self.only_rate:
            problem = f"--code {self.code} does not take {', '.join(self.only_rate)}"
            yield Issue(problem, remedy="choose --code rate, or leave these out")
        if self.code == "digit" and self.balance == "ridge":
            problem = "--balance ridge fits counts and messages, and digits need no more than thresholds"
            yield Issue(problem, remedy="choose --balance channel, or --code rate")
        if self.reset == "zero" and (self.signed or self.wait):
            problem = f"--reset zero does not take {'--signed' if self.signed else '--wait'}"
            yield Issue(problem, remedy="choose --reset subtract")
        if self.wait and self.precision == "int8" and (self.steps or 0) > MOST_WAITING_STEPS:
            problem = f"steps={self.steps}: 24 bits do not hold what so many steps bring to a neuron that waits"
            yield Issue(problem, remedy=f"choose up to {MOST_WAITING_STEPS} steps, or --precision float")
        if self.signed and self.wait:
            problem = "--wait does not take --signed: what has arrived in full needs no correction"
            yield Issue(problem, remedy="leave one of them out")

    def _code_steps_issues(self) -> Iterator[Issue]:
        assert self.steps is not None
        if self.code == "digit" and self.steps > MOST_DIGITS:
            problem = f"steps={self.steps} is more than the {MOST_DIGITS} digits of --code digit"
            yield Issue(problem, remedy=f"choose up to {MOST_DIGITS} steps, or --code rate")
        if self.code == "graded" and self.steps != 1:
            problem = f"steps={self.steps}: --code graded sends one message"
            yield Issue(problem, remedy="leave the steps out, and choose --bits")


def steps_issues(steps: int) -> list[Issue]:
    """List what is wrong with a number of time steps."""
    if _is_whole(steps) and 1 <= steps <= MOST_STEPS:
        return []
    span = f"1 to {MOST_STEPS}"
    return [Issue(f"steps={steps} is not in {span}", remedy=f"choose a whole number from {span}")]


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True
