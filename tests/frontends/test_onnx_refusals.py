from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node, saved

from neurocompile.errors import ModelError
from neurocompile.frontends.onnx_reader import read
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
    ("Conv", {"w": ones(1, 2, 3)}, {}, (None, 2, 6), 18, "is 1-dimensional"),
    ("Conv", {"w": ones(1, 2, 3, 3)}, {"auto_pad": "SAME_UPPER"}, IMAGE, 18, "pads by SAME_UPPER"),
    ("Conv", {"w": ones(1, 2, 3, 3)}, {"pads": [-1, 0, 0, 0]}, IMAGE, 18, "has pads=[-1, 0, 0, 0]"),
    ("Conv", {"w": np.full((1, 2, 3, 3), np.nan, np.float32)}, {}, IMAGE, 18, "holds NaN or infinite values"),
    ("Gemm", {"w": ones(4, 3)}, {"transA": 1}, (4, 5), 18, "transposes the batch"),
    ("Gemm", {"w": ones(5, 4), "b": ones(4, 1)}, {}, (4, 5), 18, "has biases of shape [4, 1] for 4 outputs"),
    ("MatMul", {"w": ones(2, 5, 3)}, {}, (2, 5), 18, "its weights have 3 axes"),
    ("MatMul", {"w": ones(5, 3)}, {}, IMAGE, 18, "do not fit an input of [2, 6, 5]"),
    ("BatchNormalization", NORM, {"training_mode": 1}, IMAGE, 18, "is in training mode"),
    ("MaxPool", {}, {"kernel_shape": [2]}, (None, 2, 6), 18, "two positive numbers are needed"),
    ("MaxPool", {}, {"kernel_shape": [2, 2], "dilations": [2, 1]}, IMAGE, 18, "has a dilated window"),
    ("MaxPool", {}, {"kernel_shape": [4, 4], "strides": [4, 4], "ceil_mode": 1}, IMAGE, 18, "rounds its size up"),
    ("MaxPool", {}, {"kernel_shape": [1, 1]}, VECTOR, 18, "takes images (channels, height, width), not [5]"),
    ("AveragePool", {}, {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, IMAGE, 18, "leaves the padding out"),
    ("GlobalAveragePool", {}, {}, (None, 2, 6), 18, "takes images (channels, height, width), not [2, 6]"),
    ("ReduceMean", {}, {"axes": [1]}, IMAGE, 17, "takes the mean over the axes [1]"),
    ("ReduceMean", {}, {}, IMAGE, 18, "takes the mean over the axes []"),
    ("Flatten", {}, {"axis": 2}, IMAGE, 18, "flattens from axis 2"),
    ("Reshape", {"shape": integers(0, 30, 2)}, {}, IMAGE, 18, "reshapes [2, 6, 5] to [0, 30, 2]"),
    ("Reshape", {"shape": integers(1, -1)}, {}, IMAGE, 18, "reshapes [2, 6, 5] to [1, -1]"),
    ("Reshape", {"shape": integers(2, -1)}, {}, (4, 2, 6, 5), 18, "reshapes [2, 6, 5] to [2, -1]"),
    ("Squeeze", {"axes": integers(2)}, {}, (None, 3, 1, 1), 18, "removes the axes [2] of [3, 1, 1]"),
    ("Add", {"c": ones(5)}, {}, IMAGE, 18, "is not one value for each channel"),
    ("Add", {"c": ones(1, 1, 1)}, {}, VECTOR, 18, "is not one value for each channel"),
    ("Div", {"c": np.zeros(1, np.float32)}, {}, IMAGE, 18, "divides by 0"),
    ("Dropout", {"r": np.float32(0.5), "t": np.array(True)}, {}, IMAGE, 18, "is in training mode"),
    ("Cast", {}, {"to": TensorProto.INT32}, IMAGE, 18, "casts to another type than float"),
    ("Softmax", {}, {}, VECTOR, 18, "has no spiking form yet"),
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
        # What breaks a rule of the IR names the layer that the operator became.
        assert issue.op == {"MatMul": issue.op}.get(op, op)


def two_inputs(op: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [node("Relu", ["x"], "a"), node(op, ["a", "x"], "y", **attributes)]


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        (two_inputs("Mul"), "combines two computed values"),
        (two_inputs("Sub"), "combines two computed values"),
        (two_inputs("MatMul"), "input 1 is computed while the network runs"),
        ([node("Div", ["s", "x"], "y")], "divides by the network's values"),
        ([node("MatMul", ["c", "x"], "y")], "multiplies a constant by the network's values"),
        ([node("Gemm", ["c", "c", "x"], "y")], "input 2 is computed while the network runs"),
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
    ("nodes", "blamed"),
    [
        ([node("Mul", ["batch", "two"], "first")], "first"),
        ([node("Div", ["batch", "two"], "first")], "first"),
        ([node("Gather", ["two", "batch"], "first", axis=0)], "first"),
    ],
)
def test_arithmetic_with_an_open_batch(tmp_path: Path, nodes: list[onnx.NodeProto], blamed: str) -> None:
    """Its size is unknown, so that no number may stand for it."""
    proto = model(
        [
            node("Shape", ["x"], "batch", start=0, end=1),
            *nodes,
            node("Concat", ["first", "rest"], "target", axis=0),
            node("Reshape", ["x", "target"], "y"),
        ],
        IMAGE,
        {"two": integers(2), "rest": integers(-1)},
    )
    issue = refusal(proto, tmp_path).issues[0]
    assert (issue.node, issue.problem) == (blamed, "computes with the number of images in the batch")


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
        node("Sigmoid", ["x"], "a"),
        node("Relu", ["a"], "b"),
        node("Tanh", ["b"], "c"),
        node("Relu", ["x"], "d"),
        node("Softmax", ["d"], "e"),
        node("Add", ["c", "e"], "y"),
    ]
    error = refusal(model(nodes, VECTOR), tmp_path)
    assert [(i.node, i.op) for i in error.issues] == [("a", "Sigmoid"), ("c", "Tanh"), ("e", "Softmax")]


def test_other_domains_operator_of_the_same_name(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR)
    proto.graph.node[0].domain = "vendor"
    proto.opset_import.append(helper.make_opsetid("vendor", 1))
    assert "(vendor.Relu): has no spiking form yet" in str(refusal(proto, tmp_path))


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
    error = refusal(model([node("Relu", ["x"], "y")], VECTOR, opset=9), tmp_path)
    assert "has opset 9; the oldest that is read is 11" in str(error)
    assert "convert_version(model, 11)" in str(error)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.INT32, TensorProto.STRING])
def test_input_type(tmp_path: Path, dtype: int) -> None:
    (issue,) = refusal(model([node("Identity", ["x"], "y")], VECTOR, dtype=dtype), tmp_path).issues
    assert (issue.node, issue.op) == ("x", "input")
    assert "read are float32, float64, uint8" in issue.problem


@pytest.mark.parametrize("shape", [(None, 1, "height", "width"), (None, 1, 0, 4), (4,)])
def test_size_of_images_must_be_fixed(tmp_path: Path, shape: tuple[int | str | None, ...]) -> None:
    (issue,) = refusal(model([node("Relu", ["x"], "y")], shape), tmp_path).issues
    assert "only the first axis, the batch, may be open" in issue.problem
    assert issue.remedy == "export the model with a fixed size of image"


def test_two_inputs(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], VECTOR)
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, VECTOR))
    assert "has the inputs ['x', 'z']" in str(refusal(proto, tmp_path))


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


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_probabilities_at_the_end(tmp_path: Path, op: str) -> None:
    (issue,) = refusal(model([node(op, ["x"], "y")], VECTOR), tmp_path).issues
    assert issue.remedy == "export the class scores that go into it: the decision is the same"
