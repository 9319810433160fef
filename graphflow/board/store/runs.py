"""One run being read: its event files, how far each is read, and its points.

Files are read in the order of their names, block by block. A file that became shorter, or whose beginning
changed, was replaced: then the run is read anew.
"""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.board.store.blocks import BlockReader, Points
from graphflow.board.store.catalog import Catalog
from graphflow.board.store.columns import REFERENCES, SCALARS, ColumnFile, Series
from graphflow.board.store.places import Found, opened, read_exactly
from graphflow.board.store.records import AROUND, RECORD_LIMIT, next_record, read_block

BLOCK_BYTES = 4 << 20
MOST_NOTICES = 50
_HEAD_BYTES = 64


@dataclass
class EventFile:
    """How far an event file is read.

    Attributes:
        place: below the root.
        offset: what comes before is dealt with.
        head: checksum of its first bytes, and how many these are.
        size: of the file when it was last looked at.
        stuck: the size at which nothing more could be read, or -1.
        searched: with a damaged record at `offset`, how far the next one was looked for.
    """

    place: str
    offset: int = 0
    head: tuple[int, int] = (0, 0)
    size: int = 0
    stuck: int = -1
    searched: int = 0


class Replaced(Exception):
    """A file is not the one whose beginning was read."""


class RunReader:
    """A run: what was found of it, and its files.

    Attributes:
        name, folder: what it is called, and where it lies below the root.
        files: its event files; references name them by position.
        catalog, scalars, references: its tags and points.
        notices: what could not be read, in words.
        changed: the revision at which anything of it last changed.
    """

    def __init__(self, root: Path, found: Found, revision: int = 0) -> None:
        self.root, self.name, self.folder = root, found.name, found.folder
        self.files = [EventFile(place) for place in found.files]
        self.notices: list[str] = []
        self.changed = revision
        self.clear()

    def clear(self) -> None:
        """Forget all that was read."""
        self.catalog = Catalog()
        self.scalars, self.references = Series(SCALARS), Series(REFERENCES)
        self.reader = BlockReader(self.catalog)
        self.notices = []
        self.files = [EventFile(file.place) for file in self.files]

    def follow(self, found: Found) -> None:
        """Take up files that have come; where some are gone, begin anew."""
        known = [file.place for file in self.files]
        if set(known) - set(found.files):
            self.files = [EventFile(place) for place in found.files]
            self.clear()
        else:
            self.files += [EventFile(place) for place in found.files if place not in set(known)]

    def look(self) -> bool:
        """Ask the system how large the files are; whether any is to be read."""
        for file in self.files:
            try:
                file.size = os.stat(self.root / file.place, follow_symlinks=False).st_size
            except OSError:
                file.size = file.offset
        return any(self._is_due(file) for file in self.files)

    def _is_due(self, file: EventFile) -> bool:
        return file.size != file.offset and file.size != file.stuck

    @property
    def unread_bytes(self) -> int:
        """How much there is still to read."""
        return sum(max(file.size - file.offset, 0) for file in self.files if self._is_due(file))

    @property
    def size(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)

    def read(self, most: int = BLOCK_BYTES) -> tuple[int, Points] | None:
        """Read the next block of the first file that has one; its position and points, or None.

        Raises:
            Replaced: if a file is another one than before.
        """
        for number, file in enumerate(self.files):
            if not self._is_due(file):
                continue
            try:
                with opened(self.root, file.place) as opened_file:
                    file.size = os.fstat(opened_file.fileno()).st_size
                    self._check_head(file, read_exactly(opened_file, 0, _HEAD_BYTES))
                    points = self._block(file, opened_file, most)
            except OSError as error:
                self._note(file, file.offset, f"cannot be read: {error.strerror or error}")
                file.stuck = file.size
                continue
            if points is not None:
                return number, points
        return None

    def _check_head(self, file: EventFile, head: bytes) -> None:
        checksum, size = file.head
        if file.size < file.offset or zlib.crc32(head[:size]) != checksum:
            raise Replaced(file.place)
        if size < _HEAD_BYTES:
            file.head = zlib.crc32(head), len(head)

    def _block(self, file: EventFile, source: Any, most: int) -> Points | None:
        """Read from where the file was left; None if there is nothing yet."""
        begin = file.offset
        data = read_exactly(source, begin, most)
        block = read_block(data)
        while not block.end and block.needed > len(data) and not block.is_damaged:
            if block.needed > RECORD_LIMIT:
                return self._pass_over(file, block.needed)
            if begin + block.needed > file.size:
                file.stuck = file.size  # its end is still to be written
                return None
            data = read_exactly(source, begin, block.needed)
            if len(data) < block.needed:
                raise OSError("it was cut while it was read")
            block = read_block(data)
        if block.is_damaged and not block.end:
            return self._resume(file, source, most)
        if not block.end:
            file.stuck = file.size
            return None
        points = self.reader.read(data[: block.end] if block.end < len(data) else data, block, begin)
        for place in block.wrong:
            self._note(file, begin + place, "has a wrong checksum, and is left out")
        if points.malformed:
            self._note(file, begin, f"or after it {points.malformed} records are no events, and are left out")
        file.offset, file.stuck, file.searched = begin + block.end, -1, 0
        return points

    def _pass_over(self, file: EventFile, needed: int) -> Points | None:
        """Leave out a record that is too long to be read, once it is all there."""
        if file.offset + needed > file.size:
            file.stuck = file.size
            return None
        self._note(file, file.offset, f"has {needed - AROUND} bytes, which is too much, and is left out")
        file.offset += needed
        return _nothing()

    def _resume(self, file: EventFile, source: Any, most: int) -> Points | None:
        """Go on at the next record after one whose length cannot be believed."""
        begin = max(file.searched, file.offset + 1)
        data = read_exactly(source, begin, most)
        place = next_record(data, 0)
        if place >= 0:
            skipped = begin + place - file.offset
            self._note(file, file.offset, f"is damaged; {skipped} bytes are left out")
            file.offset, file.searched = begin + place, 0
            return _nothing()
        file.searched = max(begin, begin + len(data) - AROUND)
        if begin + len(data) >= file.size:
            self._note(file, file.offset, "is damaged, and no other follows yet")
            file.stuck = file.size
            return None
        return _nothing()

    def _note(self, file: EventFile, place: int, what: str) -> None:
        name = os.fsencode(os.path.basename(file.place)).decode("utf-8", "replace")
        text = f"{name}: the record at byte {place} {what}"
        if text not in self.notices and len(self.notices) < MOST_NOTICES:
            self.notices.append(text)

    # Taking points in

    def add(self, number: int, points: Points, columns: ColumnFile, revision: int) -> None:
        """Take in the points of a block of the file with that number."""
        first = [0, 0]
        for record, step in points.restarts:
            upto = [
                int(np.searchsorted(points.scalar_records, record)),
                int(np.searchsorted(points.reference_records, record)),
            ]
            self._add(number, points, first, upto, revision)
            self._purge(step, columns, revision)
            first = upto
        self._add(
            number, points, first, [points.scalar_records.size, points.reference_records.size], revision
        )
        self.changed = revision
        if self.catalog.is_full and not any("tags" in notice for notice in self.notices):
            self.notices.append("there are too many tags, or too long ones; the rest is left out")

    def _add(self, number: int, points: Points, first: list[int], upto: list[int], revision: int) -> None:
        scalars = [column[first[0] : upto[0]] for column in points.scalars]
        references = [column[first[1] : upto[1]] for column in points.references]
        if scalars[0].size:
            self.scalars.add(*scalars)
            self.catalog.add(scalars[0], scalars[1], scalars[2], revision)
        if references[0].size:
            files = np.full(references[0].size, number, np.int64)
            self.references.add(*references[:3], files, *references[3:])
            self.catalog.add(references[0], references[1], references[2], revision)

    def _purge(self, step: int, columns: ColumnFile, revision: int) -> None:
        """The run goes on from a step: forget what there is from there on."""
        catalog = self.catalog
        self.scalars.purge(step)
        self.references.purge(step)
        size = catalog.count.size
        before = catalog.count.copy()
        counts, steps, walls = self.scalars.totals(columns, size)
        others = self.references.totals(columns, size)
        catalog.count = counts + others[0]
        catalog.step = np.where(others[0] > 0, others[1], steps)
        catalog.wall = np.where(others[0] > 0, others[2], walls)
        catalog.changed[catalog.count != before] = revision

    # Keeping

    def to_dict(self) -> dict[str, Any]:
        """In types that JSON has; all points have to be sealed."""
        return {
            "folder": os.fsencode(self.folder).hex(),
            "files": [{**asdict(file), "place": os.fsencode(file.place).hex()} for file in self.files],
            "catalog": self.catalog.to_dict(),
            "notices": self.notices,
            "time": time.time(),
        }


def _nothing() -> Points:
    empty = np.empty(0, np.int64)
    return Points([empty] * 4, empty, [empty] * 5, empty)
