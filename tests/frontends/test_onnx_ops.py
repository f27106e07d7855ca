from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import RNG, assert_equals_onnxruntime, imported, model, node, saved

from neurocompile.frontends.onnx_ops import OPERATORS
from neurocompile.frontends.onnx_reader import read
from neurocompile.ir import Array
from neurocompile.ir.layers import Input

IMAGE = (None, 2, 6, 5)
VECTOR = (None, 5)


def real(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


SCALES = np.array([[1, 1, 2.5, 0.7], [1, 1, 2.5, 0.6]], np.float32)
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
    "Conv, same upper": (
        "Conv",
        {"w": real(3, 2, 4, 3)},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        IMAGE,
        18,
    ),
    "Conv, same lower": ("Conv", {"w": real(3, 2, 4, 2)}, {"auto_pad": "SAME_LOWER"}, IMAGE, 18),
    "Conv 1-D": ("Conv", {"w": real(4, 3, 3)}, {"pads": [1, 0], "dilations": [2]}, (None, 3, 9), 18),
    "Conv 3-D": (
        "Conv",
        {"w": real(4, 1, 2, 3, 2), "b": real(4)},
        {"group": 2, "strides": [1, 2, 1], "pads": [0, 1, 1, 1, 0, 0]},
        (None, 2, 4, 5, 3),
        18,
    ),
    "ConvTranspose": ("ConvTranspose", {"w": real(2, 3, 3, 2), "b": real(3)}, {}, IMAGE, 18),
    "ConvTranspose, strides": (
        "ConvTranspose",
        {"w": real(2, 3, 3, 2)},
        {"strides": [2, 3], "pads": [1, 0, 2, 1], "output_padding": [1, 2]},
        IMAGE,
        11,
    ),
    "ConvTranspose, groups": (
        "ConvTranspose",
        {"w": real(2, 3, 3, 3), "b": real(6)},
        {"group": 2, "dilations": [2, 1], "strides": [3, 1]},
        IMAGE,
        18,
    ),
    "ConvTranspose, same upper": (
        "ConvTranspose",
        {"w": real(2, 3, 3, 3)},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        IMAGE,
        18,
    ),
    "ConvTranspose, output shape": (
        "ConvTranspose",
        {"w": real(2, 3, 3, 3)},
        {"output_shape": [12, 10], "strides": [2, 2]},
        IMAGE,
        18,
    ),
    "ConvTranspose 1-D": (
        "ConvTranspose",
        {"w": real(3, 2, 4)},
        {"strides": [2], "pads": [1, 1]},
        (None, 3, 5),
        18,
    ),
    "ConvTranspose 3-D": (
        "ConvTranspose",
        {"w": real(2, 2, 2, 2, 2)},
        {"strides": [2] * 3},
        (None, 2, 2, 3, 2),
        18,
    ),
    "Gemm": ("Gemm", {"w": real(5, 3)}, {}, VECTOR, 18),
    "Gemm, transposed": ("Gemm", {"w": real(3, 5), "b": real(3)}, {"transB": 1}, VECTOR, 11),
    "Gemm, factors": ("Gemm", {"w": real(5, 3), "b": real(1, 3)}, {"alpha": 0.5, "beta": 2.0}, VECTOR, 18),
    "Gemm, one bias": ("Gemm", {"w": real(5, 3), "b": real(1)}, {}, VECTOR, 18),
    "Gemm, scalar bias": ("Gemm", {"w": real(5, 3), "b": real()}, {}, VECTOR, 18),
    "MatMul": ("MatMul", {"w": real(5, 3)}, {}, VECTOR, 18),
    "MatMul of rows": ("MatMul", {"w": real(5, 3)}, {}, IMAGE, 18),
    "MatMul, weights in a batch of one": ("MatMul", {"w": real(1, 5, 3)}, {}, (None, 4, 5), 13),
    "BatchNormalization": ("BatchNormalization", NORM, {"epsilon": 0.1}, IMAGE, 18),
    "BatchNormalization, opset 7": ("BatchNormalization", NORM, {}, IMAGE, 7),
    "BatchNormalization, opset 11": ("BatchNormalization", NORM, {}, IMAGE, 11),
    "BatchNormalization of a vector": ("BatchNormalization", NORM, {}, (None, 2), 15),
    "Relu": ("Relu", {}, {}, IMAGE, 18),
    "Clip, ReLU6": ("Clip", {"low": np.float32(0), "high": np.float32(0.6)}, {}, IMAGE, 18),
    "Clip, attributes": ("Clip", {}, {"min": -0.5, "max": 0.3}, IMAGE, 7),
    "Clip, from below": ("Clip", {"low": np.float32(-0.2)}, {}, IMAGE, 13),
    "Clip, from above": ("Clip", {}, {"max": 0.3}, IMAGE, 6 + 1),
    "Clip, no bounds": ("Clip", {}, {}, IMAGE, 13),
    "LeakyRelu": ("LeakyRelu", {}, {"alpha": 0.3}, IMAGE, 16),
    "LeakyRelu, default": ("LeakyRelu", {}, {}, VECTOR, 7),
    "PRelu": ("PRelu", {"slope": real(2, 1, 1)}, {}, IMAGE, 16),
    "PRelu, one slope": ("PRelu", {"slope": real(1)}, {}, IMAGE, 9),
    "PRelu, batch axis": ("PRelu", {"slope": real(1, 2, 1, 1)}, {}, IMAGE, 16),
    "HardSigmoid": ("HardSigmoid", {}, {"alpha": 0.3}, IMAGE, 18),
    "HardSwish": ("HardSwish", {}, {}, IMAGE, 14),
    "Sigmoid": ("Sigmoid", {}, {}, IMAGE, 18),
    "Tanh": ("Tanh", {}, {}, IMAGE, 18),
    "Softplus": ("Softplus", {}, {}, IMAGE, 18),
    "Softsign": ("Softsign", {}, {}, IMAGE, 18),
    "Elu": ("Elu", {}, {"alpha": 0.7}, IMAGE, 18),
    "Selu": ("Selu", {}, {}, IMAGE, 18),
    "Celu": ("Celu", {}, {"alpha": 1.7}, IMAGE, 18),
    "Gelu": ("Gelu", {}, {}, IMAGE, 20),
    "Gelu, tanh": ("Gelu", {}, {"approximate": "tanh"}, IMAGE, 20),
    "Mish": ("Mish", {}, {}, IMAGE, 18),
    "Swish": ("Swish", {}, {"alpha": 1.7}, IMAGE, 24),
    "Exp": ("Exp", {}, {}, IMAGE, 13),
    "Log": ("Log", {}, {}, IMAGE, 13),
    "Sqrt": ("Sqrt", {}, {}, IMAGE, 13),
    "Reciprocal": ("Reciprocal", {}, {}, IMAGE, 13),
    "Erf": ("Erf", {}, {}, IMAGE, 18),
    "MaxPool": ("MaxPool", {}, {"kernel_shape": [2, 3]}, IMAGE, 18),
    "MaxPool, padded": (
        "MaxPool",
        {},
        {"kernel_shape": [3, 3], "pads": [1, 2, 0, 1], "strides": [2, 1]},
        IMAGE,
        11,
    ),
    "MaxPool, even ceil": ("MaxPool", {}, {"kernel_shape": [2, 1], "strides": [2, 2], "ceil_mode": 1}, IMAGE, 18),
    "MaxPool, ceil": (
        "MaxPool",
        {},
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 1, 1, 0], "ceil_mode": 1},
        IMAGE,
        18,
    ),
    "MaxPool, dilations": ("MaxPool", {}, {"kernel_shape": [3, 2], "dilations": [2, 3]}, IMAGE, 18),
    "MaxPool, same": (
        "MaxPool",
        {},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        IMAGE,
        18,
    ),
    "MaxPool 1-D": ("MaxPool", {}, {"kernel_shape": [3], "strides": [2]}, (None, 2, 8), 18),
    "MaxPool 3-D": ("MaxPool", {}, {"kernel_shape": [2, 2, 2]}, (None, 2, 3, 4, 3), 18),
    "AveragePool": ("AveragePool", {}, {"kernel_shape": [2, 2], "strides": [2, 2]}, IMAGE, 18),
    "AveragePool, padded": (
        "AveragePool",
        {},
        {"kernel_shape": [2, 3], "pads": [1, 1, 0, 2], "count_include_pad": 1},
        IMAGE,
        19,
    ),
    "AveragePool, padding left out": (
        "AveragePool",
        {},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        IMAGE,
        18,
    ),
    "AveragePool, ceil": (
        "AveragePool",
        {},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 0, 1], "ceil_mode": 1},
        IMAGE,
        19,
    ),
    "AveragePool, ceil and padding": (
        "AveragePool",
        {},
        {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 1], "ceil_mode": 1, "count_include_pad": 1},
        IMAGE,
        22,
    ),
    "AveragePool 1-D": ("AveragePool", {}, {"kernel_shape": [3], "pads": [1, 1]}, (None, 2, 8), 18),
    "AveragePool 3-D": ("AveragePool", {}, {"kernel_shape": [2, 2, 3]}, (None, 2, 3, 4, 3), 18),
    "GlobalAveragePool": ("GlobalAveragePool", {}, {}, IMAGE, 18),
    "GlobalAveragePool 1-D": ("GlobalAveragePool", {}, {}, (None, 2, 6), 18),
    "GlobalMaxPool": ("GlobalMaxPool", {}, {}, IMAGE, 18),
    "ReduceMean, axes as attribute": ("ReduceMean", {}, {"axes": [2, 3]}, IMAGE, 17),
    "ReduceMean, axes as input": ("ReduceMean", {"axes": integers(-1, -2)}, {}, IMAGE, 18),
    "ReduceMean, axes dropped": ("ReduceMean", {"axes": integers(2, 3)}, {"keepdims": 0}, IMAGE, 20),
    "ReduceMean of channels": ("ReduceMean", {"axes": integers(1)}, {}, IMAGE, 20),
    "ReduceMean of all": ("ReduceMean", {"axes": integers(1, 2, 3)}, {"keepdims": 0}, IMAGE, 20),
    "ReduceSum": ("ReduceSum", {"axes": integers(1, 3)}, {"keepdims": 0}, IMAGE, 18),
    "ReduceMax": ("ReduceMax", {"axes": integers(3)}, {}, IMAGE, 18),
    "ReduceMax, no axes": ("ReduceMax", {"axes": integers()}, {"noop_with_empty_axes": 1}, IMAGE, 20),
    "Flatten": ("Flatten", {}, {}, IMAGE, 18),
    "Flatten, from the end": ("Flatten", {}, {"axis": -3}, IMAGE, 13),
    "Reshape, rest": ("Reshape", {"shape": integers(0, -1)}, {}, IMAGE, 18),
    "Reshape, size": ("Reshape", {"shape": integers(-1, 60)}, {}, IMAGE, 18),
    "Reshape, allowzero": ("Reshape", {"shape": integers(-1, 60)}, {"allowzero": 1}, IMAGE, 18),
    "Reshape, same": ("Reshape", {"shape": integers(-1, 2, 6, 5)}, {}, IMAGE, 18),
    "Reshape, more axes": ("Reshape", {"shape": integers(0, 2, 2, -1, 5)}, {}, IMAGE, 18),
    "Reshape, fixed batch": ("Reshape", {"shape": integers(4, -1)}, {}, (4, 2, 6, 5), 18),
    "Squeeze, axes as attribute": ("Squeeze", {}, {"axes": [2, 3]}, (None, 3, 1, 1), 11),
    "Squeeze, axes as input": ("Squeeze", {"axes": integers(-1, 2)}, {}, (None, 3, 1, 1), 13),
    "Squeeze, one axis": ("Squeeze", {"axes": integers(2)}, {}, (None, 3, 1, 4), 13),
    "Unsqueeze, axes as attribute": ("Unsqueeze", {}, {"axes": [1, 4]}, (None, 3, 2), 11),
    "Unsqueeze, axes as input": ("Unsqueeze", {"axes": integers(-1)}, {}, (None, 3, 2), 13),
    "Transpose": ("Transpose", {}, {"perm": [0, 2, 3, 1]}, IMAGE, 18),
    "Concat": ("Concat", {"c": np.zeros((3, 1, 6, 5), np.float32)}, {"axis": 1}, (3, 2, 6, 5), 18),
    "Slice": (
        "Slice",
        {"from": integers(-2, 0), "to": integers(-7, 4), "axes": integers(2, 3), "by": integers(-2, 3)},
        {},
        IMAGE,
        13,
    ),
    "Slice, attributes": ("Slice", {}, {"starts": [1, 0], "ends": [2, 1000], "axes": [3, 1]}, IMAGE, 9),
    "Gather": ("Gather", {"indices": integers(3, 0, -1)}, {"axis": 2}, IMAGE, 18),
    "Gather, one": ("Gather", {"indices": np.array(1)}, {"axis": -1}, IMAGE, 18),
    "Pad": ("Pad", {"pads": integers(0, 0, 1, 2, 0, 1, 0, 3)}, {}, IMAGE, 18),
    "Pad, value": ("Pad", {"pads": integers(0, 0, 1, 2, 0, 1, 0, 3), "v": np.float32(0.7)}, {}, IMAGE, 18),
    "Pad, attributes": ("Pad", {}, {"pads": [0, 0, 1, 2, 0, 1, 0, 3], "value": 0.7}, IMAGE, 7),
    "Pad, reflect": ("Pad", {"pads": integers(0, 0, 1, 2, 0, 0, 2, 1)}, {"mode": "reflect"}, IMAGE, 18),
    "Pad, edge": ("Pad", {"pads": integers(0, 0, 1, 2, 0, 0, 2, 1)}, {"mode": "edge"}, IMAGE, 13),
    "Pad, axes": (
        "Pad",
        {"pads": integers(1, 2), "v": np.float32(0), "axes": integers(3)},
        {"mode": "constant"},
        IMAGE,
        18,
    ),
    "Pad, crop": ("Pad", {"pads": integers(0, 0, -1, 0, 0, 0, 0, -2)}, {}, IMAGE, 18),
    "Resize, sizes": (
        "Resize",
        {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32), "sizes": integers(3, 2, 9, 13)},
        {"mode": "nearest", "coordinate_transformation_mode": "align_corners", "nearest_mode": "ceil"},
        (3, 2, 6, 5),
        13,
    ),
    **{
        f"Resize, {way}, {rounding}": (
            "Resize",
            {"roi": np.zeros(0, np.float32), "scales": SCALES[int(way == "align_corners")]},
            {"coordinate_transformation_mode": way, "nearest_mode": rounding},
            IMAGE,
            19,
        )
        for way in ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    },
    **{
        f"Resize, linear, {way}": (
            "Resize",
            {"roi": np.zeros(0, np.float32), "scales": SCALES[int(way == "align_corners")]},
            {"coordinate_transformation_mode": way, "mode": "linear"},
            IMAGE,
            13,
        )
        for way in ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
    },
    "Upsample, linear": ("Upsample", {"scales": np.array([1, 1, 2, 3], np.float32)}, {"mode": "linear"}, IMAGE, 9),
    "Resize, axes": (
        "Resize",
        {"roi": np.zeros(0, np.float32), "scales": np.array([3, 2], np.float32)},
        {"axes": [3, 2], "coordinate_transformation_mode": "asymmetric"},
        IMAGE,
        18,
    ),
    "Resize, opset 10": ("Resize", {"scales": np.array([1, 1, 2, 3], np.float32)}, {}, IMAGE, 10),
    "Resize, linear by 1": (
        "Resize",
        {"roi": np.zeros(0, np.float32), "scales": np.ones(4, np.float32)},
        {"mode": "linear"},
        IMAGE,
        13,
    ),
    "Upsample": ("Upsample", {"scales": np.array([1, 1, 2, 3], np.float32)}, {}, IMAGE, 9),
    "Upsample, attributes": ("Upsample", {}, {"scales": [1.0, 1.0, 2.0, 2.0]}, IMAGE, 7),
    "DepthToSpace": ("DepthToSpace", {}, {"blocksize": 2}, (None, 8, 2, 3), 18),
    "DepthToSpace, CRD": ("DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}, (None, 8, 2, 3), 11),
    "SpaceToDepth": ("SpaceToDepth", {}, {"blocksize": 2}, (None, 2, 4, 6), 18),
    "Expand": ("Expand", {"shape": integers(1, 2, 6, 4)}, {}, (None, 2, 6, 1), 18),
    "Tile": ("Tile", {"repeats": integers(1, 2, 1, 3)}, {}, IMAGE, 18),
    "CenterCropPad": ("CenterCropPad", {"shape": integers(4, 8)}, {"axes": [2, 3]}, IMAGE, 18),
    "Add, channels": ("Add", {"c": real(2, 1, 1)}, {}, IMAGE, 18),
    "Add, features": ("Add", {"c": real(5)}, {}, VECTOR, 18),
    "Add, scalar": ("Add", {"c": real()}, {}, IMAGE, 18),
    "Add, last axis": ("Add", {"c": real(5)}, {}, IMAGE, 18),
    "Add, every place": ("Add", {"c": real(1, 2, 6, 5)}, {}, IMAGE, 18),
    "Add, larger constant": ("Add", {"c": real(4, 5)}, {}, (None, 2, 1, 5), 18),
    "Sum": ("Sum", {"c": real(2, 1, 1), "d": real(5)}, {}, IMAGE, 13),
    "Mean": ("Mean", {"c": real(2, 1, 1)}, {}, IMAGE, 13),
    "Sub": ("Sub", {"c": real(1, 2, 1, 1)}, {}, IMAGE, 18),
    "Mul": ("Mul", {"c": real(1, 1)}, {}, IMAGE, 18),
    "Mul, every place": ("Mul", {"c": real(6, 5)}, {}, IMAGE, 7),
    "Div": ("Div", {"c": real(1, 2, 1, 1)}, {}, IMAGE, 18),
    "Neg": ("Neg", {}, {}, IMAGE, 18),
    "Abs": ("Abs", {}, {}, IMAGE, 18),
    "Max": ("Max", {"c": real(2, 1, 1)}, {}, IMAGE, 13),
    "Min": ("Min", {"c": real(1)}, {}, IMAGE, 13),
    "Max, no bound": ("Max", {"c": np.float32(-1e30)}, {}, IMAGE, 13),
    "Min, no bound": ("Min", {"c": np.array([1e30, 3e38], np.float32).reshape(2, 1, 1)}, {}, IMAGE, 13),
    "Clip, nearly no bounds": ("Clip", {}, {"min": -1e30, "max": 1e30}, IMAGE, 7),
    "Max, alone": ("Max", {}, {}, IMAGE, 13),
    "Pow": ("Pow", {"c": np.float32(3)}, {}, IMAGE, 13),
    "Pow, 1": ("Pow", {"c": np.float32(1)}, {}, IMAGE, 13),
    "Identity": ("Identity", {}, {}, IMAGE, 18),
    "Dropout": ("Dropout", {}, {"ratio": 0.5}, IMAGE, 11),
    "Dropout, ratio as input": ("Dropout", {"ratio": np.float32(0.5)}, {}, IMAGE, 13),
    "Dropout, training off": ("Dropout", {"ratio": np.float32(0.5), "training": np.array(False)}, {}, IMAGE, 18),
    "Cast": ("Cast", {}, {"to": TensorProto.FLOAT}, IMAGE, 18),
    "CastLike": ("CastLike", {"like": real(1)}, {}, IMAGE, 18),
    "Softmax": ("Softmax", {}, {}, VECTOR, 18),
    "Softmax of channels": ("Softmax", {}, {"axis": 1}, IMAGE, 13),
    "Softmax, old": ("Softmax", {}, {}, (None, 5, 1, 1), 11),
    "Softmax, old, of all": ("Softmax", {}, {}, IMAGE, 11),
    "Softmax, old, last axis": ("Softmax", {}, {"axis": 3}, IMAGE, 11),
    "LogSoftmax": ("LogSoftmax", {}, {"axis": -1}, VECTOR, 13),
    "ArgMax": ("ArgMax", {}, {"axis": 1}, IMAGE, 13),
    "ArgMax, axis dropped": ("ArgMax", {}, {"axis": -1, "keepdims": 0}, VECTOR, 13),
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


def test_every_operator_has_a_case() -> None:
    elsewhere = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Split", "Where", "ai.onnx.ml.Scaler"}
    assert {case[0] for case in CASES.values()} | elsewhere == set(OPERATORS)


@pytest.mark.parametrize(
    ("constants", "attributes", "opset"),
    [
        ({"sizes": integers(4, 2)}, {"axis": 2}, 18),
        ({}, {"axis": -2, "split": [1, 5]}, 11),
        ({}, {"axis": 2}, 11),
        ({}, {"axis": 2, "num_outputs": 2}, 18),
    ],
)
def test_split(tmp_path: Path, constants: dict[str, Array], attributes: dict[str, Any], opset: int) -> None:
    nodes = [
        helper.make_node("Split", ["x", *constants], ["a", "b"], **attributes),
        node("Concat", ["b", "a"], "y", axis=2),
    ]
    assert_equals_onnxruntime(model(nodes, IMAGE, constants, opset=opset), tmp_path)


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
@pytest.mark.parametrize("pair", [["x", "bound"], ["bound", "x"]])
@pytest.mark.parametrize("branches", [["x", "tanh"], ["half", "x"], ["x", "half"]])
def test_choice_between_functions(tmp_path: Path, op: str, pair: list[str], branches: list[str]) -> None:
    nodes = [node("Tanh", ["x"], "tanh"), node(op, pair, "chosen"), node("Where", ["chosen", *branches], "y")]
    constants = {"bound": np.float32(0.2).reshape(()), "half": np.float32(0.5).reshape(1)}
    assert_equals_onnxruntime(model(nodes, IMAGE, constants), tmp_path)


@pytest.mark.parametrize("pair", [["x", "s"], ["s", "x"], ["c", "s"], ["x", "c"]])
@pytest.mark.parametrize("op", ["Mul", "Div", "Sub", "Add", "Max", "Min"])
def test_two_operands(tmp_path: Path, op: str, pair: list[str]) -> None:
    nodes = [node("Softplus", ["x"], "p"), node("ReduceMax", ["p"], "s", axes=[2]), node(op, pair, "y")]
    assert_equals_onnxruntime(model(nodes, IMAGE, {"c": real(2, 1, 1)}, opset=13), tmp_path)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_number_for_each_image(tmp_path: Path, op: str, shape: tuple[int, ...]) -> None:
    nodes = [node("ReduceSum", ["x", "axes"], "s", keepdims=0), node(op, ["s", "c"], "y")]
    assert_equals_onnxruntime(model(nodes, VECTOR, {"axes": integers(1), "c": real(*shape)}), tmp_path)


def test_constant_times_rows(tmp_path: Path) -> None:
    assert_equals_onnxruntime(model([node("MatMul", ["c", "x"], "y")], (None, 4, 5), {"c": real(3, 4)}), tmp_path)


def test_scaler(tmp_path: Path) -> None:
    scaler = helper.make_node(
        "Scaler", ["x"], ["y"], domain="ai.onnx.ml", scale=[2.0, 3, 4, 5, 6], offset=[0.5, 1, 2, 3, 4]
    )
    proto = model([node("Relu", ["x"], "y")], VECTOR)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    proto.graph.node[0].CopyFrom(scaler)
    assert_equals_onnxruntime(proto, tmp_path)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 18, 20, 23])
def test_every_opset(tmp_path: Path, opset: int) -> None:
    nodes = [
        node("Conv", ["x", "w"], "conv"),
        node("Relu", ["conv"], "relu"),
        node("MaxPool", ["relu"], "pool", kernel_shape=[2, 2]),
        node("Flatten", ["pool"], "flat"),
        node("Gemm", ["flat", "fc", "bias"], "y"),
    ]
    constants = {"w": real(2, 2, 3, 3), "fc": real(12, 3), "bias": real(3)}
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
    assert [n.name for n in graph.nodes] == [
        "x",
        "Relu_0",
        "mean.avgpool",
        "mean.reshape",
        "mean.avgpool'",
        "mean",
        "x'",
    ]


def test_double_precision(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR, dtype=TensorProto.DOUBLE)
    assert_equals_onnxruntime(proto, tmp_path)


def test_initializer_that_is_listed_as_an_input(tmp_path: Path) -> None:
    proto = model([node("MatMul", ["x", "w"], "y")], VECTOR, {"w": real(5, 3)})
    proto.graph.input.append(onnx.helper.make_tensor_value_info("w", TensorProto.FLOAT, (5, 3)))
    assert_equals_onnxruntime(proto, tmp_path)


def test_several_outputs(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "a"), node("Flatten", ["a"], "b")]
    imported = read(saved(model(nodes, IMAGE, outputs=["b", "a"]), tmp_path))
    assert imported.graph.outputs == imported.outputs == ("b", "a")
