"""A large ONNX file without the data of its weights, which are read from the file one after the other.

The package protobuf would hold such a file twice while it parses, and once more what is read from it. Here
the wire format is walked, model to graph to initializers, and each long `raw_data` gives way to the words
that it lies in a file beside the model, namely this one; all else is handed on byte by byte.

Source: https://protobuf.dev/programming-guides/encoding, and the field numbers of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto

LEAST_FILE = 1 << 24
"""Files below this are parsed as they are: their data are little beside what Python itself takes."""

LEAST_DATA = 1 << 16
OWN = "in the model"
"""The key that tells data in the model's own file, which is read, not mapped: it may be written over."""

_MOST_FIELDS = 2_000_000
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # of ModelProto, GraphProto, TensorProto
_BYTES, _FIXED = 2, {1: 8, 5: 4}


class _Field(NamedTuple):
    """A field: its number, how it is written, and where it begins, where its content begins, and its end."""

    number: int
    wire: int
    begin: int
    body: int
    end: int


class _OddFile(Exception):
    """The bytes are none that this module knows; protobuf may, or tells what is wrong."""


def slimmed(path: Path) -> bytes | None:
    """The content of a file with the places of weights for their data; None where that is not worth it."""
    if path.stat().st_size < LEAST_FILE or path.resolve().parent != path.parent.resolve():
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        try:
            return _Slimming(view, path.name).model()
        except _OddFile:
            return None


class _Slimming:
    def __init__(self, view: mmap.mmap, name: str) -> None:
        self.view = view
        self.name = name
        self.count = 0

    def model(self) -> bytes:
        parts = []
        for field in self.fields(0, len(self.view)):
            if field.number == _GRAPH and field.wire == _BYTES:
                parts += _message(_GRAPH, self.graph(field))
            else:
                parts.append(self.view[field.begin : field.end])
        return b"".join(parts)

    def graph(self, graph: _Field) -> list[bytes]:
        parts, start = [], graph.body
        for field in self.fields(graph.body, graph.end):
            is_long = field.end - field.body >= LEAST_DATA
            if is_long and field.number == _INITIALIZER and field.wire == _BYTES:
                parts.append(self.view[start : field.begin])
                parts += _message(_INITIALIZER, self.tensor(field))
                start = field.end
        return [*parts, self.view[start : graph.end]]

    def tensor(self, tensor: _Field) -> list[bytes]:
        parts = []
        for field in self.fields(tensor.body, tensor.end):
            length = field.end - field.body
            if field.number == _RAW_DATA and field.wire == _BYTES and length >= LEAST_DATA:
                parts.append(_place(self.name, field.body, length))
            else:
                parts.append(self.view[field.begin : field.end])
        return parts

    def fields(self, place: int, stop: int) -> Iterator[_Field]:
        """The fields of a message that lies between two places."""
        while place < stop:
            self.count += 1
            begin, (tag, body) = place, self.number(place, stop)
            wire = tag & 7
            if wire == _BYTES:
                length, body = self.number(body, stop)
                place = body + length
            elif wire == 0:
                _, place = self.number(body, stop)
            elif wire in _FIXED:
                place = body + _FIXED[wire]
            else:
                raise _OddFile
            if place > stop or self.count > _MOST_FIELDS:
                raise _OddFile
            yield _Field(tag >> 3, wire, begin, body, place)

    def number(self, place: int, stop: int) -> tuple[int, int]:
        """A number of seven bits a byte, and where it ends."""
        value = 0
        for shift in range(0, 64, 7):
            if place >= stop:
                raise _OddFile
            byte = self.view[place]
            value, place = value | (byte & 127) << shift, place + 1
            if byte < 128:
                return value, place
        raise _OddFile


def _message(number: int, parts: list[bytes]) -> list[bytes]:
    return [_number(number << 3 | _BYTES), _number(sum(map(len, parts))), *parts]


def _number(value: int) -> bytes:
    made = bytearray()
    while value >= 128:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _place(name: str, offset: int, length: int) -> bytes:
    """The fields of a tensor that say where its data lie."""
    tensor = TensorProto(data_location=TensorProto.EXTERNAL)
    said = {"location": name, "offset": str(offset), "length": str(length), OWN: "true"}
    tensor.external_data.extend(
        [onnx.StringStringEntryProto(key=key, value=value) for key, value in said.items()]
    )
    made: bytes = tensor.SerializeToString()
    return made
