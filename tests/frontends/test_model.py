from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx_models import batch, model, node, saved
from strategies import chain

from neurocompile.errors import GraphError
from neurocompile.frontends.model import Model
from neurocompile.ir.layers import Input, Linear

PROTO = model([node("MatMul", ["x", "w"], "y")], (None, 5), {"w": np.ones((5, 3), np.float32)})


def test_knows_its_entry_and_classes(tmp_path: Path) -> None:
    read = Model.read(saved(PROTO, tmp_path))
    assert read.entry == Input((5,))
    assert read.classes == 3


def test_import_equals_the_original(tmp_path: Path) -> None:
    Model.read(saved(PROTO, tmp_path)).check_import(batch(PROTO))


def test_import_that_differs_is_told(tmp_path: Path) -> None:
    other = chain((5,), Linear(np.full((3, 5), 2.0), np.zeros(3)))
    broken = replace(Model.read(saved(PROTO, tmp_path)), graph=other)
    with pytest.raises(GraphError, match=r"the imported network differs by [0-9.]+ from ONNX Runtime's result"):
        broken.check_import(batch(PROTO))
