"""Finding records in blocks: whole ones, cut ones and damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from graphflow.board.store import records
from graphflow.train.checksum import masked_crc32c
from graphflow.train.event_encoding import record

MESSAGES = [b"", b"a", b"hello", b"hello", bytes(5000), b"x" * 255]


def found(data: bytes) -> tuple[records.Block, list[bytes]]:
    block = records.read_block(data)
    return block, [data[s : s + n] for s, n in zip(block.starts.tolist(), block.lengths.tolist())]


def test_whole_records():
    data = b"".join(map(record, MESSAGES))
    block, messages = found(data)
    assert messages == MESSAGES and block.end == len(data) and not block.needed and not block.is_damaged
    grouped = {
        int(place): rows[i].tobytes() for _, members, rows in block.groups for i, place in enumerate(members)
    }
    assert grouped == {place: text for place, text in enumerate(MESSAGES) if len(text) <= 4096}


@pytest.mark.parametrize("missing", [1, 4, 5, 250, 271])
def test_the_last_one_is_cut(missing):
    data = b"".join(map(record, MESSAGES))
    block, messages = found(data[:-missing])
    assert messages == MESSAGES[:-1] and block.end == len(data) - 271 and not block.is_damaged
    assert block.needed in ({0} if missing == 271 else {16, 271})


@pytest.mark.parametrize("place", [0, 3, 8, 11])
def test_a_damaged_length_ends_the_block(place):
    data = bytearray(b"".join(map(record, MESSAGES)))
    second = len(record(MESSAGES[0]))
    data[second + place] ^= 0x40
    block, messages = found(bytes(data))
    assert messages == MESSAGES[:1] and block.is_damaged and block.end == second
    following = records.next_record(bytes(data), second + 1)
    assert following == second + len(record(MESSAGES[1]))


def test_a_damaged_message_is_left_out():
    parts = list(map(record, MESSAGES))
    for number in range(1, len(parts)):
        broken = bytearray(parts[number])
        broken[12] ^= 1
        data = b"".join([*parts[:number], bytes(broken), *parts[number + 1 :]])
        block, messages = found(data)
        assert messages == MESSAGES[:number] + MESSAGES[number + 1 :]
        assert block.wrong == [sum(map(len, parts[:number]))] and block.end == len(data)
        for length, members, rows in block.groups:
            assert [block.lengths[one] for one in members] == [length] * len(rows)


@pytest.mark.parametrize("length", [2**30 + 1, 2**40, 2**63, 2**64 - 1])
def test_lengths_that_cannot_be(length):
    head = struct.pack("<Q", length)
    data = head + struct.pack("<I", masked_crc32c(head)) + bytes(100)
    block, messages = found(data)
    assert not messages and block.is_damaged and block.end == 0
    assert records.next_record(data, 0) == -1


def test_noise_has_no_records(rng):
    noise = rng.integers(0, 256, 100_000, dtype=np.uint8).tobytes()
    assert records.next_record(noise, 0) == -1
    place = records.next_record(noise + record(b"hello") + noise, 0)
    assert place == len(noise)
    assert records.next_record(b"", 0) == records.next_record(bytes(11), 0) == -1
