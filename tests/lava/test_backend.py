"""Runs on Lava that fail, hang or are broken off, through the backend itself."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import psutil
import pytest
from conformance.networks import compiled, images, mlp
from neurocompile_lava import job, plan, supervisor
from neurocompile_lava.backend import LavaExecutable

from neurocompile.errors import BackendError
from neurocompile.ir import Array
from neurocompile.options import Options

PATIENCE = 60.0
LONG = 10_000
"""Steps that take longer than any of these tests waits for."""

BROKEN_OFF = """
import signal, sys
sys.path[:0] = sys.argv[1:]
from conformance.networks import compiled, images, mlp
from neurocompile.backend import compile_for
from neurocompile.options import Options

signal.signal(signal.SIGINT, signal.default_int_handler)
network = compile_for("lava", compiled(mlp(), Options(encoder="poisson")))
network.run(images(mlp(), 3), steps=10_000, progress=lambda doing, done, total: print(doing, flush=True))
"""


class Run:
    """One run of a small network, and what belongs to it on this machine."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.executable = LavaExecutable(compiled(mlp(), Options(encoder="poisson")), python)
        self.seen: set[str] = set()
        self.sessions: set[int] = set()

    def __call__(self, *, steps: int = 8, once: Callable[[], object] = lambda: None) -> Array:
        """Run, and call ``once`` as soon as Lava has run some steps."""
        todo = [once]

        def progress(*_: object) -> None:
            if todo:
                self.look(os.getpid())
                todo.pop()()

        return self.executable.run(images(mlp(), 3), steps=steps, progress=progress).potentials

    def look(self, parent: int) -> list[psutil.Process]:
        """Note all that must be gone afterwards, and give the processes of Lava's network."""
        self.seen.update(path.name for path in self.files)
        # A session of its own tells a worker from other processes even where it has ended by now.
        (worker,) = [p for p in psutil.Process(parent).children() if os.getsid(p.pid) == p.pid]
        self.sessions.add(worker.pid)
        return worker.children()

    @property
    def worker(self) -> psutil.Process:
        (session,) = self.sessions
        return psutil.Process(session)

    @property
    def files(self) -> list[Path]:
        """Our temporary files; ONNX Runtime has one of its own beside them."""
        return [*self.folder.glob("neurocompile-*"), *self.folder.glob("nc*")]

    def assert_nothing_left(self) -> None:
        assert len(self.seen) == 2
        assert self.files == []
        for name in self.seen:
            assert not list(Path("/dev/shm").glob(f"{name}*"))
        for session in self.sessions:
            assert supervisor._members(session) == []


@pytest.fixture
def run(lava_python: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    # Short, since the names of sockets are limited.
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Run(Path(folder), lava_python)


def test_a_good_run_leaves_nothing(run: Run) -> None:
    run()
    run.assert_nothing_left()


def test_two_runs_at_once(run: Run) -> None:
    x = images(mlp(), 3)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(run.executable.run, x, steps=50) for _ in range(2))
        np.testing.assert_array_equal(first.result().potentials, second.result().potentials)
    assert run.files == []


def test_the_worker_is_killed(run: Run) -> None:
    with pytest.raises(BackendError, match="was killed by SIGKILL, perhaps for want of memory"):
        run(steps=LONG, once=lambda: run.worker.kill())
    run.assert_nothing_left()


def test_a_process_of_the_network_is_killed(run: Run) -> None:
    with pytest.raises(BackendError, match="a process of the network was killed by SIGKILL"):
        run(steps=LONG, once=lambda: max(run.worker.children(), key=lambda p: p.pid).kill())
    run.assert_nothing_left()


def test_the_network_hangs(run: Run, skip_ahead: Callable[[], None]) -> None:
    def hang() -> None:
        for process in run.worker.children():
            process.suspend()
        skip_ahead()

    with pytest.raises(BackendError, match="did not end within 20306 s"):
        run(steps=LONG, once=hang)
    run.assert_nothing_left()


def test_a_process_model_raises(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan.plan(run.executable._graph, 8)
    cut = {name: array[:, 1:] if array.ndim == 2 else array for name, array in made.arrays.items()}
    monkeypatch.setattr(plan, "plan", lambda *_: replace(made, arrays=cut))
    with pytest.raises(BackendError, match="a process of the network failed: ValueError: matmul") as caught:
        run()
    assert "run_spk" in str(caught.value.__cause__)
    assert run.files == []


def test_a_plan_of_another_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PLAN_VERSION", 99)
    with pytest.raises(BackendError) as caught:
        run()
    problem = "the Lava worker failed: ValueError: the plan has version 99, this worker reads 5"
    assert [issue.problem for issue in caught.value.issues] == [problem]
    assert run.files == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_is_broken_off(run: Run, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", BROKEN_OFF, *sys.path]
    environment = {**os.environ, "TMPDIR": str(run.folder)}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == b"running on Lava\n"
            assert run.look(program.pid)
            asked = time.monotonic()
            program.send_signal(number)
            code = program.wait(PATIENCE)
        finally:
            program.kill()
    assert code == {signal.SIGTERM: 143}.get(number, -number)
    # Killed, it leaves the clearing up to the worker.
    while run.files and time.monotonic() - asked < PATIENCE:
        time.sleep(0.05)
    run.assert_nothing_left()
    assert time.monotonic() - asked < PATIENCE


def full(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("function", ["save", "savez", "load"])
def test_the_disk_is_full(run: Run, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    monkeypatch.setattr(np, function, full)
    with pytest.raises(BackendError, match=r"can't be written to .*No space left on device") as caught:
        run()
    assert "let TMPDIR name another folder" in str(caught.value)
    assert run.files == []


def test_there_is_no_folder_for_temporary_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(run.folder / "missing"))
    with pytest.raises(BackendError, match=r"can't be written to .*missing: .*No such file or directory"):
        run()


def test_the_worker_can_not_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write = job.write_plan

    def occupy(file: Path, document: Mapping[str, Any]) -> None:
        (file.parent / "potentials.npy").mkdir()
        write(file, document)

    monkeypatch.setattr(job, "write_plan", occupy)
    with pytest.raises(BackendError, match=r"the Lava worker failed: IsADirectoryError: .*potentials\.npy"):
        run()
    run.assert_nothing_left()


def test_what_lava_does_not_record(run: Run) -> None:
    with pytest.raises(BackendError, match=r"Lava does not record \['decoder'\]") as caught:
        run.executable.run(images(mlp(), 1), steps=1, probes=["decoder", "relu2"])
    assert "probe layers of neurons: ['relu2', 'relu4']" in str(caught.value)


def test_a_worker_that_leaves_no_result_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocompile_lava.job.run_worker", lambda *_, **__: None)
    executable = LavaExecutable(compiled(mlp(), Options()), Path("python"))
    with pytest.raises(BackendError, match="ended without a result"):
        executable.run(images(mlp(), 1), steps=2)
