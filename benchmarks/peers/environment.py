"""Makes the virtual environment of a peer, in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import platformdirs

HERE = Path(__file__).resolve().parent
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON = (3, 11)


def python_of(peer: str) -> Path:
    """Return the Python of the peer's environment, which is made if there is none for these requirements.

    Parameters
    ----------
    peer
        Whose requirements are ``PEER.txt`` beside this file.

    Raises
    ------
    SystemExit
        On a Python that is too old for what the peers need.
    """
    requirements = HERE / f"{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("neurocompile") / f"bench-{peer}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.parent / f"{folder.name}.lock"):
        if not folder.exists():
            make(folder, requirements)
    return folder / "bin" / "python"


def make(folder: Path, requirements: Path) -> None:
    """Make an environment beside its place and rename it, so that a folder in place is complete."""
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit("the peers need Python {}.{} or newer".format(*OLDEST_PYTHON))
    print(f"making {folder}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as partial:
        made = Path(partial) / folder.name
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        pip(made, "install", "--upgrade", "pip>=23.2")
        torch = next(line for line in requirements.read_text().splitlines() if line.startswith("torch=="))
        pip(made, "install", "--no-deps", *cpu_index(made, torch), torch)
        pip(made, "install", "--no-deps", "--requirement", requirements)
        made.rename(folder)


def cpu_index(folder: Path, torch: str) -> list[str]:
    """Return pip's options for PyTorch's CPU build, as the Makefile chooses them."""
    plan = pip(folder, "install", "--dry-run", torch)
    return ["--index-url", TORCH_CPU_INDEX] if "nvidia" in plan else []


def pip(folder: Path, *arguments: str | Path) -> str:
    """Run the environment's pip, and return what it prints."""
    command = [folder / "bin" / "python", "-m", "pip", "--no-input", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout
