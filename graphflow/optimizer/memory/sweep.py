"""Placing many buffers by one sweep over time with a free list: n log n, a little above the bound.

Buffers are given memory when they are born and return it when they die, as a heap allocator would,
but with sizes known, larger ones first at each instant, and free neighbours always joined.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

_LOOKED_AT = 16  # free blocks inspected for one that is aligned by luck, before paying for padding


class FreeList:
    """The free ranges of an arena that grows at its top; no two of them touch."""

    def __init__(self) -> None:
        self.top = 0
        self._by_size: list[tuple[int, int]] = []
        self._end_of: dict[int, int] = {}
        self._start_of: dict[int, int] = {}

    def take(self, size: int, alignment: int) -> int:
        """The aligned start of `size` bytes: in the smallest free range that holds them, else at the top."""
        start = self._find(size, alignment)
        if start is None:
            start = self._start_of.get(self.top, self.top)
            if start in self._end_of:
                self._remove(start)
            end = self.top = start + (-start % alignment) + size
        else:
            end = self._remove(start)
        offset = start + (-start % alignment)
        if offset > start:
            self._insert(start, offset)
        if end > offset + size:
            self._insert(offset + size, end)
        return offset

    def give(self, start: int, end: int) -> None:
        """Return a range, joined with the free neighbours it touches."""
        before = self._start_of.get(start)
        if before is not None:
            self._remove(before)
            start = before
        if end in self._end_of:
            end = self._remove(end)
        self._insert(start, end)

    def _find(self, size: int, alignment: int) -> int | None:
        blocks = self._by_size
        at = bisect_left(blocks, (size, -1))
        for room, start in blocks[at : at + _LOOKED_AT]:
            if room >= size + (-start % alignment):
                return start
        at = bisect_left(blocks, (size + alignment - 1, -1))
        return blocks[at][1] if at < len(blocks) else None

    def _insert(self, start: int, end: int) -> None:
        self._end_of[start] = end
        self._start_of[end] = start
        insort(self._by_size, (end - start, start))

    def _remove(self, start: int) -> int:
        end = self._end_of.pop(start)
        del self._start_of[end]
        del self._by_size[bisect_left(self._by_size, (end - start, start))]
        return end


def place_by_sweep(buffers: Lifetimes) -> np.ndarray:
    """Offsets of the buffers: the better one of a sweep forward and a sweep backward in time."""
    forward = _sweep(buffers, buffers.first, buffers.last)
    backward = _sweep(buffers, -buffers.last, -buffers.first)
    return backward if buffers.arena(backward) < buffers.arena(forward) else forward


def _sweep(buffers: Lifetimes, born: np.ndarray, dies: np.ndarray) -> np.ndarray:
    offsets = np.where(buffers.address >= 0, buffers.address, 0)
    movable = np.flatnonzero((buffers.address < 0) & (buffers.size > 0) & (born < dies))
    free = _with_reserved(buffers)
    births = movable[np.lexsort((movable, -buffers.size[movable], born[movable]))].tolist()
    deaths = movable[np.lexsort((movable, dies[movable]))].tolist()
    born_at, dies_at = born.tolist(), dies.tolist()
    sizes, alignments = buffers.size.tolist(), buffers.alignment.tolist()
    gone = 0
    for index in births:
        while dies_at[deaths[gone]] <= born_at[index]:
            start = int(offsets[deaths[gone]])
            free.give(start, start + sizes[deaths[gone]])
            gone += 1
        offsets[index] = free.take(sizes[index], alignments[index])
    return offsets


def _with_reserved(buffers: Lifetimes) -> FreeList:
    """A free list that never hands out what a fixed address covers, whenever that lives.

    This wastes the fixed ranges while they are empty; keeping the sweep at n log n is worth it.
    """
    free = FreeList()
    fixed = np.flatnonzero(buffers.address >= 0)
    for index in fixed[np.argsort(buffers.address[fixed], kind="stable")]:
        start, end = int(buffers.address[index]), int(buffers.address[index] + buffers.size[index])
        if start > free.top:
            free.give(free.top, start)
        free.top = max(free.top, end)
    return free
