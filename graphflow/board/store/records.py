"""Records of an event file: where they begin in a block of bytes, which are whole, and where to go on.

A file is read in blocks. A record whose checksum is wrong is left out; where not even its length can be
believed, reading goes on at the next place that looks like a beginning. Every byte is passed once, whatever
the bytes are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from graphflow.train.checksum import masked_crc32c, masked_crc32c_of_rows

HEADER, AROUND = 12, 16
RECORD_LIMIT = 64 << 20
"""Longer records are passed over."""

LENGTH_LIMIT = 1 << 30
"""A length beyond this is taken for damage."""

_ROWS_LIMIT = 4096  # longer records are checked one by one
_length = struct.Struct("<Q").unpack_from


@dataclass
class Block:
    """What was found in a block.

    Attributes:
        starts, lengths: of the messages whose checksums are right, in order.
        groups: positions of these by their lengths, for the short ones: (length, positions, rows of bytes).
        end: how many bytes are dealt with.
        needed: how many bytes the record at `end` has, if it is cut off by the end of the block, else 0.
        is_damaged: whether the length at `end` is not to be believed.
        wrong: where messages with wrong checksums begin.
    """

    starts: np.ndarray
    lengths: np.ndarray
    groups: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)
    end: int = 0
    needed: int = 0
    is_damaged: bool = False
    wrong: list[int] = field(default_factory=list)


def read_block(data: bytes) -> Block:
    """The records from the beginning of `data`."""
    places, end, needed, is_damaged = _walk(data)
    octets = np.frombuffer(data, np.uint8)
    first = np.array(places, np.int64)
    headers = octets[first[:, None] + np.arange(HEADER)]
    good = masked_crc32c_of_rows(headers[:, :8]) == _stored(headers[:, 8:])
    if not good.all():
        bad = int(np.argmin(good))
        end, needed, is_damaged = int(first[bad]), 0, True
        first, headers = first[:bad], headers[:bad]
    elif needed:
        header = data[end : end + HEADER]
        if len(header) == HEADER and masked_crc32c(header[:8]) != int.from_bytes(header[8:], "little"):
            needed, is_damaged = 0, True
    lengths = np.ascontiguousarray(headers[:, :8]).view("<i8").ravel()
    return _checked(data, octets, Block(first + HEADER, lengths, [], end, needed, is_damaged))


def _walk(data: bytes) -> tuple[list[int], int, int, bool]:
    """Where records begin if lengths are right, where they end, what that one needs, if it is damaged."""
    places: list[int] = []
    append = places.append
    position, size = 0, len(data)
    last = size - AROUND
    while position <= last:
        length = _length(data, position)[0]
        following = position + length + AROUND
        if following > size:
            return places, position, min(length, LENGTH_LIMIT) + AROUND, length > LENGTH_LIMIT
        append(position)
        position = following
    needed = AROUND if position < size else 0
    if size - position >= HEADER:
        length = _length(data, position)[0]
        return places, position, min(length, LENGTH_LIMIT) + AROUND, length > LENGTH_LIMIT
    return places, position, needed, False


def _checked(data: bytes, octets: np.ndarray, block: Block) -> Block:
    """The block with only the messages that are whole, grouped by length."""
    good = np.ones(block.starts.size, bool)
    sums = _stored(octets[(block.starts + block.lengths)[:, None] + np.arange(4)])
    rows: list[tuple[int, np.ndarray, np.ndarray]] = []
    order = np.argsort(block.lengths, kind="stable")
    borders = np.flatnonzero(np.diff(block.lengths[order], prepend=-1, append=-1))
    for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist()):
        members = order[begin:end]
        length = int(block.lengths[members[0]])
        if length <= _ROWS_LIMIT:
            table = octets[block.starts[members][:, None] + np.arange(length)]
            fine = masked_crc32c_of_rows(table) == sums[members]
            good[members[~fine]] = False
            rows.append((length, members[fine], table if fine.all() else table[fine]))
            continue
        for one in members.tolist():
            start = int(block.starts[one])
            good[one] = masked_crc32c(memoryview(data)[start : start + length]) == sums[one]
    block.wrong = (block.starts[~good] - HEADER).tolist()
    block.groups = rows
    if block.wrong:
        kept = np.cumsum(good) - 1
        block.groups = [(length, kept[members], table) for length, members, table in rows]
        block.starts, block.lengths = block.starts[good], block.lengths[good]
    return block


def _stored(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows).view("<u4").ravel()


def next_record(data: bytes, start: int) -> int:
    """Where, from `start` on, the next record seems to begin; -1 if nowhere."""
    octets = np.frombuffer(data, np.uint8)[start:]
    count = octets.size - HEADER + 1
    if count <= 0:
        return -1
    windows = np.lib.stride_tricks.sliding_window_view(octets, HEADER)
    # A length has zeros in its upper bytes, which settles most places without a checksum.
    likely = np.flatnonzero(
        (octets[5 : 5 + count] == 0) & (octets[6 : 6 + count] == 0) & (octets[7 : 7 + count] == 0)
    )
    rows = windows[likely]
    fine = masked_crc32c_of_rows(rows[:, :8]) == _stored(rows[:, 8:])
    fine &= np.ascontiguousarray(rows[:, :8]).view("<u8").ravel() <= LENGTH_LIMIT
    found = likely[fine]
    return start + int(found[0]) if found.size else -1
