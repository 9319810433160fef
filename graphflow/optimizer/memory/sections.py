"""Sections: the instants with a maximal set of live buffers; and ranges of them, the parts of a problem."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

PLACED = 2**62  # the low of a buffer that has its offset


class Part(NamedTuple):
    """A range of sections that no open buffer leaves.

    Attributes:
        start, stop: the range.
        around: the part that this one was cut from.
        members: the open buffers of each section, one section a column, filled up with one that is none.
        sizes: of the members.
    """

    start: int
    stop: int
    around: Part | None
    members: np.ndarray
    sizes: np.ndarray


class Sections:
    """Which buffers live where, in numbers of sections; no other instants matter.

    Attributes:
        first, last: each buffer's life.
        count: of the sections.
        live: by buffer and section, whether it lives there.
        sizes: of the buffers, and 0 for the one that is none.
        open_bytes: by section, of all buffers.
        crossing: by boundary before each section, the buffers on both sides of it.
    """

    def __init__(self, buffers: Lifetimes) -> None:
        self.first, self.last, self.count = maximal_sections(buffers.first, buffers.last)
        places = np.arange(self.count + 1)
        self.live = (self.first[:, None] <= places[:-1]) & (places[:-1] < self.last[:, None])
        self.sizes = np.append(buffers.size, 0)
        self.open_bytes = buffers.size @ self.live
        self.crossing = ((self.first[:, None] < places) & (places < self.last[:, None])).sum(0)
        self._near_to: dict[int, np.ndarray] = {}

    def near(self, buffer: int) -> np.ndarray:
        """Which buffers live at the same time as this one."""
        near = self._near_to.get(buffer)
        if near is None:
            near = np.zeros(len(self.sizes), bool)
            near[:-1] = (self.first < self.last[buffer]) & (self.first[buffer] < self.last)
            near[buffer] = False
            self._near_to[buffer] = near
        return near

    def whole(self) -> Part:
        """All sections, with all buffers."""
        order = np.argsort(~self.live, axis=0, kind="stable")[: int(self.live.sum(0).max(initial=0))]
        members = np.where(np.take_along_axis(self.live, order, 0), order, len(self.first))
        return Part(0, self.count, None, members, self.sizes[members])

    def narrowed(self, part: Part, section: int, low: np.ndarray, crossing: np.ndarray, tidy: bool) -> Part:
        """The part around a section of a part that no open buffer leaves; with tidy without the placed."""
        cuts = np.flatnonzero(crossing[part.start + 1 : part.stop] == 0) + part.start + 1
        if not len(cuts):
            return self._within(part, low, part.start, part.stop, part.around) if tidy else part
        at = int(np.searchsorted(cuts, section, side="right"))
        start = int(cuts[at - 1]) if at else part.start
        stop = int(cuts[at]) if at < len(cuts) else part.stop
        return self._within(part, low, start, stop, part)

    def _within(self, part: Part, low: np.ndarray, start: int, stop: int, around: Part | None) -> Part:
        members = part.members[:, start - part.start : stop - part.start]
        is_open = low[members] < PLACED
        order = np.argsort(~is_open, axis=0, kind="stable")[: int(is_open.sum(0).max(initial=0))]
        members = np.take_along_axis(np.where(is_open, members, len(self.first)), order, 0)
        return Part(start, stop, around, members, self.sizes[members])


def maximal_sections(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Lives counted in the instants with a maximal set of live buffers, and the number of those.

    >>> maximal_sections(np.array([0, 2, 2, 7]), np.array([3, 9, 5, 9]))
    (array([0, 0, 0, 1]), array([1, 2, 1, 2]), 2)
    """
    instants = np.unique(np.concatenate([first, last]))
    is_birth, is_death = np.isin(instants, first), np.isin(instants, last)
    maximal = []
    grown = False
    for place in range(len(instants) - 1):
        grown = grown or bool(is_birth[place])
        if grown and is_death[place + 1]:
            maximal.append(instants[place])
            grown = False
    return np.searchsorted(maximal, first), np.searchsorted(maximal, last), len(maximal)


def twins(buffers: Lifetimes, first: np.ndarray, last: np.ndarray) -> list[np.ndarray]:
    """For each buffer those that can take its place: itself, and what differs in nothing."""
    groups: dict[Any, list[int]] = {}
    keys = []
    for index in range(len(buffers)):
        is_single = buffers.address[index] >= 0 or index in buffers.apart
        row = (int(first[index]), int(last[index]), int(buffers.size[index]), int(buffers.alignment[index]))
        keys.append(index if is_single else row)
        groups.setdefault(keys[-1], []).append(index)
    arrays = {key: np.array(members) for key, members in groups.items()}
    return [arrays[key] for key in keys]
