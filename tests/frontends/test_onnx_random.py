from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import event, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx_models import batch, imported, model, node, saved

from neurocompile.errors import GraphError, ModelError
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array

SHAPES = [(None, 2, 4, 3), (1, 2, 4, 4), (2, 1, 3, 3), (None, 4), (3, 3), (None, 3, 1, 1), (2, 2, 2)]
OPERATORS = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "MaxPool",
    "Mul",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
]


class ModelBuilder:
    """A model of random operators with random attributes, most of them just about valid."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def constant(self, *shape: int) -> str:
        return self._keep(self.rng.normal(size=shape).astype(np.float32))

    def integers(self, values: list[int]) -> str:
        return self._keep(np.array(values, np.int64))

    def _keep(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def some(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def operand(self) -> str:
        shapes = [(), (1,), (2,), (3,), (1, 1, 1), (2, 1, 1), (1, 2, 1, 1), (2, 1), (1, 4), (2, 1, 1, 1), (1,) * 5]
        return self.constant(*self.some(*shapes))

    def window(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {"kernel_shape": self.some([1, 1], [2, 2], [2, 1], [3, 2])}
        attributes |= self.some({}, {"strides": [2, 1]}, {"strides": [2, 2]})
        attributes |= self.some({}, {"pads": [0, 1, 0, 0]}, {"pads": [1, 0, 1, 1]})
        return attributes | self.some({}, {"auto_pad": "VALID"}, {"auto_pad": "SAME_LOWER"})

    def add(self, op: str, source: str, other: str, opset: int) -> str:
        inputs, attributes = [source], {}
        if op in ("Add", "Sub", "Mul", "Div"):
            pair = [source, self.some(self.operand(), self.operand(), other)]
            inputs = self.some(pair, pair[::-1])
        elif op in ("MaxPool", "AveragePool"):
            attributes = self.window() | self.some({}, {"ceil_mode": 1})
            if op == "AveragePool":
                attributes |= self.some({}, {"count_include_pad": 1})
            elif self.some(True, False):
                attributes |= {"dilations": [1, 2]}
        elif op == "Conv":
            out, groups = self.some(1, 2, 4), self.some(1, 2)
            attributes = self.window() | self.some({}, {"dilations": [2, 1]}) | {"group": groups}
            inputs += [self.constant(out, self.some(1, 2), *attributes["kernel_shape"])]
            inputs += self.some([], [self.constant(out)], [self.constant(1)])
        elif op == "Gemm":
            attributes = self.some({}, {"transB": 1}) | self.some({}, {"alpha": 0.5, "beta": 3.0})
            inputs += [self.constant(*self.some((4, 3), (3, 3), (3, 4)))]
            inputs += self.some([], [self.operand()], [self.constant(3, 1)], [other])
        elif op == "MatMul":
            inputs += [self.constant(*self.some((4, 3), (3, 3), (1, 3, 2), (3,)))]
        elif op == "BatchNormalization":
            size = self.some(1, 2, 3, 4)
            inputs += [self.constant(size) for _ in range(3)]
            inputs += [self._keep(self.rng.uniform(0.5, 2, size).astype(np.float32))]
        elif op == "Flatten":
            attributes = self.some({}, {"axis": 0}, {"axis": 2}, {"axis": -1}, {"axis": -3})
        elif op == "Reshape":
            targets = [
                [0, -1],
                [-1, 0],
                [1, -1],
                [2, -1],
                [-1, 16],
                [-1, 4],
                [0, 2, -1],
                [0, 0, 0, 0],
                [-1, 2, 4, 3],
            ]
            inputs += [self.integers(self.some(*targets))]
        elif op == "ReduceMean":
            axes = self.some([2, 3], [1], [-1, -2], [0, 1], [3])
            attributes = self.some({}, {"keepdims": 0})
            if opset < 18:
                attributes["axes"] = axes
            else:
                inputs += [self.integers(axes)]
        elif op == "Squeeze":
            inputs += [self.integers(self.some([2, 3], [0], [-1], [-2, 3]))]
        elif op == "Unsqueeze":
            inputs += [self.integers(self.some([1], [2, 3], [0], [-1]))]
        elif op == "Transpose":
            attributes = {"perm": self.some([0, 2, 3, 1], [0, 3, 1, 2], [1, 0], [0, 2, 1], [0, 1], [1, 0, 2, 3])}
        elif op == "Concat":
            inputs, attributes = self.some([source, other], [source, source]), {"axis": self.some(0, 1, -1, 2)}
        elif op == "Clip":
            inputs += self.some([], [self.constant()], ["", self.constant()])
        elif op == "Cast":
            attributes = {"to": self.some(TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32)}
        elif op == "Shape":
            return self.view(source)
        name = f"n{len(self.nodes)}"
        self.nodes.append(node(op, inputs, name, **attributes))
        return name

    def view(self, source: str) -> str:
        """A Reshape whose target is computed from the values' own shape."""
        first, name = f"n{len(self.nodes)}.first", f"n{len(self.nodes)}"
        start = self.some(0, 0, 1)
        self.nodes.append(node("Shape", [source], first, start=start, end=start + 1))
        for factor in self.some([], [], [1], [2]):
            scaled = f"{first}.scaled"
            self.nodes.append(node(self.some("Mul", "Add", "Div"), [first, self.integers([factor])], scaled))
            first = scaled
        rest = self.integers([-1])
        self.nodes.append(node("Concat", self.some([first, rest], [rest, first]), f"{name}.target", axis=0))
        self.nodes.append(node("Reshape", [source, f"{name}.target"], name))
        return name


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    b = ModelBuilder(draw)
    opset, shape = draw(st.sampled_from([15, 18, 20])), draw(st.sampled_from(SHAPES))
    last = other = "x"
    for _ in range(draw(st.integers(1, 4))):
        last, other = (
            b.add(draw(st.sampled_from(OPERATORS)), last, draw(st.sampled_from([last, other])), opset),
            last,
        )
    dtype = draw(st.sampled_from([TensorProto.FLOAT] * 5 + [TensorProto.UINT8]))
    return model(b.nodes, shape, b.constants, opset=opset, dtype=dtype)


@settings(max_examples=200)
@given(proto=models())
def test_import_equals_onnxruntime_or_is_refused(proto: onnx.ModelProto) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, x = saved(proto, Path(folder)), batch(proto)
        try:
            expected = OnnxReference(path).run(x)
            _, found = imported(path, x)
        except (ModelError, GraphError):
            event("refused")
            return
        event("imported")
        assert found.shape == expected.shape
        if not np.isfinite(expected).all():
            # Quotients whose divisor may be 0 or a rounding error beside it.
            event("not finite")
            return
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
