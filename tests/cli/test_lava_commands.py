from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lava_stand_in import executable
from neurocompile_lava.runtime import PYTHON_VARIABLE, runtime_folder

from neurocompile.commands import compile as module
from neurocompile.commands import lava

Cli = Callable[..., Any]


def test_help(cli: Cli) -> None:
    outcome = cli("lava", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("install", "status", "remove"):
        assert word in outcome.out
    assert "--json" in cli("lava", "status", "--help").out


@pytest.mark.usefixtures("stand_in")
def test_from_nothing_to_nothing(cli: Cli, empty_cache: Path) -> None:
    outcome = cli("lava", "status")
    assert (outcome.status, outcome.err) == (2, "")
    assert outcome.out.startswith("there is no Lava runtime yet\n  remedy: make it with neurocompile lava install")

    outcome = cli("lava", "install")
    assert outcome.status == 0
    assert "making the Lava runtime" in outcome.err
    assert "installing lava-nc 0.10.0 and what it needs ..." in outcome.err
    python = runtime_folder() / "bin" / "python"
    assert outcome.out.startswith(
        f"Python 3.10.99 runs Lava: {python}\nnamed by neurocompile, which made it\nmade: {runtime_folder()}, "
    )

    again = cli("lava", "install")
    assert again == (0, f"there is nothing to make\n{outcome.out}", "")
    assert cli("lava", "status") == (0, outcome.out, "")

    assert cli("lava", "remove") == (0, f"removed {runtime_folder()}\n", "")
    assert not runtime_folder().exists()
    assert [path.suffix for path in empty_cache.iterdir()] == [".lock"]
    assert cli("lava", "remove") == (0, "there is nothing to remove\n", "")


@pytest.mark.usefixtures("stand_in")
def test_status_as_json(cli: Cli) -> None:
    outcome = cli("lava", "status", "--json")
    assert outcome.status == 2
    report = json.loads(outcome.out)
    assert (report["report"], report["works"], report["made"]) == ("lava status", False, [])
    assert report["issue"]["problem"] == "there is no Lava runtime yet"
    assert cli("lava", "install").status == 0
    outcome = cli("lava", "status", "--json")
    assert outcome.status == 0
    report = json.loads(outcome.out)
    assert (report["works"], report["version"], report["issue"]) == (True, "3.10.99", None)
    assert report["python"] == str(runtime_folder() / "bin" / "python")
    assert report["named_by"] == "neurocompile, which made it"
    assert report["made"][0]["folder"] == str(runtime_folder())
    assert report["made"][0]["bytes"] > 0


@pytest.mark.usefixtures("empty_cache")
def test_there_is_no_python_to_make_it_with(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    message = refused("lava", "install")
    assert "Lava needs Python 3.10, and there is none here that can make virtual environments" in message
    assert "install Python 3.10 and its module venv" in message
    assert f"--lava-python or {PYTHON_VARIABLE}" in message


def test_a_target_without_a_runtime(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava, "find", lambda _: object())
    for command in ("install", "status", "remove"):
        assert "has no Python of its own to manage" in refused("lava", command)


# ---------------------------------------------------------------- --lava-python

WORKER = """#!/bin/sh
# Says where it is when it is checked, and fails as a worker.
if [ "$1" = -c ]; then echo "$0"; exit; fi
echo '{"event": "error", "problem": "it is WHICH", "traceback": ""}'
"""


def worker(path: Path, which: str) -> Path:
    return executable(path, WORKER.replace("WHICH", which))


def test_the_option_names_the_python(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(worker(folder / "variable", "the one of the variable")))
    option = worker(folder / "option", "the one of the option")
    compiling = ("small.onnx", "--target", "lava", "--steps", "4", "-o", "small.nc")
    assert "failed: it is the one of the variable" in cli(*compiling).err
    assert "failed: it is the one of the option" in cli(*compiling, "--lava-python", str(option)).err
    running = ("run", "small.nc", "--input", "images.npy")
    assert "failed: it is the one of the variable" in cli(*running).err
    assert "failed: it is the one of the option" in cli(*running, "--lava-python", str(option)).err


def test_the_option_names_no_python(refused: Callable[..., str]) -> None:
    message = refused("small.onnx", "--target", "lava", "--lava-python", "/no/such/python")
    assert "--lava-python names /no/such/python, which is no executable file" in message
    assert "or leave it out" in message


def test_the_option_without_lava(refused: Callable[..., str], folder: Path) -> None:
    assert "--lava-python does nothing here" in refused("small.onnx", "--lava-python", "python3.10")
    module.compile_network("small.onnx", [[0.0] * 6]).save(folder / "small.nc")
    message = refused("run", "small.nc", "--input", "images.npy", "--lava-python", "python3.10")
    assert "--lava-python does nothing here\n  remedy: leave it out, or add --target lava" in message
