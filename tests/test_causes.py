from __future__ import annotations

from typing import Any

import pytest

from neurocompile.causes import Cause, remedies
from neurocompile.options import Options

CODES = ("digit", "graded", "rate")


def of(**given: Any) -> dict[Cause, str]:
    return dict(remedies(Options(**given).resolved(CODES)))


@pytest.mark.parametrize(
    ("given", "cause", "remedy"),
    [
        ({"code": "digit"}, "clipping", "more calibration images"),
        ({"code": "digit", "percentile": 99.9}, "clipping", "a larger --percentile"),
        ({"code": "rate", "balance": "max"}, "clipping", "more calibration images"),
        ({"code": "rate", "balance": "percentile"}, "clipping", "a larger --percentile"),
        ({"code": "rate"}, "clipping", "more --steps"),
        ({"code": "graded"}, "clipping", "--code digit"),
        ({"code": "graded", "bits": 6}, "clipping", "more --bits"),
        ({"code": "digit"}, "resolution", "more --steps"),
        ({"code": "digit", "steps": 10}, "resolution", None),
        ({"code": "graded", "bits": 4}, "resolution", "more --bits"),
        ({"code": "graded"}, "resolution", "--code digit"),
        ({"code": "rate"}, "resolution", "more --steps"),
        ({"code": "digit"}, "arrival", "--code graded or rate"),
        ({"code": "rate"}, "arrival", "--wait or --code digit"),
        ({"code": "rate", "signed": False}, "arrival", "--signed, --wait or --code digit"),
        ({"code": "rate", "wait": True}, "arrival", "more --steps or --code digit"),
        ({"code": "rate", "reset": "zero"}, "arrival", "--reset subtract"),
        ({"code": "rate", "encoder": "poisson"}, "arrival", "--encoder constant"),
        ({"code": "rate", "encoder": "poisson"}, "encoding", "--encoder constant"),
        ({"precision": "int8"}, "encoding", "--precision float"),
        ({}, "encoding", None),
        ({"precision": "int8"}, "integer weights", "--precision float"),
        ({}, "integer weights", None),
        ({"code": "rate", "balance": "ridge"}, "fit", None),
        ({"code": "rate", "reset": "zero"}, "reset", "--reset subtract"),
    ],
    ids=str,
)
def test_what_helps_is_what_the_options_do_not_do_yet(
    given: dict[str, Any], cause: Cause, remedy: str | None
) -> None:
    assert of(**given).get(cause) == remedy
