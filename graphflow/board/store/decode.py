"""What lies behind a reference: histograms, images, texts, curves, settings and graphs, from their messages.

Every function takes the bytes of one Summary.Value as they are in the file, and raises `Malformed` for
what is none; sizes are checked before anything is made.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from graphflow.board.store import wire
from graphflow.board.store.wire import BYTES, FIXED32, FIXED64, VARINT, Malformed

_DTYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    17: "<u2",
    22: "<u4",
    23: "<u8",
}
_FLOATS, _DOUBLES, _STRINGS = 5, 6, 8
_MOST_AXES = 16

MIMES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
"""Beginnings of files that a browser may be given as images."""


class Tensor(NamedTuple):
    """A TensorProto: its shape, and an array or, of strings, a list."""

    shape: tuple[int, ...]
    content: np.ndarray | list[bytes]


def message(data: bytes) -> dict[int, list[wire.Field]]:
    """The fields of a message by number."""
    found: dict[int, list[wire.Field]] = {}
    for one in wire.fields(data):
        found.setdefault(one[0], []).append(one)
    return found


def part(data: bytes, found: dict[int, list[wire.Field]], number: int) -> bytes:
    """The last content of a bytes field, b"" if there is none."""
    for _, kind, start, end in reversed(found.get(number, [])):
        if kind == BYTES:
            return data[start:end]
    return b""


def whole(found: dict[int, list[wire.Field]], number: int) -> int:
    """The last value of an integer field, 0 if there is none."""
    for _, kind, value, _ in reversed(found.get(number, [])):
        if kind == VARINT:
            return wire.signed(value)
    return 0


def real(data: bytes, found: dict[int, list[wire.Field]], number: int) -> float:
    """The last value of a double field, 0 if there is none."""
    for _, kind, start, _ in reversed(found.get(number, [])):
        if kind == FIXED64:
            return wire.double(data, start)
    return 0.0


def tensor(data: bytes) -> Tensor:
    """A TensorProto.

    Raises:
        Malformed: if its content does not fit its shape.
    """
    found = message(data)
    kind = whole(found, 1)
    shape_data = part(data, found, 2)
    sizes = [whole(message(part_of), 1) for part_of in _repeated(shape_data, 2)]
    if len(sizes) > _MOST_AXES or any(size < 0 for size in sizes):
        raise Malformed("a tensor has an impossible shape")
    if kind == 7:
        return Tensor(
            tuple(sizes), [data[start:end] for _, k, start, end in found.get(_STRINGS, []) if k == BYTES]
        )
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise Malformed(f"a tensor is of type {kind}, which is not read here")
    content = part(data, found, 4)
    if content:
        if len(content) % np.dtype(dtype).itemsize:
            raise Malformed("a tensor is cut off")
        array = np.frombuffer(content, dtype)
    else:
        number = {1: _FLOATS, 2: _DOUBLES}.get(kind, 0)
        array = wire.numbers(data, found.get(number, []), dtype)
    count = math.prod(sizes)
    if array.size == 1 and 1 < count <= 1 << 20:
        array = np.repeat(array, count)  # one value stands for all
    if array.size != count:
        raise Malformed(f"a tensor of shape {sizes} has {array.size} elements")
    return Tensor(tuple(sizes), array.reshape(sizes))


def _repeated(data: bytes, number: int) -> list[bytes]:
    return [data[start:end] for one, kind, start, end in wire.fields(data) if (one, kind) == (number, BYTES)]


def _strings(value: bytes) -> list[bytes]:
    content = tensor(part(value, message(value), 8)).content
    if isinstance(content, np.ndarray):
        raise Malformed("a tensor of numbers stands where strings belong")
    return content


def _table(value: bytes, axes: int) -> np.ndarray:
    content = tensor(part(value, message(value), 8)).content
    if not isinstance(content, np.ndarray) or content.ndim != axes:
        raise Malformed("a tensor has another form than its plugin says")
    with np.errstate(invalid="ignore"):  # some NaN are signalling ones
        return content.astype(np.float64)


def histogram(value: bytes) -> np.ndarray:
    """float64 [buckets, 3]: left edge, right edge, count."""
    found = message(value)
    if 5 not in found:
        table = _table(value, 2)
        if table.shape[1] != 3:
            raise Malformed("a histogram has no three columns")
        return table
    data = part(value, found, 5)
    old = message(data)
    limits, counts = (wire.numbers(data, old.get(number, []), "<f8") for number in (6, 7))
    if limits.size != counts.size:
        raise Malformed("a histogram has not as many counts as buckets")
    used = np.flatnonzero(counts)
    if not used.size:
        return np.zeros((0, 3))
    low, high = real(data, old, 1), real(data, old, 2)
    chosen = slice(int(used[0]), int(used[-1]) + 1)
    left = np.concatenate([[low], limits[:-1]])[chosen]
    right = limits[chosen].copy()
    left[0], right[-1] = max(left[0], low), min(right[-1], high)
    return np.stack([left, right, counts[chosen]], axis=1)


class Images(NamedTuple):
    """Images of one size, as the files that were logged."""

    width: int
    height: int
    files: list[bytes]


def images(value: bytes) -> Images:
    """The images of a value, whichever of the two ways they are stored in."""
    found = message(value)
    if 4 in found:
        data = part(value, found, 4)
        inner = message(data)
        return Images(whole(inner, 2), whole(inner, 1), [part(data, inner, 4)])
    strings = _strings(value)
    if len(strings) < 2 or not all(one.isdigit() and len(one) < 9 for one in strings[:2]):
        raise Malformed("images do not begin with their size")
    return Images(int(strings[0]), int(strings[1]), strings[2:])


def mime(file: bytes) -> str:
    """What kind of image a file is; "application/octet-stream" for what a browser must not show."""
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in MIMES if file.startswith(start)), "application/octet-stream")


def texts(value: bytes) -> list[str]:
    """The strings of a value."""
    return [one.decode("utf-8", "replace") for one in _strings(value)]


def curve(value: bytes) -> np.ndarray:
    """float64 [6, thresholds]: true and false positives, true and false negatives, precision, recall."""
    table = _table(value, 2)
    if table.shape[0] != 6:
        raise Malformed("a precision-recall curve has no six rows")
    return table


def settings(value: bytes) -> dict[str, Any]:
    """What a value of the plugin hparams tells: some of metrics, values, group, started, status, ended."""
    metadata = part(value, message(value), 9)
    plugin = part(metadata, message(metadata), 1)
    content = part(plugin, message(plugin), 2)
    found = message(content)
    told: dict[str, Any] = {}
    if 2 in found:
        data = part(content, found, 2)
        infos = [part(one, message(one), 1) for one in _repeated(data, 5)]
        told["metrics"] = [part(one, message(one), 2).decode("utf-8", "replace") for one in infos]
    if 3 in found:
        data = part(content, found, 3)
        inner = message(data)
        told["values"] = dict(_setting(one) for one in _repeated(data, 1))
        told["group"], told["started"] = part(data, inner, 4).decode("utf-8", "replace"), real(data, inner, 5)
    if 4 in found:
        data = part(content, found, 4)
        told["status"], told["ended"] = whole(message(data), 1), real(data, message(data), 2)
    return told


def _setting(entry: bytes) -> tuple[str, bool | float | str | None]:
    found = message(entry)
    data = part(entry, found, 2)
    value: bool | float | str | None = None
    for number, kind, start, end in wire.fields(data):
        if (number, kind) == (2, FIXED64):
            value = wire.double(data, start)
        elif (number, kind) == (3, BYTES):
            value = wire.text(data, start, end)
        elif (number, kind) == (4, VARINT):
            value = bool(start)
    return part(entry, found, 1).decode("utf-8", "replace"), value


__all__ = [
    "FIXED32", "Images", "Malformed", "Tensor", "curve", "histogram", "images", "message", "mime", "part",
    "real", "settings", "tensor", "texts", "whole",
]  # fmt: skip
