"""Where training stands, in a file: arrays and JSON with digests, nothing that is executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurocompile.errors import DeploymentError
from neurocompile.ir import Array, Graph, archive
from neurocompile.ir.serialization import to_document
from neurocompile.tuning.result import Epoch

_FORMAT = "neurocompile checkpoint"
_SCHEMA = 1

_PARTS = ("latest", "best", "mean", "square")


@dataclass(frozen=True)
class State:
    """Where training stands after an epoch.

    Parameters
    ----------
    epochs
        What was measured so far.
    updates
        Of the optimiser.
    latest, best
        What is trained, by the parameters' names: now, and after the best epoch.
    mean, square
        Of the gradients, as Adam averages them.
    """

    epochs: tuple[Epoch, ...]
    updates: int
    latest: Mapping[str, Array]
    best: Mapping[str, Array]
    mean: Mapping[str, Array]
    square: Mapping[str, Array]


def fingerprint(graph: Graph, settings: Mapping[str, Any], data: Sequence[Array]) -> str:
    """Give a digest of all that a run depends on: a checkpoint of another run must not be gone on with."""
    document, arrays = to_document(graph)
    digest = hashlib.sha256(json.dumps([document, settings], sort_keys=True).encode())
    for name, array in [*sorted(arrays.items()), *((f"data {i}", array) for i, array in enumerate(data))]:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save(path: Path, run: str, state: State) -> None:
    """Write a checkpoint; either the whole file is there afterwards, or what was there before.

    Parameters
    ----------
    path
        The file.
    run
        The ``fingerprint``.
    state
        To go on from.

    Raises
    ------
    DeploymentError
        If it can't be written.
    """
    document = {
        "format": _FORMAT,
        "schema": _SCHEMA,
        "run": run,
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "updates": state.updates,
    }
    arrays = {f"{part}/{name}": array for part in _PARTS for name, array in getattr(state, part).items()}
    archive.write(path, document, arrays)


def load(path: Path, run: str) -> State:
    """Read a checkpoint of the same run.

    Raises
    ------
    DeploymentError
        If it can't be read, was edited, or is of another run.
    """
    try:
        document, arrays = archive.read(path, "checkpoint")
        if (document.get("format"), document.get("schema")) != (_FORMAT, _SCHEMA):
            raise DeploymentError(f"{path} is none, or of another version")
    except DeploymentError as error:
        problem = f"can't go on from the checkpoint: {error.issues[0].problem}"
        raise DeploymentError(problem, remedy="delete it, or give another --checkpoint") from error
    if document["run"] != run:
        raise DeploymentError(
            f"the checkpoint {path} is of a run with another network, other options or other data",
            remedy="run it as before, or give another --checkpoint",
        )
    parts: dict[str, dict[str, Array]] = {part: {} for part in _PARTS}
    for name, array in arrays.items():
        part, _, parameter = name.partition("/")
        parts[part][parameter] = array
    return State(tuple(Epoch(**epoch) for epoch in document["epochs"]), document["updates"], **parts)
