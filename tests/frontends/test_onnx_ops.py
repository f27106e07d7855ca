from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import RNG, assert_equals_onnxruntime, imported, model, node, saved

from neurocompile.frontends.onnx_ops import IMPORTERS
from neurocompile.frontends.onnx_reader import read
from neurocompile.ir import Array
from neurocompile.ir.layers import Input

IMAGE = (None, 2, 6, 5)
VECTOR = (None, 5)


def real(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


POSITIVE = RNG.uniform(0.5, 2, 2).astype(np.float32)
NORM = {"scale": real(2), "shift": real(2), "mean": real(2), "variance": POSITIVE}

# The operator, its constant inputs behind x, its attributes, the input's shape, the opset.
CASES: dict[str, tuple[str, dict[str, Array], dict[str, Any], tuple[int | None, ...], int]] = {
    "Conv": ("Conv", {"w": real(3, 2, 3, 3)}, {}, IMAGE, 18),
    "Conv, bias": ("Conv", {"w": real(3, 2, 3, 2), "b": real(3)}, {}, IMAGE, 11),
    "Conv, strides": ("Conv", {"w": real(3, 2, 3, 2)}, {"strides": [2, 3]}, IMAGE, 18),
    "Conv, pads": ("Conv", {"w": real(3, 2, 3, 2)}, {"pads": [0, 1, 2, 3]}, IMAGE, 18),
    "Conv, dilations": ("Conv", {"w": real(3, 2, 3, 2)}, {"dilations": [2, 3]}, IMAGE, 18),
    "Conv, groups": ("Conv", {"w": real(4, 1, 3, 3)}, {"group": 2, "kernel_shape": [3, 3]}, IMAGE, 18),
    "Conv, no padding by name": ("Conv", {"w": real(3, 2, 3, 3)}, {"auto_pad": "VALID"}, IMAGE, 18),
    "Gemm": ("Gemm", {"w": real(5, 3)}, {}, VECTOR, 18),
    "Gemm, transposed": ("Gemm", {"w": real(3, 5), "b": real(3)}, {"transB": 1}, VECTOR, 11),
    "Gemm, factors": ("Gemm", {"w": real(5, 3), "b": real(1, 3)}, {"alpha": 0.5, "beta": 2.0}, VECTOR, 18),
    "Gemm, one bias": ("Gemm", {"w": real(5, 3), "b": real(1)}, {}, VECTOR, 18),
    "Gemm, scalar bias": ("Gemm", {"w": real(5, 3), "b": real()}, {}, VECTOR, 18),
    "MatMul": ("MatMul", {"w": real(5, 3)}, {}, VECTOR, 18),
    "BatchNormalization": ("BatchNormalization", NORM, {"epsilon": 0.1}, IMAGE, 18),
    "BatchNormalization, opset 11": ("BatchNormalization", NORM, {}, IMAGE, 11),
    "BatchNormalization of a vector": ("BatchNormalization", NORM, {}, (None, 2), 15),
    "Relu": ("Relu", {}, {}, IMAGE, 18),
    "MaxPool": ("MaxPool", {}, {"kernel_shape": [2, 3]}, IMAGE, 18),
    "MaxPool, padded": (
        "MaxPool",
        {},
        {"kernel_shape": [3, 3], "pads": [1, 2, 0, 1], "strides": [2, 1]},
        IMAGE,
        11,
    ),
    "MaxPool, even ceil": (
        "MaxPool",
        {},
        {"kernel_shape": [2, 1], "strides": [2, 2], "ceil_mode": 1},
        IMAGE,
        18,
    ),
    "AveragePool": ("AveragePool", {}, {"kernel_shape": [2, 2], "strides": [2, 2]}, IMAGE, 18),
    "AveragePool, padded": (
        "AveragePool",
        {},
        {"kernel_shape": [2, 3], "pads": [1, 1, 0, 2], "count_include_pad": 1},
        IMAGE,
        19,
    ),
    "GlobalAveragePool": ("GlobalAveragePool", {}, {}, IMAGE, 18),
    "ReduceMean, axes as attribute": ("ReduceMean", {}, {"axes": [2, 3]}, IMAGE, 17),
    "ReduceMean, axes as input": ("ReduceMean", {"axes": integers(-1, -2)}, {}, IMAGE, 18),
    "ReduceMean, axes dropped": ("ReduceMean", {"axes": integers(2, 3)}, {"keepdims": 0}, IMAGE, 20),
    "Flatten": ("Flatten", {}, {}, IMAGE, 18),
    "Flatten, from the end": ("Flatten", {}, {"axis": -3}, IMAGE, 13),
    "Reshape, rest": ("Reshape", {"shape": integers(0, -1)}, {}, IMAGE, 18),
    "Reshape, size": ("Reshape", {"shape": integers(-1, 60)}, {}, IMAGE, 18),
    "Reshape, allowzero": ("Reshape", {"shape": integers(-1, 60)}, {"allowzero": 1}, IMAGE, 18),
    "Reshape, same": ("Reshape", {"shape": integers(-1, 2, 6, 5)}, {}, IMAGE, 18),
    "Reshape, fixed batch": ("Reshape", {"shape": integers(4, -1)}, {}, (4, 2, 6, 5), 18),
    "Squeeze, axes as attribute": ("Squeeze", {}, {"axes": [2, 3]}, (None, 3, 1, 1), 11),
    "Squeeze, axes as input": ("Squeeze", {"axes": integers(-1, 2)}, {}, (None, 3, 1, 1), 13),
    "Add, channels": ("Add", {"c": real(2, 1, 1)}, {}, IMAGE, 18),
    "Add, features": ("Add", {"c": real(5)}, {}, VECTOR, 18),
    "Add, scalar": ("Add", {"c": real()}, {}, IMAGE, 18),
    "Sub": ("Sub", {"c": real(1, 2, 1, 1)}, {}, IMAGE, 18),
    "Mul": ("Mul", {"c": real(1, 1)}, {}, IMAGE, 18),
    "Div": ("Div", {"c": real(1, 2, 1, 1)}, {}, IMAGE, 18),
    "Identity": ("Identity", {}, {}, IMAGE, 18),
    "Dropout": ("Dropout", {}, {"ratio": 0.5}, IMAGE, 11),
    "Dropout, ratio as input": ("Dropout", {"ratio": np.float32(0.5)}, {}, IMAGE, 13),
    "Dropout, training off": ("Dropout", {"ratio": np.float32(0.5), "training": np.array(False)}, {}, IMAGE, 18),
    "Cast": ("Cast", {}, {"to": TensorProto.FLOAT}, IMAGE, 18),
}


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "shape", "opset"), CASES.values(), ids=[c.replace(" ", "_") for c in CASES]
)
def test_equals_onnxruntime(
    tmp_path: Path,
    op: str,
    constants: dict[str, Array],
    attributes: dict[str, Any],
    shape: tuple[int | None, ...],
    opset: int,
) -> None:
    constants = {name: np.asarray(value) for name, value in constants.items()}
    proto = model([node(op, ["x", *constants], "y", **attributes)], shape, constants, opset=opset)
    assert_equals_onnxruntime(proto, tmp_path)


def test_every_importer_has_a_case() -> None:
    assert {case[0] for case in CASES.values()} == set(IMPORTERS)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20, 23])
def test_every_opset(tmp_path: Path, opset: int) -> None:
    nodes = [
        node("Conv", ["x", "w"], "conv"),
        node("Relu", ["conv"], "relu"),
        node("MaxPool", ["relu"], "pool", kernel_shape=[2, 2]),
        node("Flatten", ["pool"], "flat"),
        node("Gemm", ["flat", "fc"], "y"),
    ]
    constants = {"w": real(2, 2, 3, 3), "fc": real(12, 3)}
    assert_equals_onnxruntime(model(nodes, IMAGE, constants, opset=opset), tmp_path)


def test_newest_opset_of_the_installed_onnx(tmp_path: Path) -> None:
    """ONNX Runtime may lag behind it, so the oracle is the model at an older opset."""
    proto = model([node("Relu", ["x"], "y")], IMAGE, opset=onnx.defs.onnx_opset_version())
    x = real(3, 2, 6, 5)
    np.testing.assert_array_equal(imported(saved(proto, tmp_path), x)[1], np.maximum(x, 0))


def test_constant_minus_values(tmp_path: Path) -> None:
    assert_equals_onnxruntime(model([node("Sub", ["c", "x"], "y")], IMAGE, {"c": real(2, 1, 1)}), tmp_path)


def test_sum_of_two_branches(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "a"), node("Conv", ["a", "w"], "b"), node("Add", ["a", "b"], "y")]
    assert_equals_onnxruntime(model(nodes, IMAGE, {"w": real(2, 2, 1, 1)}), tmp_path)


def test_bytes_are_cast_to_reals(tmp_path: Path) -> None:
    nodes = [node("Cast", ["x"], "f", to=TensorProto.FLOAT), node("Div", ["f", "c"], "y")]
    proto = model(nodes, IMAGE, {"c": np.float32(255).reshape(1)}, dtype=TensorProto.UINT8)
    assert assert_equals_onnxruntime(proto, tmp_path).nodes[0].op == Input((2, 6, 5), "uint8")


def test_constants_are_computed_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Constant", [], "two", value=onnx.numpy_helper.from_array(np.float32(2).reshape(1))),
        node("Mul", ["w", "two"], "doubled"),
        node("Transpose", ["doubled"], "turned"),
        node("MatMul", ["x", "turned"], "y"),
    ]
    assert_equals_onnxruntime(model(nodes, VECTOR, {"w": real(3, 5)}), tmp_path)


@pytest.mark.parametrize("shape", [(None, 2, 6, 5), ("batch", 2, 6, 5), (1, 2, 6, 5), (4, 2, 6, 5)])
def test_shape_arithmetic_of_view(tmp_path: Path, shape: tuple[int | str | None, ...]) -> None:
    """``x.view(x.size(0), -1)`` as the TorchScript exporter writes it."""
    nodes = [
        node("Shape", ["x"], "shape"),
        node("Gather", ["shape", "zero"], "batch", axis=0),
        node("Unsqueeze", ["batch", "axes"], "first"),
        node("Concat", ["first", "rest"], "target", axis=0),
        node("Reshape", ["x", "target"], "y"),
    ]
    constants = {"zero": np.array(0), "axes": integers(0), "rest": integers(-1)}
    assert_equals_onnxruntime(model(nodes, shape, constants), tmp_path)


def test_slice_of_the_shape(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], "batch", start=0, end=1),
        node("Concat", ["batch", "rest"], "target", axis=0),
        node("Reshape", ["x", "target"], "y"),
    ]
    assert_equals_onnxruntime(model(nodes, IMAGE, {"rest": integers(-1)}), tmp_path)


def test_product_of_the_image_axes(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], "channels", start=1, end=2),
        node("Shape", ["x"], "height", start=2, end=3),
        node("Mul", ["channels", "height"], "some"),
        node("Mul", ["some", "width"], "size"),
        node("Concat", ["open", "size"], "target", axis=0),
        node("Reshape", ["x", "target"], "y"),
    ]
    assert_equals_onnxruntime(model(nodes, IMAGE, {"width": integers(5), "open": integers(-1)}), tmp_path)


def test_unnamed_nodes_and_names_used_twice(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], "a", name=""),
        node("Identity", ["a"], "b", name="mean.avgpool"),
        node("ReduceMean", ["b"], "c", name="mean", axes=[2, 3], keepdims=0),
        node("Relu", ["c"], "y", name="x"),
    ]
    graph = assert_equals_onnxruntime(model(nodes, IMAGE, opset=17), tmp_path)
    assert [n.name for n in graph.nodes] == ["x", "Relu_0", "mean.avgpool", "mean.avgpool'", "mean", "x'"]


def test_double_precision(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR, dtype=TensorProto.DOUBLE)
    assert_equals_onnxruntime(proto, tmp_path)


def test_initializer_that_is_listed_as_an_input(tmp_path: Path) -> None:
    proto = model([node("MatMul", ["x", "w"], "y")], VECTOR, {"w": real(5, 3)})
    proto.graph.input.append(onnx.helper.make_tensor_value_info("w", TensorProto.FLOAT, (5, 3)))
    assert_equals_onnxruntime(proto, tmp_path)


def test_several_outputs(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "a"), node("Flatten", ["a"], "b")]
    assert read(saved(model(nodes, IMAGE, outputs=["b", "a"]), tmp_path)).outputs == ("b", "a")
