from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, node, saved

from neurocompile.errors import ModelError
from neurocompile.frontends import onnx_file, protobuf_wire
from neurocompile.frontends.onnx_file import OnnxFile
from neurocompile.frontends.protobuf_wire import WireError, split
from neurocompile.ir import Array

INVALID = "is no valid ONNX file"
LARGE = np.arange(2000, dtype=np.float32)
"""More bytes than go through protobuf."""


def holding(*tensors: TensorProto, **options: Any) -> onnx.ModelProto:
    """Build a model with initializers that it does not read."""
    proto = model([node("Relu", ["x"], "y")], (None, 5), **options)
    proto.graph.initializer.extend(tensors)
    return proto


def tensor(
    kind: int = TensorProto.FLOAT, dims: tuple[int, ...] = (), name: str = "w", **values: Any
) -> TensorProto:
    return TensorProto(name=name, data_type=kind, dims=dims, **values)


def refusal(read: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read()
    assert all(issue.remedy for issue in caught.value.issues)
    return caught.value


def both(proto: onnx.ModelProto, folder: Path) -> list[OnnxFile]:
    """Read a model from its file and from memory, which it must leave as it is."""
    before = proto.SerializeToString()
    files = [OnnxFile.read(saved(proto, folder)), OnnxFile.of(proto)]
    assert proto.SerializeToString() == before
    return files


def refused(proto: onnx.ModelProto, folder: Path) -> str:
    """Give what is said of a model in a file, which is also said of it in memory."""
    path = saved(proto, folder)
    said = [str(refusal(lambda: OnnxFile.read(path))), str(refusal(lambda: OnnxFile.of(proto)))]
    assert said[0].replace(str(path), "the model") == said[1]
    return said[0]


# ---------------------------------------------------------------- weights


def test_weights_are_apart_from_the_model(tmp_path: Path) -> None:
    constants = {"small": np.float32([1, 2]), "large": LARGE, "scalar": np.array(3.0), "empty": np.zeros((0, 4))}
    proto = model([node("Add", ["x", "small"], "y")], (None, 2), constants)
    for file in both(proto, tmp_path):
        assert list(file.weights) == list(constants)
        for name, expected in constants.items():
            np.testing.assert_array_equal(file.weights[name], expected, strict=True)
            assert not file.weights[name].flags.writeable
        assert not file.model.graph.initializer
        assert [value.name for value in file.model.graph.input] == ["x"]
        proto_without = onnx.ModelProto.FromString(proto.SerializeToString())
        del proto_without.graph.initializer[:]
        assert file.model == proto_without


def values_of(dtype: Any, count: int) -> Array:
    if np.dtype(dtype).kind == "V" or dtype is np.bool_:  # ml_dtypes' types are no kind of NumPy's own
        return (np.arange(count) % 2).astype(np.float32).astype(dtype)
    return (np.arange(count) % 100).astype(dtype)


DTYPES = [
    *(np.float16, np.float32, np.float64, np.complex64, np.complex128, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2),
    *(ml_dtypes.float8_e5m2fnuz, ml_dtypes.int4, ml_dtypes.uint4),
]


@pytest.mark.parametrize("count", [0, 3, 9001], ids=["empty", "small", "large"])
@pytest.mark.parametrize("dtype", DTYPES, ids=[np.dtype(d).name for d in DTYPES])
def test_every_type_as_it_is_stored(tmp_path: Path, dtype: Any, count: int) -> None:
    expected = values_of(dtype, count)
    for file in both(holding(numpy_helper.from_array(expected, "w")), tmp_path):
        assert file.weights["w"].dtype == expected.dtype
        np.testing.assert_array_equal(file.weights["w"].astype(complex), expected.astype(complex), strict=True)


@pytest.mark.parametrize("count", [0, 3, 9001], ids=["empty", "small", "large"])
@pytest.mark.parametrize("dtype", DTYPES, ids=[np.dtype(d).name for d in DTYPES])
def test_every_type_in_its_own_field(tmp_path: Path, dtype: Any, count: int) -> None:
    expected = values_of(dtype, count)
    kind = helper.np_dtype_to_tensor_dtype(expected.dtype)
    stored = helper.make_tensor("w", kind, expected.shape, expected)
    assert not stored.raw_data
    for file in both(holding(stored), tmp_path):
        assert file.weights["w"].dtype == expected.dtype
        np.testing.assert_array_equal(file.weights["w"].astype(complex), expected.astype(complex), strict=True)


def test_initializers_that_are_listed_as_inputs(tmp_path: Path) -> None:
    """As files before IR version 4 have to."""
    proto = model([node("MatMul", ["x", "w"], "y")], (None, 50), {"w": np.ones((50, 30), np.float32)})
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (50, 30)))
    proto.ir_version = 3
    for file in both(proto, tmp_path):
        assert [value.name for value in file.model.graph.input] == ["x", "w"]


def test_old_file_that_does_not_list_its_initializers(tmp_path: Path) -> None:
    proto = holding(numpy_helper.from_array(LARGE, "w"))
    proto.ir_version = 3
    for file in both(proto, tmp_path):
        np.testing.assert_array_equal(file.weights["w"], LARGE)


def test_initializer_as_the_models_output(tmp_path: Path) -> None:
    proto = holding(numpy_helper.from_array(LARGE, "w"))
    proto.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, LARGE.shape))
    for file in both(proto, tmp_path):
        assert [value.name for value in file.model.graph.output] == ["y", "w"]


@pytest.mark.parametrize("name", ["model.json", "model.textproto", "model.onnxtxt", "model"])
def test_the_name_does_not_choose_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(holding(numpy_helper.from_array(LARGE, "w")).SerializeToString())
    np.testing.assert_array_equal(OnnxFile.read(str(tmp_path / name)).weights["w"], LARGE)
    (tmp_path / name).write_text("{}")
    assert INVALID in str(refusal(lambda: OnnxFile.read(tmp_path / name)))


# ---------------------------------------------------------------- weights that do not fit their shapes


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (tensor(dims=(10**12,)), "has 0 bytes, and a shape and type that take 4000000000000"),
        (tensor(dims=(10**12,), raw_data=b"1234"), "has 4 bytes"),
        (tensor(dims=(10**6,), raw_data=bytes(5000)), "has 5000 bytes"),
        (tensor(dims=(2,), raw_data=bytes(5000)), "has 5000 bytes, and a shape and type that take 8"),
        (tensor(dims=(10**12,), float_data=[1.0]), "has 1 entries of float_data"),
        (tensor(dims=(3,), float_data=[1.0] * 5000), "has 5000 entries of float_data"),
        (tensor(TensorProto.INT64, (3,), int64_data=[1]), "has 1 entries of int64_data"),
        (tensor(TensorProto.INT4, (5,), raw_data=b"12"), "has 2 bytes, and a shape and type that take 3"),
        (tensor(TensorProto.INT4, (10**12,), int32_data=[1]), "has 1 entries of int32_data"),
        (tensor(TensorProto.COMPLEX64, (2,), float_data=[1.0] * 2), "has 2 entries of float_data"),
        (tensor(dims=(-1,)), "has the impossible shape [-1]"),
        (tensor(dims=(-1, -4), raw_data=bytes(16)), "has the impossible shape [-1, -4]"),
        (tensor(dims=(2**62, 4)), "has the impossible shape"),
        (tensor(dims=(2**32, 2**32, 2**32)), "has the impossible shape"),
        (tensor(dims=(0, 2**62, 2**62)), "has the impossible shape"),
        (tensor(dims=(1,) * 33, raw_data=bytes(4)), "has 33 axes"),
        (tensor(dims=(1,), int64_data=[1]), "has int64_data for a tensor of FLOAT"),
        (tensor(TensorProto.DOUBLE, (2000,), float_data=LARGE), "has float_data for a tensor of DOUBLE"),
        (tensor(dims=(1,), raw_data=bytes(4), float_data=[1]), "has its values in several parts"),
        (tensor(dims=(2000,), raw_data=bytes(8000), int32_data=[1]), "has its values in several parts"),
        (tensor(dims=(1,), raw_data=bytes(4), segment=TensorProto.Segment()), "has its values in several parts"),
        (tensor(TensorProto.UNDEFINED, (1,), raw_data=b"1"), "has the unknown type 0"),
        (tensor(99, (1,), raw_data=b"1"), "has the unknown type 99"),
        (tensor(dims=(1,), data_location=TensorProto.EXTERNAL, raw_data=b"1234"), "has its values twice"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_contents_that_do_not_fit(tmp_path: Path, stored: TensorProto, problem: str) -> None:
    message = refused(holding(stored), tmp_path)
    assert f"node 'w' (initializer): {problem}" in message
    assert "remedy: " in message


def test_texts_are_left_out(tmp_path: Path) -> None:
    """Such as the names of classes: nothing is computed with them."""
    proto = holding(tensor(TensorProto.STRING, (1,), string_data=[b"ant"]), tensor(name="b", float_data=[1]))
    assert set(OnnxFile.read(saved(proto, tmp_path)).weights) == {"b"}


def test_all_broken_weights_at_once(tmp_path: Path) -> None:
    proto = holding(tensor(name="a", dims=(3,)), tensor(name="b"), tensor(name="b", dims=(-1,)))
    message = refused(proto, tmp_path)
    assert "node 'a' (initializer): has 0 bytes" in message
    assert "node 'b' (initializer): is there twice" in message


def test_values_that_are_there_twice() -> None:
    """Protobuf would take the last; no program writes this."""
    values = tensor(raw_data=bytes(5000)).SerializeToString()
    with pytest.raises(WireError, match="a tensor has its values twice"):
        split(io.BytesIO(field(7, field(5, values + values))))


# ---------------------------------------------------------------- weights in other files


def external(folder: Path, **entries: str) -> onnx.ModelProto:
    """Write a model with the large weights in ``folder/weights``, and edit the reference to them."""
    proto = holding(numpy_helper.from_array(LARGE, "w"))
    onnx.save(proto, folder / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    proto = onnx.load(folder / "model.onnx", load_external_data=False)
    stored = proto.graph.initializer[0]
    known = {entry.key: entry.value for entry in stored.external_data} | entries
    del stored.external_data[:]
    for key, value in known.items():
        if value != "none":
            stored.external_data.add(key=key, value=value)
    saved(proto, folder)
    return proto


@pytest.mark.parametrize("entries", [{}, {"length": "none"}, {"length": "none", "offset": "none"}, {"odd": "key"}])
def test_weights_in_another_file(tmp_path: Path, entries: dict[str, str]) -> None:
    external(tmp_path, **entries)
    file = OnnxFile.read(tmp_path / "model.onnx")
    np.testing.assert_array_equal(file.weights["w"], LARGE, strict=True)
    assert not file.weights["w"].flags.writeable


def test_weights_in_a_folder_below_and_by_a_path_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    external(tmp_path, location="below/weights")
    (tmp_path / "below").mkdir()
    (tmp_path / "weights").rename(tmp_path / "below/weights")
    monkeypatch.chdir(tmp_path.parent)
    np.testing.assert_array_equal(OnnxFile.read(f"{tmp_path.name}/model.onnx").weights["w"], LARGE)


def test_packed_weights_in_another_file(tmp_path: Path) -> None:
    proto = holding(numpy_helper.from_array(values_of(ml_dtypes.int4, 9001), "w"))
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    found = OnnxFile.read(tmp_path / "model.onnx").weights["w"]
    np.testing.assert_array_equal(found.astype(int), values_of(ml_dtypes.int4, 9001).astype(int))


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"location": "missing"}, "is in 'missing', which does not exist"),
        ({"location": ""}, "is in '', which is no file"),
        ({"location": "none"}, "is in '', which is no file"),
        ({"location": "."}, "is in '.', which is no file"),
        ({"location": "../weights"}, "is in '../weights', which is outside the model's folder"),
        ({"location": "below/../../weights"}, "outside the model's folder"),
        ({"location": "/etc/passwd"}, "is in '/etc/passwd', which is outside the model's folder"),
        ({"location": "/no/such/file"}, "outside the model's folder"),
        ({"location": "a\0b"}, "which is no file"),
        ({"location": "a" * 5000}, "which is no file"),
        ({"offset": "4"}, "reads up to byte 8004 of weights, which has 8000"),
        ({"offset": "4", "length": "none"}, "has 7996 bytes in weights, and a shape and type that take 8000"),
        ({"offset": "9999", "length": "none"}, "has 0 bytes in weights"),
        ({"length": "7999"}, "has 7999 bytes in weights, and a shape and type that take 8000"),
        ({"length": "-8000"}, "has '-8000' as the length of its values"),
        ({"offset": "-1"}, "has '-1' as the offset"),
        ({"offset": "1e3"}, "has '1e3' as the offset"),
        ({"offset": "9" * 5000}, "as the offset"),
    ],
)
def test_weights_that_are_not_there(tmp_path: Path, entries: dict[str, str], problem: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "weights").write_bytes(LARGE.tobytes())
    external(tmp_path / "model", **entries)
    error = refusal(lambda: OnnxFile.read(tmp_path / "model/model.onnx"))
    assert error.issues[0].node == "w"
    assert problem in str(error)


def test_absolute_path_into_the_models_folder(tmp_path: Path) -> None:
    """It would lead elsewhere on another machine."""
    external(tmp_path, location=str(tmp_path / "weights"))
    assert "outside the model's folder" in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))


@pytest.mark.parametrize("linked", ["weights", "below"])
def test_links_that_leave_the_folder(tmp_path: Path, linked: str) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    external(folder, location="weights" if linked == "weights" else "below/weights")
    (folder / "weights").rename(outside / "weights")
    (folder / linked).symlink_to(outside / "weights" if linked == "weights" else outside)
    error = refusal(lambda: OnnxFile.read(folder / "model.onnx"))
    assert "outside the model's folder\n  remedy: put the file itself, no link to it" in str(error)


def test_link_within_the_folder(tmp_path: Path) -> None:
    external(tmp_path, location="link")
    (tmp_path / "link").symlink_to("weights")
    np.testing.assert_array_equal(OnnxFile.read(tmp_path / "model.onnx").weights["w"], LARGE)


def test_links_in_a_circle(tmp_path: Path) -> None:
    external(tmp_path, location="link")
    (tmp_path / "link").symlink_to("link")
    assert "is in 'link', which" in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))


def test_weights_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    external(tmp_path)
    opened = Path.open

    def denied(path: Path, *args: Any) -> Any:
        if path.name == "weights":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args)

    monkeypatch.setattr(Path, "open", denied)
    message = str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))
    assert "node 'w' (initializer): is in weights, which can't be read: Permission denied" in message


def test_all_missing_weights_at_once(tmp_path: Path) -> None:
    stored = [tensor(name=name, dims=(1,), data_location=TensorProto.EXTERNAL) for name in "ab"]
    for one in stored:
        one.external_data.add(key="location", value=f"file of {one.name}")
    error = refusal(lambda: OnnxFile.read(saved(holding(*stored), tmp_path)))
    assert [(issue.node, issue.op) for issue in error.issues] == [("a", "initializer"), ("b", "initializer")]


def test_other_files_of_a_model_in_memory(tmp_path: Path) -> None:
    message = str(refusal(lambda: OnnxFile.of(external(tmp_path))))
    assert "has its values in another file\n  remedy: load them with onnx.load_external_data_for_model" in message


def test_file_that_shrinks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(holding(numpy_helper.from_array(LARGE, "w")), tmp_path)
    check = onnx.checker.check_model

    def cut(proto: onnx.ModelProto) -> None:
        path.write_bytes(path.read_bytes()[:1000])
        check(proto)

    monkeypatch.setattr(onnx.checker, "check_model", cut)
    assert "ended while it was read" in str(refusal(lambda: OnnxFile.read(path)))


# ---------------------------------------------------------------- what is no model, or none that is read


def test_truncated_at_every_byte(tmp_path: Path) -> None:
    constants = {"small": np.ones(3, np.float32), "large": LARGE}
    whole = model([node("Relu", ["x"], "y")], (None, 5), constants).SerializeToString()
    path = tmp_path / "model.onnx"
    large = whole.index(LARGE.tobytes())
    for end in [*range(large + 10), *range(large + 7990, len(whole))]:
        path.write_bytes(whole[:end])
        assert INVALID in str(refusal(lambda: OnnxFile.read(path)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model, but a text\n" * 20,
        bytes(1000),
        b"\xff" * 99,
        bytes(range(256)),
        b"\x0b\x0c",  # a group, which protobuf has given up
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a graph of nine exabytes
        b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x0d\x01",
        b"\x08",
    ],
)
def test_no_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    error = refusal(lambda: OnnxFile.read(tmp_path / "model.onnx"))
    assert INVALID in error.issues[0].problem
    assert error.issues[0].remedy == "export the model again; the file may be incomplete"


def test_field_that_ends_after_its_message(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x3a\x02\x2a\x05" + bytes(9))
    assert "(it ends too early)" in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))
    (tmp_path / "model.onnx").write_bytes(b"\x3a\x01\x08\x01")
    assert "(it ends too early)" in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))


def test_empty_messages_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf_wire, "_MOST_FIELDS", 1000)
    (tmp_path / "model.onnx").write_bytes(field(7, b"\x0a\x00" * 1001))
    assert "(more than 1,000 parts)" in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    message = str(refusal(lambda: OnnxFile.read(tmp_path / "none.onnx")))
    assert "none.onnx: No such file or directory\n  remedy: check the path" in message
    assert "can't read" in str(refusal(lambda: OnnxFile.read(tmp_path)))


def nested(depth: int) -> bytes:
    """Put loops into loops, as deep as protobuf's own parser would not go."""
    graph = helper.make_graph([], "g", [], []).SerializeToString()
    for _ in range(depth):
        attribute = b"\x0a\x04body\xa0\x01\x05" + field(6, graph)
        graph = field(1, b"\x22\x04Loop" + field(5, attribute)) + b"\x12\x01g"
    return b"\x08\x08" + field(7, graph) + field(8, b"\x0a\x00\x10\x12")


def field(number: int, content: bytes) -> bytes:
    size, encoded = len(content), b""
    while size > 0x7F:
        encoded += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([size]) + content


@pytest.mark.parametrize("depth", [5, 30, 33, 34, 100, 2000])
def test_deeply_nested_graphs(tmp_path: Path, depth: int) -> None:
    (tmp_path / "model.onnx").write_bytes(nested(depth))
    assert INVALID in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))


@pytest.mark.parametrize("name", [b"node_", b"input", b"initi", b"produ"])
def test_names_that_are_no_text(tmp_path: Path, name: bytes) -> None:
    proto = model([node("Relu", ["input"], "y", name="node_")], (None, 5), {"initi": LARGE})
    proto.graph.input[0].name, proto.producer_name = "input", "produ"
    whole = proto.SerializeToString().replace(name, b"\xff" * 5)
    (tmp_path / "model.onnx").write_bytes(whole)
    assert INVALID in str(refusal(lambda: OnnxFile.read(tmp_path / "model.onnx")))
    assert INVALID in str(refusal(lambda: OnnxFile.of(onnx.ModelProto.FromString(whole))))


def test_bytes_as_an_attribute_are_no_names(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], "y")], (None, 5))
    proto.graph.node[0].domain = "vendor"
    proto.graph.node[0].attribute.append(helper.make_attribute("blob", b"\xff\xfe"))
    proto.opset_import.add(domain="vendor", version=1)
    assert both(proto, tmp_path)


def attribute_of_a_function() -> onnx.NodeProto:
    leaky = node("LeakyRelu", ["x"], "z")
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    return leaky


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda proto: proto.graph.node[0].input.__setitem__(0, "missing"), INVALID),
        (lambda proto: proto.graph.node.append(proto.graph.node[0]), INVALID),
        (lambda proto: proto.graph.node[0].ClearField("op_type"), INVALID),
        (lambda proto: proto.graph.node[0].attribute.add(name="odd", i=3), INVALID),
        (lambda proto: proto.graph.node.append(attribute_of_a_function()), "has an attribute without a value"),
        (lambda proto: proto.ClearField("opset_import"), INVALID),
        (lambda proto: proto.opset_import.add(version=7), "it has 2 opsets of ONNX's own operators"),
        (lambda proto: proto.graph.input.append(proto.graph.input[0]), INVALID),
        (lambda proto: proto.ClearField("graph"), INVALID),
    ],
)
def test_models_that_break_a_rule(
    tmp_path: Path, break_it: Callable[[onnx.ModelProto], Message | None], problem: str
) -> None:
    proto = holding()
    break_it(proto)
    assert problem in refused(proto, tmp_path)


def test_only_operators_of_others(tmp_path: Path) -> None:
    proto = holding()
    proto.graph.node[0].domain = proto.opset_import[0].domain = "vendor"
    assert "it has 0 opsets of ONNX's own operators" in refused(proto, tmp_path)


@pytest.mark.parametrize("opset", [7, 11, onnx.defs.onnx_opset_version()])
def test_opsets_that_are_read(tmp_path: Path, opset: int) -> None:
    assert both(holding(opset=opset), tmp_path)


def test_operators_that_onnx_does_not_have(tmp_path: Path) -> None:
    nodes = [node("Frobnicate", ["x"], "h"), node("Gelu", ["h"], "g"), node("Frob", ["g"], "y")]
    message = refused(model(nodes, (None, 5), opset=19), tmp_path)
    for name in ("Frobnicate", "Gelu", "Frob"):
        assert f"({name}): ONNX has no such operator in opset 19\n  remedy: export" in message


@pytest.mark.parametrize("opset", [1, 6])
def test_old_opsets(tmp_path: Path, opset: int) -> None:
    proto = holding()
    proto.opset_import[0].version = opset
    message = refused(proto, tmp_path)
    assert f"has opset {opset}; the oldest that is read is 7" in message
    assert "remedy: convert it with onnx.version_converter.convert_version(model, 7)" in message


@pytest.mark.parametrize(("field", "version"), [("opset", 10**6), ("IR version", 1000)])
def test_models_of_the_future(tmp_path: Path, field: str, version: int) -> None:
    proto = holding()
    if field == "opset":
        proto.opset_import[0].version = version
    else:
        proto.ir_version = version
    message = refused(proto, tmp_path)
    assert f"has {field} {version}; " in message
    assert "remedy: update onnx" in message


def test_sparse_weights(tmp_path: Path) -> None:
    proto = holding()
    values, indices = numpy_helper.from_array(LARGE[:1], "w"), numpy_helper.from_array(np.array([3]), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [5]))
    message = refused(proto, tmp_path)
    assert "node 'w' (initializer): is sparse" in message
    assert "remedy: make the weights dense" in message


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)), "sequence"),
        (helper.make_optional_type_proto(helper.make_tensor_type_proto(1, None)), "optional"),
        (helper.make_sparse_tensor_type_proto(1, [5]), "sparse tensor"),
    ],
)
def test_inputs_that_are_no_tensors(tmp_path: Path, kind: onnx.TypeProto, named: str) -> None:
    proto = holding()
    proto.graph.input.append(helper.make_value_info("odd", kind))
    assert f"node 'odd' (input): is a {named}; only dense tensors are read" in refused(proto, tmp_path)


# ---------------------------------------------------------------- functions


def with_functions(*bodies: list[str], opset: int = 18) -> onnx.ModelProto:
    """Build a model that calls the first of some functions; each calls others by number, or Relu."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]

    def calls(names: list[str]) -> list[onnx.NodeProto]:
        edges = ["x", *(f"t{i}" for i in range(len(names) - 1)), "y"]
        domains = ["" if name == "Relu" else "own" for name in names]
        return [
            helper.make_node(name, [edges[i]], [edges[i + 1]], domain=domains[i]) for i, name in enumerate(names)
        ]

    proto = holding(numpy_helper.from_array(LARGE, "w"))
    del proto.graph.node[:]
    proto.graph.node.extend(calls(["f0"]))
    proto.opset_import.append(opsets[1])
    proto.functions.extend(
        helper.make_function("own", f"f{i}", ["x"], ["y"], calls(body), opsets) for i, body in enumerate(bodies)
    )
    return proto


def test_functions_are_inlined(tmp_path: Path) -> None:
    for file in both(with_functions(["f1", "Relu"], ["Relu", "Relu"]), tmp_path):
        assert [n.op_type for n in file.model.graph.node] == ["Relu"] * 3
        assert [value.name for value in file.model.graph.input] == ["x"]
        np.testing.assert_array_equal(file.weights["w"], LARGE)


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    assert INVALID in refused(with_functions(["f1"], ["f0"]), tmp_path)


def test_functions_that_double_at_each_call(tmp_path: Path) -> None:
    proto = with_functions(*([f"f{i + 1}"] * 2 for i in range(60)), ["Relu"])
    message = refused(proto, tmp_path)
    assert f"has {2**60:,} nodes after its functions are inlined" in message


def test_calls_within_branches_count(tmp_path: Path) -> None:
    proto = with_functions(*([f"f{i + 1}"] * 2 for i in range(60)), ["Relu"])
    (call,) = proto.graph.node
    branch = helper.make_graph([call], "branch", [], [helper.make_empty_tensor_value_info("y")])
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))
    proto.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))
    proto.graph.output[0].name = "z"
    assert f"has {2 * 2**60 + 1:,} nodes after its functions are inlined" in refused(proto, tmp_path)


def test_cycles_that_onnx_lets_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older versions of its checker do not look for them."""
    monkeypatch.setattr(onnx_file.onnx.checker, "check_model", lambda _: None)
    assert "(a function calls itself)" in refused(with_functions(["f1"], ["f0"]), tmp_path)


# ---------------------------------------------------------------- memory


PEAK = """
import re, sys
from pathlib import Path
from neurocompile.frontends.onnx_file import OnnxFile

def peak():
    return int(re.search(r"VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
weights = OnnxFile.read(sys.argv[1]).weights
assert [float(w[0, 0]) for w in weights.values()] == [0, 1, 2]
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("held_by", ["raw_data", "float_data"])
def test_memory_is_little_more_than_the_weights(tmp_path: Path, held_by: str) -> None:
    number = TensorProto.DESCRIPTOR.fields_by_name[held_by].number
    proto = holding(*(tensor(name=f"w{i}", dims=(5000, 2000)) for i in range(3)))
    for i, stored in enumerate(proto.graph.initializer):
        stored.MergeFromString(field(number, np.full(10**7, i, np.float32).tobytes()))
    path = saved(proto, tmp_path)
    assert path.stat().st_size > 120e6
    run = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 1.15 * path.stat().st_size
