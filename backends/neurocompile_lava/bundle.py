"""Writes a bundle: a folder that runs a network with Lava on a machine without neurocompile."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from neurocompile.errors import BackendError, DeploymentError
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Encoder
from neurocompile_lava.job import write_arrays, write_plan
from neurocompile_lava.plan import Plan
from neurocompile_lava.worker import bundle as runner

_PACKAGE = Path(__file__).parent


def write_bundle(made: Plan, graph: Graph, batch: int, folder: Path, x: Array | None) -> None:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    made
        The plan of the graph.
    graph
        Of processes.
    batch
        Images that run side by side in one network.
    folder
        Where to; there may be an empty folder.
    x
        Images ``(B, *shape)`` to put into it, or None.

    Raises
    ------
    BackendError
        Without images, if the input is spikes.
    DeploymentError
        If something is there already, or the folder can't be written.
    """
    (entry,) = graph.inputs
    encoder = entry.op
    assert isinstance(encoder, Encoder)
    if encoder.spikes and x is None:
        raise BackendError(
            "input spikes are laid out by neurocompile, so the bundle has to hold those of the images",
            remedy="give the images as --input, or compile with --encoder constant",
        )
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise DeploymentError(f"{folder} is there already", remedy="give the name of a new or an empty folder")
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial:
            # The folder inside has the usual rights, the one around it is for nobody else.
            whole = Path(partial) / folder.name
            whole.mkdir()
            _write(made, encoder, batch, whole, x)
            whole.rename(folder)
    except OSError as error:
        raise DeploymentError(
            f"can't write {folder}: {error.strerror or error}",
            remedy="give a folder in a writable one, on a disk with room",
        ) from error


def _write(made: Plan, encoder: Encoder, batch: int, folder: Path, x: Array | None) -> None:
    parts = {f"plan-{n}.json": plan for n, plan in enumerate(made.documents(encoder.code == "constant"))}
    for name, plan in parts.items():
        write_plan(folder / name, plan)
    write_arrays(folder, made.arrays)
    if encoder.spikes:
        assert x is not None
        np.save(folder / "stream.npy", encoder.encode(x, made.steps))
    elif x is not None:
        np.save(folder / "images.npy", x)
    document = {
        "version": runner.BUNDLE_VERSION,
        "compiler": version("neurocompile"),
        "steps": made.steps,
        "batch": batch,
        "parts": list(parts),
        "encoder": {
            "code": encoder.code,
            "shape": list(encoder.shape),
            "ceiling": encoder.ceiling,
            "levels": encoder.levels,
            "integer": encoder.integer,
            "dtype": encoder.dtype,
        },
        "spikes": {name: made.records[name] for name in made.neurons},
    }
    (folder / runner.BUNDLE).write_text(json.dumps(document, indent=1))
    package = folder / _PACKAGE.name
    shutil.copytree(_PACKAGE / "worker", package / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(_PACKAGE / "__init__.py", package / "__init__.py")
    read = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    (folder / runner.DIGESTS).write_text(json.dumps(digests, indent=1))
    for name in ("requirements.txt", "bundle_files/run.py", "bundle_files/README.md"):
        shutil.copyfile(_PACKAGE / name, folder / Path(name).name)
