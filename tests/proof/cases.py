"""The test cases that the onnx package brings for every operator, as models with their data."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, version_converter
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from neurocompile.ir import Array

KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")

Value = Array | None
"""None for a sequence or an optional, which no tensor can stand for."""


@dataclass(frozen=True)
class DataSet:
    """The values of a model's inputs, by name, and of its outputs, in their order."""

    inputs: dict[str, Value]
    outputs: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """A model and what it has to compute."""

    kind: str
    name: str
    model: onnx.ModelProto
    data: tuple[DataSet, ...]

    @cached_property
    def ops(self) -> frozenset[str]:
        """The operators that its model holds."""
        return frozenset(_operator(node) for node in self.model.graph.node if node.op_type != "Constant")


def _operator(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


@cache
def load(kind: str) -> tuple[Case, ...]:
    with warnings.catch_warnings():
        # Some of onnx's own computations of what is expected overflow.
        warnings.simplefilter("ignore")
        found = load_model_tests(kind=kind)
    return tuple(_case(kind, test) for test in sorted(found, key=lambda test: test.name))


def _case(kind: str, test: TestCase) -> Case:
    if test.model is not None and test.data_sets is not None:
        data = tuple(_data_set(test.model, inputs, outputs) for inputs, outputs in test.data_sets)
        return Case(kind, test.name, test.model, data)
    folder = Path(test.model_dir or "")
    model = onnx.load(folder / "model.onnx")
    files = [
        [sorted(data.glob(f"{name}_*.pb"), key=_number) for name in ("input", "output")]
        for data in sorted(folder.glob("test_data_set_*"))
    ]
    data = tuple(
        _data_set(
            model,
            [_read(path, info) for path, info in zip(inputs, _fed(model), strict=True)],
            [_read(path, info) for path, info in zip(outputs, model.graph.output, strict=True)],
        )
        for inputs, outputs in files
    )
    return Case(kind, test.name, _of_known_opset(model), data)


def _data_set(model: onnx.ModelProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> DataSet:
    names = [info.name for info in _fed(model)]
    return DataSet(
        {name: _value(value) for name, value in zip(names, inputs, strict=True)},
        tuple(_value(value) for value in outputs),
    )


def _fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in constants]


def _value(value: Any) -> Value:
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


def _read(path: Path, info: onnx.ValueInfoProto) -> TensorProto | None:
    return TensorProto.FromString(path.read_bytes()) if info.type.HasField("tensor_type") else None


def _number(path: Path) -> int:
    return int(re.findall(r"\d+", path.stem)[-1])


def _of_known_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert what is older than opset 7, as the importer tells its user to do; what can't be, stays as it is."""
    if all(opset.version >= 7 for opset in model.opset_import):
        return model
    try:
        return version_converter.convert_version(model, 7)
    except RuntimeError:
        return model
