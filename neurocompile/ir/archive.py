"""A file of one JSON document and named arrays: a zip with digests, without pickle, written atomically."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurocompile.errors import DeploymentError
from neurocompile.ir.op import Array

_DOCUMENT = "document.json"
_DIGESTS = "digests.json"
_MOST_EXPANSION = 100
"""Weights hardly compress: a small file that unpacks to far more was made to fill the memory."""

_SMALL = 64 << 20
"""Bytes that may be unpacked in any case."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""A fixed date in every entry, so that equal contents make equal files."""


def write(path: Path, document: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write an archive; either the whole file is there afterwards, or what was there before.

    Raises
    ------
    DeploymentError
        If the folder is missing or read-only, or the disk is full.
    """
    entries = {_DOCUMENT: json.dumps(document, indent=1).encode(), **_npy_entries(arrays)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}
    _write_zip(path, {**entries, _DIGESTS: json.dumps(digests, indent=1).encode()})


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as ``numpy.load`` reads them; like ``write``, the whole file or none.

    Raises
    ------
    DeploymentError
        If the folder is missing or read-only, or the disk is full.
    """
    _write_zip(path, _npy_entries(arrays))


def _npy_entries(arrays: Mapping[str, Array]) -> dict[str, bytes]:
    entries = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
        entries[f"{name}.npy"] = buffer.getvalue()
    return entries


def _write_zip(path: Path, entries: Mapping[str, bytes]) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
                for name, content in entries.items():
                    entry = zipfile.ZipInfo(name, _DATE)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, content)
            _give_usual_rights(temporary)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise DeploymentError(
            f"can't write {path}: {error.strerror or error}",
            remedy="give a path in a writable folder on a disk with room",
        ) from error


def read(path: Path, kind: str = "deployment") -> tuple[dict[str, Any], dict[str, Array]]:
    """Read an archive and check its digests.

    Parameters
    ----------
    path
        The file.
    kind
        What errors call it.

    Raises
    ------
    DeploymentError
        If the file is missing, truncated, edited, or no archive of this kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > max(_MOST_EXPANSION * path.stat().st_size, _SMALL):
                raise ValueError(f"it would unpack to {unpacked / 1e9:.1f} GB")
            entries = {name: archive.read(name) for name in archive.namelist()}
        return _parse(entries)
    except OSError as error:
        raise DeploymentError(
            f"can't read {path}: {error.strerror or error}", remedy="check the path and its permissions"
        ) from error
    except Exception as error:  # zipfile, its decompressors, json and NumPy's header parser raise many kinds
        raise DeploymentError(
            f"{path} is no {kind}, or it was truncated or edited ({type(error).__name__}: {error})",
            remedy="compile it again with -o",
        ) from error


def _parse(entries: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    digests = json.loads(entries.pop(_DIGESTS))
    if digests != {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}:
        raise ValueError("its contents do not match their digests")
    document = json.loads(entries.pop(_DOCUMENT))
    if not isinstance(document, dict):
        raise TypeError("its document is no object")
    return document, {name.removesuffix(".npy"): _array(content) for name, content in entries.items()}


def _array(content: bytes) -> Array:
    # numpy.load would allocate what the header claims; this never takes more than the bytes that are there.
    buffer = io.BytesIO(content)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise ValueError("an array of an unknown version")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(buffer)
    if fortran_order or dtype.kind not in "biuf" or min(shape, default=0) < 0:
        raise ValueError("an array that is not of plain numbers in C order")
    return np.frombuffer(content, dtype, offset=buffer.tell()).reshape(shape)


def _give_usual_rights(path: str) -> None:
    # mkstemp keeps the file to its owner; a result has the rights that any new file of the user's would have.
    mask = os.umask(0)
    os.umask(mask)
    Path(path).chmod(0o666 & ~mask)
