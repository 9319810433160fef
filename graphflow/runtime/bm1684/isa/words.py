"""Between the 128 bytes of a command and the values of its bit fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684.chip import COMMAND_BYTES
from graphflow.runtime.bm1684.isa.fields import BitField


def pack(table: Iterable[BitField], values: Mapping[str, int]) -> bytes:
    """The bytes of a command; fields without a value have their usual one.

    Raises:
        AttributeValueError: if a value needs more bits than its field has, or there is no such field.

    >>> from graphflow.runtime.bm1684.isa.fields import TIU
    >>> pack(TIU, {"id": 5})[:4].hex()
    '2d000000'
    """
    bits, taken = 0, 0
    for field in table:
        value = values.get(field.name, field.usual)
        taken += field.name in values
        if not 0 <= value < 1 << field.width:
            raise AttributeValueError(
                f"{field.name} = {value} does not fit in its {field.width} bits",
                hint=f"give a value from 0 to {(1 << field.width) - 1}: {field.meaning}",
            )
        bits |= value << field.first
    if taken < len(values):
        unknown = sorted(set(values) - {field.name for field in table})
        raise AttributeValueError(f"there is no field {unknown[0]!r}", hint="see docs/bm1684-commands.md")
    return bits.to_bytes(COMMAND_BYTES, "little")


def unpack(table: Iterable[BitField], data: bytes) -> dict[str, int]:
    """The values of all fields of a command.

    Raises:
        FileFormatError: if it is not 128 bytes.
    """
    if len(data) != COMMAND_BYTES:
        raise FileFormatError(
            f"a command has {COMMAND_BYTES} bytes, not {len(data)}", hint="the stream was cut: get it again"
        )
    bits = int.from_bytes(data, "little")
    return {field.name: bits >> field.first & (1 << field.width) - 1 for field in table}
