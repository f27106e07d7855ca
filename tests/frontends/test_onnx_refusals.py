from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node, saved

from neurocompile.errors import ModelError
from neurocompile.frontends.model import Model
from neurocompile.frontends.onnx_ops import OPERATORS, REFUSALS
from neurocompile.frontends.onnx_reader import inspect, read
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array

IMAGE = (None, 2, 6, 5)
VECTOR = (None, 5)


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def refusal(proto: onnx.ModelProto, folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read(saved(proto, folder))
    return caught.value


NORM = {"scale": ones(2), "shift": ones(2), "mean": ones(2), "variance": ones(2)}

# The operator, its constant inputs behind x, its attributes, the input's shape, the opset, what the error says.
CASES: list[tuple[str, dict[str, Array], dict[str, Any], tuple[int | None, ...], int, str]] = [
    ("Conv", {"w": ones(1, 2, 3)}, {}, IMAGE, 18, "takes (channels, *space) with 1 axes of space, not [2, 6, 5]"),
    ("Conv", {"w": ones(1, 2, 3, 3)}, {"pads": [-1, 0, 0, 0]}, IMAGE, 18, "pads=[-1, 0, 0, 0]"),
    ("Conv", {"w": ones(1, 2, 3, 3)}, {"strides": [0, 1]}, IMAGE, 18, "has strides=[0, 1]; 2 positive numbers"),
    ("Conv", {"w": ones(1, 2, 3, 3)}, {"kernel_shape": [3, 2]}, IMAGE, 18, "has kernel_shape=[3, 2] and weights"),
    ("Conv", {"w": np.full((1, 2, 3, 3), np.nan, np.float32)}, {}, IMAGE, 18, "holds NaN or infinite values"),
    ("Conv", {"w": ones(1, 2, 9, 3)}, {}, IMAGE, 18, "a window of (9, 3) does not fit into (6, 5)"),
    ("Conv", {"w": ones(2, 1)}, {}, (None, 2), 18, "which have no axes of space"),
    ("ConvTranspose", {"w": ones(3, 2, 3, 3)}, {}, IMAGE, 18, "do not fit an input of [2, 6, 5]"),
    ("ConvTranspose", {"w": ones(2, 2, 3, 3)}, {"strides": [0, 1]}, IMAGE, 18, "has strides=[0, 1]"),
    ("ConvTranspose", {"w": ones(2, 2, 3, 3)}, {"pads": [9, 0, 0, 0]}, IMAGE, 18, "leaves nothing of [8, 7]"),
    ("ConvTranspose", {"w": ones(2, 2, 3, 3)}, {"pads": [-1, 0, 0, 0]}, IMAGE, 18, "has pads=[-1, 0, 0, 0]"),
    ("Gemm", {"w": ones(4, 3)}, {"transA": 1}, (4, 5), 18, "transposes the batch"),
    ("Gemm", {"w": ones(5, 4), "b": ones(4, 1)}, {}, (4, 5), 18, "has biases of shape [4, 1] for 4 outputs"),
    ("MatMul", {"w": ones(2, 5, 3)}, {}, (2, 5), 18, "its weights have the shape [2, 5, 3]"),
    ("MatMul", {"w": ones(4, 3)}, {}, IMAGE, 18, "do not fit an input of [5, 2, 6]"),
    ("MatMul", {"w": ones(1, 5, 3)}, {}, (2, 5), 18, "its weights have the shape [1, 5, 3]"),
    ("ConvTranspose", {"w": ones(2, 2, 3, 3)}, {"dilations": [10**6] * 2}, IMAGE, 18, "spreads [2, 6, 5] over"),
    ("ConvTranspose", {"w": ones(2, 2, 3, 3)}, {"output_shape": [1]}, IMAGE, 18, "has output_shape=[1]"),
    ("BatchNormalization", NORM, {"training_mode": 1}, IMAGE, 18, "is in training mode"),
    ("BatchNormalization", NORM, {"spatial": 0}, IMAGE, 8, "has statistics for each place"),
    ("MaxPool", {}, {"kernel_shape": [2]}, IMAGE, 18, "takes (channels, *space) with 1 axes of space"),
    ("MaxPool", {}, {"kernel_shape": [1, 1]}, VECTOR, 18, "with 2 axes of space, not [5]"),
    (
        "MaxPool",
        {},
        {"kernel_shape": [2, 2], "dilations": [1, 2], "auto_pad": "SAME_UPPER"},
        IMAGE,
        18,
        "by auto_pad, which runtimes do differently",
    ),
    ("AveragePool", {}, {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, IMAGE, 18, "with nothing inside"),
    ("GlobalAveragePool", {}, {}, VECTOR, 18, "takes (channels, *space), not [5]"),
    ("ReduceMean", {}, {"axes": [0, 1]}, IMAGE, 17, "works across the images of the batch"),
    ("ReduceMean", {}, {"axes": [7]}, IMAGE, 17, "works on axis 7 of 4"),
    ("ReduceMean", {}, {}, IMAGE, 18, "works across the images of the batch"),
    ("Flatten", {}, {"axis": 2}, IMAGE, 18, "moves values between the images"),
    ("Transpose", {}, {"perm": [1, 0, 2, 3]}, IMAGE, 18, "moves values between the images"),
    ("Transpose", {}, {"perm": [1, 0]}, (4, 4), 18, "moves values between the images"),
    ("Reshape", {"shape": integers(1, -1)}, {}, IMAGE, 18, "moves values between the images"),
    ("Reshape", {"shape": integers(2, -1)}, {}, (4, 2, 6, 5), 18, "moves values between the images"),
    ("Reshape", {"shape": integers(0, 7, -1)}, {}, IMAGE, 18, "can't be computed from its constants"),
    ("Slice", {"a": integers(0), "b": integers(1), "c": integers(0)}, {}, IMAGE, 18, "moves values between"),
    ("Slice", {"a": integers(3), "b": integers(3), "c": integers(1)}, {}, IMAGE, 18, "leaves nothing of an image"),
    ("Gather", {"i": integers(0)}, {"axis": 0}, IMAGE, 18, "moves values between the images"),
    ("Tile", {"r": integers(2, 1)}, {}, VECTOR, 18, "moves values between the images"),
    ("Tile", {"r": integers(1, 10**12)}, {}, VECTOR, 18, "makes a constant of more than"),
    ("Pad", {"p": integers(1, 0, 0, 0)}, {}, VECTOR, 18, "works across the images of the batch"),
    ("Pad", {"p": integers(0, 10**12, 0, 0)}, {}, VECTOR, 18, "pads to [1000000000005]"),
    ("Pad", {"p": integers(0, 7, 0, 0)}, {"mode": "reflect"}, VECTOR, 18, "farther than its edges"),
    ("Pad", {"p": integers(0, 7)}, {}, VECTOR, 18, "has 2 pads for 2 axes"),
    ("Pad", {"p": integers(0, -3, 0, -3)}, {}, VECTOR, 18, "leaves nothing of an image"),
    ("Pad", {"p": integers(0, 1, 0, 1), "v": np.float32(np.inf)}, {}, VECTOR, 18, "with inf"),
    (
        "Resize",
        {"r": ones(0), "s": np.array([1, 1, 2, 2], np.float32)},
        {"mode": "cubic"},
        IMAGE,
        11,
        "by mode cubic",
    ),
    (
        "Resize",
        {"r": ones(0), "s": np.array([1, 1, 0.5, 1], np.float32)},
        {"mode": "linear", "antialias": 1},
        IMAGE,
        18,
        "by mode linear",
    ),
    ("Resize", {"s": np.array([2, 1, 1, 1], np.float32)}, {}, IMAGE, 10, "resizes the batch"),
    ("Resize", {"s": np.array([1, 1, 1, 9e5], np.float32)}, {}, IMAGE, 10, "to a size of 4500000"),
    ("Resize", {"s": np.array([1, 2, 0, 1], np.float32)}, {}, IMAGE, 10, "has the scales"),
    (
        "Resize",
        {"roi": ones(0), "s": np.array([1, 1, 2, 1], np.float32)},
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        IMAGE,
        13,
        "counts pixels by tf_crop_and_resize",
    ),
    (
        "Resize",
        {"roi": ones(0), "s": np.array([1, 1, 1, 0.5], np.float32)},
        {"coordinate_transformation_mode": "align_corners"},
        IMAGE,
        13,
        "aligns corners of a size of 2.5",
    ),
    ("Resize", {"roi": ones(0)}, {}, IMAGE, 13, "has neither scales nor sizes"),
    ("Pad", {"p": integers(0, -1, 0, 2)}, {"mode": "wrap"}, VECTOR, 19, "crops and pads by mode wrap at once"),
    ("Pad", {"p": np.full(4, np.nan)}, {}, VECTOR, 18, "holds float64, not whole numbers"),
    ("MaxPool", {}, {"kernel_shape": [2, 2], "ceil_mode": 2}, IMAGE, 18, "has ceil_mode=2"),
    ("Concat", {"c": ones(0, 1, 6, 5)}, {"axis": 1}, (3, 2, 6, 5), 18, "differs from image to image"),
    ("Min", {"c": np.array([1, -1e30], np.float32).reshape(2, 1, 1)}, {}, IMAGE, 18, "compares with -1e+30"),
    ("Clip", {"a": np.float32(1e30)}, {}, IMAGE, 18, "clips to 1.0000000150474662e+30 and None"),
    ("Clip", {}, {"max": -1e30}, IMAGE, 7, "which leaves nothing"),
    ("Add", {"c": ones(1, 1, 1)}, {}, VECTOR, 18, "has more axes than the network's values"),
    ("Add", {"c": ones(3, 5)}, {}, (3, 5), 18, "differs from image to image"),
    ("Add", {"c": ones(4)}, {}, VECTOR, 18, "constants that do not fit"),
    ("Div", {"c": np.zeros(1, np.float32)}, {}, IMAGE, 18, "divides by 0"),
    ("Pow", {"c": np.float32(0.5)}, {}, IMAGE, 18, "raises to the power 0.5"),
    ("Clip", {"a": np.float32(1), "b": np.float32(0)}, {}, IMAGE, 18, "clips to 1.0 and 0.0"),
    ("Clip", {"a": np.float32(np.nan)}, {}, IMAGE, 18, "clips to nan and None"),
    ("PRelu", {"s": ones(3)}, {}, IMAGE, 18, "has values of shape [3] for an image of [2, 6, 5]"),
    ("Elu", {}, {"alpha": float("inf")}, IMAGE, 18, "has alpha=inf"),
    ("Concat", {"c": ones(1, 2, 6, 5)}, {"axis": 0}, (1, 2, 6, 5), 18, "works across the images"),
    ("Dropout", {"r": np.float32(0.5), "t": np.array(True)}, {}, IMAGE, 18, "is in training mode"),
    ("Cast", {}, {"to": TensorProto.INT32}, IMAGE, 18, "casts to another type than float"),
    ("CastLike", {"like": np.zeros(1, ml_dtypes.float8_e5m2)}, {}, VECTOR, 19, "casts to another type than float"),
    ("ArgMax", {}, {"axis": 1, "select_last_index": 1}, IMAGE, 18, "takes the last of equal values"),
    ("ArgMax", {}, {}, IMAGE, 18, "works across the images of the batch"),
    ("LRN", {}, {"size": 3}, IMAGE, 18, "a power of its neighbours' squares"),
    ("Shape", {}, {}, VECTOR, 18, "the output 'y' does not depend on the input"),
]


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "shape", "opset", "problem"), CASES, ids=[f"{c[0]}: {c[5]}" for c in CASES]
)
def test_names_node_operator_and_remedy(
    tmp_path: Path,
    op: str,
    constants: dict[str, Array],
    attributes: dict[str, Any],
    shape: tuple[int | None, ...],
    opset: int,
    problem: str,
) -> None:
    constants = {name: np.asarray(value) for name, value in constants.items()}
    proto = model([node(op, ["x", *constants], "y", name="n", **attributes)], shape, constants, opset=opset)
    (issue,) = refusal(proto, tmp_path).issues
    assert problem in issue.problem
    assert issue.remedy
    if op != "Shape":
        assert issue.node == "n"
        assert issue.op == op


def two_inputs(op: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [node("Relu", ["x"], "a"), node(op, ["a", "x"], "y", **attributes)]


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        (two_inputs("MatMul"), "multiplies two matrices that are both computed"),
        (two_inputs("Gather"), "input 1 is computed while the network runs"),
        ([node("Greater", ["x", "x"], "g"), node("Where", ["g", "x", "s"], "y")], "compares computed values"),
        ([node("Greater", ["x", "c"], "g"), node("Where", ["g", "x", "s"], "y")], "input 1 has 25 values"),
        ([node("Cast", ["x"], "i", to=TensorProto.FLOAT8E5M2)], "casts to another type than float"),
        ([node("Pow", ["s", "x"], "y")], "raises to a computed power"),
        ([node("Max", ["x", "x", "x"], "y")], "compares 3 operands"),
        ([node("Flatten", ["x"], "f", axis=1), node("Softmax", ["f"], "y", axis=0)], "works across the images"),
        ([node("MatMul", ["c", "x"], "y")], "multiplies a constant by values of [5] for an image"),
        ([node("Gemm", ["c", "c", "x"], "y")], "input 2 is computed while the network runs"),
        ([node("Flatten", ["x"], "f"), node("Conv", ["c", "f"], "y")], "input 1 is computed"),
        ([node("Squeeze", ["c", "x"], "y")], "applies to a constant what is meant for the network's values"),
        ([node("Relu", ["c"], "y")], "the images do not reach it"),
        ([node("Add", ["x", "missing"], "y")], "is no valid ONNX file"),
    ],
)
def test_computed_operands(tmp_path: Path, nodes: list[onnx.NodeProto], problem: str) -> None:
    error = refusal(model(nodes, (5, 5), {"c": ones(5, 5), "s": ones(1)}), tmp_path)
    assert problem in str(error)
    assert "remedy" in str(error)


def test_images_as_weights_of_a_constant(tmp_path: Path) -> None:
    error = refusal(
        model(
            [node("GlobalAveragePool", ["x"], "a"), node("Conv", ["c", "a"], "y")], IMAGE, {"c": ones(1, 2, 6, 5)}
        ),
        tmp_path,
    )
    assert "input 1 is computed" in str(error)


def test_second_output(tmp_path: Path) -> None:
    """The indices of a pool are no images: a layer that reads them would otherwise read nothing."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pool", "indices"], "pool", kernel_shape=[2, 2]),
        node("Cast", ["indices"], "y", to=TensorProto.FLOAT),
    ]
    (issue,) = refusal(model(nodes, IMAGE), tmp_path).issues
    assert (issue.node, issue.op) == ("y", "Cast")
    assert "by an output that is not converted" in issue.problem


def test_second_output_as_the_models(tmp_path: Path) -> None:
    nodes = [helper.make_node("MaxPool", ["x"], ["pool", "y"], "pool", kernel_shape=[2, 2])]
    assert "does not depend on the input" in str(refusal(model(nodes, IMAGE, outputs=["y"]), tmp_path))


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (node("Mul", ["batch", "two"], "first"), "moves values between the images of the batch"),
        (node("Div", ["batch", "two"], "first"), "moves values between the images of the batch"),
        (node("Gather", ["two", "batch"], "first", axis=0), "can't be computed from its constants"),
    ],
)
def test_arithmetic_with_an_open_batch(tmp_path: Path, first: onnx.NodeProto, problem: str) -> None:
    """Its size is unknown, so that no number may stand for it."""
    proto = model(
        [
            node("Shape", ["x"], "batch", start=0, end=1),
            first,
            node("Concat", ["first", "rest"], "target", axis=0),
            node("Reshape", ["x", "target"], "y"),
        ],
        IMAGE,
        {"two": integers(2), "rest": integers(-1)},
    )
    assert problem in refusal(proto, tmp_path).issues[0].problem


def test_open_batch_as_an_operand(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], "batch", start=0, end=1),
        node("Cast", ["batch"], "real", to=TensorProto.FLOAT),
        node("Add", ["x", "real"], "y"),
    ]
    assert "computes with the number of images" in str(refusal(model(nodes, IMAGE), tmp_path))


def test_arithmetic_on_bytes(tmp_path: Path) -> None:
    """Integers would divide without a rest, and wrap around."""
    nodes = [node("Div", ["x", "c"], "y")]
    proto = model(nodes, IMAGE, {"c": np.full(1, 255, np.uint8)}, dtype=TensorProto.UINT8)
    assert "computes in integers" in str(refusal(proto, tmp_path))


def test_constants_that_can_not_be_computed(tmp_path: Path) -> None:
    nodes = [node("Reshape", ["c", "target"], "d"), node("Add", ["x", "d"], "y")]
    proto = model(nodes, VECTOR, {"c": ones(5)})
    proto.graph.initializer.append(onnx.numpy_helper.from_array(integers(3), "target"))
    (issue,) = refusal(proto, tmp_path).issues
    assert (issue.node, issue.op) == ("d", "Reshape")
    assert "can't be computed from its constants" in issue.problem


def test_all_unsupported_nodes_at_once(tmp_path: Path) -> None:
    nodes = [
        node("LRN", ["x"], "a", size=3),
        node("Relu", ["a"], "b"),
        node("Det", ["b"], "c"),
        node("Relu", ["x"], "d"),
        node("TopK", ["d", "two"], "e"),
        node("Add", ["c", "e"], "y"),
    ]
    nodes[4].output.append("places")
    error = refusal(model(nodes, IMAGE, {"two": integers(2)}), tmp_path)
    assert [(i.node, i.op) for i in error.issues] == [("a", "LRN"), ("c", "Det"), ("e", "TopK")]


@pytest.mark.parametrize("op", REFUSALS)
def test_every_refusal_has_a_remedy(op: str) -> None:
    assert op not in OPERATORS
    problem, remedy = REFUSALS[op]
    assert problem
    assert remedy


def test_other_domains_operator_of_the_same_name(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR)
    proto.graph.node[0].domain = "vendor"
    proto.opset_import.append(helper.make_opsetid("vendor", 1))
    assert "(vendor.Relu): has no spiking form" in str(refusal(proto, tmp_path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"can't read .*: No such file or directory\n  remedy: check the path"):
        read(tmp_path / "none.onnx")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't read"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model, but a text\n" * 20, bytes(range(256))])
def test_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is no valid ONNX file"):
        read(path)


def test_truncated_file(tmp_path: Path) -> None:
    whole = model([node("MatMul", ["x", "w"], "y")], VECTOR, {"w": ones(5, 3)}).SerializeToString()
    path = tmp_path / "model.onnx"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError):
            read(path)


def test_missing_weights_file(tmp_path: Path) -> None:
    proto = model([node("MatMul", ["x", "w"], "y")], VECTOR, {"w": ones(5, 3)})
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    with pytest.raises(ModelError, match="weights"):
        read(path)


def test_old_opset(tmp_path: Path) -> None:
    error = refusal(model([node("Relu", ["x"], "y")], VECTOR, opset=6), tmp_path)
    assert "has opset 6; the oldest that is read is 7" in str(error)
    assert "convert_version(model, 7)" in str(error)


@pytest.mark.parametrize("dtype", [TensorProto.BFLOAT16, TensorProto.INT32, TensorProto.STRING])
def test_input_type(tmp_path: Path, dtype: int) -> None:
    (issue,) = refusal(model([node("Identity", ["x"], "y")], VECTOR, dtype=dtype), tmp_path).issues
    assert (issue.node, issue.op) == ("x", "input")
    assert "read are float32, float64, float16, uint8" in issue.problem


@pytest.mark.parametrize("shape", [(None, 1, "height", "width"), (None, 1, 0, 4), (4,)])
def test_size_of_images_must_be_fixed(tmp_path: Path, shape: tuple[int | str | None, ...]) -> None:
    (issue,) = refusal(model([node("Relu", ["x"], "y")], shape), tmp_path).issues
    assert "only the first axis, the batch, may be open" in issue.problem
    assert issue.remedy == "export the model with a fixed size of image"


def test_two_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "z"], "a"), node("Relu", ["a"], "y")]
    proto = model(nodes, VECTOR, outputs=["a", "y"])
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, VECTOR))
    with pytest.raises(ModelError) as caught:
        Model.read(saved(proto, tmp_path))
    assert "has the inputs ['x', 'z']" in str(caught.value)
    assert "has the outputs ['a', 'y']" in str(caught.value)


def test_inputs_of_different_batches(tmp_path: Path) -> None:
    proto = model([node("Add", ["x", "z"], "y")], (2, 5))
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (3, 5)))
    assert "have batches of different sizes" in str(refusal(proto, tmp_path))


def test_reference_names_what_onnxruntime_says(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ONNX Runtime can't run"):
        OnnxReference(tmp_path / "none.onnx")


def test_input_without_a_type(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UNDEFINED
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError):
        read(tmp_path / "model.onnx")


@pytest.mark.parametrize("suffix", [".json", ".textproto", ".onnxtxt"])
def test_files_are_read_as_onnx_whatever_their_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_text("{}")
    with pytest.raises(ModelError, match="is no valid ONNX file"):
        read(path)


def test_images_of_an_impossible_size(tmp_path: Path) -> None:
    error = refusal(model([node("Relu", ["x"], "y")], (None, 10**6, 10**6)), tmp_path)
    assert "has more than 268,435,456 values for an image" in str(error)


def test_what_comes_behind_a_refused_node_is_told_too(tmp_path: Path) -> None:
    nodes = [
        node("LRN", ["x"], "a", size=3),
        node("ReduceMean", ["a", "axes"], "b"),
        node("Add", ["b", "c"], "y"),
    ]
    error = refusal(model(nodes, IMAGE, {"axes": integers(0), "c": ones(1)}), tmp_path)
    assert [(i.node, i.op) for i in error.issues] == [("a", "LRN"), ("b", "ReduceMean")]
    found = inspect(saved(model(nodes[:1], IMAGE), tmp_path))
    assert found.graph is not None
    assert [type(n.op).__name__ for n in found.graph.nodes] == ["Input"]


@pytest.mark.parametrize("size", [1, 0])
def test_nothing_is_told_of_what_has_no_known_shape(tmp_path: Path, size: int) -> None:
    nodes = [node("TopK", ["x", "k"], "a"), node("NonZero", ["a"], "b"), node("Relu", ["b"], "y")]
    nodes[0].output.append("places")
    error = refusal(model(nodes, IMAGE, {"k": integers(size)}), tmp_path)
    assert {i.op for i in error.issues} <= {"TopK", "NonZero"}
    assert error.issues[0].op == "TopK"


@pytest.mark.parametrize("inputs", [["x", ""], ["", "x", "x"]])
def test_inputs_without_a_name(tmp_path: Path, inputs: list[str]) -> None:
    """ONNX Runtime crashes on them, also where nothing needs the node."""
    proto = model([node("Relu", ["x"], "y"), helper.make_node("Mean", inputs, ["z"], "n")], VECTOR, outputs=["y"])
    assert "node 'n' (Mean) has an input without a name" in str(refusal(proto, tmp_path))
