"""Placing many buffers by one sweep over time with a free list: n log n, a little above the bound.

Buffers are given memory when they are born and return it when they die, as a heap allocator would,
but with sizes known, larger ones first at each instant, and free neighbours always joined.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

_LOOKED_AT = 16  # free blocks inspected for one that is aligned by luck, before paying for padding


class FreeList:
    """The free ranges of an arena that grows at its top; no two of them touch.

    They are kept sorted by size, in classes of similar sizes so that each list stays short.
    """

    def __init__(self) -> None:
        self.top = 0
        self._classes: dict[int, list[tuple[int, int]]] = {}
        self._filled = 0  # bit k is set where class k has something
        self._start_of: dict[int, int] = {}
        self._end_of: dict[int, int] = {}

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
        for room, start in islice(self._from(size), _LOOKED_AT if alignment > 1 else 1):
            if room >= size + (-start % alignment):
                return start
        return next((start for _, start in self._from(size + alignment - 1)), None)

    def _from(self, size: int) -> Iterator[tuple[int, int]]:
        """The free ranges of at least a size, and their starts, in rising order."""
        kind = _size_class(size)
        if self._filled >> kind & 1:
            blocks = self._classes[kind]
            yield from islice(blocks, bisect_left(blocks, (size, -1)), None)
        filled = self._filled >> (kind + 1)
        while filled:
            step = (filled & -filled).bit_length()
            kind, filled = kind + step, filled >> step
            yield from self._classes[kind]

    def _insert(self, start: int, end: int) -> None:
        self._end_of[start] = end
        self._start_of[end] = start
        kind = _size_class(end - start)
        insort(self._classes.setdefault(kind, []), (end - start, start))
        self._filled |= 1 << kind

    def _remove(self, start: int) -> int:
        end = self._end_of.pop(start)
        del self._start_of[end]
        kind = _size_class(end - start)
        blocks = self._classes[kind]
        del blocks[bisect_left(blocks, (end - start, start))]
        if not blocks:
            self._filled &= ~(1 << kind)
        return end


def _size_class(size: int) -> int:
    """A number that rises with the size, eight of them to a power of two."""
    bits = size.bit_length()
    return size if bits < 4 else 8 * (bits - 3) + (size >> (bits - 4) & 7)


def place_by_sweep(buffers: Lifetimes, backward: bool = False) -> np.ndarray:
    """Offsets of the buffers by a sweep through time, in one direction or the other."""
    if backward:
        return _sweep(buffers, -buffers.last, -buffers.first)
    return _sweep(buffers, buffers.first, buffers.last)


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
