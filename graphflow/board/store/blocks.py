"""A block of an event file read: scalars as columns, everything else as references into the file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graphflow.board.store.catalog import Catalog
from graphflow.board.store.layouts import Layout, layout_of
from graphflow.board.store.messages import Event, read_event
from graphflow.board.store.records import HEADER, Block
from graphflow.board.store.wire import Malformed

_MOST_LAYOUTS = 32  # for events of one length; what fits none is read one by one

_MOST_STRANGE = 32  # so many without a layout, and the rest is read one by one as well


@dataclass
class Points:
    """What a block has.

    Attributes:
        scalars: ids, steps, wall times and values.
        references: ids, steps, wall times, and offset and length of each value's message in the file.
        scalar_records, reference_records: the record in the block that each point comes from, ascending.
        restarts: (record, step) where the run says that it goes on from a step.
        malformed: how many messages are no events.
    """

    scalars: list[np.ndarray]
    scalar_records: np.ndarray
    references: list[np.ndarray]
    reference_records: np.ndarray
    restarts: list[tuple[int, int]] = field(default_factory=list)
    malformed: int = 0


class BlockReader:
    """Reads the blocks of one run; it remembers layouts from one block to the next."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._layouts: dict[int, list[Layout]] = {}

    def read(self, data: bytes, block: Block, offset: int) -> Points:
        """The points of a block whose records have been found; `offset` is its place in the file."""
        count = block.starts.size
        ids = np.full(count, -1, np.int64)
        steps, walls, values = np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
        is_read = np.zeros(count, bool)
        for length, members, rows in block.groups:
            done = self._read_rows(length, rows, members, ids, steps, walls, values)
            is_read[members[done]] = True
        singles = _Singles(self.catalog, offset)
        starts, lengths = block.starts, block.lengths
        for record in np.flatnonzero(~is_read).tolist():
            start = int(starts[record])
            singles.add(record, data, start, start + int(lengths[record]))
        found = np.flatnonzero(ids >= 0)
        scalars = [ids[found], steps[found], walls[found], values[found]]
        return singles.joined(found, scalars)

    def _read_rows(
        self, length: int, rows: np.ndarray, members: np.ndarray,
        ids: np.ndarray, steps: np.ndarray, walls: np.ndarray, values: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Read the rows that have a layout into the columns; which ones these are."""
        known = self._layouts.setdefault(length, [])
        done = np.zeros(len(rows), bool)
        left = np.arange(len(rows))
        used = strange = 0
        while left.size and strange < _MOST_STRANGE:
            layout = known[used] if used < len(known) else self._learned(rows[left[0]], known)
            if layout is None:
                left, strange = left[1:], strange + 1
                continue
            used += 1
            hit = layout.matches(rows[left])
            if not hit.any():
                continue
            chosen = left[hit]
            part = rows if chosen.size == len(rows) else rows[chosen]
            places = members[chosen]
            ids[places] = self._ids(layout.tags(part))
            steps[places], walls[places] = layout.steps(part), layout.walls(part)
            values[places] = layout.numbers(part)
            done[chosen] = True
            left = left[~hit]
        return done

    def _learned(self, row: np.ndarray, known: list[Layout]) -> Layout | None:
        """The layout of a row, if there is one and room for it; it comes to those that are known."""
        if len(known) >= _MOST_LAYOUTS:
            return None
        try:
            layout = layout_of(row.tobytes())
        except Malformed:
            return None
        if layout is not None:
            known.append(layout)
        return layout

    def _ids(self, tags: list[bytes]) -> list[int]:
        known = self.catalog.scalar_ids
        found = [known.get(tag, -1) for tag in tags]
        if -1 in found:
            for place, one in enumerate(found):
                if one < 0:
                    found[place] = known.get(tags[place], -1)
                    if found[place] < 0:
                        found[place] = self.catalog.id_of("scalars", tags[place])
        return found


class _Singles:
    """The points of events that are read one by one."""

    def __init__(self, catalog: Catalog, offset: int) -> None:
        self.catalog, self.offset = catalog, offset
        self.scalars: list[tuple[int, int, int, float, float]] = []
        self.references: list[tuple[int, int, int, float, int, int]] = []
        self.restarts: list[tuple[int, int]] = []
        self.malformed = 0

    def add(self, record: int, data: bytes, start: int, end: int) -> None:
        """Read an event."""
        try:
            event = read_event(data, start, end, self._kind_of)
        except Malformed:
            self.malformed += 1
            return
        if event.is_restart:
            self.restarts.append((record, event.step))
        self._take(record, event)

    def _kind_of(self, tag: bytes) -> str:
        return self.catalog.kind_by_tag.get(tag, "")

    def _take(self, record: int, event: Event) -> None:
        for tag, kind, number, start, end in event.values:
            id = self.catalog.id_of(kind, tag)
            if id < 0:
                continue
            if kind == "scalars":
                self.scalars.append((record, id, event.step, event.wall, number))
            else:
                place = self.offset + start
                self.references.append((record, id, event.step, event.wall, place, end - start))

    def joined(self, found: np.ndarray, columns: list[np.ndarray]) -> Points:
        """All points, in the order of the records."""
        if self.scalars:
            further = [np.array(column) for column in zip(*self.scalars)]
            found = np.concatenate([found, further[0]])
            columns = [np.concatenate(pair) for pair in zip(columns, further[1:])]
            order = np.argsort(found, kind="stable")
            found, columns = found[order], [column[order] for column in columns]
        listed = zip(*self.references) if self.references else [()] * 6
        kinds = (np.int64, np.int64, np.int64, np.float64, np.int64, np.int64)
        references = [np.array(column, kind) for column, kind in zip(listed, kinds)]
        return Points(columns, found, references[1:], references[0], self.restarts, self.malformed)


__all__ = ["HEADER", "BlockReader", "Points"]
