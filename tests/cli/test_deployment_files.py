from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_network
from hypothesis import given, settings
from hypothesis import strategies as st

import neurocompile as nc
from neurocompile.errors import DeploymentError
from neurocompile.report.deployed import Ran

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, str]:
    """A file to overwrite, the bytes of a deployment, and the digest of its spikes."""
    folder = tmp_path_factory.mktemp("deployment")
    model = small_network.write_model(folder / "small.onnx", hidden=4)
    network = nc.compile(model, small_network.images(20), nc.Options(steps=6))
    network.save(folder / "small.nc")
    digest = Ran.of([network.deploy("numpy").run(small_network.images(5))]).digest
    return folder / "changed.nc", (folder / "small.nc").read_bytes(), digest


def refused_or_the_same(path: Path, content: bytes, digest: str) -> bool:
    """Load a changed deployment: False if it is refused; if not, it must give the same spikes."""
    path.write_bytes(content)
    try:
        network = nc.load(path)
    except DeploymentError:
        return False
    assert Ran.of([network.deploy("numpy").run(small_network.images(5))]).digest == digest
    return True


@settings(max_examples=200)
@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(
    small: tuple[Path, bytes, str], where: float, change: int
) -> None:
    path, whole, digest = small
    content = bytearray(whole)
    content[int(where * len(content))] ^= change
    refused_or_the_same(path, bytes(content), digest)


@given(where=st.floats(0, 1, exclude_max=True))
def test_a_cut_is_noticed(small: tuple[Path, bytes, str], where: float) -> None:
    path, whole, digest = small
    assert not refused_or_the_same(path, whole[: int(where * len(whole))], digest)


def test_the_whole_file_is_taken(small: tuple[Path, bytes, str]) -> None:
    path, whole, digest = small
    assert refused_or_the_same(path, whole, digest)


# ---------------------------------------------------------------- what `run` says of a file


@pytest.fixture
def deployed(cli: Callable[..., Any], folder: Path) -> Path:
    assert cli("small.onnx", "--steps", "8", "--budget", "0", "-o", "small.nc").status == 0
    return folder / "small.nc"


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def told(refused: Refused) -> str:
    return refused("run", "small.nc", "--input", "images.npy", "-o", "spikes.npz")


def test_a_deployment_that_is_not_there(refused: Refused) -> None:
    assert "can't read small.nc: No such file or directory" in told(refused)


@pytest.mark.parametrize("content", [b"", b"PK", b"a text\n" * 50])
def test_a_file_that_is_none(refused: Refused, folder: Path, content: bytes) -> None:
    (folder / "small.nc").write_bytes(content)
    message = told(refused)
    assert "small.nc is no deployment, or it was truncated or edited" in message
    assert "compile it again with -o" in message


@pytest.mark.parametrize("name", ["small.npz", "small.onnx", "images.npy"])
def test_another_kind_of_file(refused: Refused, name: str) -> None:
    assert f"{name} is no deployment" in refused("run", name, "--input", "images.npy")


def test_a_truncated_file(refused: Refused, deployed: Path) -> None:
    deployed.write_bytes(deployed.read_bytes()[:-100])
    assert "truncated or edited" in told(refused)


def test_flipped_bytes(refused: Refused, deployed: Path) -> None:
    content = bytearray(deployed.read_bytes())
    for position in range(200, 220):
        content[position] ^= 0xFF
    deployed.write_bytes(content)
    assert "truncated or edited" in told(refused)


def test_an_edited_document(refused: Refused, deployed: Path) -> None:
    contents = entries(deployed)
    document = json.loads(contents["document.json"])
    document["options"]["steps"] = 16
    rezip(deployed, {**contents, "document.json": json.dumps(document).encode()})
    assert "do not match their digests" in told(refused)


def test_an_exchanged_array(refused: Refused, deployed: Path) -> None:
    contents = entries(deployed)
    name = next(name for name in contents if name.endswith(".npy"))
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    rezip(deployed, {**contents, name: buffer.getvalue()})
    assert "do not match their digests" in told(refused)


def test_a_missing_array(refused: Refused, deployed: Path) -> None:
    contents = entries(deployed)
    contents.pop(next(name for name in contents if name.endswith(".npy")))
    rezip(deployed, contents)
    assert "truncated or edited" in told(refused)


def test_a_newer_schema(refused: Refused, deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nc.load(deployed)
    with monkeypatch.context() as newer:
        newer.setattr("neurocompile.network._SCHEMA", 2)
        network.save(deployed)
    message = told(refused)
    assert "small.nc has schema 2" in message
    assert "remedy: update neurocompile" in message


# ---------------------------------------------------------------- writing


SMALL_DISK = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
"""


@pytest.mark.parametrize("arguments", ["small.onnx -o out", "run small.nc --input images.npy -o out"])
def test_a_full_disk_leaves_what_was_there(deployed: Path, start: Callable[..., Any], arguments: str) -> None:
    (deployed.parent / "out").write_text("what was there")
    before = {path.name for path in deployed.parent.iterdir()}
    outcome = start(*arguments.split(), before=SMALL_DISK).end()
    assert (outcome.status, outcome.out) == (2, "")
    assert "error: can't write out: File too large\n  remedy: give a path in a writable folder" in outcome.err
    assert "Traceback" not in outcome.err
    assert (deployed.parent / "out").read_text() == "what was there"
    assert {path.name for path in deployed.parent.iterdir()} == before


def test_a_folder_without_permission(refused: Refused, folder: Path) -> None:
    # Not even root writes to /proc.
    locked = Path("/proc")
    if os.geteuid():
        locked = folder / "locked"
        locked.mkdir(mode=0o500)
    assert "can't write " in refused("small.onnx", "-o", str(locked / "small.nc"))


def test_a_written_file_has_the_usual_rights(deployed: Path) -> None:
    (deployed.parent / "other").touch()
    assert stat.S_IMODE(deployed.stat().st_mode) == stat.S_IMODE((deployed.parent / "other").stat().st_mode)


def test_a_deployment_is_replaced(cli: Callable[..., Any], deployed: Path) -> None:
    before = deployed.read_bytes()
    assert cli("small.onnx", "--steps", "9", "--budget", "0", "-o", "small.nc").status == 0
    assert deployed.read_bytes() != before
    assert nc.load(deployed).options.steps == 9
