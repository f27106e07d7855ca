"""Runs a program in its own session, and leaves nothing of it behind whatever happens."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from neurocompile.errors import BackendError
from neurocompile_lava.worker.guard import GRACE, remove_leftovers, worker_environment, worker_folder

_POLL = 0.05
_LOG_LINES = 200


class WorkerError(Exception):
    """What a failed program left: its traceback, or the end of what it printed."""


def run_worker(argv: Sequence[str], *, timeout: float, on_event: Callable[[dict[str, object]], None]) -> None:
    """Run a worker to its end.

    The worker prints events, one JSON object a line with its name under ``event``; any other line is kept for
    the case that it fails. It fails by an event ``error`` with ``problem`` and ``traceback``, by an exit
    status other than 0, or by the time-out.

    Parameters
    ----------
    argv
        The program and its arguments.
    timeout
        Seconds until a worker that has not ended is ended.
    on_event
        Takes every event, as it comes.

    Raises
    ------
    BackendError
        The worker failed. Its cause, a `WorkerError`, holds what the worker left.
    """
    log: deque[str] = deque(maxlen=_LOG_LINES)

    def on_line(line: str) -> None:
        event = _event(line)
        if event is None:
            log.append(line)
        elif event["event"] == "error":
            raise BackendError(
                f"the Lava worker failed: {event.get('problem')}",
                remedy="look at the worker's traceback with --debug",
            ) from WorkerError("\n".join([str(event.get("traceback")), *log]))
        else:
            on_event(event)

    try:
        code = supervise(argv, timeout=timeout, on_output=on_line, on_error=log.append)
    except WorkerError as failure:
        raise BackendError(
            f"the Lava worker can't be started: {failure}",
            remedy="check that its Python can be run and that temporary files can be written",
        ) from failure
    if code is None:
        problem = f"the Lava worker did not end within {timeout:g} s"
        remedy = "run fewer images or steps, or on a machine that is less busy"
    elif code == -signal.SIGKILL:
        problem = f"the Lava worker {ending(code)}, perhaps for want of memory"
        remedy = "free memory, or run fewer images or steps"
    elif code:
        problem = f"the Lava worker {ending(code)}"
        remedy = "look at the worker's output with --debug"
    else:
        return
    raise BackendError(problem, remedy=remedy) from WorkerError("\n".join(log))


def supervise(
    argv: Sequence[str], *, timeout: float, on_output: Callable[[str], None], on_error: Callable[[str], None]
) -> int | None:
    """Run a program in its own session, with its own folder for temporary files, and clean up after it.

    When this returns or raises, all processes of the session have ended, and its temporary files and
    segments of shared memory are gone. Meanwhile SIGTERM raises `SystemExit`, if this is the main thread and
    the program has no handler of its own.

    Parameters
    ----------
    argv
        The program and its arguments.
    timeout
        Seconds until a program that has not ended is ended.
    on_output, on_error
        Take the lines of standard output and standard error, without empty ones.

    Returns
    -------
    int or None
        The exit status as in `subprocess.Popen.returncode`, or None after the time-out.

    Raises
    ------
    WorkerError
        The program can't be started.
    """
    terminable = [signal.SIGTERM] if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else []
    with ExitStack() as stack:
        stack.enter_context(_handling(terminable, _exit))
        folder = stack.enter_context(_temporary_folder())
        selector = stack.enter_context(selectors.DefaultSelector())
        deadline = time.monotonic() + timeout
        program: subprocess.Popen[bytes] | None = None
        try:
            # Broken off while the program starts, nobody would know which session to end.
            with _deferred_signals():
                program = stack.enter_context(_start(argv, folder))
            # Typeshed can't know that both are pipes.
            for pipe, take in ((program.stdout, on_output), (program.stderr, on_error)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, _Lines(take))
            while program.poll() is None and time.monotonic() < deadline:
                _read(selector, _POLL)
            code = program.returncode
        finally:
            if program is not None:
                with _deferred_signals():
                    _end_session(program.pid)
        while _read(selector, 0):  # what it printed just before its end
            pass
        return code


def _start(argv: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(folder),
            start_new_session=True,
        )
    except OSError as error:
        raise WorkerError(str(error)) from error


def ending(code: int | None) -> str:
    """Say how a program ended.

    Parameters
    ----------
    code
        What `supervise` returned.
    """
    if code is None:
        return "did not end in time"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _event(line: str) -> dict[str, object] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


class _Lines:
    """Cuts what a pipe brings into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(line.decode(errors="replace"))


def _read(selector: selectors.BaseSelector, wait: float) -> bool:
    """Read what the pipes bring within some seconds; False if it was nothing."""
    ready = selector.select(wait)
    for key, _ in ready:
        data = os.read(key.fd, 1 << 16)
        key.data(data or b"\n")
        if not data:
            selector.unregister(key.fileobj)
    return bool(ready)


def _environment(folder: Path) -> dict[str, str]:
    # What is set for this Python (its path, its warnings, its virtual environment) would mislead another.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    }
    return {**kept, **worker_environment(folder)}


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = worker_folder()
    except OSError as error:
        raise WorkerError(str(error)) from error
    try:
        yield folder
    finally:
        remove_leftovers(folder)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _handling(
    signals: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """Handle signals for a while; outside of the main thread Python lets nobody do so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Keep impatient signals from breaking off the cleaning up, and deliver one of them afterwards."""
    came: list[int] = []
    with _handling([signal.SIGINT, signal.SIGTERM], lambda number, _frame: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


def _end_session(session: int) -> None:
    """End all processes of a session, in the order that lets them tidy up."""
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        members = _members(session)
        # Python's resource tracker ignores SIGTERM and removes shared memory once the others have ended.
        others = [process for process in members if not _is_tracker(process)]
        for process in others or members:
            with suppress(psutil.Error):
                process.send_signal(number)
        deadline = time.monotonic() + GRACE
        while members and time.monotonic() < deadline:
            time.sleep(_POLL)
            members = _members(session)
        if not members:
            return


def _members(session: int) -> list[psutil.Process]:
    """List the living processes of a session."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) == session:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process)
    return members


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False
