from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import findpython
import pytest
from neurocompile_lava import runtime
from neurocompile_lava.runtime import PYTHON_VARIABLE, find_or_make
from neurocompile_lava.worker import guard

LAVA = ("small.onnx", "--target", "lava", "--steps", "4", "-o", "small.nc")

STAND_IN = """#!/bin/sh
# Stands in for the Python that runs Lava: says where it is when it is checked, and fails as a worker.
if [ "$1" = -c ]; then echo "$0"; exit; fi
echo "what it said last" >&2
"""

ERROR = '{"event": "error", "problem": "no such neuron", "traceback": "where it was"}'


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def failing(
    cli: Callable[..., Any], temporary: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Let a worker fail as a line of shell says, and give the message; `--debug` tells what it left."""

    def fail(line: str, left: str = "what it said last") -> str:
        worker = folder / "worker"
        worker.write_text(STAND_IN + line + "\n")
        worker.chmod(0o755)
        monkeypatch.setenv(PYTHON_VARIABLE, str(worker))
        outcome = cli(*LAVA)
        assert (outcome.status, outcome.out) == (2, "")
        assert "Traceback" not in outcome.err
        debugged = cli(*LAVA, "--debug")
        assert debugged.status == 2
        assert "Traceback" in debugged.err
        assert left in debugged.err
        assert list(temporary.iterdir()) == []
        return str(outcome.err[outcome.err.index("error: ") :])

    return fail


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "exit 3",
            "error: the Lava worker ended with exit code 3\n  remedy: look at the worker's output with --debug",
        ),
        (
            "kill -9 $$",
            "error: the Lava worker was killed by SIGKILL, perhaps for want of memory\n  remedy: free memory",
        ),
        ("kill -SEGV $$", "error: the Lava worker was killed by SIGSEGV\n  remedy: "),
    ],
)
def test_a_worker_that_fails(failing: Callable[[str], str], line: str, message: str) -> None:
    assert failing(line).startswith(message)


def test_a_worker_that_tells_an_error(failing: Callable[[str, str], str]) -> None:
    message = failing(f"echo '{ERROR}'", "where it was")
    assert message.startswith(
        "error: the Lava worker failed: no such neuron\n  remedy: look at the worker's traceback"
    )


def test_a_worker_that_hangs(failing: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "START_SECONDS", 1.0)
    monkeypatch.setattr(guard, "STEP_SECONDS", 0.0)
    assert failing("sleep 600").startswith("error: the Lava worker did not end within 1 s\n  remedy: ")


# ---------------------------------------------------------------- no Python that runs Lava


def test_the_named_python_is_not_there(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/no/such/python")
    message = refused("small.onnx", "--target", "lava")
    assert f"{PYTHON_VARIABLE} names /no/such/python, which is no executable file" in message
    assert "or unset it" in message


@pytest.fixture
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and neither Python 3.10 nor uv."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(version_info=(3, 12, 1), executable=sys.executable))
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: [])


@pytest.mark.usefixtures("nothing_at_hand")
def test_there_is_no_python_310(cli: Callable[..., Any]) -> None:
    outcome = cli(*LAVA[:-2])
    assert (outcome.status, outcome.out) == (2, "")
    assert "error: Lava needs Python 3.10, and there is none here" in outcome.err
    assert "remedy: install Python 3.10" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("nothing_at_hand")
def test_the_numpy_target_needs_none(cli: Callable[..., Any]) -> None:
    assert cli("small.onnx", "--target", "numpy", "--precision", "int8").status == 0


@pytest.mark.usefixtures("nothing_at_hand")
def test_the_cache_can_not_be_written(
    refused: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "small.onnx"))
    assert "the Lava runtime can't be made in" in refused("small.onnx", "--target", "lava")


def test_the_folder_for_temporary_files_is_gone(cli: Callable[..., Any], temporary: Path) -> None:
    find_or_make(print)
    temporary.rmdir()
    outcome = cli(*LAVA)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"can't be written to {temporary}" in outcome.err
    assert "\n  remedy: make room there, or let TMPDIR name another folder" in outcome.err
