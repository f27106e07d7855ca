"""Finds the Python that runs Lava, or makes it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import indent

import filelock
import findpython
import platformdirs

from neurocompile.errors import BackendError
from neurocompile_lava.supervisor import WorkerError, ending, supervise

PYTHON_VARIABLE = "NEUROCOMPILE_LAVA_PYTHON"
"""Environment variable that names the Python to run Lava with."""

LAVA_VERSION = "0.10.0"
"""The version of lava-nc that neurocompile knows."""

_PYTHON_VERSION = (3, 10)
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")

_CHECK_TIMEOUT = 120.0
_STEP_TIMEOUT = 3600.0
_LOG_LINES = 12

# It prints the executable as Python knows it: what the user names may be a wrapper, which would stand between
# the supervisor and its worker.
_CHECK = f"""
import importlib.metadata, sys
import lava.magma.core.run_configs
version = importlib.metadata.version("lava-nc")
if version != "{LAVA_VERSION}":
    sys.exit(f"lava-nc {{version}} is installed, {LAVA_VERSION} is needed")
print(sys.executable)
"""

_SET_VARIABLE = f"set {PYTHON_VARIABLE} to a Python 3.10 that has lava-nc {LAVA_VERSION}"


def find_or_make(report: Callable[[str], None]) -> Path:
    """Find a Python that runs Lava, or make one in the user's cache folder.

    In this order: the one that the environment variable ``NEUROCOMPILE_LAVA_PYTHON`` names; the one that runs
    this; the one that was made before. Making one takes a Python 3.10, which `uv` may fetch, and the package
    index; everything else works offline.

    Parameters
    ----------
    report
        Takes lines for the user about what takes time.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    BackendError
        There is none and none can be made, or the one that the user names does not run Lava.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return _named(named)
    if sys.version_info[:2] == _PYTHON_VERSION:
        with suppress(WorkerError):
            return _running_lava(Path(sys.executable))
    folder = _folder()
    python = _python(folder)
    if not python.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(folder.parent / f"{folder.name}.lock", report):
                if not python.exists():
                    _make(folder, report)
        except OSError as error:
            raise BackendError(
                f"the Lava runtime can't be made in {folder.parent}: {error}",
                remedy=f"make room there, let XDG_CACHE_HOME name another cache folder, or {_SET_VARIABLE}",
            ) from error
    return python


def _named(name: str) -> Path:
    remedy = f"{_SET_VARIABLE}, or unset it"
    python = shutil.which(Path(name).expanduser())
    if python is None:
        raise BackendError(f"{PYTHON_VARIABLE} names {name}, which is no executable file", remedy=remedy)
    try:
        return _running_lava(Path(python))
    except WorkerError as failure:
        reason = str(failure).splitlines()[-1]
        raise BackendError(
            f"{PYTHON_VARIABLE} names {name}, which does not run Lava: {reason}", remedy=remedy
        ) from failure


def _running_lava(python: Path) -> Path:
    """Give the executable of a Python that runs Lava; any other is a `WorkerError`."""
    return Path(_output([str(python), "-c", _CHECK], timeout=_CHECK_TIMEOUT))


def _output(argv: Sequence[str], *, timeout: float = _STEP_TIMEOUT) -> str:
    """Run a program and give its last line; a `WorkerError` holds the end of all that it printed."""
    output: deque[str] = deque([""], maxlen=1)
    log: deque[str] = deque(maxlen=_LOG_LINES)

    def on_output(line: str) -> None:
        output.append(line)
        log.append(line)

    code = supervise(argv, timeout=timeout, on_output=on_output, on_error=log.append)
    if code != 0:
        raise WorkerError("\n".join(log or [f"it {ending(code)}"]))
    return output[0]


def _folder() -> Path:
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return platformdirs.user_cache_path("neurocompile") / f"lava-{LAVA_VERSION}-{digest}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


@contextmanager
def _locked(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        report("waiting for another neurocompile, which is making the Lava runtime")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, report: Callable[[str], None]) -> None:
    """Make the virtual environment beside its place and rename it, so that a folder in place is complete."""
    report(f"making the Lava runtime (Python 3.10, lava-nc {LAVA_VERSION}): about 300 MB in {folder.parent}")
    for leftover in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    base = _base(report)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as partial:
        made = Path(partial) / folder.name
        python = str(_python(made))
        try:
            _output([str(base), "-m", "venv", str(made)])
            report(f"installing lava-nc {LAVA_VERSION} and what it needs")
            _output([python, "-m", "pip", "install", "--no-input", "--requirement", str(_REQUIREMENTS)])
            _running_lava(Path(python))
        except WorkerError as failure:
            raise BackendError(
                f"the Lava runtime could not be made with {base}:\n{indent(str(failure), '    ')}",
                remedy=f"check the network and pip's settings, or {_SET_VARIABLE}",
            ) from failure
        # What may be in place has lost the Python that it was made with.
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _base(report: Callable[[str], None]) -> Path:
    """Find a Python 3.10 that can make virtual environments."""
    for found in findpython.Finder().find_all(*_PYTHON_VERSION, implementation="cpython"):
        with suppress(WorkerError):  # Debian's Python can lack one of the two.
            _output([str(found.executable), "-c", "import ensurepip, venv"], timeout=_CHECK_TIMEOUT)
            return found.executable
    uv = shutil.which("uv")
    if uv is None:
        raise BackendError(
            "Lava needs Python 3.10, and there is none here that can make virtual environments",
            remedy="install Python 3.10 and its module venv, by pyenv, uv or the system's package manager, "
            f"or {_SET_VARIABLE}",
        )
    report("fetching Python 3.10 with uv")
    try:
        # Unlike `uv python install`, this puts no link to the interpreter on the user's PATH.
        return Path(
            _output(
                [
                    *(uv, "run", "--no-project", "--python-preference", "only-managed", "--python", "3.10"),
                    *("python", "-c", "import sys; print(sys._base_executable)"),
                ]
            )
        )
    except WorkerError as failure:
        raise BackendError(
            "Lava needs Python 3.10, there is none here that can make virtual environments, and uv can't "
            f"fetch one:\n{indent(str(failure), '    ')}",
            remedy=f"check the network, install Python 3.10 (for example by pyenv), or {_SET_VARIABLE}",
        ) from failure
