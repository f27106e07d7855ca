from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
import small_network

from neurocompile import backend
from neurocompile.cli import main

PATIENCE = 120.0
"""Seconds that a command may take which a machine at rest runs in a few."""

PROGRAM = """
import resource, signal

# A shell starts what runs in the background with this signal ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from neurocompile.cli import main
{before}
main()
"""


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds `small.onnx`, `small.npz` and `images.npy`."""
    small_network.write_model(tmp_path / "small.onnx")
    np.savez(tmp_path / "small.npz", **small_network.data())
    np.save(tmp_path / "images.npy", small_network.images(5))
    return tmp_path


@pytest.fixture
def cli(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command line in this process, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        assert isinstance(exited.value.code, int)
        return Outcome(exited.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(cli: Callable[..., Outcome], folder: Path) -> Callable[..., str]:
    """Run a command line that must fail, with and without `--debug`, and give its message."""

    def run(*arguments: str) -> str:
        before = contents(folder)
        outcome = cli(*arguments)
        lines = [line for line in outcome.err.splitlines() if not line.endswith(" ...")]
        message = "\n".join(lines)
        assert (outcome.status, outcome.out) == (2, ""), message
        assert message.startswith("error: ")
        assert "\nerror: " not in message
        assert "\n  remedy: " in message
        assert "Traceback" not in message
        debugged = cli(*arguments, "--debug")
        assert debugged.status == 2
        assert "Traceback (most recent call last)" in debugged.err
        assert message in debugged.err
        assert contents(folder) == before
        return message

    return run


class Command:
    """The command in a process of its own, with its own folder for temporary files."""

    def __init__(
        self, folder: Path, temporary: Path, arguments: Sequence[str], before: str, environment: Mapping[str, str]
    ) -> None:
        self._temporary = temporary
        self._folders: set[str] = set()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(before=before), *arguments],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(self._temporary), "COLUMNS": "80", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, words: str) -> str:
        """Read standard error to the line that begins with some words."""
        assert self.process.stderr is not None
        read = ""
        for line in self.process.stderr:
            read += line
            if line.startswith(words):
                self._folders.update(path.name for path in self._temporary.iterdir())
                return read
        raise AssertionError(f"it never said {words!r}, but:\n{read}")

    def end(self) -> Outcome:
        out, err = self.process.communicate(timeout=PATIENCE)
        return Outcome(self.process.returncode, out, err)

    def left(self) -> list[object]:
        """List temporary files, shared memory and processes that are there yet."""
        shared = [path for path in Path("/dev/shm").glob("nc*") if path.name.split("_")[0] in self._folders]
        return [*self._temporary.iterdir(), *shared, *self._processes()]

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(self._temporary)):
                    yield process
            except (psutil.Error, OSError):
                continue


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Command]]:
    """Start a command line in a process of its own; `before` runs there first."""
    started: list[Command] = []
    # The path of a socket is limited to some 100 characters, so pytest's own folder would be too deep.
    with tempfile.TemporaryDirectory(prefix="nc") as temporary:

        def run(*arguments: str, before: str = "", **environment: str) -> Command:
            started.append(Command(folder, Path(temporary), arguments, before, environment))
            return started[-1]

        yield run
        for command in started:
            command.process.kill()
            command.process.communicate()


class Entry(NamedTuple):
    """An entry point as `importlib.metadata` gives it."""

    name: str
    load: Callable[[], type]


@pytest.fixture
def add_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Install a backend beside the others."""

    def add(made: type) -> None:
        real = backend.entry_points

        def entry_points(*, group: str, name: str | None = None) -> list[object]:
            entries = [*real(group=group), Entry(made.name, lambda: made)]
            return [entry for entry in entries if name in (None, entry.name)]

        monkeypatch.setattr(backend, "entry_points", entry_points)

    return add
