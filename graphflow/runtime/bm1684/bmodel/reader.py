"""Reads a .bmodel, believing nothing: every offset, size, checksum and the chip are checked first."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphflow.errors import FileFormatError
from graphflow.files import checked_path
from graphflow.runtime.bm1684.bmodel.records import (
    CHIP,
    DTYPES,
    BModel,
    CommandGroup,
    Net,
    Stage,
    Storage,
    TensorInfo,
)
from graphflow.runtime.bm1684.bmodel.writer import HEADER, MAGIC, SEAL, UNSEALED, seal
from graphflow.runtime.bm1684.chip import COMMAND_BYTES, DDR_BASE, DDR_END

_GET_AGAIN = "the file was damaged after it was written; get it again"
_MOST_TABLES = 1_000_000
"""Real files have thousands; one in which tables point at one another would have no end."""


def load(path: str | Path) -> BModel:
    """The content of a .bmodel file.

    Raises:
        FileFormatError: if it cannot be read, is no .bmodel, is damaged, or is for another chip.
    """
    place = checked_path(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} cannot be read: {error.strerror or error}", hint="give the path of a .bmodel"
        ) from error
    try:
        return read(data)
    except FileFormatError as error:
        raise FileFormatError(f"{str(place)!r}: {error.message}", hint=error.hint) from error


def is_bmodel(path: str | Path) -> bool:
    """Whether a file begins as a .bmodel does."""
    try:
        with open(checked_path(path), "rb") as file:
            return file.read(4) == struct.pack("<I", MAGIC)
    except OSError:
        return False


def read(data: bytes) -> BModel:
    """The content of the bytes of a .bmodel file.

    Raises:
        FileFormatError: if they are none, are damaged, or are for another chip.
    """
    described, binaries = _sections(data)
    try:
        root = _Table(described, struct.unpack_from("<I", described)[0])
        return _model(root, described, binaries)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise FileFormatError(f"its description is damaged: {error}", hint=_GET_AGAIN) from error


def _sections(data: bytes) -> tuple[bytes, bytes]:
    """The flatbuffer and the binaries."""
    if len(data) < HEADER.size or data[:4] != struct.pack("<I", MAGIC):
        raise FileFormatError("it is no .bmodel", hint="a .bmodel begins with the bytes ee aa 55 ff")
    _, header, described, binaries = HEADER.unpack_from(data)
    if header != HEADER.size or any(data[20:header]):
        raise FileFormatError("its header is damaged, or of an unknown version", hint=_GET_AGAIN)
    if len(data) != header + described + binaries:
        raise FileFormatError(
            f"it has {len(data)} bytes, and its header says {header + described + binaries}",
            hint="the file was cut or lengthened; get it again",
        )
    return data[header : header + described], data[header + described :]


class _Table:
    """A table of a flatbuffer; reading outside of the buffer raises struct.error."""

    def __init__(self, data: bytes, at: int, visits: Iterator[int] | None = None) -> None:
        self.data, self.at = data, at
        self.visits = iter(range(_MOST_TABLES)) if visits is None else visits
        if next(self.visits, None) is None:
            raise struct.error("its tables point at one another")
        self.offsets = at - self.number_at("<i", at)
        self.length = self.number_at("<H", self.offsets)

    def number_at(self, kind: str, at: int) -> Any:
        if at < 0:
            raise struct.error("an offset points before the beginning")
        return struct.unpack_from(kind, self.data, at)[0]

    def slot(self, slot: int) -> int:
        """Where a slot's value lies, or 0 if it is not set."""
        entry = 4 + 2 * slot
        if entry + 2 > self.length:
            return 0
        offset = self.number_at("<H", self.offsets + entry)
        return self.at + offset if offset else 0

    def number(self, slot: int, kind: str, default: Any = 0) -> Any:
        at = self.slot(slot)
        return self.number_at("<" + kind, at) if at else default

    def follow(self, at: int) -> int:
        return at + int(self.number_at("<I", at))

    def table(self, slot: int) -> _Table | None:
        at = self.slot(slot)
        return _Table(self.data, self.follow(at), self.visits) if at else None

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many they are."""
        at = self.slot(slot)
        if not at:
            return 0, 0
        begin = self.follow(at)
        count = int(self.number_at("<I", begin))
        if begin + 4 + count * width > len(self.data):
            raise struct.error("a vector is longer than the buffer")
        return begin + 4, count

    def tables(self, slot: int) -> Iterator[_Table]:
        begin, count = self._vector(slot, 4)
        return (_Table(self.data, self.follow(begin + 4 * i), self.visits) for i in range(count))

    def numbers(self, slot: int, kind: str) -> tuple[int, ...]:
        begin, count = self._vector(slot, struct.calcsize(kind))
        return struct.unpack_from(f"<{count}{kind}", self.data, begin)

    def raw(self, slot: int) -> bytes:
        begin, count = self._vector(slot, 1)
        return self.data[begin : begin + count]

    def text(self, slot: int) -> str:
        return self.raw(slot).decode("utf-8")

    def binary(self, slot: int, binaries: bytes) -> bytes:
        at = self.slot(slot)
        if not at:
            return b""
        start, size = struct.unpack_from("<QQ", self.data, at)
        if start + size > len(binaries):
            raise FileFormatError("a binary lies outside of the file", hint=_GET_AGAIN)
        return binaries[start : start + size]


def _model(root: _Table, described: bytes, binaries: bytes) -> BModel:
    chip = root.text(3)
    time = _checked_seal(root.text(2), described, binaries)
    if root.text(0) != "B":
        raise FileFormatError("its description is no model", hint=_GET_AGAIN)
    if chip != CHIP:
        raise FileFormatError(
            f"it is for the chip {chip!r}, not {CHIP}",
            hint=f"compile the model for {CHIP}; commands of one chip mean nothing on another",
        )
    made = BModel(tuple(_net(net, binaries) for net in root.tables(4)), chip, root.text(1), time)
    if not made.nets:
        raise FileFormatError("it holds no net", hint=_GET_AGAIN)
    return made


def _checked_seal(time: str, described: bytes, binaries: bytes) -> str:
    """The time that another writer noted; if there is a checksum in its place, compare it."""
    if len(time) != len(UNSEALED):
        return time
    blank = described.replace(time.encode(), UNSEALED.encode(), 1)
    if time != SEAL + seal(blank, binaries):
        raise FileFormatError("its checksum is wrong", hint=_GET_AGAIN)
    return ""


def _net(net: _Table, binaries: bytes) -> Net:
    stages = tuple(_stage(stage, binaries) for stage in net.tables(3))
    return Net(net.text(0), stages)


def _stage(stage: _Table, binaries: bytes) -> Stage:
    if stage.number(5, "i"):
        raise FileFormatError(
            "it holds a dynamic net", hint="compile it with fixed shapes, one stage for each"
        )
    groups = list(stage.tables(8)) or [group for net in stage.tables(12) for group in net.tables(1)]
    address, coefficients = _coefficients(stage.table(4), binaries)
    sizes = stage.numbers(14, "Q")
    return Stage(
        inputs=tuple(_tensor(info) for info in stage.tables(0)),
        outputs=tuple(_tensor(info) for info in stage.tables(1)),
        groups=tuple(_group(group, binaries) for group in groups),
        context_address=_in_ddr(stage.number(2, "Q"), "the context"),
        context_bytes=sum(sizes) if sizes else stage.number(3, "Q"),
        coefficients=coefficients,
        **({"coefficient_address": address} if coefficients else {}),
    )


def _coefficients(memory: _Table | None, binaries: bytes) -> tuple[int, bytes]:
    if memory is None:
        return 0, b""
    if memory.number(4, "i"):
        raise FileFormatError("its coefficients are encrypted", hint="compile the model without encryption")
    data, digest = memory.binary(2, binaries), memory.raw(1)
    if data and digest != hashlib.sha256(data).digest():
        raise FileFormatError("the checksum of its coefficients is wrong", hint=_GET_AGAIN)
    return _in_ddr(memory.number(0, "Q"), "the coefficients"), data


def _group(group: _Table, binaries: bytes) -> CommandGroup:
    streams = []
    for index, engine in enumerate(("tiu", "gdma")):
        count = group.number(index, "I")
        stream = group.binary(2 + index, binaries)
        if len(stream) < count * COMMAND_BYTES:
            raise FileFormatError(
                f"a {engine} stream of {count} commands has only {len(stream)} bytes", hint=_GET_AGAIN
            )
        streams.append(stream[: count * COMMAND_BYTES])
    return CommandGroup(*streams)


def _tensor(info: _Table) -> TensorInfo:
    name, code, storage = info.text(0), info.number(1, "I"), info.number(2, "i")
    names = {number: dtype for dtype, number in DTYPES.items()}
    if code not in names or storage not in tuple(Storage):
        raise FileFormatError(
            f"{name!r} has the unknown element type {code} or storage {storage}", hint=_GET_AGAIN
        )
    shape = next((shape.numbers(0, "Q") for shape in info.tables(5)), ())
    address = _in_ddr(info.number(3, "Q"), name)
    return TensorInfo(name, names[code], shape, address, Storage(storage), info.number(7, "f", 1.0))


def _in_ddr(address: int, what: str) -> int:
    if not DDR_BASE <= address < DDR_END:
        raise FileFormatError(f"{what} begins at {address:#x}, which is not in DDR", hint=_GET_AGAIN)
    return address
