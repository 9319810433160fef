"""Placing buffers one by one, each into the smallest gap that holds it: near the bound, quadratic in time.

The order of placing decides how well it goes, so there are several orders, and a search that moves
the buffer at the top of the arena to an earlier place in the order.

Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020),
greedy by size, with the best gap instead of the first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

_NEVER = np.iinfo(np.int64).max // 4


def place_in_order(buffers: Lifetimes, order: np.ndarray) -> np.ndarray:
    """Offsets of the buffers, placed in the given order; those with a fixed address come first."""
    offsets = np.maximum(buffers.address, 0)
    # The placed buffers, sorted by offset, so that one running maximum finds the gaps.
    first, last, start, end = np.empty((4, len(buffers)), np.int64)
    placed = 0
    is_fixed = buffers.address >= 0
    for index in (*np.flatnonzero(is_fixed), *order[~is_fixed[order]]):
        if not buffers.size[index]:
            continue
        size = buffers.size[index]
        if is_fixed[index]:
            offset = buffers.address[index]
        else:
            together = (first[:placed] < buffers.last[index]) & (last[:placed] > buffers.first[index])
            offset = _best_gap(
                start[:placed][together], end[:placed][together], size, buffers.alignment[index]
            )
        offsets[index] = offset
        at = int(np.searchsorted(start[:placed], offset))
        row = (buffers.first[index], buffers.last[index], offset, offset + size)
        for column, value in zip((first, last, start, end), row):
            column[at + 1 : placed + 1] = column[at:placed]
            column[at] = value
        placed += 1
    return offsets


def _best_gap(starts: np.ndarray, ends: np.ndarray, size: int, alignment: int) -> int:
    """The aligned start of the smallest gap between occupied ranges that holds `size`; the lowest of ties."""
    if not len(starts):
        return 0
    below = np.empty(len(starts) + 1, np.int64)
    below[0] = 0
    np.maximum.accumulate(ends, out=below[1:])
    below += -below % alignment
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


def search(
    buffers: Lifetimes, order: np.ndarray, goal: int, tries: int, deadline: float | None = None
) -> np.ndarray:
    """Offsets by local search from an order, until the arena is no larger than `goal`.

    It stops after `tries` placements, or at the `deadline` of time.monotonic() where one is given.
    """
    random = np.random.default_rng(0)
    best = place_in_order(buffers, order)
    height = buffers.arena(best)
    movable = np.flatnonzero(buffers.address < 0)
    while height > goal and tries > 0 and len(movable) > 1:
        if deadline is not None and time.monotonic() >= deadline:
            break
        tries -= 1
        moved = _promoted(buffers, order, best, random)
        offsets = place_in_order(buffers, moved)
        if buffers.arena(offsets) <= height:
            order, best, height = moved, offsets, buffers.arena(offsets)
    return best


def _promoted(
    buffers: Lifetimes, order: np.ndarray, offsets: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """The order with one buffer moved forward: that at the top of the arena, or now and then any other."""
    top = int(np.argmax(np.where(buffers.address < 0, offsets + buffers.size, -1)))
    chosen = top if random.random() < 0.7 else int(random.choice(order))
    position = int(np.flatnonzero(order == chosen)[0])
    target = int(random.integers(0, position + 1))
    return np.insert(np.delete(order, position), target, chosen)
