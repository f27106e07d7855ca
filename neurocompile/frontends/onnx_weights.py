"""A model's initializers: their shapes and contents are compared before an array is made of any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BufferedReader
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from neurocompile.errors import Issue, ModelError
from neurocompile.frontends.external_data import Span, locate
from neurocompile.frontends.protobuf_wire import Payload
from neurocompile.ir import Array

_WIDTHS = {"raw_data": 1, "float_data": 4, "double_data": 8}
"""Bytes of an entry of the fields that can be a payload."""

_FIELDS = (*_WIDTHS, "int32_data", "int64_data", "uint64_data", "string_data")
"""The fields that can hold a tensor's values."""

_BITS = {
    **dict.fromkeys(("INT2", "UINT2"), 2),
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), 6),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"), 8),
    "BFLOAT16": 16,
}
"""Bits of the types that NumPy does not have. By their names: an older onnx package does not have all."""

_MOST_AXES = 32
"""NumPy 1's limit."""

_INCOMPLETE = "export the model again; the file may be incomplete"


class Initializers:
    """The initializers of a model, some of whose values may be left in files.

    Parameters
    ----------
    tensors
        All of them.
    payloads
        Where ``file`` has the values of those that come without, by position.
    file
        The model's own, None if the model never was in one.
    folder
        Of the model, for weights in other files; None if they can't be read.
    """

    def __init__(
        self,
        tensors: Sequence[TensorProto],
        payloads: Mapping[int, Payload],
        file: BufferedReader | None = None,
        folder: Path | None = None,
    ) -> None:
        self.tensors = tensors
        self._payloads = payloads
        self._file = file
        self._folder = folder
        self._spans: dict[int, Span] = {}

    def check(self) -> list[Issue]:
        """Compare the shape and the contents of each; nothing is allocated."""
        issues: list[Issue] = []
        names: set[str] = set()
        for i, tensor in enumerate(self.tensors):
            try:
                if tensor.name in names:
                    raise _error(tensor, "is there twice", "export the model again")
                if not _is_text(tensor):
                    self._check(i, tensor)
            except ModelError as error:
                issues += error.issues
            names.add(tensor.name)
        return issues

    def _check(self, i: int, tensor: TensorProto) -> None:
        count = _count(tensor)
        held = self._held(i, tensor)
        if tensor.data_location == TensorProto.EXTERNAL:
            if held:
                raise _error(tensor, "has its values twice, here and in another file", "export the model again")
            if self._folder is None:
                remedy = "load them with onnx.load_external_data_for_model, or give the path of the model's file"
                raise _error(tensor, "has its values in another file", remedy)
            self._spans[i] = locate(tensor, _entries(tensor, "raw_data", count), self._folder)
            return
        if len(held) > 1 or tensor.HasField("segment"):
            raise _error(tensor, "has its values in several parts", "export the model again")
        field, found = next(iter(held.items()), ("raw_data", 0))
        if field not in ("raw_data", helper.tensor_dtype_to_field(tensor.data_type)):
            raise _error(tensor, f"has {field} for a tensor of {_type(tensor)}", "export the model again")
        needed = _entries(tensor, field, count)
        if found != needed:
            unit = "bytes" if field == "raw_data" else f"entries of {field}"
            problem = f"has {found:g} {unit}, and a shape and type that take {needed}"
            raise _error(tensor, problem, _INCOMPLETE)

    def _held(self, i: int, tensor: TensorProto) -> dict[str, float]:
        """Count the entries of each field that has some."""
        entries: dict[str, float] = {field: len(getattr(tensor, field)) for field in _FIELDS}
        if i in self._payloads:
            payload = self._payloads[i]
            entries[payload.field] += payload.size / _WIDTHS[payload.field]
        return {field: count for field, count in entries.items() if count}

    def arrays(self) -> dict[str, Array]:
        """Read all of them but texts, once ``check`` found nothing; the arrays are read-only.

        Raises
        ------
        ModelError
            If a file is not any more what it was.
        """
        numbers = [(i, tensor) for i, tensor in enumerate(self.tensors) if not _is_text(tensor)]
        arrays = {tensor.name: self._array(i, tensor) for i, tensor in numbers}
        for array in arrays.values():
            array.setflags(write=False)
        return arrays

    def _array(self, i: int, tensor: TensorProto) -> Array:
        if i in self._spans:
            span = self._spans[i]
            try:
                with span.path.open("rb") as file:
                    return _view(tensor, _read(tensor, file, span.offset, span.size))
            except OSError as error:
                problem = f"is in {span.path.name}, which can't be read: {error.strerror or error}"
                raise _error(tensor, problem, "check the permissions of the file") from error
        if i in self._payloads and self._file is not None:
            payload = self._payloads[i]
            return _view(tensor, _read(tensor, self._file, payload.offset, payload.size))
        return numpy_helper.to_array(tensor)


def _is_text(tensor: TensorProto) -> bool:
    """Tell whether it holds names, as those of the classes beside the class scores."""
    return tensor.data_type == TensorProto.STRING


def _count(tensor: TensorProto) -> int:
    """Give the number of elements of a tensor that can be an array."""
    if tensor.data_type not in TensorProto.DataType.values() or tensor.data_type == TensorProto.UNDEFINED:
        raise _error(tensor, f"has the unknown type {tensor.data_type}", "update onnx, or export the model again")
    dims = list(tensor.dims)
    if len(dims) > _MOST_AXES:
        raise _error(tensor, f"has {len(dims)} axes", f"export it with {_MOST_AXES} at most")
    # NumPy multiplies the axes of an empty array as well, the empty one left out.
    if min(dims, default=0) < 0 or math.prod(max(d, 1) for d in dims) >= 1 << 58:
        raise _error(tensor, f"has the impossible shape {dims}", "export the model again")
    return math.prod(dims)


def _entries(tensor: TensorProto, field: str, count: int) -> int:
    """Give how many entries a field needs for so many elements: bytes, or numbers of its type."""
    bits = _bits(tensor)
    # Types of 6 bits are packed in bytes alone, smaller ones in the typed field as well.
    if field == "raw_data" or bits < 6:
        return -(-count * bits // 8)
    return count * (2 if tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128) else 1)


def _bits(tensor: TensorProto) -> int:
    return _BITS.get(_type(tensor)) or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def _type(tensor: TensorProto) -> str:
    return TensorProto.DataType.Name(tensor.data_type)


def _read(tensor: TensorProto, file: BufferedReader, offset: int, size: int) -> Array:
    # A plain read into the array: a mapped file that is truncated meanwhile would end the process.
    content = np.empty(size, np.uint8)
    file.seek(offset)
    if file.readinto(content.data) != size:
        raise _error(tensor, "ended while it was read", "do not change the file while it is compiled")
    # Read-only before views are made of it, so that operators take these without a copy.
    content.setflags(write=False)
    return content


def _view(tensor: TensorProto, content: Array) -> Array:
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    if 8 * dtype.itemsize == _bits(tensor):
        return content.view(dtype).reshape(tuple(tensor.dims))
    # Packed, or given as a wider type by an older onnx package.
    stored = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stored.raw_data = content.tobytes()
    return numpy_helper.to_array(stored)


def _error(tensor: TensorProto, problem: str, remedy: str) -> ModelError:
    return ModelError(problem, tensor.name, "initializer", remedy)
