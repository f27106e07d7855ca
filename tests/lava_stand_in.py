"""A stand-in for the Python 3.10 from which Lava's is made."""

from __future__ import annotations

from pathlib import Path

STAND_IN = """#!/bin/sh
# Stands in for Python 3.10: knows `-m venv FOLDER`, `-m pip ...` and `-c PROGRAM`.
echo "$@" >> "$STAND_IN_LOG"
case "$2" in
    venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    pip) eval "${STAND_IN_PIP:-true}" ;;
    *python_version*) echo 3.10.99 ;;
    *) echo "$0" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path
