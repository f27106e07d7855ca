"""Looks at the Python that runs Lava, makes it when told to, and removes what was made."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from neurocompile.backend import Progress, Runtime
from neurocompile.errors import BackendError, Issue
from neurocompile_lava import runtime
from neurocompile_lava.supervisor import WorkerError

_MADE = re.compile(rf"lava-[0-9.]+-[0-9a-f]{{12}}({re.escape(runtime.PARTIAL)}.*)?")
"""What is in the cache folder for Lava: runtimes of any version, and what is left of unfinished ones."""

_VERSION = "import platform; print(platform.python_version())"


def status() -> Runtime:
    """Tell which Python runs Lava, whether it does, and what was made."""
    made = _sizes()
    try:
        found = runtime.find()
    except BackendError as error:
        return Runtime(None, None, None, made, error.issues[0])
    if found is None:
        remedy = "make it with neurocompile lava install; --target lava makes it too, on first use"
        return Runtime(None, None, None, made, Issue("there is no Lava runtime yet", remedy=remedy))
    try:
        python = runtime.running_lava(found.python)
        version = runtime.output_of([str(python), "-c", _VERSION])
    except WorkerError as failure:
        # What the user names was tried already, so this one is ours.
        reason = str(failure).splitlines()[-1]
        issue = Issue(
            f"{found.python} does not run Lava any more: {reason}",
            remedy="make it anew with neurocompile lava remove and neurocompile lava install",
        )
        return Runtime(found.python, None, found.named_by, made, issue)
    return Runtime(python, version, found.named_by, made, None)


def install(progress: Progress) -> Runtime:
    """Make the runtime if there is none.

    Raises
    ------
    BackendError
        If there is none and none can be made, or if the one that is there does not run Lava.
    """
    runtime.find_or_make(progress)
    found = status()
    if found.issue is not None:
        raise BackendError.of([found.issue])
    return found


def remove(progress: Progress) -> list[Path]:
    """Remove every runtime that was made, those of earlier versions too.

    Returns
    -------
    list of Path
        The folders that were removed.

    Raises
    ------
    BackendError
        If one can't be removed.
    """
    # What is left of an unfinished runtime lies beside its place.
    folders = sorted({folder.with_name(folder.name.split(runtime.PARTIAL)[0]) for folder in _sizes()})
    for folder in folders:
        try:
            with runtime.locked(folder, progress):
                _remove(folder)
        except OSError as error:
            raise BackendError(
                f"the Lava runtime in {folder} can't be removed: {error}", remedy="check the folder's permissions"
            ) from error
    return folders


def _remove(folder: Path) -> None:
    runtime.remove_partial(folder)
    if folder.exists():
        # Broken off, this leaves no half of a runtime in its place.
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}{runtime.PARTIAL}", dir=folder.parent) as partial:
            folder.rename(Path(partial) / folder.name)


def _sizes() -> Mapping[Path, int]:
    """Give what was made, with the bytes of its files."""
    cache = runtime.runtime_folder().parent
    folders = sorted(path for path in cache.glob("lava-*") if path.is_dir() and _MADE.fullmatch(path.name))
    return {folder: _size(folder) for folder in folders}


def _size(folder: Path) -> int:
    size = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):  # one that is being made changes meanwhile
                size += Path(place, file).lstat().st_size
    return size
