"""The page of operators is made from the code, and its example works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from onnx import helper
from onnx_models import assert_equals_onnxruntime, model, node

from neurocompile.frontends.onnx_ops import OPERATORS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "operators.md").read_text()


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_operators.py"))
    assert made["page"](PAGE) == PAGE, "run python docs/make_operators.py"


def test_every_operator_says_what_is_converted() -> None:
    assert all(operator.conditions.endswith(".") for operator in OPERATORS.values())


def test_an_operator_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that it is taken out again when the test ends.
    monkeypatch.setitem(OPERATORS, "com.microsoft.QuickGelu", OPERATORS["Gelu"])
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    exec(example, {"__name__": "example"})
    proto = model([node("Relu", ["x"], "y")], (None, 5))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.graph.node[0].CopyFrom(helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft", alpha=1.3))
    assert_equals_onnxruntime(proto, tmp_path)
