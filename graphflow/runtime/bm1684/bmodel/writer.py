"""Writes a .bmodel: a header, a flatbuffer that describes the nets, and the binaries it points into.

Equal binaries are stored once, so that stages share coefficients. The same model always gives the same
bytes. The field that other writers use for the time holds a checksum of the whole file.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers

from graphflow.errors import AttributeValueError
from graphflow.files import atomic_write
from graphflow.runtime.bm1684.bmodel.records import CHIP, DTYPES, BModel, CommandGroup, Net, Stage, TensorInfo
from graphflow.runtime.bm1684.chip import COMMAND_BYTES, LAST_ID

MAGIC = 0xFF55_AAEE
HEADER = struct.Struct("<IIIQ44x")
"""Magic number, bytes of the header, of the flatbuffer and of the binaries."""

SEAL = "sha256:"
UNSEALED = SEAL + "0" * 64


def save(model: BModel, path: str | Path) -> None:
    """Write a model to a file.

    Raises:
        AttributeValueError: as `write`.
        FileFormatError: if the file cannot be written.
    """
    data = write(model)
    with atomic_write(path) as file:
        file.write(data)


def write(model: BModel) -> bytes:
    """The bytes of a .bmodel file.

    Raises:
        AttributeValueError: if the model is for another chip or a stream is not whole commands.
    """
    if model.chip != CHIP:
        raise AttributeValueError(f"the chip is {model.chip!r}", hint=f"only {CHIP} files are written")
    file = _File()
    table = file.model(model)
    file.builder.Finish(table)
    described = bytes(file.builder.Output())
    binaries = bytes(file.binaries)
    described = described.replace(UNSEALED.encode(), (SEAL + seal(described, binaries)).encode(), 1)
    return HEADER.pack(MAGIC, HEADER.size, len(described), len(binaries)) + described + binaries


def seal(described: bytes, binaries: bytes) -> str:
    """The checksum of a file whose flatbuffer still has zeros in the place of it."""
    return hashlib.sha256(described + binaries).hexdigest()


class _File:
    """A flatbuffer that is being built, and the binaries it points into."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.binaries = bytearray()
        self.places: dict[bytes, int] = {}

    def model(self, model: BModel) -> int:
        nets = self.tables([self.net(net) for net in model.nets])
        texts = [self.builder.CreateString(text) for text in ("B", model.version, UNSEALED, model.chip)]
        largest = max((s.context_bytes for net in model.nets for s in net.stages), default=0)
        slots = [(slot, "Offset", text) for slot, text in enumerate(texts)]
        return self.table(10, [*slots, (4, "Offset", nets), (5, "Uint64", largest)])

    def net(self, net: Net) -> int:
        stages = self.tables([self.stage(stage) for stage in net.stages])
        name = self.builder.CreateString(net.name)
        return self.table(6, [(0, "Offset", name), (3, "Offset", stages)])

    def stage(self, stage: Stage) -> int:
        inputs, outputs = self.tensors(stage.inputs), self.tensors(stage.outputs)
        groups = self.tables([self.group(group) for group in stage.groups])
        subnet = self.tables([self.subnet(inputs, outputs, groups)])
        slots: list[tuple[int, str, Any]] = [
            (0, "Offset", inputs),
            (1, "Offset", outputs),
            (2, "Uint64", stage.context_address),
            (3, "Uint64", stage.context_bytes),
        ]
        if stage.coefficients:
            slots.append((4, "Offset", self.coefficients(stage)))
        return self.table(15, [*slots, (8, "Offset", groups), (12, "Offset", subnet)])

    def subnet(self, inputs: int, outputs: int, groups: int) -> int:
        following = self.numbers([-1], "Int32", 4)
        slots = [(1, "Offset", groups), (3, "Offset", inputs), (4, "Offset", outputs), (10, "Int32", -1)]
        return self.table(12, [*slots, (11, "Offset", following)])

    def group(self, group: CommandGroup) -> int:
        slots: list[tuple[int, str, Any]] = []
        for index, (stream, count) in enumerate(zip((group.tiu, group.gdma), group.counts)):
            if len(stream) % COMMAND_BYTES or count > LAST_ID:
                raise AttributeValueError(
                    f"a stream of {len(stream)} bytes is not 0 to {LAST_ID} commands of {COMMAND_BYTES}",
                    hint="encode whole commands, and begin a new group before the ids are used up",
                )
            slots += [(index, "Uint32", count), (4 + index, "Uint32", len(stream))]
            if stream:
                slots.append((2 + index, "Binary", stream))
        return self.table(6, slots)

    def coefficients(self, stage: Stage) -> int:
        digest = self.builder.CreateByteVector(hashlib.sha256(stage.coefficients).digest())
        slots = [(0, "Uint64", stage.coefficient_address), (1, "Offset", digest)]
        return self.table(6, [*slots, (2, "Binary", stage.coefficients)])

    def tensors(self, infos: Sequence[TensorInfo]) -> int:
        return self.tables([self.tensor(info) for info in infos])

    def tensor(self, info: TensorInfo) -> int:
        if info.dtype not in DTYPES:
            raise AttributeValueError(
                f"{info.name!r} has dtype {info.dtype}", hint=f"the file knows {', '.join(DTYPES)}"
            )
        shape = self.table(1, [(0, "Offset", self.numbers(info.shape, "Uint64", 8))])
        shapes, name = self.tables([shape]), self.builder.CreateString(info.name)
        slots = [
            (0, "Offset", name),
            (1, "Uint32", DTYPES[info.dtype]),
            (2, "Int32", int(info.storage)),
            (3, "Uint64", info.address),
            (4, "Uint64", info.bytes),
            (5, "Offset", shapes),
            (6, "Uint32", 1),
            (7, "Float32", info.scale),
        ]
        return self.table(13, slots)

    def table(self, count: int, slots: Sequence[tuple[int, str, Any]]) -> int:
        """A table of so many slots, of which these are set."""
        places = {slot: self.place(value) for slot, kind, value in slots if kind == "Binary"}
        self.builder.StartObject(count)
        for slot, kind, value in slots:
            if kind == "Binary":
                self.builder.Prep(8, 16)
                self.builder.PrependUint64(len(value))
                self.builder.PrependUint64(places[slot])
                self.builder.PrependStructSlot(slot, self.builder.Offset(), 0)
            elif kind == "Offset":
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                default = {"Int32": 0, "Float32": 1.0}.get(kind, 0)
                getattr(self.builder, f"Prepend{kind}Slot")(slot, value, default)
        return int(self.builder.EndObject())

    def tables(self, offsets: Sequence[int]) -> int:
        """A vector of tables."""
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def numbers(self, values: Sequence[int], kind: str, width: int) -> int:
        """A vector of numbers."""
        self.builder.StartVector(width, len(values), width)
        for value in reversed(values):
            getattr(self.builder, f"Prepend{kind}")(value)
        return int(self.builder.EndVector())

    def place(self, binary: bytes) -> int:
        """Where a binary begins among the binaries; equal ones share a place."""
        digest = hashlib.sha256(binary).digest()
        if digest not in self.places:
            self.places[digest] = len(self.binaries)
            self.binaries += binary
        return self.places[digest]
