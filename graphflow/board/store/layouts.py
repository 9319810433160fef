"""Reading many scalar events of one length at once: one is taken apart, and the others read like it.

All events that a writer makes for tags of the same length differ only in the wall time, the step, the
tag and the number; every other byte is the same. So one event gives the places of these four, and all rows
that agree with it elsewhere are read by slicing columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphflow.board.store import wire
from graphflow.board.store.messages import plugin_name, tensor_number
from graphflow.board.store.wire import BYTES, FIXED32, FIXED64, VARINT, Malformed


@dataclass(frozen=True)
class Layout:
    """Where things lie in an event with one scalar.

    Attributes:
        wall: of the wall time; -1 without one.
        step: first and last byte (exclusive) of the step; equal without one.
        tag: first and last byte of the tag.
        number: of the value, and its width.
        fixed, expected: all other places, and what is there.
    """

    wall: int
    step: tuple[int, int]
    tag: tuple[int, int]
    number: tuple[int, int]
    fixed: np.ndarray
    expected: np.ndarray

    def matches(self, rows: np.ndarray) -> np.ndarray:
        """Which rows are events of this layout."""
        good = (rows[:, self.fixed] == self.expected).all(axis=1)
        first, last = self.step
        if last > first:
            good &= (rows[:, first : last - 1] >= 0x80).all(axis=1) & (rows[:, last - 1] < 0x80)
        return good

    def walls(self, rows: np.ndarray) -> np.ndarray:
        """The wall times."""
        return _column(rows, self.wall, 8, "<f8") if self.wall >= 0 else np.zeros(len(rows))

    def steps(self, rows: np.ndarray) -> np.ndarray:
        """The steps."""
        total = np.zeros(len(rows), np.uint64)
        for place, column in enumerate(range(*self.step)):
            total |= (rows[:, column] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
        return total.view(np.int64)

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The values, as float64."""
        start, width = self.number
        with np.errstate(invalid="ignore"):  # some NaN are signalling ones
            return _column(rows, start, width, f"<f{width}").astype(np.float64)

    def tags(self, rows: np.ndarray) -> list[bytes]:
        """The tags."""
        first, last = self.tag
        joined, width = rows[:, first:last].tobytes(), last - first
        return (
            [joined[place : place + width] for place in range(0, len(joined), width)]
            if width
            else [b""] * len(rows)
        )


def _column(rows: np.ndarray, start: int, width: int, dtype: str) -> np.ndarray:
    return np.ascontiguousarray(rows[:, start : start + width]).view(dtype).ravel()


def layout_of(data: bytes) -> Layout | None:
    """The layout of an event, if it has one scalar and nothing else.

    Raises:
        Malformed: if it is no event.
    """
    wall, step, summary = -1, (0, 0), None
    begin = 0
    for number, kind, first, last in wire.fields(data):
        if (number, kind) == (1, FIXED64) and wall < 0:
            wall = first
        elif (number, kind) == (2, VARINT) and step[1] == 0:
            step = begin + 1, last
        elif (number, kind) == (5, BYTES) and summary is None:
            summary = first, last
        else:
            return None
        begin = last
    if summary is None:
        return None
    values = list(wire.fields(data, *summary))
    if len(values) != 1 or values[0][:2] != (1, BYTES):
        return None
    inside = _scalar(data, *values[0][2:])
    return None if inside is None else _made(data, wall, step, *inside)


def _scalar(data: bytes, start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where the tag and the number of a Summary.Value lie, if it is a scalar."""
    found = {number: (kind, first, last) for number, kind, first, last in wire.fields(data, start, end)}
    if set(found) - {1, 2, 8, 9} or found.get(1, (0, 0, 0))[0] != BYTES:
        return None
    plugin = plugin_name(data, *found[9][1:]) if 9 in found and found[9][0] == BYTES else ""
    place: tuple[int, int] | None = None
    if 2 in found and 8 not in found and found[2][0] == FIXED32:
        place = found[2][1], 4
    elif 8 in found and 2 not in found and found[8][0] == BYTES and plugin == "scalars":
        place = tensor_number(data, *found[8][1:])
    return None if place is None else (found[1][1:], place)


def _made(
    data: bytes, wall: int, step: tuple[int, int], tag: tuple[int, int], number: tuple[int, int]
) -> Layout:
    free = np.zeros(len(data), bool)
    free[tag[0] : tag[1]] = free[number[0] : number[0] + number[1]] = free[step[0] : step[1]] = True
    if wall >= 0:
        free[wall : wall + 8] = True
    fixed = np.flatnonzero(~free)
    return Layout(wall, step, tag, number, fixed, np.frombuffer(data, np.uint8)[fixed])


__all__ = ["Layout", "Malformed", "layout_of"]
