"""TensorBoard's event-file format: checksummed records around hand-encoded protocol-buffer messages.

A file is a sequence of records

    length: uint64   crc(length): uint32   message: length bytes   crc(message): uint32

all little-endian, the checksum being CRC-32C rotated by 15 bits plus a constant. Every message is an
`Event`; what is in its summaries is made by `event_values`.

Source: tensorflow/core/lib/io/record_writer.h; event.proto of tensorboard/compat/proto; the Protocol
Buffers encoding guide.
"""

from __future__ import annotations

import struct

import numpy as np

from graphflow.train.checksum import masked_crc32c

FILE_VERSION = "brain.Event:2"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SESSION_START = 1


def record(message: bytes) -> bytes:
    """One record of an event file."""
    length = struct.pack("<Q", len(message))
    return b"".join(
        (length, struct.pack("<I", masked_crc32c(length)), message, struct.pack("<I", masked_crc32c(message)))
    )


# The wire format: a field is its number and kind, then its payload


def varint(value: int) -> bytes:
    """An integer in groups of seven bits, lowest first; negative ones as 64-bit two's complement.

    >>> varint(300).hex(), len(varint(-1))
    ('ac02', 10)
    """
    value &= 0xFFFFFFFFFFFFFFFF
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def integer_field(number: int, value: int) -> bytes:
    """An int64, enum or bool field."""
    return varint(number << 3 | _VARINT) + varint(value)


def bytes_field(number: int, value: bytes | str) -> bytes:
    """A bytes, string or message field."""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def double_field(number: int, value: float) -> bytes:
    """A double field."""
    return varint(number << 3 | _FIXED64) + struct.pack("<d", value)


def float_field(number: int, value: float) -> bytes:
    """A float field; what is too large for 32 bits becomes infinite."""
    with np.errstate(over="ignore"):
        return varint(number << 3 | _FIXED32) + np.float32(value).astype("<f4").tobytes()


# Events


def event(wall_time: float, step: int = 0, payload: bytes = b"") -> bytes:
    """An Event: when, at which step, and one of the payloads below."""
    return double_field(1, wall_time) + integer_field(2, step) + payload


def version_payload() -> bytes:
    """What the first event of a file says: the version of the format."""
    return bytes_field(3, FILE_VERSION)


def graph_payload(graph_def: bytes) -> bytes:
    """A serialised GraphDef."""
    return bytes_field(4, graph_def)


def restart_payload() -> bytes:
    """A SessionLog: the run goes on from here, and what there is of this step and later ones is void."""
    return bytes_field(7, integer_field(1, _SESSION_START))
