"""What all commands share: how they print, and which files they do not write over."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from neurocompile.errors import DeploymentError, Issue, NeurocompileError

USAGE = 2
"""Exit status of every error that the user can mend."""

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Debug = Annotated[bool, Parameter(negative="")]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]


class CommandConsole(Console):
    """Leaves a broken pipe to ``main``: rich would exit with the status of a mismatch."""

    def on_broken_pipe(self) -> None:  # noqa: D102
        raise BrokenPipeError


@contextmanager
def standard_output() -> Iterator[Console]:
    """Print a report, and raise ``NeurocompileError`` if it can't be written."""
    try:
        yield CommandConsole()
        # Otherwise Python writes the rest on exit, when nobody is told of an error.
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise NeurocompileError(
            f"can't write the report to standard output: {error.strerror or error}",
            remedy="make room, or send the report elsewhere",
        ) from error


def discard_output() -> None:
    """Drop what is still held back: it would fail again when Python writes it on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_output(output: Path | None, *inputs: Path, option: str = "--output") -> None:
    """Refuse a file that can't be written or must not be, before anything that takes time."""
    if output is None:
        return
    with suppress(OSError):  # a path that can't be looked at is told when it is opened
        if output.is_dir() or not output.parent.is_dir():
            problem = "is a folder" if output.is_dir() else f"there is no folder {output.parent}"
            raise DeploymentError(
                f"can't write {output}: {problem}", remedy="give the name of a file in an existing folder"
            )
        if any(output.samefile(path) for path in inputs):
            raise DeploymentError(
                f"{option} {output} would replace a file that this command reads", remedy="give another name"
            )


def lava_python_issues(python: Path | None, target: str) -> Iterator[Issue]:
    """Tell of a ``--lava-python`` that nothing would read."""
    if python is not None and not target.startswith("lava"):
        yield Issue("--lava-python does nothing here", remedy="leave it out, or add --target lava")
