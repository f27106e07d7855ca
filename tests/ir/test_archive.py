from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import chain

from neurocompile.errors import DeploymentError
from neurocompile.ir import Array, Graph, Node, Op, archive
from neurocompile.ir.layers import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Choose,
    Concat,
    Conv,
    Function,
    Identity,
    Input,
    Linear,
    MaxPool,
    Multiply,
    Rearrange,
    ReLU,
    Reshape,
    Softmax,
)
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile.ir.serialization import from_document, to_document

ARRAYS = {"arrays/0": np.arange(6.0).reshape(2, 3), "arrays/1": np.array(7, np.int8), "arrays/2": np.zeros((0, 3))}
DOCUMENT = {"format": "test", "text": "Grüße"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    archive.write(tmp_path / "file", DOCUMENT, ARRAYS)
    return tmp_path / "file"


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def forge(path: Path, **changed: bytes | None) -> None:
    """Rewrite entries, with digests that fit them."""
    contents = {**entries(path), **{name.replace("__", "/"): content for name, content in changed.items()}}
    contents = {name: content for name, content in contents.items() if content is not None}
    digests = {n: hashlib.sha256(c).hexdigest() for n, c in contents.items() if n != "digests.json"}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {**contents, "digests.json": json.dumps(digests).encode()}.items():
            file.writestr(name, content)


def test_reads_what_was_written(path: Path) -> None:
    document, arrays = archive.read(path)
    assert document == DOCUMENT
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(arrays[name], array)


def test_equal_contents_make_equal_files(path: Path, tmp_path: Path) -> None:
    archive.write(tmp_path / "again", DOCUMENT, ARRAYS)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_file_has_the_usual_rights(path: Path, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_npz_is_read_by_numpy(tmp_path: Path) -> None:
    archive.write_npz(tmp_path / "file.npz", {"x": np.arange(3)})
    with np.load(tmp_path / "file.npz") as loaded:
        np.testing.assert_array_equal(loaded["x"], np.arange(3))


def test_truncated_anywhere(path: Path) -> None:
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DeploymentError):
            archive.read(path)


@pytest.mark.parametrize("flip", [0x01, 0x04, 0x06, 0x0C, 0x80, 0xFF])
def test_any_byte_changed(path: Path, flip: int) -> None:
    """Either the change is told, or it hit what does not count, such as a date."""
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        try:
            document, arrays = archive.read(path)
        except DeploymentError:
            continue
        assert document == DOCUMENT
        assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def test_edited_document(path: Path) -> None:
    contents = entries(path)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content.replace(b"test", b"text"))
    with pytest.raises(DeploymentError, match="its contents do not match their digests"):
        archive.read(path)


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2), }"),
        npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 1), }"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"),
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (2,), }"),
        npy("{'descr': '|U4', 'fortran_order': False, 'shape': (1,), }"),
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': 2, }"),
        npy("{'descr': (((((((('<f8', "),
        npy("__import__('os')"),
        b"\x93NUMPY\x02\x00" + bytes(100),
        b"no array",
        b"",
    ],
)
def test_forged_array(path: Path, content: bytes) -> None:
    forge(path, **{"arrays__0.npy": content})
    with pytest.raises(DeploymentError, match="is no deployment, or it was truncated or edited"):
        archive.read(path)


@pytest.mark.parametrize("content", [b"[]", b"7", b"", b"{", b"\xff\xfe", b"[" * 100_000, None])
def test_forged_document(path: Path, content: bytes | None) -> None:
    forge(path, **{"document.json": content})
    with pytest.raises(DeploymentError, match="is no deployment, or it was truncated or edited"):
        archive.read(path)


def test_other_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other", "w") as file:
        file.writestr("hello", "world")
    with pytest.raises(DeploymentError, match="is no deployment"):
        archive.read(tmp_path / "other")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"can't read .*: No such file or directory"):
        archive.read(tmp_path / "none")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"can't write .*: No such file or directory"):
        archive.write(tmp_path / "none" / "file", DOCUMENT, ARRAYS)


def test_folder_that_can_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    # Root may write anywhere, so a folder's rights would not be enough.
    monkeypatch.setattr(archive.tempfile, "mkstemp", refuse)
    with pytest.raises(DeploymentError, match=r"can't write .*: Permission denied"):
        archive.write(tmp_path / "file", DOCUMENT, ARRAYS)


def test_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    old = path.read_bytes()
    program = textwrap.dedent(f"""
        import resource, signal, sys
        import numpy as np
        from pathlib import Path
        from neurocompile.errors import DeploymentError
        from neurocompile.ir import archive
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        noise = np.random.default_rng(0).random(10_000)
        try:
            archive.write(Path({os.fspath(path)!r}), {{}}, {{"noise": noise}})
        except DeploymentError as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "can't write" in done.stdout
    assert "File too large" in done.stdout
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_behind_where_writing_fails(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def fill_up(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    old = path.read_bytes()
    monkeypatch.setattr(archive.zipfile.ZipFile, "writestr", fill_up)
    with pytest.raises(DeploymentError, match="No space left on device"):
        archive.write(path, DOCUMENT, ARRAYS)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


LAYERS = chain((1, 4, 4), Conv(np.ones((2, 1, 3, 3)), np.zeros(2)), MaxPool((2, 2), (1, 1)), ReLU())

EVERY_LAYER = Graph(
    (
        Node("x", Input((2, 6), "uint8")),
        Node("conv", Conv(np.ones((2, 1, 3)), np.zeros(2), (1,), (1, 1), (1,), 2), ("x",)),
        Node("norm", BatchNorm(*[np.full(2, 0.5)] * 4, 1e-3), ("conv",)),
        Node("affine", Affine(np.ones((2, 1)), np.array(0.25)), ("norm",)),
        Node("relu", ReLU(np.array(6.0)), ("affine",)),
        Node("function", Function("selu", 1.6732632423543772, 1.05), ("affine",)),
        Node("multiply", Multiply(), ("relu", "function")),
        Node("choose", Choose(), ("relu", "multiply", "function")),
        Node("same", Identity(), ("choose",)),
        Node("max", MaxPool((2,), (1,), (0, 1), (1,)), ("same",)),
        Node("mean", AvgPool((2,), (), (2, 0), (2,)), ("same",)),
        Node("add", Add(), ("max", "mean")),
        Node("both", Concat(1), ("add", "relu")),
        Node("moved", Rearrange(np.array([[3, -1], [3, 0]])), ("both",)),
        Node("flat", Reshape((4,)), ("moved",)),
        Node("linear", Linear(np.ones((3, 4), np.float32), np.zeros(3)), ("flat",)),
        Node("shares", Softmax(0, log=True), ("linear",)),
        Node("class", ArgMax(), ("shares",)),
    ),
    ("class", "linear"),
)

EVERY_PROCESS = Graph(
    (
        Node("x", Encoder((2, 6), "poisson", 255.0, 0, 7, True, "uint8", 2)),
        Node("conv", ConvSynapses(np.ones((2, 1, 3), np.int8), -2, (1,), (1, 1), (1,), 2), ("x",)),
        Node("scale", ScaleSynapses(np.full((2, 1), -3, np.int8), 1), ("conv",)),
        Node("neurons", IntegrateAndFire(*[np.zeros((), np.int64)] * 3, "zero"), ("scale",)),
        Node("signed", IntegrateAndFire(*[np.zeros((), np.int64)] * 3, signed=True), ("neurons",)),
        Node("waiting", IntegrateAndFire(*[np.zeros((), np.int64)] * 3, wait=True), ("signed",)),
        Node("digits", DigitNeurons(*[np.zeros((), np.int64)] * 2, 3), ("waiting",)),
        Node("messages", GradedNeurons(*[np.ones((), np.int64)] * 2, 15), ("digits",)),
        Node("left", WireSynapses(np.arange(24).reshape(4, 6) % 13 - 1), ("messages",)),
        Node("right", WireSynapses(np.full((4, 6), -1)), ("x",)),
        Node("both", CurrentSum(), ("left", "right")),
        Node("max", SpikeMaxPool((2,), (2,), (0, 0), (2,), 2), ("both",)),
        Node("sum", PoolSynapses((2,), (), (0, 1), (1,)), ("max",)),
        Node("flat", ReshapeSynapses((8,)), ("sum",)),
        Node("linear", LinearSynapses(np.ones((3, 8), np.int8)), ("flat",)),
        Node("out", Decoder(np.zeros(1, np.int64), 0.5, 2, "softmax"), ("linear",)),
    ),
    ("out",),
)


def stored(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """Describe a graph, as a file holds it."""
    document, arrays = to_document(graph)
    return json.loads(json.dumps(document)), arrays


def test_every_operator_is_loaded_as_it_was_saved() -> None:
    found = set()
    for graph in (EVERY_LAYER, EVERY_PROCESS):
        assert from_document(*stored(graph)) == graph
        found |= {type(node.op).__name__ for node in graph.nodes}
    # Tests may define some of their own.
    assert found == {name for name, op in Op.registry.items() if op.__module__.startswith("neurocompile.")}


def edited(graph: Graph, change: str, value: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Describe a graph with one entry replaced; the path is separated by slashes, and a node goes by its name."""
    document, arrays = stored(graph)
    first, *way = change.split("/")
    if not way:
        return {**document, first: value}, arrays
    place = next(node for node in document["nodes"] if node["name"] == first)
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    return document, arrays


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("nodes", None),
        ("nodes", 3),
        ("nodes", [[]]),
        ("x/name", 7),
        ("x/op", "Op"),
        ("x/op", []),
        ("x/inputs", ["conv1"]),
        ("x/inputs", None),
        ("x/parameters/shape", [1, -4, 4]),
        ("x/parameters/shape", [1, 4.0, 4]),
        ("x/parameters/shape", []),
        ("x/parameters", {"shape": [1, 4, 4]}),
        ("x/parameters/more", 1),
        ("x/parameters/dtype", 8),
        ("conv1/parameters/weight", {"array": "arrays/9"}),
        ("conv1/parameters/weight", {"array": "arrays/1"}),
        ("conv1/parameters/weight", 1.0),
        ("conv1/parameters/stride", [1]),
        ("conv1/parameters/stride", [1, 1, 1]),
        ("conv1/parameters/stride", [0, 1]),
        ("conv1/parameters/stride", [True, True]),
        ("conv1/parameters/stride", 1),
        ("conv1/parameters/stride", [1, 10**30]),
        ("conv1/parameters/padding", [-1, 0, 0, 0]),
        ("conv1/parameters/padding", [1, 1]),
        ("conv1/parameters/padding", [10**30, 0, 0, 0]),
        ("conv1/parameters/dilation", [2, 2]),
        ("conv1/parameters/groups", 0),
        ("conv1/parameters/groups", 1.0),
        ("maxpool2/parameters/kernel", [0, 0]),
        ("maxpool2/parameters/kernel", []),
        ("maxpool2/parameters/kernel", [1, 1, 1]),
        ("maxpool2/parameters/padding", [10**9, 10**9, 0, 0]),
        ("relu3/parameters/ceiling", {"array": "arrays/1"}),
        ("relu3/name", "x"),
        ("outputs", []),
        ("outputs", ["y"]),
        ("outputs", [None]),
    ],
)
def test_edited_graph_is_refused(change: str, value: Any) -> None:
    with pytest.raises(DeploymentError):
        from_document(*edited(LAYERS, change, value))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("function/parameters/name", "sine"),
        ("function/parameters/name", ["selu"]),
        ("function/parameters/alpha", "1"),
        ("function/parameters/alpha", 1),
        ("both/parameters/axis", -1),
        ("both/parameters/axis", 1.0),
        ("flat/parameters/shape", [2, -2]),
        ("flat/parameters/shape", [1] * 100 + [4]),
        ("shares/parameters/log", 1),
        ("class/parameters/axis", 1),
    ],
)
def test_edited_layers_are_refused(change: str, value: Any) -> None:
    with pytest.raises(DeploymentError):
        from_document(*edited(EVERY_LAYER, change, value))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("x/parameters/ceiling", float("nan")),
        ("x/parameters/ceiling", float("inf")),
        ("flat/parameters/shape", [3, 3]),
        ("flat/parameters/shape", ["8"]),
        ("max/parameters/dilation", [2, 2]),
        ("max/parameters/dilation", [10**30]),
        ("sum/parameters/padding", [0]),
        ("left/parameters/index", [0, 1]),
        ("left/parameters/index", None),
        ("out/parameters/readout", "hardmax"),
        ("out/parameters/unit", float("nan")),
        ("out/parameters/unit", 1),
    ],
)
def test_edited_processes_are_refused(change: str, value: Any) -> None:
    with pytest.raises(DeploymentError):
        from_document(*edited(EVERY_PROCESS, change, value))


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 6), -2),
        np.full((4, 6), 12),
        np.full((4, 6), -(2**63)),
        np.full((4, 6), 2**63 - 1),
        np.full((4, 6), 3.0),
        np.ones((4, 6), np.bool_),
        np.ones((4, 6), np.uint8),
        np.zeros((4, 0), np.int64),
        np.zeros((4, 7), np.int64),
        np.zeros((), np.int64),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_forged_wires_are_refused(array: Array) -> None:
    document, arrays = edited(EVERY_PROCESS, "left/parameters/index", {"array": "forged"})
    with pytest.raises(DeploymentError):
        from_document(document, {**arrays, "forged": array})


@pytest.mark.parametrize("dtype", [np.bool_, np.int16, np.uint8, np.float64])
def test_weights_of_another_type_are_refused(dtype: type) -> None:
    document, arrays = edited(EVERY_PROCESS, "linear/parameters/weight", {"array": "forged"})
    with pytest.raises(DeploymentError):
        from_document(document, {**arrays, "forged": np.ones((3, 8), dtype)})


@pytest.mark.parametrize("code", ["constant", "telegraph", 3])
def test_choices_are_checked(code: Any) -> None:
    parameters = {
        "shape": [1],
        "code": code,
        "ceiling": 1.0,
        "levels": 0,
        "refractory": 0,
        "seed": 0,
        "integer": False,
    }
    parameters["dtype"] = "float32"
    document = {
        "nodes": [{"name": "x", "op": "Encoder", "inputs": [], "parameters": parameters}],
        "outputs": ["x"],
    }
    if code == "constant":
        assert from_document(document, {})["x"].op.code == code
    else:
        with pytest.raises(DeploymentError, match="is none of"):
            from_document(document, {})


def test_equal_arrays_are_stored_once() -> None:
    shared = np.ones((1, 1, 1, 1))
    graph = chain((1, 2, 2), Conv(shared, np.zeros(1)), Conv(shared.copy(), np.zeros(1)))
    assert len(to_document(graph)[1]) == 2


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nc"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("arrays/0.npy", bytes(100 << 20))
    with pytest.raises(DeploymentError, match=r"would unpack to 0\.1 GB"):
        archive.read(path)
