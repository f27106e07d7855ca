"""Runs a bundle: a network with all that it takes, on a machine that has Lava and no compiler.

``run.py`` of the bundle calls ``main``. A bundle is a folder with ``bundle.json``, which names its version, the
encoder, the parts of the network and the files of the layers' spikes, and ``digests.json``, with the SHA-256 of
every file that is read; ``neurocompile_lava.bundle`` writes it. Each batch of images becomes a job for a worker of
its own, and one after another for each part of the network.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from neurocompile_lava.worker.guard import GRACE, end_group, most_seconds, worker_environment, worker_folder

Array = npt.NDArray[Any]

BUNDLE_VERSION = 2

LAVA_VERSION = "0.10.0"
"""The version of lava-nc that neurocompile knows."""

BUNDLE = "bundle.json"
DIGESTS = "digests.json"

MOST_CLIPPED = 0.05
"""Of an input's values may be beyond the ceiling: with more, the images are on another scale."""

_LOG_LINES = 200
_POLL = 0.1
_ERROR = 2
_INTERRUPTED = 130


class BundleError(Exception):
    """What the user can mend: the problem, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)

    def __str__(self) -> str:
        return "{}\n  remedy: {}".format(*self.args)


def main(folder: Path, arguments: Sequence[str]) -> int:
    """Run a bundle as the command line says.

    Parameters
    ----------
    folder
        Of the bundle.
    arguments
        Of the command line.

    Returns
    -------
    int
        The exit status: 0, 2 after an error, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser("run.py", description="Run a spiking network on Lava.")
    parser.add_argument("--input", type=Path, help="images: an .npy file; those of the bundle if not given")
    parser.add_argument("--output", type=Path, default=Path("results"), help="the folder for what comes out")
    chosen = parser.parse_args(arguments)
    try:
        _run(folder, chosen.input, chosen.output)
    except BundleError as error:
        sys.stderr.write(f"error: {error}\n")
        return _ERROR
    except OSError as error:
        sys.stderr.write(f"error: {error}\n  remedy: make room, or choose folders that can be written\n")
        return _ERROR
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
    return 0


def _run(folder: Path, given: Path | None, output: Path) -> None:
    bundle = read(folder)
    stream = _stream(folder, bundle, given)
    _check_python()
    output.mkdir(parents=True, exist_ok=True)
    potentials: list[Array] = []
    spikes: dict[str, list[Array]] = {layer: [] for layer in bundle["spikes"]}
    images = stream.shape[1]
    for start in range(0, images, bundle["batch"]):
        part = stream[:, start : start + bundle["batch"]]
        sys.stderr.write(f"images {start + 1} to {start + part.shape[1]} of {images}\n")
        with _job(folder, part) as job:
            for plan in bundle["parts"]:
                shutil.copyfile(folder / plan, job / "plan.json")
                _work(folder, job)
            potentials.append(_read(job, "potentials"))
            for layer, name in bundle["spikes"].items():
                spikes[layer].append(_read(job, name))
    accumulated = np.concatenate(potentials)
    np.save(output / "potentials.npy", accumulated)
    np.save(output / "decisions.npy", decide(accumulated[:, -1]))
    write_spikes(output / "spikes.npz", spikes)
    sys.stderr.write(f"potentials.npy, decisions.npy and spikes.npz are in {output}\n")


def read(folder: Path) -> dict[str, Any]:
    """Read ``bundle.json``, and check its version and the digests of all files.

    Raises
    ------
    BundleError
        If the bundle is of another version or not whole.
    """
    try:
        digests = json.loads((folder / DIGESTS).read_text()).items()
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{folder} holds no bundle that can be read: {error}", "copy the whole folder again"
        ) from error
    for name, digest in digests:
        file = folder / name
        if not file.is_file():
            raise BundleError(f"{name} is missing in the bundle", "copy the whole folder again")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise BundleError(f"{name} is not as it was exported", "copy the whole folder again")
    bundle: dict[str, Any] = json.loads((folder / BUNDLE).read_text())
    if bundle["version"] != BUNDLE_VERSION:
        raise BundleError(
            f"the bundle has version {bundle['version']}, this runner reads {BUNDLE_VERSION}",
            "take all files from one export",
        )
    return bundle


def write_spikes(path: Path, spikes: Mapping[str, Sequence[Array]]) -> None:
    """Write an .npz file with an array for each layer, of all its batches.

    Parameters
    ----------
    path
        Of the file.
    spikes
        For each layer its batches, images first.
    """
    # numpy.savez takes names as parameters, and a layer may be called as one of its own.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for layer, batches in spikes.items():
            with archive.open(f"{layer}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.concatenate(batches), allow_pickle=False)


def _check_python() -> None:
    try:
        version = importlib.metadata.version("lava-nc")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != LAVA_VERSION:
        python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        raise BundleError(
            f"lava-nc {LAVA_VERSION} is needed, and this {python} has {version}",
            "with a Python 3.10: python -m pip install --require-hashes --requirement requirements.txt",
        )


def _stream(folder: Path, bundle: Mapping[str, Any], given: Path | None) -> Array:
    """Give what the encoder sends: ``(T, B, *shape)``, of a constant only the first step."""
    encoder = bundle["encoder"]
    if encoder["code"] not in ("constant", "once"):
        if given is not None:
            raise BundleError(
                "this network takes spikes, which are laid out when the bundle is exported",
                "leave --input out, or export it again with these images as --input",
            )
        return _load(folder / "stream.npy")
    images = folder / "images.npy" if given is None else given
    if given is None and not images.exists():
        raise BundleError("there are no images in this bundle", "give --input IMAGES.npy")
    return encode(_load(images), encoder, bundle["steps"])


def _load(path: Path) -> Array:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"can't read {path}: {error}", "give an .npy file that numpy.save wrote") from error
    if not isinstance(loaded, np.ndarray):
        raise BundleError(f"{path} holds several arrays", "save the images alone with numpy.save")
    return loaded


def encode(x: Array, encoder: Mapping[str, Any], steps: int) -> Array:
    """Encode images as the compiler's encoder does.

    Parameters
    ----------
    x
        ``(B, *shape)``.
    encoder
        Its ``code``, ``constant`` or ``once``, and ``shape``, ``ceiling``, ``levels``, ``integer`` and ``dtype``.
    steps
        T.

    Returns
    -------
    Array
        The stream: ``(1, B, *shape)`` of a constant, and ``(T, B, *shape)`` else.

    Raises
    ------
    BundleError
        If the images do not fit.
    """
    _check_images(x, encoder)
    share = x.astype(np.float64) / encoder["ceiling"]
    if encoder["levels"]:
        share = np.rint(np.clip(share, -1, 1) * encoder["levels"])
    if encoder["integer"]:
        share = share.astype(np.int32)
    if encoder["code"] == "constant":
        return np.stack([share])
    stream: Array = np.zeros((steps, *share.shape), share.dtype)
    stream[0] = share
    return stream


def _check_images(x: Array, encoder: Mapping[str, Any]) -> None:
    shape = tuple(encoder["shape"])
    if x.dtype.kind not in "fiub":
        raise BundleError(f"the images hold {x.dtype}, not numbers", "save them as float32 or uint8")
    if x.ndim == 0 or not len(x) or x.shape[1:] != shape:
        expected = ", ".join(("N", *map(str, shape)))
        raise BundleError(f"the images have the shape {x.shape}; the network takes ({expected})", "reshape them")
    if not np.isfinite(x).all():
        raise BundleError("there are NaN or infinite values in the images", "leave these images out")
    if encoder["dtype"] == "uint8" and not np.array_equal(x, np.clip(np.rint(x), 0, 255)):
        raise BundleError("the network takes whole numbers from 0 to 255", "give the images unscaled")
    beyond = np.mean(np.abs(x.astype(np.float64)) > encoder["ceiling"])
    if beyond > MOST_CLIPPED:
        raise BundleError(
            f"{100 * beyond:.0f} % of the values are beyond {encoder['ceiling']:g}, the largest in calibration",
            "scale the images as those of the calibration",
        )


def decide(scores: Array) -> Array:
    """Decide on a class for each image by scores ``(B, ...)``, as neurocompile does."""
    flat = scores.reshape(len(scores), -1)
    decided: Array = flat[:, 0] > 0 if flat.shape[1] == 1 else np.argmax(flat, axis=1)
    return decided.astype(np.int64)


@contextmanager
def _job(folder: Path, stream: Array) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="neurocompile-") as name:
        job = Path(name)
        shutil.copyfile(folder / "arrays.npz", job / "arrays.npz")
        np.save(job / "stream.npy", stream)
        yield job


def _work(folder: Path, job: Path) -> None:
    """Have a worker do a job, and end whatever is left of it."""
    patience = most_seconds(json.loads((job / "plan.json").read_text())["total"])
    deadline = time.monotonic() + patience
    temporary = worker_folder()
    log: deque[str] = deque(maxlen=_LOG_LINES)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    worker = subprocess.Popen(
        [sys.executable, "-I", "-B", str(folder / "neurocompile_lava" / "worker"), str(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **worker_environment(temporary)},
        start_new_session=True,
    )
    # A thread of its own: Lava's processes keep the pipe open if they outlive the worker.
    reader = threading.Thread(target=_pass_on, args=(worker.stdout, lines), daemon=True)
    reader.start()
    try:
        while worker.poll() is None:
            if time.monotonic() > deadline:
                raise BundleError(
                    f"the worker did not end within {patience:g} s",
                    "run fewer images, or on a machine that is less busy",
                )
            with suppress(queue.Empty):
                _follow(lines.get(timeout=_POLL), log)
    finally:
        end_group(worker.pid, temporary)
        worker.wait()
        reader.join(GRACE)
    while not lines.empty():
        _follow(lines.get(), log)
    if worker.returncode != 0:
        printed = "\n".join(log)
        raise BundleError(
            f"the worker ended with status {worker.returncode}:\n{printed}", "look at what it printed"
        )


def _pass_on(pipe: TextIO, lines: queue.SimpleQueue[str]) -> None:
    with pipe:
        for line in pipe:
            lines.put(line)


def _follow(line: str, log: deque[str]) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or "event" not in event:
        log.extend([line.rstrip()] if line.strip() else [])
    elif event["event"] == "error":
        raise BundleError(
            f"the worker failed: {event.get('problem')}\n{event.get('traceback')}", "look at what it printed"
        )


def _read(job: Path, name: str) -> Array:
    """Read a stream, images first."""
    return np.moveaxis(np.load(job / f"{name}.npy", allow_pickle=False), 0, 1)
