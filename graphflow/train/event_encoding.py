"""TensorBoard's event-file format: checksummed records around hand-encoded protocol-buffer messages.

A file is a sequence of records

    length: uint64   crc(length): uint32   message: length bytes   crc(message): uint32

all little-endian, the checksum being CRC-32C rotated by 15 bits plus a constant. Every message is an
`Event`; the functions below give the bytes of the ones that GraphFlow writes.

Source: tensorflow/core/lib/io/record_writer.h; event.proto, summary.proto and tensor.proto of
tensorboard/compat/proto; the Protocol Buffers encoding guide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

MASK_DELTA = 0xA282EAD8
FILE_VERSION = "brain.Event:2"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPE_STRING = 7
_CLASS_TENSOR = 2


def _crc_table() -> tuple[int, ...]:
    polynomial = 0x82F63B78  # Castagnoli's, its bits reversed
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) checksum. Source: RFC 3720, appendix B.4.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """The checksum as records store it, so that checksums of data that holds checksums stay strong."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


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


def doubles_field(number: int, values: Iterable[float]) -> bytes:
    """A packed repeated double field."""
    return bytes_field(number, np.asarray(list(values), "<f8").tobytes())


# Messages


def event(wall_time: float, step: int = 0, payload: bytes = b"") -> bytes:
    """An Event: when, at which step, and one of the payloads below."""
    return double_field(1, wall_time) + integer_field(2, step) + payload


def version_payload() -> bytes:
    """What the first event of a file says: the version of the format."""
    return bytes_field(3, FILE_VERSION)


def graph_payload(graph_def: bytes) -> bytes:
    """A serialised GraphDef."""
    return bytes_field(4, graph_def)


def scalar_payload(tag: str, value: float) -> bytes:
    """A Summary with one simple value."""
    return _summary(tag, float_field(2, value))


def text_payload(tag: str, text: str) -> bytes:
    """A Summary with a string tensor for the text plugin."""
    tensor = integer_field(1, _TYPE_STRING) + bytes_field(2, b"") + bytes_field(8, text)
    metadata = bytes_field(1, bytes_field(1, "text")) + integer_field(4, _CLASS_TENSOR)
    return _summary(tag, bytes_field(8, tensor), metadata)


def histogram_payload(tag: str, values: np.ndarray, buckets: int) -> bytes:
    """A Summary with a histogram of finite float64 values, in buckets of equal width."""
    counts, edges = _counted(values, buckets)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    with np.errstate(over="ignore"):
        total, squares = float(values.sum()), float(np.square(values).sum())
    histogram = b"".join(
        (
            double_field(1, low),
            double_field(2, high),
            double_field(3, values.size),
            double_field(4, total),
            double_field(5, squares),
            doubles_field(6, edges[1:]),
            doubles_field(7, counts),
        )
    )
    return _summary(tag, bytes_field(5, histogram))


def _counted(values: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """How many values lie in each bucket, and the edges of the buckets."""
    if not values.size:
        return np.zeros(1), np.zeros(2)
    # counted in units of the largest value, as the width of the whole range may overflow
    largest = np.abs(values).max()
    unit = 2.0 ** max(int(np.frexp(largest)[1]) - 1, -1000)
    scaled = values.ravel() / unit
    width = scaled.max() - scaled.min()
    counts, edges = np.histogram(scaled, 1 if width <= 1e-12 * abs(scaled).max() else buckets)
    return counts, edges * unit


def _summary(tag: str, value: bytes, metadata: bytes = b"") -> bytes:
    described = bytes_field(9, metadata) if metadata else b""
    return bytes_field(5, bytes_field(1, bytes_field(1, tag) + described + value))
