"""CRC-32C against the examples of its standard, and the ways to compute it against each other."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.train import checksum

EXAMPLES = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
]


def by_bits(data: bytes) -> int:
    """The definition."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(("data", "wanted"), EXAMPLES)
def test_examples_of_rfc_3720(data, wanted):
    assert checksum.crc32c(data) == by_bits(data) == wanted
    rows = np.frombuffer(data * 3, np.uint8).reshape(3, len(data))
    assert checksum.crc32c_of_rows(rows).tolist() == [wanted] * 3


@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 1000, 4095, 4096, 4097, 10_001])
def test_long_texts_and_rows(size, rng):
    data = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    wanted = by_bits(data)
    assert checksum.crc32c(data) == checksum.crc32c(bytearray(data)) == wanted
    rows = np.frombuffer(data, np.uint8).reshape(1, -1)
    assert checksum.crc32c_of_rows(rows).tolist() == [wanted]
    assert checksum.masked_crc32c_of_rows(rows).tolist() == [checksum.masked_crc32c(data)]


def test_no_rows():
    assert checksum.masked_crc32c_of_rows(np.zeros((0, 8), np.uint8)).size == 0
