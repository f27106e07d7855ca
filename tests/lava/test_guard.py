from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from neurocompile_lava.supervisor import run_worker
from neurocompile_lava.worker import guard

from neurocompile.errors import BackendError

PATIENCE = 240.0

NETWORK = """
import os
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

class Node(AbstractProcess):
    pass

@implements(proc=Node, protocol=LoihiProtocol)
@requires(CPU)
class PyNode(PyLoihiProcessModel):
    def run_spk(self):
        if self.time_step == 3:
            exec(os.environ["AT_STEP_3"])
"""

WORKER = """
import os, sys
sys.path[:0] = [WORKER_FOLDER, NETWORK_FOLDER]
from guard import emit, guard
node = None
release = guard(lambda: node and node.runtime)
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from network import Node
node = Node()
emit("start", session=os.getsid(0), folder=os.environ["TMPDIR"])
node.run(RunSteps(5), Loihi2SimCfg())
emit("segments", found=[name for name in os.listdir("/dev/shm") if name.startswith(FOLDER_NAME)])
release()
node.stop()
emit("end")
os._exit(0)
"""


class ExitError(Exception):
    pass


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    def leave(code: int) -> None:
        raise ExitError(code)

    monkeypatch.setattr(os, "_exit", leave)
    return lambda: json.loads(capsys.readouterr().out)


class Actor:
    """Stands in for one of Lava's actors; an exception as a value is raised when it is read."""

    name = "SystemProcess-3"

    def __init__(self, exception: object = None, exitcode: object = None) -> None:
        self._values = {"exception": exception, "exitcode": exitcode}

    def _read(self, name: str) -> object:
        value = self._values[name]
        if isinstance(value, Exception):
            raise value
        return value

    @property
    def exception(self) -> object:
        return self._read("exception")

    @property
    def exitcode(self) -> object:
        return self._read("exitcode")


def runtime(*actors: Actor) -> SimpleNamespace:
    return SimpleNamespace(_messaging_infrastructure=SimpleNamespace(actors=list(actors)))


@pytest.mark.parametrize(
    "sound",
    [
        None,
        SimpleNamespace(_messaging_infrastructure=None),
        runtime(Actor(), Actor(exitcode=0)),
        runtime(Actor(exception=EOFError()), Actor(exception=OSError("handle is closed"))),
        runtime(Actor(exitcode=ValueError("process object is closed"))),
    ],
)
def test_actors_that_run_or_have_ended_well(sound: object) -> None:
    guard.check_actors(sound)


@pytest.mark.parametrize(
    ("actor", "problem", "trace"),
    [
        (
            Actor(exception=(ValueError("no input"), "Traceback: x")),
            "failed: ValueError: no input",
            "Traceback: x",
        ),
        (Actor(exception=TypeError("odd")), "failed with an error that can't be read", "TypeError: odd"),
        (Actor(exitcode=-9), "was killed by SIGKILL", "SystemProcess-3 left no traceback"),
        (Actor(exitcode=3), "ended with exit code 3", "SystemProcess-3 left no traceback"),
    ],
)
def test_a_failed_actor_is_reported(reported: Callable[[], Any], actor: Actor, problem: str, trace: str) -> None:
    with pytest.raises(ExitError):
        guard.check_actors(runtime(Actor(), actor))
    event = reported()
    assert event["event"] == "error"
    assert event["problem"] == f"a process of the network {problem}"
    assert trace in event["traceback"]


def test_guards_a_process_until_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: Callable[[], Any]
) -> None:
    monkeypatch.setenv(guard.FOLDER_VARIABLE, str(tmp_path / "nc123456"))
    monkeypatch.setenv(guard.SUPERVISOR_VARIABLE, str(os.getppid()))
    # So that both are undone afterwards.
    monkeypatch.setattr(shared_memory, "_SHM_NAME_PREFIX", "/other_")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = set(threading.enumerate())
    looked = threading.Event()
    release = guard.guard(looked.set)
    added = set(threading.enumerate()) - before
    assert len(added) == 2
    assert looked.wait(PATIENCE)
    release()
    looked.clear()
    segment = shared_memory.SharedMemory(create=True, size=1)
    assert segment.name.startswith("nc123456_")
    segment.close()
    segment.unlink()
    assert not looked.is_set()
    with pytest.raises(ExitError):
        sys.excepthook(KeyError, KeyError("conv1"), None)
    assert reported() == {
        "event": "error",
        "problem": "KeyError: 'conv1'",
        "traceback": "KeyError: 'conv1'\n",
    }
    # The other thread would last as long as the test run: let it see that its supervisor is gone.
    ended: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **_: ended.append(args))
    monkeypatch.setattr(os, "getppid", lambda: -1)
    for thread in added:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert ended


def test_ends_a_group_that_ignores_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "GRACE", 0.3)
    folder = tmp_path / "nc654321"
    folder.mkdir()
    source = "import time, signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        guard.end_group(process.pid, folder)
        assert process.wait(PATIENCE) == -signal.SIGKILL
    assert not folder.exists()
    guard.end_group(process.pid, folder)  # nothing left to end


@pytest.fixture
def network(tmp_path: Path, lava_python: Path) -> list[str]:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "network.py").write_text(NETWORK)
    script = tmp_path / "worker.py"
    script.write_text(
        WORKER.replace("WORKER_FOLDER", repr(str(Path(guard.__file__).parent)))
        .replace("NETWORK_FOLDER", repr(str(folder)))
        .replace("FOLDER_NAME", "os.path.basename(os.environ['TMPDIR'])")
    )
    return [str(lava_python), str(script)]


def test_lava_runs_to_its_end(network: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AT_STEP_3", "pass")
    events: list[dict[str, Any]] = []
    run_worker(network, timeout=PATIENCE, on_event=events.append)
    assert [event["event"] for event in events] == ["start", "segments", "end"]
    if Path("/dev/shm").is_dir():
        assert events[1]["found"]
        assert not list(Path("/dev/shm").glob(f"{Path(events[0]['folder']).name}_*"))


@pytest.mark.parametrize(
    ("action", "problem", "trace"),
    [
        ("raise ValueError('broken at step 3')", "failed: ValueError: broken at step 3", "run_spk"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL", "left no traceback"),
        ("os._exit(5)", "ended with exit code 5", "left no traceback"),
    ],
)
def test_a_failure_inside_of_lava(
    network: list[str], monkeypatch: pytest.MonkeyPatch, action: str, problem: str, trace: str
) -> None:
    monkeypatch.setenv("AT_STEP_3", action)
    events: list[dict[str, Any]] = []
    with pytest.raises(BackendError, match=problem) as caught:
        run_worker(network, timeout=PATIENCE, on_event=events.append)
    assert trace in str(caught.value.__cause__)
    assert not list(Path("/dev/shm").glob(f"{Path(events[0]['folder']).name}_*"))
    assert not Path(events[0]["folder"]).exists()


def test_lava_hangs(network: list[str], monkeypatch: pytest.MonkeyPatch, skip_ahead: Callable[[], None]) -> None:
    hang = """print('{"event": "hangs"}', flush=True); import time; time.sleep(600)"""
    monkeypatch.setenv("AT_STEP_3", hang)
    events: list[dict[str, Any]] = []

    def on_event(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "hangs":
            skip_ahead()

    with pytest.raises(BackendError, match="did not end within 600 s"):
        run_worker(network, timeout=600, on_event=on_event)
    assert not list(Path("/dev/shm").glob(f"{Path(events[0]['folder']).name}_*"))
