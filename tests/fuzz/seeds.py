"""Small models that are valid: what the fuzzer starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Shape = Sequence[int | str | None]

RNG = np.random.default_rng(0)
FILE = "case.onnx"
"""What fuzzers call the file that they judge: ``with_external_weights`` reads from it."""

IMAGE = (None, 2, 6, 4)
VECTOR = (None, 4)


def real(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, output.split(), name=f"node_{output.split()[0]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Shape,
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Build a model from the input ``x`` to the output ``y``."""
    graph = helper.make_graph(
        nodes,
        "seed",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    if not proto.graph.output[0].type.tensor_type.HasField("shape"):
        proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", dtype, [None] * len(shape)))
    return proto


# ---------------------------------------------------------------- one operator each

POOL: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}
NORM = {"scale": real(2), "shift": real(2), "mean": real(2), "variance": np.abs(real(2)) + 0.5}
NO_ROI = {"roi": np.zeros(0, np.float32)}

# The operator, its constant inputs behind x, its attributes, the input's shape, the opset.
SINGLE: list[tuple[str, dict[str, Array], dict[str, Any], Shape, int]] = [
    *((op, {}, {}, IMAGE, 17) for op in ("Abs", "Celu", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish")),
    *((op, {}, {}, IMAGE, 17) for op in ("Identity", "LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Selu")),
    *((op, {}, {}, IMAGE, 18) for op in ("Mish", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh", "Flatten")),
    *(
        (op, {"c": real(2, 1, 1)}, {}, IMAGE, 17)
        for op in ("Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")
    ),
    *((op, {}, {"axis": 1}, IMAGE, opset) for op in ("Softmax", "LogSoftmax") for opset in (11, 13)),
    ("ArgMax", {}, {"axis": 1}, IMAGE, 13),
    ("AveragePool", {}, POOL, IMAGE, 19),
    ("AveragePool", {}, {**POOL, "ceil_mode": 1, "count_include_pad": 1}, IMAGE, 19),
    ("AveragePool", {}, {"kernel_shape": [3], "auto_pad": "SAME_UPPER"}, (None, 2, 7), 11),
    ("BatchNormalization", NORM, {}, IMAGE, 9),
    ("BatchNormalization", NORM, {}, IMAGE, 15),
    ("Cast", {}, {"to": TensorProto.DOUBLE}, IMAGE, 17),
    ("CastLike", {"like": real(1)}, {}, IMAGE, 17),
    ("CenterCropPad", {"shape": whole(4, 8)}, {"axes": [2, 3]}, IMAGE, 18),
    ("Clip", {"low": np.float32(-0.2), "high": np.float32(0.6)}, {}, IMAGE, 17),
    ("Clip", {}, {"min": -0.5, "max": 0.3}, IMAGE, 7),
    ("Concat", {"c": np.ones((3, 1, 6, 4), np.float32)}, {"axis": 1}, (3, 2, 6, 4), 17),
    ("Conv", {"w": real(4, 1, 3, 2), "b": real(4)}, {"group": 2, "pads": [1, 0, 1, 1]}, IMAGE, 17),
    ("Conv", {"w": real(3, 2, 3)}, {"strides": [2], "dilations": [2]}, (None, 2, 9), 11),
    ("Conv", {"w": real(3, 2, 2, 3, 2)}, {"auto_pad": "SAME_LOWER"}, (None, 2, 3, 4, 3), 11),
    ("ConvTranspose", {"w": real(2, 2, 3, 2), "b": real(2)}, {"strides": [2, 1], "pads": [1, 0, 0, 1]}, IMAGE, 17),
    ("ConvTranspose", {"w": real(2, 1, 3)}, {"group": 2, "output_padding": [1], "strides": [2]}, (None, 2, 5), 11),
    ("DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}, (None, 8, 2, 3), 13),
    ("Dropout", {}, {"ratio": 0.5}, IMAGE, 10),
    ("Dropout", {"ratio": np.float32(0.5), "training": np.array(False)}, {}, IMAGE, 13),
    ("Expand", {"shape": whole(1, 2, 6, 4)}, {}, (None, 2, 6, 1), 17),
    ("Gather", {"indices": whole(3, 0, -1)}, {"axis": 2}, IMAGE, 17),
    ("Gelu", {}, {"approximate": "tanh"}, IMAGE, 20),
    ("Gemm", {"w": real(4, 3), "b": real(3)}, {"alpha": 0.5, "beta": 2.0}, VECTOR, 17),
    ("Gemm", {"w": real(4, 4), "b": real(1, 4)}, {"transB": 1}, VECTOR, 9),
    ("GlobalAveragePool", {}, {}, IMAGE, 17),
    ("GlobalMaxPool", {}, {}, IMAGE, 17),
    ("MatMul", {"w": real(4, 3)}, {}, IMAGE, 17),
    ("MaxPool", {}, {**POOL, "dilations": [2, 1]}, IMAGE, 17),
    ("MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, IMAGE, 12),
    ("PRelu", {"slope": real(2, 1, 1)}, {}, IMAGE, 16),
    ("Pad", {"pads": whole(0, 0, 1, -1, 0, 0, 2, 1), "v": np.float32(0.7)}, {"mode": "constant"}, IMAGE, 17),
    ("Pad", {"pads": whole(0, 0, 1, 2, 0, 0, 2, 1)}, {"mode": "reflect"}, IMAGE, 18),
    ("Pad", {}, {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "edge"}, IMAGE, 7),
    ("Pow", {"c": np.float32(3)}, {}, IMAGE, 17),
    *((op, {"axes": whole(-1, 2)}, {"keepdims": 0}, IMAGE, 18) for op in ("ReduceMax", "ReduceMean", "ReduceSum")),
    ("ReduceMean", {}, {"axes": [1]}, IMAGE, 13),
    ("Reshape", {"shape": whole(0, 2, -1)}, {}, IMAGE, 17),
    ("Resize", {**NO_ROI, "scales": np.float32([1, 1, 2, 1.5])}, {"mode": "nearest"}, IMAGE, 17),
    ("Resize", {"scales": np.float32([1, 1, 2, 3])}, {}, IMAGE, 10),
    ("Slice", {"from": whole(-2, 0), "to": whole(-7, 4), "axes": whole(2, 3), "by": whole(-2, 3)}, {}, IMAGE, 13),
    ("Slice", {}, {"starts": [1, 0], "ends": [2, 1000], "axes": [3, 1]}, IMAGE, 9),
    ("SpaceToDepth", {}, {"blocksize": 2}, IMAGE, 13),
    ("Squeeze", {"axes": whole(-1, 2)}, {}, (None, 3, 1, 1), 13),
    ("Swish", {}, {"alpha": 1.7}, IMAGE, 24),
    ("Tile", {"repeats": whole(1, 2, 1, 3)}, {}, IMAGE, 13),
    ("Transpose", {}, {"perm": [0, 2, 3, 1]}, IMAGE, 17),
    ("Unsqueeze", {"axes": whole(-1)}, {}, VECTOR, 13),
    ("Upsample", {"scales": np.float32([1, 1, 2, 3])}, {}, IMAGE, 9),
]


def splits() -> onnx.ModelProto:
    nodes = [
        node("Split", ["x", "sizes"], "a b", axis=2),
        node("Concat", ["b", "a"], "y", axis=2),
    ]
    return model(nodes, IMAGE, {"sizes": whole(4, 2)})


def choices() -> onnx.ModelProto:
    nodes = [
        node("Greater", ["x", "c"], "p"),
        node("Where", ["p", "x", "half"], "a"),
        node("LessOrEqual", ["a", "c"], "q"),
        node("Where", ["q", "half", "a"], "b"),
        node("Less", ["c", "b"], "r"),
        node("Where", ["r", "b", "half"], "d"),
        node("GreaterOrEqual", ["d", "c"], "s"),
        node("Where", ["s", "d", "half"], "y"),
    ]
    return model(nodes, IMAGE, {"c": np.float32(0.1), "half": np.float32([0.5])})


# ---------------------------------------------------------------- networks as exporters write them


def perceptron() -> onnx.ModelProto:
    nodes = [
        node("Gemm", ["x", "w1", "b1"], "h", transB=1),
        node("Relu", ["h"], "r"),
        node("Gemm", ["r", "w2", "b2"], "s", transB=1),
        node("Softmax", ["s"], "y", axis=-1),
    ]
    # The first weights are large enough to be left in the file.
    constants = {"w1": real(30, 40), "b1": real(30), "w2": real(3, 30), "b2": real(3)}
    return model(nodes, (None, 40), constants)


def from_scikit_learn() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Scaler", ["x"], ["n"], domain="ai.onnx.ml", scale=[2.0, 3, 4, 5], offset=[0.5, 1, 2, 3]),
        node("MatMul", ["n", "w"], "p"),
        node("Add", ["p", "b"], "a"),
        node("Sigmoid", ["a"], "y"),
    ]
    return model(nodes, VECTOR, {"w": real(4, 3), "b": real(1, 3)}, opset=15)


def convolutional() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], "c1", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], "n1"),
        node("Relu", ["n1"], "r1"),
        node("MaxPool", ["r1"], "m1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["m1", "w2", "b2"], "c2", kernel_shape=[2, 2]),
        node("Relu", ["c2"], "r2"),
        node("AveragePool", ["r2"], "a2", kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
        node("Flatten", ["a2"], "f"),
        node("Dropout", ["f"], "d"),
        node("Gemm", ["d", "fc"], "y"),
    ]
    constants = {"w1": real(2, 1, 3, 3), "w2": real(3, 2, 2, 2), "b2": real(3), "fc": real(27, 4), **NORM}
    return model(nodes, (None, 1, 8, 8), constants, opset=13)


def residual() -> onnx.ModelProto:
    """With the shape arithmetic of ``x.view(x.size(0), -1)``."""
    nodes = [
        node("Conv", ["x", "w1"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2"], "c2", pads=[1, 1, 1, 1], group=2),
        node("Add", ["c2", "r1"], "sum"),
        node("Relu", ["sum"], "r2"),
        node("GlobalAveragePool", ["r2"], "pool"),
        node("Shape", ["pool"], "shape"),
        node("Gather", ["shape", "zero"], "batch", axis=0),
        node("Unsqueeze", ["batch", "axes"], "first"),
        node("Concat", ["first", "rest"], "target", axis=0),
        node("Reshape", ["pool", "target"], "flat"),
        node("MatMul", ["flat", "fc"], "scores"),
        node("Add", ["scores", "bias"], "y"),
    ]
    constants = {"w1": real(4, 2, 3, 3), "w2": real(4, 2, 3, 3), "fc": real(4, 3), "bias": real(3)}
    return model(nodes, IMAGE, {**constants, "zero": np.array(0), "axes": whole(0), "rest": whole(-1)})


def mobile() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], "c1", strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Clip", ["c1", "zero", "six"], "r1"),
        node("Conv", ["r1", "w2"], "c2", group=4, pads=[1, 1, 1, 1]),
        node("HardSwish", ["c2"], "r2"),
        node("Conv", ["r2", "w3"], "c3"),
        node("Concat", ["r1", "c3"], "both", axis=1),
        node("ReduceMean", ["both"], "mean", axes=[2, 3], keepdims=0),
        node("Gemm", ["mean", "fc"], "y"),
    ]
    constants = {"w1": real(4, 2, 3, 3), "w2": real(4, 1, 3, 3), "w3": real(2, 4, 1, 1), "fc": real(6, 3)}
    return model(nodes, (2, 2, 6, 4), {**constants, "zero": np.float32(0), "six": np.float32(6)})


def from_keras() -> onnx.ModelProto:
    """Channels last, bytes as input."""
    nodes = [
        node("Cast", ["x"], "f", to=TensorProto.FLOAT),
        node("Div", ["f", "white"], "n"),
        node("Transpose", ["n"], "t", perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], "c"),
        node("LeakyRelu", ["c"], "r", alpha=0.2),
        node("Transpose", ["r"], "u", perm=[0, 2, 3, 1]),
        node("Reshape", ["u", "flat"], "v"),
        node("MatMul", ["v", "fc"], "y"),
    ]
    constants = {"white": np.float32(255), "w": real(3, 1, 3, 3), "flat": whole(-1, 24), "fc": real(24, 3)}
    return model(nodes, (None, 6, 4, 1), constants, dtype=TensorProto.UINT8, opset=15)


def autoencoder() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1", "b1"], "c1", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Elu", ["c1"], "r1", alpha=0.7),
        node("ConvTranspose", ["r1", "w2"], "c2", strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1]),
        node("PRelu", ["c2", "slope"], "r2"),
        node("Resize", ["r2", "", "scales"], "up", mode="nearest", coordinate_transformation_mode="asymmetric"),
        node("Pad", ["up", "pads"], "p", mode="reflect"),
        node("Tanh", ["p"], "y"),
    ]
    constants = {"w1": real(3, 2, 3, 3), "b1": real(3), "w2": real(3, 2, 3, 3), "slope": real(2, 1, 1)}
    constants |= {"scales": np.float32([1, 1, 2, 2]), "pads": whole(0, 0, 1, 1, 0, 0, 0, 2)}
    return model(nodes, IMAGE, constants)


def folded() -> onnx.ModelProto:
    """Constants that are computed in many ways."""
    nodes = [
        node("Constant", [], "two", value_ints=[2, 2]),
        node("ConstantOfShape", ["two"], "filled", value=numpy_helper.from_array(np.float32([3]))),
        node("Range", ["start", "stop", "step"], "counted"),
        node("Cast", ["counted"], "real", to=TensorProto.FLOAT),
        node("Reshape", ["real", "two"], "square"),
        node("Equal", ["square", "one"], "same"),
        node("Where", ["same", "filled", "square"], "chosen"),
        node("Tile", ["chosen", "two"], "tiled"),
        node("Transpose", ["tiled"], "turned"),
        node("Slice", ["turned", "from", "to"], "part"),
        node("Gemm", ["x", "part"], "y"),
    ]
    constants = {"start": np.array(0), "stop": np.array(4), "step": np.array(1), "one": np.float32(1)}
    return model(nodes, VECTOR, {**constants, "from": whole(0, 1), "to": whole(4, 4)}, opset=13)


def branching() -> onnx.ModelProto:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph(
            [node(op, ["x"], f"of_{op}")], op, [], [helper.make_empty_tensor_value_info(f"of_{op}")]
        )

    nodes = [node("If", ["c"], "y", then_branch=branch("Relu"), else_branch=branch("Tanh"))]
    return model(nodes, IMAGE, {"c": np.array(True)})


def with_function() -> onnx.ModelProto:
    proto = model([node("Relu", ["x"], "h"), node("Relu", ["h"], "y")], IMAGE, {"w": real(1200)})
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    body = [node("Sigmoid", ["a"], "b"), helper.make_node("Mul", ["a", "b"], ["c"])]
    proto.opset_import.append(opsets[1])
    proto.functions.append(helper.make_function("own", "Silu", ["a"], ["c"], body, opsets))
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "Silu", "own"
    return proto


def with_external_weights() -> onnx.ModelProto:
    """They are in the model's own file, whatever is written there."""
    proto = model([node("MatMul", ["x", "w"], "y")], VECTOR, {"w": real(4, 3)})
    weights = proto.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", FILE), ("offset", "16"), ("length", "48")):
        weights.external_data.add(key=key, value=value)
    return proto


def in_type(kind: int) -> onnx.ModelProto:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        node("MatMul", ["x", "w"], "p"),
        node("Add", ["p", "b"], "a"),
        node("Relu", ["a"], "y"),
    ]
    return model(nodes, VECTOR, {"w": real(4, 3).astype(dtype), "b": real(3).astype(dtype)}, dtype=kind)


def packed() -> onnx.ModelProto:
    """Weights in types that NumPy does not have."""
    proto = model([node("Cast", ["w"], "f", to=TensorProto.FLOAT), node("MatMul", ["x", "f"], "y")], VECTOR)
    proto.opset_import[0].version, proto.ir_version = 21, 10
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.INT4, (4, 3), range(-6, 6)))
    return proto


NETWORKS: list[Callable[[], onnx.ModelProto]] = [
    autoencoder,
    branching,
    choices,
    convolutional,
    folded,
    from_keras,
    from_scikit_learn,
    mobile,
    packed,
    perceptron,
    residual,
    splits,
    with_external_weights,
    with_function,
]


@cache
def seeds() -> Mapping[str, bytes]:
    """Give each model, serialised, by its name."""
    models = {
        f"{op} {i}": model([node(op, ["x", *c], "y", **a)], shape, c, opset=opset)
        for i, (op, c, a, shape, opset) in enumerate(SINGLE)
    }
    models |= {network.__name__: network() for network in NETWORKS}
    models |= {f"in type {kind}": in_type(kind) for kind in (TensorProto.DOUBLE, TensorProto.FLOAT16)}
    return {name: proto.SerializeToString() for name, proto in models.items()}
