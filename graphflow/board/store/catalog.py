"""The tags of a run: name, kind, how many points, the last step, and when each last changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TAG_BYTES = 16 << 10
"""Longer tags are left out."""

MOST_TAGS = 200_000
MOST_BYTES = 64 << 20
"""A run's further tags are left out, so that a hostile file does not fill the memory."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a run.

    Attributes:
        name, kind: as it was logged; kinds are those of `messages`.
        count: how many points or values there are.
        step, wall: of the last one.
        changed: the revision at which it last changed.
    """

    name: str
    kind: str
    count: int
    step: int
    wall: float
    changed: int


class Catalog:
    """The tags of one run. An id is the position of a tag; ids are never reused.

    Attributes:
        names, kinds: of the tags, by id.
        count, step, wall, changed: arrays with a place for each id, and some to spare.
        scalar_ids: ids of scalars by their bytes.
        ids: ids by (kind, name).
        is_full: whether tags had to be left out.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kinds: list[str] = []
        self.count = np.zeros(64, np.int64)
        self.step = np.zeros(64, np.int64)
        self.wall = np.zeros(64)
        self.changed = np.zeros(64, np.int64)
        self.scalar_ids: dict[bytes, int] = {}
        self.ids: dict[tuple[str, str], int] = {}
        self.kind_by_tag: dict[bytes, str] = {}
        self.is_full = False
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.names)

    def id_of(self, kind: str, tag: bytes) -> int:
        """The id of a tag, new if needed; -1 for one that is left out."""
        name = tag.decode("utf-8", "replace")
        found = self.ids.get((kind, name), -1)
        if found < 0:
            is_over = len(self.names) >= MOST_TAGS or self._bytes + len(tag) > MOST_BYTES
            if is_over or len(tag) > TAG_BYTES:
                self.is_full = True
                return -1
            found = self.append(name, kind)
            self._bytes += len(tag)
        if kind == "scalars" and len(self.scalar_ids) < 2 * MOST_TAGS:
            self.scalar_ids[tag] = found
        if len(self.kind_by_tag) < 2 * MOST_TAGS:
            self.kind_by_tag.setdefault(tag, kind)
        return found

    def append(self, name: str, kind: str) -> int:
        """Add a tag that is not there."""
        number = len(self.names)
        if number >= self.count.size:  # first of all, as others may be reading the names meanwhile
            for field in ("count", "step", "wall", "changed"):
                old = getattr(self, field)
                setattr(self, field, np.concatenate([old, np.zeros_like(old)]))
        self.kinds.append(kind)
        self.names.append(name)
        self.ids[kind, name] = number
        return number

    def add(self, ids: np.ndarray, steps: np.ndarray, walls: np.ndarray, revision: int) -> None:
        """Count new points."""
        self.count += np.bincount(ids, minlength=self.count.size)
        self.step[ids], self.wall[ids] = steps, walls  # of equal ids the last one stays
        self.changed[ids] = revision

    def tags(self, kind: str | None = None, since: int = -1) -> list[Tag]:
        """The tags with points, of a kind or all, that changed after a revision; by first use."""
        size = len(self.names)
        chosen = np.flatnonzero((self.changed[:size] > since) & (self.count[:size] > 0)).tolist()
        count, step, wall, changed = (
            array[:size].tolist() for array in (self.count, self.step, self.wall, self.changed)
        )
        return [
            Tag(self.names[one], self.kinds[one], count[one], step[one], wall[one], changed[one])
            for one in chosen
            if kind is None or self.kinds[one] == kind
        ]

    def to_dict(self) -> dict[str, Any]:
        """In types that JSON has."""
        size = len(self.names)
        return {
            "names": self.names,
            "kinds": self.kinds,
            "count": self.count[:size].tolist(),
            "step": self.step[:size].tolist(),
            "wall": [float(one).hex() for one in self.wall[:size]],
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any], revision: int) -> Catalog:
        """The other way round; all tags count as changed at `revision`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: if it is none.
        """
        made = cls()
        for name, kind in zip(found["names"], found["kinds"], strict=True):
            made.append(str(name), str(kind))
            tag = str(name).encode("utf-8", "replace")
            made.kind_by_tag.setdefault(tag, kind)
            if kind == "scalars":
                made.scalar_ids[tag] = made.ids[kind, name]
        size = len(made.names)
        made.count[:size] = found["count"]
        made.step[:size] = found["step"]
        made.wall[:size] = [float.fromhex(one) for one in found["wall"]]
        made.changed[:size] = revision
        made._bytes = sum(len(name) for name in made.names)
        return made
