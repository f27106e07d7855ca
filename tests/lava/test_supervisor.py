from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import neurocompile_lava
import psutil
import pytest
from neurocompile_lava.supervisor import WorkerError, _is_tracker, ending, run_worker, supervise
from neurocompile_lava.worker.guard import FOLDER_VARIABLE, SUPERVISOR_VARIABLE

from neurocompile.errors import BackendError

WORKER_FOLDER = Path(neurocompile_lava.__file__).parent / "worker"
PATIENCE = 120.0
"""Seconds that anything may take which a machine at rest does in about one."""

STUBBORN = """
import multiprocessing, os, signal, sys, time
from multiprocessing.shared_memory import SharedMemory

sys.path.insert(0, WORKER_FOLDER)
from guard import emit, guard

def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    while True:
        time.sleep(1)

guard(lambda: None)
segment = SharedMemory(create=True, size=64)
context = multiprocessing.get_context("fork")
ready = context.Event()
child = context.Process(target=stay)
child.start()
ready.wait()
emit("ready", session=os.getsid(0), segment=segment.name, folder=os.environ["TMPDIR"])
"""
"""A worker with a segment of shared memory and a child that SIGTERM does not end."""

PARENT = """
import json, signal, sys
from neurocompile_lava.supervisor import run_worker

signal.signal(signal.SIGINT, signal.default_int_handler)
run_worker(sys.argv[1:], timeout=600, on_event=lambda event: print(json.dumps(event), flush=True))
"""


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], list[str]]:
    def write(source: str) -> list[str]:
        script = tmp_path / "worker.py"
        script.write_text(source.replace("WORKER_FOLDER", repr(str(WORKER_FOLDER))))
        return [sys.executable, str(script)]

    return write


def run(argv: list[str], timeout: float = PATIENCE) -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    run_worker(argv, timeout=timeout, on_event=events.append)
    return events


def living(session: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (OSError, psutil.Error):
            continue
    return found


def nothing_left(ready: dict[str, Any]) -> bool:
    return (
        not living(ready["session"])
        and not Path(ready["folder"]).exists()
        and not Path("/dev/shm", ready["segment"]).exists()
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_gives_every_event_in_order_and_ignores_other_lines(worker: Callable[[str], list[str]]) -> None:
    argv = worker(
        """
import os, sys
sys.path.insert(0, WORKER_FOLDER)
from guard import emit
print("a library says hello")
print("[1, 2]")
print("no newline", end="")
for step in range(300):
    emit("step", step=step)
sys.stdout.write('{"event": "last"}')
"""
    )
    assert run(argv) == [*({"event": "step", "step": step} for step in range(300)), {"event": "last"}]


def test_the_worker_does_not_inherit_settings_of_this_python(
    worker: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    argv = worker(
        """
import json, os, sys, tempfile
print(json.dumps({"event": "environment", "input": sys.stdin.read(), "folder": tempfile.gettempdir(),
    "names": sorted({"PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS"} & set(os.environ))}))
open(os.path.join(tempfile.gettempdir(), "file"), "w").close()
"""
    )
    (event,) = run(argv)
    assert event["names"] == ["OMP_NUM_THREADS"]
    assert event["input"] == ""
    assert Path(str(event["folder"])).parent == Path(tempfile.gettempdir())
    assert not Path(str(event["folder"])).exists()


def test_an_error_event_ends_the_run_at_once(worker: Callable[[str], list[str]]) -> None:
    argv = worker(
        """
import sys, time
sys.path.insert(0, WORKER_FOLDER)
from guard import emit
print("said before")
emit("error", problem="the threshold is 0", traceback="Traceback: line 7")
time.sleep(600)
"""
    )
    with pytest.raises(BackendError, match="the Lava worker failed: the threshold is 0") as caught:
        run(argv)
    assert isinstance(caught.value.__cause__, WorkerError)
    assert str(caught.value.__cause__) == "Traceback: line 7\nsaid before"


def test_a_crash_keeps_the_traceback(worker: Callable[[str], list[str]]) -> None:
    with pytest.raises(BackendError, match="ended with exit code 1") as caught:
        run(worker("print('out')\nraise ValueError('no such layer')"))
    assert "ValueError: no such layer" in str(caught.value.__cause__)
    assert "out" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGKILL, "was killed by SIGKILL, perhaps for want of memory"), (signal.SIGABRT, "SIGABRT")],
)
def test_a_worker_that_a_signal_kills(
    worker: Callable[[str], list[str]], number: signal.Signals, message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        run(worker(f"import os; os.kill(os.getpid(), {int(number)})"))


def test_a_worker_that_hangs(worker: Callable[[str], list[str]]) -> None:
    begin = time.monotonic()
    with pytest.raises(BackendError, match=r"did not end within 0\.5 s") as caught:
        run(worker("import time; print('busy', flush=True); time.sleep(600)"), timeout=0.5)
    assert time.monotonic() - begin < PATIENCE
    assert caught.value.issues[0].remedy == "run fewer images or steps, or on a machine that is less busy"


def test_a_worker_that_closes_its_output_is_still_waited_for(
    worker: Callable[[str], list[str]], tmp_path: Path
) -> None:
    end = tmp_path / "end"
    source = f"import os, time; os.close(1); os.close(2); time.sleep(0.5); open({str(end)!r}, 'w').close()"
    assert run(worker(source)) == []
    assert end.exists()


def test_a_program_that_can_not_be_started() -> None:
    with pytest.raises(BackendError, match=r"can't be started: .*no/such/python"):
        run(["/no/such/python"])


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/missing")
    with pytest.raises(BackendError, match=r"can't be started: .*missing"):
        run([sys.executable, "-c", ""])


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("time.sleep(600)", "did not end within 600 s"),
        ("os.killpg(0, signal.SIGKILL)", "was killed by SIGKILL"),
    ],
)
def test_a_failed_worker_leaves_nothing(
    worker: Callable[[str], list[str]], skip_ahead: Callable[[], None], end: str, message: str
) -> None:
    foreign = SharedMemory(create=True, size=64)
    seen: list[dict[str, Any]] = []

    def on_event(event: dict[str, object]) -> None:
        seen.append(event)
        if "sleep" in end:
            skip_ahead()

    try:
        with pytest.raises(BackendError, match=message):
            run_worker(worker(STUBBORN + end), timeout=600, on_event=on_event)
        assert nothing_left(seen[0])
        assert Path("/dev/shm", foreign.name).exists() == Path("/dev/shm").exists()
    finally:
        foreign.close()
        foreign.unlink()


def test_a_worker_that_ends_well_leaves_nothing(worker: Callable[[str], list[str]]) -> None:
    (ready,) = run(worker(STUBBORN + "os._exit(0)"))
    assert nothing_left(ready)


def test_an_exception_of_the_caller_ends_the_worker(worker: Callable[[str], list[str]]) -> None:
    seen: list[dict[str, Any]] = []

    def refuse(event: dict[str, object]) -> None:
        seen.append(event)
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        run_worker(worker(STUBBORN + "time.sleep(600)"), timeout=600, on_event=refuse)
    assert nothing_left(seen[0])


@pytest.mark.parametrize(
    ("number", "expected", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 128 + signal.SIGTERM)],
)
def test_a_signal_while_the_worker_runs(
    worker: Callable[[str], list[str]],
    number: signal.Signals,
    expected: type[BaseException],
    code: int | None,
) -> None:
    handlers = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)
    seen: list[dict[str, Any]] = []

    def interrupt(event: dict[str, object]) -> None:
        seen.append(event)
        signal.raise_signal(number)

    try:
        with pytest.raises(expected) as caught:
            run_worker(worker(STUBBORN + "time.sleep(600)"), timeout=600, on_event=interrupt)
        assert getattr(caught.value, "code", None) == code
        assert nothing_left(seen[0])
        assert signal.getsignal(signal.SIGTERM) == handlers[1]
    finally:
        signal.signal(signal.SIGINT, handlers[0])


def test_a_handler_of_the_program_is_left_in_place(worker: Callable[[str], list[str]]) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        run_worker(
            worker("""print('{"event": "ready"}')"""),
            timeout=PATIENCE,
            on_event=lambda _: signal.raise_signal(signal.SIGTERM),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_an_impatient_signal_waits_for_the_cleaning_up(worker: Callable[[str], list[str]]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # The worker presses Ctrl-C once the supervisor has begun to end it; its child must not.
    press = "signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGINT))\n"
    source = STUBBORN.replace('emit("ready"', press + 'emit("ready"') + "while True:\n    time.sleep(1)"
    seen: list[dict[str, Any]] = []

    def refuse(event: dict[str, object]) -> None:
        seen.append(event)
        raise RuntimeError("the caller's own")

    try:
        with pytest.raises(KeyboardInterrupt):
            run_worker(worker(source), timeout=600, on_event=refuse)
    finally:
        signal.signal(signal.SIGINT, before)
    assert nothing_left(seen[0])


def test_works_outside_of_the_main_thread(worker: Callable[[str], list[str]]) -> None:
    events: list[list[dict[str, object]]] = []
    argv = worker("""print('{"event": "ready"}')""")
    thread = threading.Thread(target=lambda: events.append(run(argv)))
    thread.start()
    thread.join()
    assert events == [[{"event": "ready"}]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_supervising_process(worker: Callable[[str], list[str]], number: signal.Signals) -> None:
    argv = [sys.executable, "-c", PARENT, *worker(STUBBORN + "time.sleep(600)")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        try:
            assert parent.stdout is not None
            ready = json.loads(parent.stdout.readline())
            assert living(ready["session"])
            parent.send_signal(number)
            code = parent.wait(PATIENCE)
        finally:
            parent.kill()
    assert code == {signal.SIGTERM: 143}.get(number, -number)
    wait_until(lambda: nothing_left(ready))


def test_a_worker_whose_supervisor_was_gone_before_it_looked(
    worker: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "nc000000"
    folder.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        FOLDER_VARIABLE: str(folder),
        SUPERVISOR_VARIABLE: "0",  # a process that is no worker's parent
    }
    with subprocess.Popen(
        worker(STUBBORN + "time.sleep(600)"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as orphan:
        assert orphan.wait(PATIENCE) != 0
    wait_until(lambda: not living(orphan.pid) and not folder.exists())
    assert not list(Path("/dev/shm").glob("nc000000_*"))


def test_an_uncaught_exception_of_a_guarded_worker(worker: Callable[[str], list[str]]) -> None:
    with pytest.raises(BackendError, match="the Lava worker failed: ValueError: no such layer") as caught:
        run(worker(STUBBORN + "raise ValueError('no such layer')"))
    assert "worker.py" in str(caught.value.__cause__)


def test_supervise_gives_the_lines_and_the_exit_status() -> None:
    output: list[str] = []
    errors: list[str] = []
    source = "import sys; print('one\\n\\ntwo'); print('three', file=sys.stderr); sys.exit(4)"
    code = supervise(
        [sys.executable, "-c", source], timeout=PATIENCE, on_output=output.append, on_error=errors.append
    )
    assert (code, output, errors) == (4, ["one", "two"], ["three"])


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "did not end in time"), (-9, "was killed by SIGKILL"), (3, "ended with exit code 3")],
)
def test_says_how_a_program_ended(code: int | None, words: str) -> None:
    assert ending(code) == words


def test_a_process_that_ends_while_it_is_looked_at() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        process = psutil.Process(program.pid)
        program.communicate(b"\n")
    assert not _is_tracker(process)


def test_a_long_folder_for_temporary_files_leaves_room_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    script = "from multiprocessing.managers import SyncManager; m = SyncManager(); m.start(); m.shutdown()"
    assert supervise([sys.executable, "-c", script], timeout=60, on_output=print, on_error=print) == 0
