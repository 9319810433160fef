"""CRC-32C, the checksum of event files: of one text, or of many of the same length at once.

A CRC is linear over bits, so a long text is cut into rows whose checksums are taken together, column by
column in NumPy, and joined in pairs by the matrix that appends zero bytes.

Source: RFC 3720, appendix B.4 (Castagnoli's polynomial); the masking is that of
tensorflow/core/lib/hash/crc32c.h.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MASK_DELTA = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
_ONES = 0xFFFFFFFF
_SHORT = 256  # below this the loop over bytes is quicker


def _byte_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _byte_table()
_BYTE = np.array(_TABLE, np.uint32)
_VALUES = np.arange(65536, dtype=np.uint32)
_FIRST = _BYTE[_VALUES & 0xFF] ^ _VALUES >> 8
_PAIR = _BYTE[_FIRST & 0xFF] ^ _FIRST >> 8
"""What two bytes, lower first, make of a register of zeros."""


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """The CRC-32C (Castagnoli) checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if len(data) >= _SHORT:
        return _long(np.frombuffer(data, np.uint8))
    table, crc = _TABLE, _ONES
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ONES


def masked_crc32c(data: bytes | bytearray | memoryview) -> int:
    """The checksum as records store it, so that checksums of data that holds checksums stay strong."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & _ONES


def crc32c_of_rows(rows: np.ndarray) -> np.ndarray:
    """The checksums of the rows of a uint8 matrix.

    >>> [hex(one) for one in crc32c_of_rows(np.frombuffer(b"123456789" * 2, np.uint8).reshape(2, 9))]
    ['0xe3069283', '0xe3069283']
    """
    return _registers(rows, _ONES) ^ np.uint32(_ONES)


def masked_crc32c_of_rows(rows: np.ndarray) -> np.ndarray:
    """Their checksums as records store them."""
    crc = crc32c_of_rows(rows)
    return (crc >> 15 | crc << 17) + np.uint32(MASK_DELTA)


def _registers(rows: np.ndarray, start: int) -> np.ndarray:
    """The shift register after each row, before its bits are turned over."""
    count, width = rows.shape
    register = np.full(count, start, np.uint32)
    even = width & ~1
    if even:
        pairs = np.ascontiguousarray(rows[:, :even]).view("<u2")
        for column in np.ascontiguousarray(pairs.T):
            register = _PAIR[(register ^ column) & 0xFFFF] ^ register >> 16
    if even != width:
        register = _BYTE[(register ^ rows[:, even]) & 0xFF] ^ register >> 8
    return register


def _long(data: np.ndarray) -> int:
    """The checksum of a long text: rows, then pairs of them, then one."""
    log_width = max(6, (data.size.bit_length() + 1) // 2)
    width = 1 << log_width
    count = 1 << max(0, (data.size - 1).bit_length() - log_width)
    # Zeros in front leave a register of zeros as it is, and a start with ones only turns the first four
    # bytes over, so that all rows can start alike.
    padded = np.zeros(count * width, np.uint8)
    padded[padded.size - data.size :] = data
    padded[padded.size - data.size :][:4] ^= 0xFF
    register = _registers(padded.reshape(count, width), 0)
    while register.size > 1:
        register = _applied(_appending(log_width), register[0::2]) ^ register[1::2]
        log_width += 1
    return int(register[0]) ^ _ONES


@lru_cache(maxsize=64)
def _appending(log_bytes: int) -> np.ndarray:
    """What appending 2**log_bytes zero bytes makes of each single bit of the register."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if log_bytes == 0:
        return _BYTE[bits & 0xFF] ^ bits >> 8
    half = _appending(log_bytes - 1)
    return _applied(half, half)


def _applied(images: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """A matrix, given by the images of the bits, times each register."""
    result = np.zeros_like(registers)
    for bit in range(32):
        result ^= (registers >> bit & 1) * images[bit]
    return result
