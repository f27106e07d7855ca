from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.errors import DataError
from neurocompile.ir.codes import DigitCode, GradedCode, RateCode
from neurocompile.ir.processes import MOST_STEPS
from neurocompile.options import MOST_DIGITS, CodeName, Options, steps_issues

ALL = get_args(CodeName)

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"code": "morse"}, r"code='morse' is no choice.*digit, graded, rate, auto"),
    "reset": ({"reset": "half"}, r"reset='half' is no choice.*subtract, zero"),
    "precision": ({"precision": "int4"}, r"precision='int4' is no choice.*float, int8"),
    "encoder": ({"encoder": "latency"}, r"encoder='latency' is no choice.*constant, poisson"),
    "decoder": ({"decoder": "first"}, r"decoder='first' is no choice.*membrane, membrane_max, count, first_spike"),
    "balance": ({"balance": "mean"}, r"balance='mean' is no choice.*max, percentile, channel, mse, ridge"),
    "no steps": ({"steps": 0}, rf"steps=0 is not in 1 to {MOST_STEPS}"),
    "negative steps": ({"steps": -3}, r"steps=-3 is not in 1 to"),
    "too many steps": ({"steps": MOST_STEPS + 1}, rf"steps={MOST_STEPS + 1} is not in 1 to {MOST_STEPS}"),
    "half a step": ({"steps": 2.5}, r"steps=2\.5 is not in 1 to"),
    "steps as text": ({"steps": "8"}, r"steps=8 is not in 1 to"),
    "too few bits": ({"bits": 3}, r"bits=3 is not in 4 to 8"),
    "too many bits": ({"bits": 9}, r"bits=9 is not in 4 to 8"),
    "bits as text": ({"bits": "8"}, r"bits=8 is not in 4 to 8"),
    "percentile of 0": ({"percentile": 0}, r"percentile=0 is not in \(0, 100\]"),
    "percentile above 100": ({"percentile": 100.1}, r"percentile=100\.1 is not in \(0, 100\]"),
    "percentile that is no number": ({"percentile": float("nan")}, r"percentile=nan is not in"),
    "percentile as text": ({"percentile": "99"}, r"percentile=99 is not in"),
    "negative seed": ({"seed": -1}, r"seed=-1 is no whole number from 0"),
    "half a pause": ({"refractory": 0.5}, r"refractory=0\.5 is no whole number from 0"),
    "half a seed": ({"seed": 0.5}, r"seed=0\.5 is no whole number from 0"),
    "target": ({"target": None}, r"target=None is no name"),
    "too many digits": (
        {"code": "digit", "steps": MOST_DIGITS + 1},
        rf"steps={MOST_DIGITS + 1} is more than the {MOST_DIGITS} digits of --code digit",
    ),
    "a long wait": ({"wait": True, "steps": 17, "precision": "int8"}, r"steps=17: 24 bits do not hold"),
    "fitted digits": ({"code": "digit", "balance": "ridge"}, r"--balance ridge fits counts and messages"),
    "steps of a message": ({"code": "graded", "steps": 2}, r"steps=2: --code graded sends one message"),
    "zero and signed": ({"reset": "zero", "signed": True}, r"--reset zero does not take --signed"),
    "zero and wait": ({"reset": "zero", "wait": True}, r"--reset zero does not take --wait"),
    "signed and wait": ({"signed": True, "wait": True}, r"--wait does not take --signed"),
}

ONLY_RATE: dict[str, dict[str, Any]] = {
    "--reset zero": {"reset": "zero"},
    "--signed": {"signed": True},
    "--wait": {"wait": True},
    "--encoder poisson": {"encoder": "poisson"},
    "--decoder count": {"decoder": "count"},
}


@pytest.mark.parametrize(("given", "problem"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_no_value_or_does_not_go_together(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=f"(?s){problem}") as caught:
        Options(**given)
    assert len(caught.value.issues) == 1
    assert caught.value.issues[0].remedy


@pytest.mark.parametrize("code", ["digit", "graded"])
@pytest.mark.parametrize(("written", "given"), ONLY_RATE.items(), ids=ONLY_RATE)
def test_only_rate_takes_some_options(code: str, written: str, given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"--code {code} does not take {written}"):
        Options(code=code, **given)
    assert Options(code="rate", **given).only_rate == (written,)


def test_tells_of_every_problem_at_once() -> None:
    with pytest.raises(DataError) as caught:
        Options(code="morse", steps=0, bits=1, percentile=-1, seed=-1)  # type: ignore[arg-type]
    problems = [issue.problem.split("=")[0] for issue in caught.value.issues]
    assert problems == ["code", "steps", "bits", "percentile", "seed"]


def test_names_all_that_a_code_does_not_take() -> None:
    with pytest.raises(DataError, match="does not take --reset zero, --encoder poisson, --decoder count"):
        Options(code="digit", reset="zero", encoder="poisson", decoder="count")


@pytest.mark.parametrize(
    "given",
    [
        {"steps": MOST_STEPS},
        {"steps": 1},
        {"code": "digit", "steps": MOST_DIGITS},
        {"code": "digit", "signed": False},
        {"code": "graded", "steps": 1, "bits": 4},
        {"percentile": 100},
        {"reset": "zero", "signed": False},
        {"wait": True, "signed": False},
    ],
    ids=str,
)
def test_takes_what_is_just_in_range(given: dict[str, Any]) -> None:
    options = Options(**given)
    assert {name: getattr(options, name) for name in given} == given


def test_whole_numbers_of_numpy_become_pythons() -> None:
    options = Options(steps=np.int64(4), bits=np.uint8(5), seed=np.int32(3))  # type: ignore[arg-type]
    assert [type(value) for value in (options.steps, options.bits, options.seed)] == [int] * 3


@given(steps=st.integers(-5, 2 * MOST_STEPS))
def test_steps_issues_are_those_out_of_range(steps: int) -> None:
    assert bool(list(steps_issues(steps))) == (not 1 <= steps <= MOST_STEPS)


CHOSEN: list[tuple[dict[str, Any], tuple[str, ...], CodeName, str]] = [
    ({}, ALL, "digit", "ternary spikes, as exact as messages of 8 bits, and numpy runs its neurons"),
    (
        {"steps": MOST_DIGITS},
        ALL,
        "digit",
        "ternary spikes, as exact as messages of 8 bits, and numpy runs its neurons",
    ),
    ({"steps": MOST_DIGITS + 1}, ALL, "rate", f"the only code of {MOST_DIGITS + 1} steps"),
    ({"steps": 32}, ("rate",), "rate", "the only code of 32 steps"),
    ({}, ("rate", "graded"), "graded", "numpy runs no digits, and graded changes fewer decisions than rate"),
    ({}, ("rate",), "rate", "the only code that numpy runs"),
    ({"target": "numpy", "reset": "zero"}, ALL, "rate", "the only code with --reset zero"),
    ({"signed": True, "decoder": "count"}, ALL, "rate", "the only code with --signed, --decoder count"),
    ({"wait": True, "steps": 4}, ALL, "rate", "the only code with --wait"),
    ({"encoder": "poisson"}, ("digit", "rate"), "rate", "the only code with --encoder poisson"),
    ({"code": "rate"}, ALL, "rate", "as asked for"),
    ({"code": "graded"}, ALL, "graded", "as asked for"),
]


@pytest.mark.parametrize(("given", "codes", "code", "reason"), CHOSEN, ids=[str(case[:2]) for case in CHOSEN])
def test_chooses_the_best_code_that_goes_and_tells_why(
    given: dict[str, Any], codes: tuple[str, ...], code: str, reason: str
) -> None:
    options = Options(**given)
    assert (options.resolved(codes).code, options.reason(codes)) == (code, reason)


DEFAULTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"code": "digit"}, {"steps": 8, "balance": "channel", "percentile": 100.0, "signed": False}),
    ({"code": "digit", "steps": 6}, {"balance": "channel"}),
    ({"code": "digit", "steps": 5}, {"balance": "mse"}),
    # A percentile is of no use to least squares.
    ({"code": "digit", "steps": 5, "percentile": 99.9}, {"balance": "channel"}),
    ({"code": "graded"}, {"steps": 1, "balance": "mse", "percentile": 99.9, "signed": False}),
    ({"code": "rate"}, {"steps": 32, "balance": "ridge", "percentile": 99.9, "signed": True}),
    ({"code": "rate", "balance": "mse"}, {"signed": True}),
    ({"code": "rate", "balance": "channel"}, {"signed": False, "percentile": 99.9}),
    ({"code": "rate", "balance": "channel", "signed": True}, {"signed": True}),
    ({"code": "rate", "signed": False}, {"signed": False, "balance": "ridge"}),
    ({"code": "rate", "wait": True}, {"signed": False, "balance": "ridge"}),
    ({"code": "rate", "reset": "zero"}, {"signed": False, "balance": "ridge"}),
    ({"code": "rate", "steps": 4, "percentile": 98.0}, {"steps": 4, "percentile": 98.0}),
]


@pytest.mark.parametrize(("given", "expected"), DEFAULTS, ids=[str(case[0]) for case in DEFAULTS])
def test_chooses_what_was_left_open(given: dict[str, Any], expected: dict[str, Any]) -> None:
    resolved = Options(**given).resolved(ALL)
    assert {name: getattr(resolved, name) for name in expected} == expected


@pytest.mark.parametrize(("given", "codes"), [case[:2] for case in CHOSEN], ids=[str(case[:2]) for case in CHOSEN])
def test_what_was_chosen_stays_chosen(given: dict[str, Any], codes: tuple[str, ...]) -> None:
    resolved = Options(**given).resolved(codes)
    assert resolved.resolved(codes) == resolved
    assert resolved.spiking_code.steps == resolved.steps


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        pytest.param({"code": "digit"}, ("graded", "rate"), id="asked for"),
        pytest.param({"reset": "zero"}, ("digit", "graded"), id="the only one with an option"),
        pytest.param({"steps": 100}, ("digit",), id="the only one of many steps"),
    ],
)
def test_refuses_a_code_that_the_target_does_not_run(given: dict[str, Any], codes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=rf"(?s)numpy does not run --code \w+.*choose one of {', '.join(codes)}"):
        Options(**given).resolved(codes)


def test_codes_by_their_options() -> None:
    def code(**given: Any) -> object:
        return Options(**given).resolved(ALL).spiking_code

    assert code(code="digit", steps=5) == DigitCode(5)
    assert code(code="graded", bits=6) == GradedCode(6)
    assert code(code="rate") == RateCode(32, signed=True)
    assert code(reset="zero", steps=9) == RateCode(9, "zero")
    assert code(wait=True, steps=9) == RateCode(9, wait=True)
    assert code(code="rate", balance="max", steps=9) == RateCode(9)


STOCK = ("graded", "rate")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"code": "graded"}),
        ({"code": "rate"}, {"signed": False, "reset": "subtract"}),
        ({"reset": "zero", "precision": "float"}, {"code": "rate", "signed": False}),
    ],
)
def test_chooses_what_stock_neurons_take(given: dict[str, Any], expected: dict[str, Any]) -> None:
    resolved = Options(**{"precision": "int8", **given}).resolved(STOCK, stock=True)
    assert {name: getattr(resolved, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"code": "rate", "signed": True, "precision": "int8"}, "has no neurons for --signed"),
        ({"wait": True, "steps": 4, "precision": "int8"}, "has no neurons for --wait"),
        ({"code": "graded", "precision": "float"}, "has no neurons for --code graded in real numbers"),
        ({"code": "rate", "precision": "float"}, "has no neurons for --code rate in real numbers"),
    ],
)
def test_refuses_what_stock_neurons_do_not_take(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=f"lava-stock {problem}"):
        Options(**given, target="lava-stock").resolved(STOCK, stock=True)
