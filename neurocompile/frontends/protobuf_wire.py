"""Splits an ONNX file on protobuf's wire, so that large weights need not pass through protobuf."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from onnx import GraphProto, ModelProto, TensorProto

# https://protobuf.dev/programming-guides/encoding: a field is a varint of number * 8 + kind, and its value.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_LARGE = 4096
"""Bytes from which the values of a tensor are left in the file."""

_MOST_FIELDS = 1_000_000
"""Of a model, a graph or a tensor. A file of empty messages would fill fifty times its size in memory."""

_VALUES = {
    TensorProto.DESCRIPTOR.fields_by_name[name].number: name for name in ("raw_data", "float_data", "double_data")
}
"""The fields whose bytes in the file are those of an array."""


class WireError(ValueError):
    """The file is no protobuf message, or was cut short."""


@dataclass(frozen=True)
class Payload:
    """Where the file has the values of a tensor: the field that holds them, and its bytes."""

    field: str
    offset: int
    size: int


@dataclass(frozen=True)
class Skeleton:
    """A serialized ModelProto whose large initializers have no values.

    Parameters
    ----------
    content
        What is left of the file.
    payloads
        Where the file has what was left out, by the position of the initializer in the graph.
    """

    content: bytes
    payloads: Mapping[int, Payload]


def split(file: BinaryIO) -> Skeleton:
    """Read all of a model but the values of its large initializers.

    Raises
    ------
    WireError
        If the file ends too early or is no protobuf message.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    splitter = _Splitter(file)
    return Skeleton(splitter.model(end), splitter.payloads)


_Rewrite = Callable[[int], bytes | None]
"""Reads the value of a field up to an offset, and gives what stands for it; None drops the field."""


class _Splitter:
    def __init__(self, file: BinaryIO) -> None:
        self.payloads: dict[int, Payload] = {}
        self._file = file
        self._initializers = 0

    def model(self, end: int) -> bytes:
        return self._message(end, {ModelProto.DESCRIPTOR.fields_by_name["graph"].number: self._graph})

    def _graph(self, end: int) -> bytes:
        return self._message(end, {GraphProto.DESCRIPTOR.fields_by_name["initializer"].number: self._initializer})

    def _initializer(self, end: int) -> bytes:
        content = self._message(end, {number: self._values(name) for number, name in _VALUES.items()})
        self._initializers += 1
        return content

    def _values(self, field: str) -> _Rewrite:
        def leave_in_file(end: int) -> bytes | None:
            offset = self._file.tell()
            if end - offset < _LARGE:
                return self._read(end - offset)
            if self._initializers in self.payloads:
                raise WireError("a tensor has its values twice")
            self.payloads[self._initializers] = Payload(field, offset, end - offset)
            self._file.seek(end)
            return None

        return leave_in_file

    def _message(self, end: int, rewrites: Mapping[int, _Rewrite]) -> bytes:
        copy = bytearray()
        fields = 0
        while self._file.tell() < end:
            fields += 1
            if fields > _MOST_FIELDS:
                raise WireError(f"more than {_MOST_FIELDS:,} parts")
            tag = self._varint()
            number, kind = divmod(tag, 8)
            if kind == _BYTES:
                size = self._varint()
                stop = self._file.tell() + size
                if stop > end:
                    raise WireError("it ends too early")
                value = rewrites[number](stop) if number in rewrites else self._read(size)
                if value is not None:
                    copy += _varint(tag) + _varint(len(value)) + value
            elif kind == _VARINT:
                copy += _varint(tag) + _varint(self._varint())
            elif kind in (_FIXED32, _FIXED64):
                copy += _varint(tag) + self._read(4 if kind == _FIXED32 else 8)
            else:
                raise WireError("it is no protobuf message")
        if self._file.tell() != end:
            raise WireError("it ends too early")
        return bytes(copy)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (1 << 64) - 1
        raise WireError("it is no protobuf message")

    def _read(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise WireError("it ends too early")
        return content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
