"""Placing buffers one by one, each into the smallest gap that holds it: near the bound, quadratic in time.

The order of placing decides how well it goes, so there are several orders.

Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020),
greedy by size, with the best gap instead of the first.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

_NEVER = np.iinfo(np.int64).max // 4


def place_in_order(buffers: Lifetimes, order: np.ndarray) -> np.ndarray:
    """Offsets of the buffers, placed in the given order; those with a fixed address come first."""
    offsets = np.maximum(buffers.address, 0)
    # The placed buffers, sorted by offset, so that one running maximum finds the gaps.
    first, last, start, end, owner = np.empty((5, len(buffers)), np.int64)
    placed = 0
    is_fixed = buffers.address >= 0
    for index in (*np.flatnonzero(is_fixed), *order[~is_fixed[order]]):
        if not buffers.size[index]:
            continue
        size = buffers.size[index]
        if is_fixed[index]:
            offset = buffers.address[index]
        else:
            near = (first[:placed] < buffers.last[index]) & (last[:placed] > buffers.first[index])
            taken = start[:placed][near], end[:placed][near]
            if index in buffers.apart:
                taken = _whole_banks(buffers, index, owner[:placed][near], *taken)
            offset = _best_gap(buffers, int(index), *taken)
        offsets[index] = offset
        at = int(np.searchsorted(start[:placed], offset))
        row = (buffers.first[index], buffers.last[index], offset, offset + size, index)
        for column, value in zip((first, last, start, end, owner), row):
            column[at + 1 : placed + 1] = column[at:placed]
            column[at] = value
        placed += 1
    return offsets


def _whole_banks(
    buffers: Lifetimes, index: int, owners: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The occupied ranges, sorted, where those that the buffer keeps apart from take all of their banks."""
    whole = np.isin(owners, buffers.apart[index])
    starts = np.where(whole, starts - starts % buffers.bank, starts)
    ends = np.where(whole, buffers.bank_end(ends), ends)
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order]


def _best_gap(buffers: Lifetimes, index: int, starts: np.ndarray, ends: np.ndarray) -> int:
    """The first possible offset in the smallest gap between occupied ranges; the lowest of ties."""
    if not len(starts):
        return 0
    size = buffers.size[index]
    below = np.empty(len(starts) + 1, np.int64)
    below[0] = 0
    np.maximum.accumulate(ends, out=below[1:])
    below = buffers.rounded(below, index)
    room = np.empty_like(below)
    np.subtract(starts, below[:-1], out=room[:-1])
    room[-1] = _NEVER
    room[room < size] = _NEVER + 1
    return int(below[np.argmin(room)])


def orders(buffers: Lifetimes) -> Iterator[np.ndarray]:
    """Orders of placing that are worth trying, the best on average first; ties go to the earlier birth."""
    length = buffers.last - buffers.first
    born = np.arange(len(buffers))
    yield np.lexsort((born, buffers.first, -length, -buffers.size))
    yield np.lexsort((born, buffers.first, -length.astype(float) * buffers.size))
    yield np.lexsort((born, buffers.first, -buffers.size, -length))
    yield np.lexsort((born, -buffers.size, buffers.first))
