"""Jobs for the worker: how one is written, done and read, and how images are run some at a time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurocompile.backend import Progress, Result, total_activity
from neurocompile.errors import BackendError
from neurocompile.ir import Array
from neurocompile_lava.supervisor import run_worker
from neurocompile_lava.worker.guard import most_seconds

WORKER = Path(__file__).with_name("worker")

Report = Callable[[int, int], None]
"""Told how many of how many steps are done."""


@dataclass(frozen=True)
class Job:
    """What the worker is given.

    Parameters
    ----------
    documents
        The plans, as JSON holds them, of parts that run one after another, each in a worker of its own.
    arrays
        By the names under which the plans refer to them.
    stream
        What the encoder sends.
    """

    documents: Sequence[Mapping[str, Any]]
    arrays: Mapping[str, Array]
    stream: Array

    def run(self, python: Path, files: Sequence[str], report: Report) -> tuple[dict[str, Array], float]:
        """Have workers do it.

        Parameters
        ----------
        python
            The executable that runs Lava.
        files
            The names of those that the workers write, without their ``.npy``.
        report
            Told of the steps that are done.

        Returns
        -------
        dict[str, Array], float
            What is in each file, and the seconds that the run took.

        Raises
        ------
        BackendError
            If a worker fails, or its files can't be written.
        """
        before, seconds = 0, 0.0
        steps = sum(document["total"] for document in self.documents)

        def on_event(event: dict[str, object]) -> None:
            nonlocal seconds
            match event:
                case {"event": "progress", "done": int(done)}:
                    report(before + done, steps)
                case {"event": "done", "seconds": float(taken)}:
                    seconds += taken

        with _needing_room(), tempfile.TemporaryDirectory(prefix="neurocompile-") as name:
            folder = Path(name)
            write_arrays(folder, self.arrays)
            np.save(folder / "stream.npy", self.stream)
            for document in self.documents:
                write_plan(folder / "plan.json", document)
                run_worker(
                    [str(python), str(WORKER), str(folder)],
                    timeout=most_seconds(document["total"]),
                    on_event=on_event,
                )
                before += document["total"]
            found = {file: _read(folder / f"{file}.npy") for file in files}
        return found, seconds


def write_plan(file: Path, document: Mapping[str, Any]) -> None:
    """Write a plan."""
    file.write_text(json.dumps(document))


def write_arrays(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Write the arrays that plans refer to."""
    # Some of NumPy's stubs take the names of arrays for those of its own parameters.
    named: dict[str, Any] = dict(arrays)
    np.savez(folder / "arrays.npz", **named)


def _read(file: Path) -> Array:
    if not file.exists():
        raise BackendError("the Lava worker ended without a result", remedy="check that its Python runs Lava")
    array: Array = np.load(file, allow_pickle=False)
    return array


@contextmanager
def _needing_room() -> Iterator[None]:
    """Tell the user where a run's files go if there is something wrong with them."""
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the files of a run on Lava can't be written to {tempfile.gettempdir()}: {error}",
            remedy="make room there, or let TMPDIR name another folder",
        ) from error


def check_probes(probes: Sequence[str], neurons: Sequence[str]) -> None:
    """Raise ``BackendError`` if something else than neurons is to be recorded."""
    unknown = [name for name in probes if name not in neurons]
    if unknown:
        raise BackendError(f"Lava does not record {unknown}", remedy=f"probe layers of neurons: {list(neurons)}")


def doing(parts: int) -> str:
    """Tell what a run of so many parts does."""
    return "running on Lava" if parts == 1 else f"running on Lava in {parts} parts, one after another"


def in_batches(
    x: Array,
    size: int,
    run: Callable[[Array, int, Report], Result],
    progress: Progress,
    doing: str,
) -> Result:
    """Run some images at a time, and join what comes out.

    Parameters
    ----------
    x
        ``(B, *shape)``.
    size
        How many images at most.
    run
        Runs some of them: given the images, the index of the first in ``x``, and whom to tell of steps.
    progress
        Told of the images that are done.
    doing
        What it is told to be done.
    """
    batches = []
    for start in range(0, len(x), size):
        part = x[start : start + size]

        def report(done: int, total: int, start: int = start, images: int = len(part)) -> None:
            progress(doing, start + done * images // total, len(x))

        batches.append(run(part, start, report))
    return Result(
        np.concatenate([b.potentials for b in batches]),
        total_activity([b.activity for b in batches]),
        {name: np.concatenate([b.spikes[name] for b in batches]) for name in batches[0].spikes},
        sum(b.seconds for b in batches),
    )
