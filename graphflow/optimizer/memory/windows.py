"""Lowering the highest buffer of a large placement: a window of time around it is placed anew.

What lives only inside the window may move; what reaches out of it stays where it is. As the arena is
as high as its highest buffer, and few are near the top, some windows are enough for many buffers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from graphflow.optimizer.memory import greedy
from graphflow.optimizer.memory.improve import improve
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound

_SMALL, _WIDE = 200, 1000  # buffers in the first window around a buffer, and in one that is not widened
_CROWDED = 4000  # buffers in a window that are too many for the quadratic placement
_ORDERS = 2
_STATES = 300


def lower_by_windows(buffers: Lifetimes, offsets: np.ndarray, goal: int, windows: int) -> np.ndarray:
    """Offsets with a smaller arena, where one is found; not below the goal."""
    offsets = offsets.copy()
    tops = offsets + buffers.size
    wanted = _SMALL
    for _ in range(windows):
        highest = int(tops.argmax())
        if tops[highest] <= goal or buffers.address[highest] >= 0:
            break
        members, inside = _window(buffers, highest, wanted)
        if len(members) > _CROWDED:
            break
        free = members[inside]
        found = _placed_anew(buffers, offsets, members, inside, goal)
        if (found + buffers.size[free]).max() < tops[free].max():
            offsets[free] = found
            tops[free] = found + buffers.size[free]
            wanted = _SMALL
        elif wanted >= _WIDE:
            break
        else:
            wanted *= 2
    return offsets


def _window(buffers: Lifetimes, middle: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """What lives in a window around the life of a buffer, at least as many as wanted, and which may move."""
    start, stop = int(buffers.first[middle]), int(buffers.last[middle])
    margin = max(1, (stop - start) // 4)
    may_move = (buffers.address < 0) & (buffers.size > 0)
    while True:
        low, high = start - margin, stop + margin
        is_inside = (buffers.first >= low) & (buffers.last <= high) & may_move
        if is_inside.sum() >= min(wanted, may_move.sum() // 2):
            break
        margin *= 2
    members = np.flatnonzero((buffers.first < high) & (buffers.last > low) & (buffers.size > 0))
    return members, is_inside[members]


def _placed_anew(
    buffers: Lifetimes, offsets: np.ndarray, members: np.ndarray, inside: np.ndarray, goal: int
) -> np.ndarray:
    """New offsets for the members of a window that are inside it."""
    part = buffers.part(members)
    low, high = int(part.first[inside].min()), int(part.last[inside].max())
    part = replace(
        part,
        first=np.maximum(part.first, low),
        last=np.minimum(part.last, high),
        address=np.where(inside, -1, offsets[members]),
    )
    part = replace(part, size=np.where(part.first < part.last, part.size, 0))
    bound = max(goal, lower_bound(part)[0])
    tried = []
    for order in islice(greedy.orders(part), _ORDERS):
        tried.append(greedy.place_in_order(part, order))
        if part.arena(tried[-1]) <= bound:
            return tried[-1][inside]
    best = min(tried, key=part.arena)
    return improve(part, best, bound, None, _STATES, None).offsets[inside]
