"""Points of many tags in columns: new ones in memory, old ones sorted by tag in one file.

A `Series` takes points in the order in which they were logged. Once many have come, they are *sealed*: sorted
by tag and appended to a `ColumnFile` as a segment, of which memory keeps only where each tag begins. So a
curve is read by one small read a segment and column, and memory does not grow with the number of points.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

SCALARS = (("step", "<i8"), ("wall", "<f8"), ("value", "<f8"))
REFERENCES = (("step", "<i8"), ("wall", "<f8"), ("file", "<i4"), ("offset", "<i8"), ("length", "<i8"))

SEGMENT_POINTS = 1 << 18
_SMALL = SEGMENT_POINTS // 4  # a last segment up to this size is sealed again with what follows it


class ColumnFile:
    """Bytes that are only ever appended, in a file or, once that fails, in memory.

    Arguments:
        file: open for reading and writing; a temporary one by default.
        end: where to go on.
    """

    def __init__(self, file: BinaryIO | None = None, end: int = 0) -> None:
        self.end = end
        self._lock = threading.Lock()
        self._memory: dict[int, bytes] = {}
        self._file = _temporary() if file is None else file
        self.is_failed = self._file is None

    def append(self, *arrays: np.ndarray) -> list[int]:
        """Append arrays; where each begins."""
        places = []
        with self._lock:
            for array in arrays:
                data = np.ascontiguousarray(array).tobytes()
                if not self._written(data):
                    self._memory[self.end] = data
                places.append(self.end)
                self.end += len(data)
        return places

    def _written(self, data: bytes) -> bool:
        if self._file is None or self.is_failed:
            return False
        try:
            self._file.seek(self.end)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:  # a full disk: go on in memory
            self.is_failed = True
            return False
        return True

    def read(self, place: int, first: int, count: int, dtype: str) -> np.ndarray:
        """Elements first to first + count of the array that begins at `place`.

        Raises:
            OSError: if the file cannot be read, or was cut.
        """
        width = np.dtype(dtype).itemsize
        if place in self._memory:
            return np.frombuffer(self._memory[place], dtype, count, first * width)
        if self._file is None:
            raise OSError("the index file is closed")
        with self._lock:
            self._file.seek(place + first * width)
            data = self._file.read(count * width)
        if len(data) != count * width:
            raise OSError("the index file was cut while it was in use")
        return np.frombuffer(data, dtype)

    def sync(self) -> bool:
        """Make what was appended last; False if it is not all in the file."""
        if self._file is None or self.is_failed:
            return False
        try:
            os.fsync(self._file.fileno())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _temporary() -> BinaryIO | None:
    try:
        return tempfile.TemporaryFile(prefix="graphflow-board-", buffering=0)
    except OSError:
        return None


@dataclass
class Segment:
    """Sealed points.

    Attributes:
        ids: of the tags in it, ascending.
        starts: where the points of each begin, and the number of all at the end.
        places: of the columns in the file.
        dtypes: of the columns.
        below: only points with steps below this count; None for all.
        table: where `ids` and `starts` lie in the file, once they are there.
    """

    ids: np.ndarray
    starts: np.ndarray
    places: list[int]
    dtypes: list[str]
    below: int | None = None
    table: list[int] | None = None

    @property
    def points(self) -> int:
        """How many there are."""
        return int(self.starts[-1])

    def column(self, file: ColumnFile, number: int, first: int = 0, count: int | None = None) -> np.ndarray:
        """Some of a column, or all of it."""
        return file.read(
            self.places[number], first, self.points if count is None else count, self.dtypes[number]
        )


class Series:
    """Points of many tags, each with an id and a value for each column; the first column is the step."""

    def __init__(self, schema: tuple[tuple[str, str], ...]) -> None:
        self.schema = schema
        self.segments: list[Segment] = []
        self._tail: list[tuple[np.ndarray, ...]] = []
        self.tail_points = 0

    def add(self, ids: np.ndarray, *columns: np.ndarray) -> None:
        """Add points, in the order in which they were logged."""
        if ids.size:
            self._tail.append((ids, *columns))
            self.tail_points += ids.size

    def snapshot(self) -> tuple[list[Segment], list[tuple[np.ndarray, ...]]]:
        """What `read` reads, to be taken under the lock of whoever adds."""
        return list(self.segments), list(self._tail)

    def seal(self, file: ColumnFile) -> None:
        """Move what is in memory to the file."""
        if not self._tail:
            return
        parts = [np.concatenate(column) for column in zip(*self._tail)]
        last = self.segments[-1] if self.segments else None
        if last is not None and last.points <= _SMALL and last.below is None:
            earlier = [np.repeat(last.ids, np.diff(last.starts))]
            earlier += [last.column(file, number) for number in range(len(self.schema))]
            parts = [np.concatenate(pair) for pair in zip(earlier, parts)]
            self.segments = self.segments[:-1]
        self.segments = [*self.segments, _sealed(parts, self.schema, file)]
        self._tail, self.tail_points = [], 0

    def purge(self, step: int) -> None:
        """Leave out all points up to now that have this step or a later one."""
        for segment in self.segments:
            segment.below = step if segment.below is None else min(segment.below, step)
        kept = [tuple(column[part[1] < step] for column in part) for part in self._tail]
        self._tail = [part for part in kept if part[0].size]
        self.tail_points = sum(part[0].size for part in self._tail)

    def totals(self, file: ColumnFile, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each id below `count`: how many points there are, and step and wall time of the last."""
        counts, steps, walls = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)
        for segment in self.segments:
            ids = np.repeat(segment.ids, np.diff(segment.starts))
            at, when = segment.column(file, 0), segment.column(file, 1)
            if segment.below is not None:
                kept = at < segment.below
                ids, at, when = ids[kept], at[kept], when[kept]
            _count(ids, at, when, counts, steps, walls)
        for part in self._tail:
            _count(part[0], part[1], part[2], counts, steps, walls)
        return counts, steps, walls


def _count(ids: Any, at: Any, when: Any, counts: Any, steps: Any, walls: Any) -> None:
    counts += np.bincount(ids, minlength=counts.size)
    steps[ids], walls[ids] = at, when  # of equal ids the last one stays


def _sealed(parts: list[np.ndarray], schema: tuple[tuple[str, str], ...], file: ColumnFile) -> Segment:
    order = np.argsort(parts[0], kind="stable")
    ids = parts[0][order]
    borders = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1))
    starts = np.append(borders, ids.size).astype(np.int64)
    columns, dtypes = [], []
    for (_, dtype), column in zip(schema, parts[1:]):
        kept = column[order]
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = kept.astype("<f4") if dtype == "<f8" else kept
        # Numbers that were float32 when they were logged take half the place.
        is_narrow = dtype == "<f8" and bool(((narrow == kept) | np.isnan(kept)).all())
        columns.append(narrow if is_narrow else kept.astype(dtype, copy=False))
        dtypes.append("<f4" if is_narrow else dtype)
    return Segment(ids[borders].astype(np.int32), starts, file.append(*columns), dtypes)


def read(
    file: ColumnFile,
    taken: tuple[list[Segment], list[tuple[np.ndarray, ...]]],
    schema: tuple[tuple[str, str], ...],
    id: int,
) -> list[np.ndarray]:
    """The columns of one tag, from what `Series.snapshot` took.

    Raises:
        OSError: if the file cannot be read.
    """
    parts: list[list[np.ndarray]] = [[] for _ in schema]
    segments, tail = taken
    for segment in segments:
        place = int(np.searchsorted(segment.ids, id))
        if place == segment.ids.size or segment.ids[place] != id:
            continue
        first, last = int(segment.starts[place]), int(segment.starts[place + 1])
        columns = [segment.column(file, number, first, last - first) for number in range(len(schema))]
        if segment.below is not None:
            kept = columns[0] < segment.below
            columns = [column[kept] for column in columns]
        for part, column in zip(parts, columns):
            part.append(column)
    for piece in tail:
        chosen = np.flatnonzero(piece[0] == id)
        if chosen.size:
            for part, column in zip(parts, piece[1:]):
                part.append(column[chosen])
    return [
        np.concatenate(part).astype(dtype, copy=False) if part else np.empty(0, dtype)
        for part, (_, dtype) in zip(parts, schema)
    ]
