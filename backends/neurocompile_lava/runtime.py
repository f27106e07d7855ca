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
from typing import NamedTuple

import filelock
import findpython
import platformdirs

from neurocompile.backend import Progress, chosen_python
from neurocompile.errors import BackendError
from neurocompile_lava.supervisor import WorkerError, ending, supervise
from neurocompile_lava.worker.bundle import LAVA_VERSION

PYTHON_VARIABLE = "NEUROCOMPILE_LAVA_PYTHON"
"""Environment variable that names the Python to run Lava with."""

_PYTHON_VERSION = (3, 10)
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")

_CHECK_TIMEOUT = 120.0
_STEP_TIMEOUT = 3600.0
_LOG_LINES = 12

PARTIAL = ".partial-"
"""Behind a runtime's name: what is being made or removed."""

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

OPTION = "--lava-python"
"""Option that names the Python to run Lava with."""

_NEEDED = f"a Python 3.10 that has lava-nc {LAVA_VERSION}"
_NAME_ONE = f"let {OPTION} or {PYTHON_VARIABLE} name {_NEEDED}"


class Found(NamedTuple):
    """A Python that runs Lava, and what names it."""

    python: Path
    named_by: str


def find_or_make(progress: Progress) -> Path:
    """Find a Python that runs Lava, or make one in the user's cache folder.

    Making one takes a Python 3.10, which `uv` may fetch, and the package index; everything else works offline.

    Parameters
    ----------
    progress
        Told what takes time.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    BackendError
        There is none and none can be made, or the one that the user names does not run Lava.
    """
    found = find()
    if found is not None:
        return found.python
    folder = runtime_folder()
    python = _python(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, progress):
            if not python.exists():
                _make(folder, progress)
    except OSError as error:
        raise BackendError(
            f"the Lava runtime can't be made in {folder.parent}: {error}",
            remedy=f"make room there, let XDG_CACHE_HOME name another cache folder, or {_NAME_ONE}",
        ) from error
    return python


def find() -> Found | None:
    """Find a Python that runs Lava, and make none.

    In this order: the one that the option ``--lava-python`` names; the one that the environment variable
    ``NEUROCOMPILE_LAVA_PYTHON`` names; the one that runs this; the one that was made before.

    Raises
    ------
    BackendError
        The one that the user names does not run Lava.
    """
    given = chosen_python()
    if given is not None:
        return Found(_named(str(given), OPTION, "leave it out"), OPTION)
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return Found(_named(named, PYTHON_VARIABLE, "unset it"), PYTHON_VARIABLE)
    if sys.version_info[:2] == _PYTHON_VERSION:
        with suppress(WorkerError):
            return Found(running_lava(Path(sys.executable)), "the Python that runs neurocompile")
    made = _python(runtime_folder())
    return Found(made, "neurocompile, which made it") if made.exists() else None


def _named(name: str, by: str, otherwise: str) -> Path:
    remedy = f"let it name {_NEEDED}, or {otherwise}"
    python = shutil.which(Path(name).expanduser())
    if python is None:
        raise BackendError(f"{by} names {name}, which is no executable file", remedy=remedy)
    try:
        return running_lava(Path(python))
    except WorkerError as failure:
        reason = str(failure).splitlines()[-1]
        raise BackendError(f"{by} names {name}, which does not run Lava: {reason}", remedy=remedy) from failure


def running_lava(python: Path) -> Path:
    """Give the executable of a Python that runs Lava; any other is a `WorkerError`."""
    return Path(output_of([str(python), "-c", _CHECK], timeout=_CHECK_TIMEOUT))


def output_of(
    argv: Sequence[str], *, timeout: float = _STEP_TIMEOUT, watch: Callable[[str], None] = lambda _: None
) -> str:
    """Run a program and give its last line; a `WorkerError` holds the end of all that it printed.

    Parameters
    ----------
    argv
        The program and its arguments.
    timeout
        Seconds until it is ended.
    watch
        Takes each line of its standard output, as it comes.
    """
    output: deque[str] = deque([""], maxlen=1)
    log: deque[str] = deque(maxlen=_LOG_LINES)

    def on_output(line: str) -> None:
        output.append(line)
        log.append(line)
        watch(line)

    code = supervise(argv, timeout=timeout, on_output=on_output, on_error=log.append)
    if code != 0:
        raise WorkerError("\n".join(log or [f"it {ending(code)}"]))
    return output[0]


def runtime_folder() -> Path:
    """Give the place of the runtime that is made: another for other requirements."""
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return platformdirs.user_cache_path("neurocompile") / f"lava-{LAVA_VERSION}-{digest}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


@contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Keep every other neurocompile from making or removing a runtime in this folder."""
    # The file stays: another process may wait for it, and would then hold a lock on a file that is gone.
    lock = filelock.FileLock(folder.parent / f"{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        progress("waiting for another neurocompile, which is making or removing the Lava runtime", 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, progress: Progress) -> None:
    """Make the virtual environment beside its place and rename it, so that a folder in place is complete."""
    progress(
        f"making the Lava runtime (Python 3.10, lava-nc {LAVA_VERSION}): about 300 MB in {folder.parent}", 0, 0
    )
    remove_partial(folder)
    base = _base(progress)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}{PARTIAL}", dir=folder.parent) as partial:
        made = Path(partial) / folder.name
        python = str(_python(made))
        try:
            output_of([str(base), "-m", "venv", str(made)])
            _install(python, progress)
            running_lava(Path(python))
        except WorkerError as failure:
            raise BackendError(
                f"the Lava runtime could not be made with {base}:\n{indent(str(failure), '    ')}",
                remedy=f"check the network and pip's settings, or {_NAME_ONE}",
            ) from failure
        # What may be in place has lost the Python that it was made with.
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def remove_partial(folder: Path) -> None:
    """Remove what killed runs left while they made or removed the runtime of this folder."""
    for leftover in folder.parent.glob(f"{folder.name}{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _install(python: str, progress: Progress) -> None:
    """Install what is pinned, each file of which must have one of the hashes that are listed."""
    doing = f"installing lava-nc {LAVA_VERSION} and what it needs"
    packages = _REQUIREMENTS.read_text().count("==")
    collected = 0

    def on_line(line: str) -> None:
        nonlocal collected
        if line.startswith("Collecting "):
            collected += 1
            progress(doing, collected, packages)

    progress(doing, 0, packages)
    pip = [python, "-m", "pip", "install", "--no-input", "--require-hashes"]
    output_of([*pip, "--requirement", str(_REQUIREMENTS)], watch=on_line)


def _base(progress: Progress) -> Path:
    """Find a Python 3.10 that can make virtual environments."""
    for found in findpython.Finder().find_all(*_PYTHON_VERSION, implementation="cpython"):
        with suppress(WorkerError):  # Debian's Python can lack one of the two.
            output_of([str(found.executable), "-c", "import ensurepip, venv"], timeout=_CHECK_TIMEOUT)
            return found.executable
    uv = shutil.which("uv")
    if uv is None:
        raise BackendError(
            "Lava needs Python 3.10, and there is none here that can make virtual environments",
            remedy="install Python 3.10 and its module venv, by pyenv, uv or the system's package manager, "
            f"or {_NAME_ONE}",
        )
    progress("fetching Python 3.10 with uv", 0, 0)
    try:
        # Unlike `uv python install`, this puts no link to the interpreter on the user's PATH.
        return Path(
            output_of(
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
            remedy=f"check the network, install Python 3.10 (for example by pyenv), or {_NAME_ONE}",
        ) from failure
