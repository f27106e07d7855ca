"""Finds the weights that an ONNX model keeps in other files, and lets no model read outside its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from neurocompile.errors import ModelError


@dataclass(frozen=True)
class Span:
    """A stretch of a file, in bytes."""

    path: Path
    offset: int
    size: int


def locate(tensor: TensorProto, size: int, folder: Path) -> Span:
    """Find the values of a tensor in the file that it names.

    Parameters
    ----------
    tensor
        One whose values are in another file.
    size
        The bytes that its shape and type take.
    folder
        The model's own; the file must be in it or below.

    Raises
    ------
    ModelError
        If the file is missing or elsewhere, or has not just these bytes at the place that is named.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _file(tensor.name, entries.get("location", ""), folder)
    there = path.stat().st_size
    offset = _number(tensor.name, "offset", entries.get("offset", "0"))
    length = _number(tensor.name, "length", entries.get("length", str(max(there - offset, 0))))
    if length != size:
        problem = f"has {length} bytes in {path.name}, and a shape and type that take {size}"
        raise _error(tensor.name, problem, "export the model again")
    if offset + length > there:
        problem = f"reads up to byte {offset + length} of {path.name}, which has {there}"
        raise _error(tensor.name, problem, "export the model again; the file may be incomplete")
    return Span(path, offset, length)


def _file(tensor: str, location: str, folder: Path) -> Path:
    try:
        path = (folder / location).resolve()
        missing, regular = not path.exists(), path.is_file()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, or has a NUL; a loop of links
        raise _error(
            tensor, f"is in {location!r}, which is no file ({error})", "export the model again"
        ) from error
    # What is outside is refused before it is said whether it exists, absolute paths into the folder too: on
    # another machine they lead elsewhere.
    if Path(location).is_absolute() or not inside:
        problem = f"is in {location!r}, which is outside the model's folder"
        raise _error(tensor, problem, "put the file itself, no link to it, beside the model")
    if missing:
        remedy = f"put {location!r} beside the model; a model and its weights are moved together"
        raise _error(tensor, f"is in {location!r}, which does not exist", remedy)
    if not regular:
        raise _error(tensor, f"is in {location!r}, which is no file", "export the model again")
    return path


def _number(tensor: str, key: str, text: str) -> int:
    # A file has fewer than 10**18 bytes; int() itself also takes signs, blanks and underscores.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _error(tensor, f"has {text[:40]!r} as the {key} of its values in a file", "export the model again")
    return int(text)


def _error(tensor: str, problem: str, remedy: str) -> ModelError:
    return ModelError(problem, tensor, "initializer", remedy)
