"""Protocol-buffer messages taken apart without a schema, and without trusting any length in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int, int]
"""Number, kind, and where its content begins and ends; a varint's value stands in place of its beginning."""


class Malformed(ValueError):
    """Bytes that are no such message."""


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in data[start:end], in order.

    Raises:
        Malformed: where what is left is no field.

    >>> list(fields(bytes.fromhex("08 96 01 12 02 68 69")))
    [(1, 0, 150, 3), (2, 2, 5, 7)]
    """
    position, stop = start, len(data) if end is None else end
    while position < stop:
        key, position = _varint(data, position, stop)
        number, kind = key >> 3, key & 7
        if kind == BYTES:
            size, position = _varint(data, position, stop)
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        elif kind == VARINT:
            value, position = _varint(data, position, stop)
            yield number, kind, value, position
            continue
        else:
            raise Malformed(f"field {number} is of the unknown kind {kind}")
        if size > stop - position:
            raise Malformed(f"field {number} has {size} bytes where {stop - position} are left")
        yield number, kind, position, position + size
        position += size


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while position < stop:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise Malformed("an integer has more than ten bytes")
    raise Malformed("an integer is cut off")


def signed(value: int) -> int:
    """A varint read as int64."""
    return value - (1 << 64) if value >> 63 else value


def double(data: bytes, position: int) -> float:
    """The double at a position."""
    return struct.unpack_from("<d", data, position)[0]


def single(data: bytes, position: int) -> float:
    """The float at a position."""
    return struct.unpack_from("<f", data, position)[0]


def text(data: bytes, start: int, end: int) -> str:
    """A string field; what is no UTF-8 is marked."""
    return data[start:end].decode("utf-8", "replace")


def numbers(data: bytes, found: list[Field], dtype: str) -> np.ndarray:
    """A repeated float or double field, packed or not."""
    width = np.dtype(dtype).itemsize
    parts = [data[start : end - (end - start) % width] for _, kind, start, end in found if kind != VARINT]
    return np.frombuffer(b"".join(parts), dtype)
