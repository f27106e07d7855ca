"""The worker's side of a safe run: events for the supervisor, and a watch over parent and actors.

Lava swallows the exceptions of process models and then waits for ever, and its processes outlive whoever
started them. This file needs the standard library alone, so that the worker's Python can import it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import shared_memory
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

FOLDER_VARIABLE = "NEUROCOMPILE_WORKER_FOLDER"
"""Environment variable with the worker's folder for temporary files; its name begins the shared memory's."""

SUPERVISOR_VARIABLE = "NEUROCOMPILE_SUPERVISOR"
"""Environment variable with the process id of the supervisor."""

GRACE = 2.0
"""Seconds between asking processes to end and killing them."""

START_SECONDS = 300.0
STEP_SECONDS = 2.0
"""What a run may take at most to start, and for each step: far more than it does even on a busy machine."""

_LONGEST_FOLDER = 60
"""Characters of the folder for temporary files: a socket's name takes 40 more, and may have 104."""

_POLL = 0.1
_FAILURE = 70


def most_seconds(steps: int) -> float:
    """Tell after which time a worker that has not ended is ended.

    Parameters
    ----------
    steps
        Of Lava's.
    """
    return START_SECONDS + STEP_SECONDS * steps


def worker_folder() -> Path:
    """Make the folder for a worker's temporary files; whoever starts the worker removes it afterwards."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > _LONGEST_FOLDER:
        base = "/tmp"
    # macOS limits the name of a segment, which begins with this folder's name, to 14 characters in Python.
    folder = Path(base) / f"nc{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    return folder


def worker_environment(folder: Path) -> dict[str, str]:
    """Give the environment variables of a worker that this process starts.

    Parameters
    ----------
    folder
        For its temporary files.
    """
    return {"TMPDIR": str(folder), FOLDER_VARIABLE: str(folder), SUPERVISOR_VARIABLE: str(os.getpid())}


def emit(event: str, **fields: object) -> None:
    """Print an event for the supervisor.

    Parameters
    ----------
    event
        The event's name. ``error`` ends the run.
    **fields
        What belongs to it, as JSON can hold it.
    """
    # The leading newline ends whatever a process of Lava's may have printed without one.
    sys.stdout.write("\n" + json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def fail(problem: str, trace: str) -> NoReturn:
    """Report a failure and end this process at once, whatever its threads and children do.

    Parameters
    ----------
    problem
        What went wrong, in one line.
    trace
        The traceback, or what there is instead of one.
    """
    emit("error", problem=problem, traceback=trace)
    os._exit(_FAILURE)


def guard(get_runtime: Callable[[], object | None], *folders: Path) -> Callable[[], None]:
    """Watch the supervisor, Lava's actors and uncaught exceptions until this process ends.

    Call it before anything makes shared memory: it also sets the segments' names, by which they are found
    and removed when a run was killed.

    Parameters
    ----------
    get_runtime
        Gives Lava's ``Runtime``, or None while there is none.
    *folders
        What the supervisor would have removed after the run; removed here if it is gone.

    Returns
    -------
    Callable[[], None]
        Ends the watch over the actors. Call it before ``Runtime.stop``, which reads the same pipes.
    """
    folder = Path(os.environ[FOLDER_VARIABLE])
    shared_memory._SHM_NAME_PREFIX = f"/{folder.name}_"  # type: ignore[attr-defined]
    released = threading.Event()
    looking = threading.Lock()

    def release() -> None:
        released.set()
        with looking:
            pass

    def watch_actors() -> None:
        while not released.wait(_POLL):
            with looking:
                if not released.is_set():
                    check_actors(get_runtime())

    def report(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        # Lava may have noticed that an actor failed, but tells neither which nor why.
        check_actors(get_runtime())
        fail(f"{kind.__name__}: {error}", "".join(traceback.format_exception(error)))

    sys.excepthook = report
    supervisor = int(os.environ[SUPERVISOR_VARIABLE])
    # Two threads: whatever holds up the one, the other sees that the supervisor is gone.
    threading.Thread(target=watch_supervisor, args=(supervisor, folder, *folders), daemon=True).start()
    threading.Thread(target=watch_actors, daemon=True).start()
    return release


def check_actors(runtime: Any) -> None:
    """End this process with an error event if one of Lava's actors has failed.

    Parameters
    ----------
    runtime
        Lava's ``Runtime``, or None while there is none.
    """
    for actor in getattr(getattr(runtime, "_messaging_infrastructure", None), "actors", ()):
        try:
            failure = actor.exception
        except (EOFError, OSError):  # Lava has closed the pipe: the actor has ended as it should.
            continue
        except Exception:  # What unpickling an exception of a process model raises can be anything.
            fail("a process of the network failed with an error that can't be read", traceback.format_exc())
        if failure:
            error, trace = failure
            fail(f"a process of the network failed: {type(error).__name__}: {error}", trace)
        try:
            code = actor.exitcode
        except ValueError:  # Lava has closed the actor, having joined it.
            continue
        if code:
            ending = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            fail(f"a process of the network {ending}", f"{actor.name} left no traceback")


def watch_supervisor(supervisor: int, *folders: Path) -> None:
    """Wait until the supervisor is gone, then have this process's whole group ended.

    Parameters
    ----------
    supervisor
        The process id of the supervisor.
    *folders
        What to remove: the worker's folder for temporary files, and others.
    """
    while os.getppid() == supervisor:
        time.sleep(_POLL)
    # It needs a process outside of the group to end the group and then tidy up behind it.
    subprocess.Popen(
        [sys.executable, "-I", __file__, str(os.getpgid(0)), *map(str, folders)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_group(group: int, *folders: Path) -> None:
    """End a group of processes and remove what they left.

    Parameters
    ----------
    group
        The id of the process group.
    *folders
        What to remove: the worker's folder for temporary files, and others.
    """
    # Suppressed: the group is gone, or holds only what is dying.
    with suppress(OSError):
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(group, number)
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline:
                time.sleep(_POLL)
                os.killpg(group, 0)
    for folder in folders:
        remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove a worker's temporary files and its segments of shared memory.

    Elsewhere than on Linux segments can't be listed; Python's resource tracker has removed them there, unless
    it was killed too.

    Parameters
    ----------
    folder
        The worker's folder for temporary files.
    """
    for segment in Path("/dev/shm").glob(f"{folder.name}_*"):
        segment.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    end_group(int(sys.argv[1]), *map(Path, sys.argv[2:]))
