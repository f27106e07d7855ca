"""Onnx's own test cases of every operator come out right or are refused, and none is wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cases import KINDS, Case, load
from verdicts import judge, supported

COMPARED = (
    "is converted where a Where chooses by it; onnx's cases compare inputs with each other, or hold attention"
)

WITHOUT_CASE = {
    "Greater": COMPARED,
    "GreaterOrEqual": COMPARED,
    "LessOrEqual": COMPARED,
    "ai.onnx.ml.Scaler": "onnx has no case with it",
}
"""Supported operators of which no case is right, and why."""


@pytest.mark.parametrize("op", supported())
def test_operator(op: str) -> None:
    """The cases that hold one operator alone are not wrong, and one that holds it is right."""
    cases = [case for kind in KINDS for case in load(kind) if op in case.ops]
    assert failures(case for case in cases if len(case.ops) == 1) == []
    right = [case.name for case in cases if judge(case).outcome == "right"]
    assert bool(right) != (op in WITHOUT_CASE)


@pytest.mark.parametrize("kind", KINDS)
def test_all_cases(kind: str) -> None:
    assert failures(load(kind)) == []


def failures(cases: Iterable[Case]) -> list[str]:
    judged = [(case.name, judge(case)) for case in cases]
    return [f"{name}: {verdict.reason}" for name, verdict in judged if verdict.outcome in ("error", "wrong")]
