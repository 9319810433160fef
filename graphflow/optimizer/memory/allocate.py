"""`allocate`: offsets for buffers with known lifetimes, so that no two live ones overlap.

Up to 4096 buffers are placed greedily by size, several orders being tried, and then a short search,
until one meets the lower bound; above that one sweep over time places them in n log n.
"""

from __future__ import annotations

import operator
import time
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import greedy
from graphflow.optimizer.memory.lifetimes import Lifetimes, live_bytes, lower_bound
from graphflow.optimizer.memory.sweep import place_by_sweep
from graphflow.optimizer.memory.units import show_bytes

GREEDY_LIMIT = 4096
_TRIES = 10_000  # placements of one buffer that a search without a time limit may cost
_TRIES_TO_FIT = 200_000  # the same where the capacity is at stake
_LARGEST = 2**60


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory that is needed for a while.

    Attributes:
        id: what it is for; unique among the buffers of one call.
        first, last: it is live in [first, last).
        size: bytes.
        alignment: its offset is a multiple of this.
        space: the memory it lies in; offsets of different spaces have nothing to do with each other.
        address: the offset it must have, or None.
    """

    id: Hashable
    first: int
    last: int
    size: int
    alignment: int = 1
    space: str = "main"
    address: int | None = None


@dataclass(frozen=True, slots=True)
class Arena:
    """One space of an allocation: its size, the bound under it, and the instant that sets the bound."""

    arena_bytes: int
    lower_bound_bytes: int
    peak_instant: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where buffers lie.

    Attributes:
        offsets: for each buffer id, its offset in its space.
        arena_bytes: the bytes that are needed, over all spaces.
        lower_bound_bytes: the bytes that any allocation needs, over all spaces.
        arenas: the same for each space.
    """

    offsets: dict[Any, int]
    arena_bytes: int
    lower_bound_bytes: int
    arenas: dict[str, Arena]

    @property
    def gap(self) -> float:
        """How far the arena is above the bound, as a fraction of the bound."""
        return self.arena_bytes / self.lower_bound_bytes - 1 if self.lower_bound_bytes else 0.0


def allocate(
    buffers: Iterable[Buffer],
    capacity: int | Mapping[str, int] | None = None,
    seconds: float | None = None,
) -> Allocation:
    """Offsets at which no two buffers of a space that are live together overlap.

    Arguments:
        buffers: what to place.
        capacity: bytes that each space has; a mapping gives them by space; None for no limit.
        seconds: how long to search for a smaller arena where the quick placements are above the
            lower bound. The answer is then the best one found, which depends on the machine.

    Raises:
        MemoryPlanError: for buffers that contradict themselves or one another, and where the
            capacity is too small; the message names the instant at which most is live.

    >>> plan = allocate([Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5), Buffer("c", 2, 4, 10)])
    >>> plan.offsets, plan.arena_bytes, plan.lower_bound_bytes
    ({'a': 0, 'c': 0, 'b': 10}, 15, 15)
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    spaces = _by_space(buffers)
    offsets: dict[Any, int] = {}
    arenas: dict[str, Arena] = {}
    for space, members in spaces.items():
        limit = capacity.get(space) if isinstance(capacity, Mapping) else capacity
        placed, arenas[space] = _allocate_space(space, members, limit, deadline)
        order = np.lexsort((np.arange(len(members)), placed))
        offsets.update((members[index].id, int(placed[index])) for index in order)
    return Allocation(
        offsets,
        sum(arena.arena_bytes for arena in arenas.values()),
        sum(arena.lower_bound_bytes for arena in arenas.values()),
        arenas,
    )


def _allocate_space(
    space: str, members: list[Buffer], capacity: int | None, deadline: float | None
) -> tuple[np.ndarray, Arena]:
    lifetimes = _arrays(members)
    _check_fixed(members, lifetimes)
    bound, instant = lower_bound(lifetimes)
    if capacity is not None and bound > capacity:
        raise _over_capacity(space, members, lifetimes, capacity, instant, bound, None)
    offsets = _place(lifetimes, bound, capacity, deadline)
    arena = lifetimes.arena(offsets)
    if capacity is not None and arena > capacity:
        raise _over_capacity(space, members, lifetimes, capacity, instant, bound, arena)
    return offsets, Arena(arena, bound, instant)


def _place(lifetimes: Lifetimes, bound: int, capacity: int | None, deadline: float | None) -> np.ndarray:
    """The best of several placements; none is tried after one that meets the bound."""
    if len(lifetimes) > GREEDY_LIMIT:
        best = place_by_sweep(lifetimes)
        best_order = np.lexsort((np.arange(len(best)), best))
    else:
        best, best_order = _best_of_orders(lifetimes, bound)
    height = lifetimes.arena(best)
    if height == bound:
        return best
    if deadline is not None:
        tries = _LARGEST
    elif len(lifetimes) > GREEDY_LIMIT:
        return best
    else:
        over = capacity is not None and height > capacity
        tries = (_TRIES_TO_FIT if over else _TRIES) // len(lifetimes)
    found = greedy.search(lifetimes, best_order, bound, tries, deadline)
    return found if lifetimes.arena(found) < height else best


def _best_of_orders(lifetimes: Lifetimes, bound: int) -> tuple[np.ndarray, np.ndarray]:
    tried = []
    for order in greedy.orders(lifetimes):
        offsets = greedy.place_in_order(lifetimes, order)
        tried.append((offsets, order))
        if lifetimes.arena(offsets) == bound:
            break
    return min(tried, key=lambda pair: lifetimes.arena(pair[0]))


# Checking what came in


def _by_space(buffers: Iterable[Buffer]) -> dict[str, list[Buffer]]:
    spaces: dict[str, list[Buffer]] = {}
    seen: set[Hashable] = set()
    total = 0
    for buffer in buffers:
        _check(buffer)
        if buffer.id in seen:
            raise MemoryPlanError(f"two buffers have the id {buffer.id!r}", hint="give each its own id")
        seen.add(buffer.id)
        total = max(total + buffer.size + buffer.alignment, buffer.address or 0)
        if total > _LARGEST:
            raise MemoryPlanError(f"buffer {buffer.id!r} takes the sum of the sizes above 2**60 bytes")
        spaces.setdefault(buffer.space, []).append(buffer)
    return spaces


def _check(buffer: Buffer) -> None:
    try:
        numbers = (buffer.first, buffer.last, buffer.size, buffer.alignment, buffer.address or 0)
        first, last, size, alignment, address = map(operator.index, numbers)
    except TypeError:
        raise MemoryPlanError(
            f"{buffer} has a field that is not a whole number", hint="count bytes and instants with ints"
        ) from None
    if first > last:
        raise MemoryPlanError(
            f"buffer {buffer.id!r} dies at {last}, before its birth at {first}",
            hint="a buffer is live in [first, last), so first <= last",
        )
    if size < 0 or alignment < 1 or address < 0:
        raise MemoryPlanError(
            f"buffer {buffer.id!r} has size {size}, alignment {alignment}, address {buffer.address}",
            hint="sizes and addresses are at least 0, alignments at least 1",
        )
    if address % alignment:
        raise MemoryPlanError(
            f"buffer {buffer.id!r} is fixed at {address}, which is no multiple of its alignment {alignment}",
            hint="round its address up to one, or lower the alignment",
        )
    if max(abs(first), abs(last), alignment) > _LARGEST:
        raise MemoryPlanError(f"buffer {buffer.id!r} has an instant or alignment above 2**60")


def _arrays(members: list[Buffer]) -> Lifetimes:
    rows = [
        (one.first, one.last, one.size, one.alignment, -1 if one.address is None else one.address)
        for one in members
    ]
    first, last, size, alignment, address = np.array(rows, np.int64).reshape(-1, 5).T.copy()
    used = (size > 0) & (first < last)
    return Lifetimes(first, np.where(used, last, first), np.where(used, size, 0), alignment, address)


def _check_fixed(members: list[Buffer], lifetimes: Lifetimes) -> None:
    """Raise if two fixed buffers that live together overlap: sweep by time, compare neighbours by address."""
    fixed = np.flatnonzero((lifetimes.address >= 0) & (lifetimes.first < lifetimes.last))
    events = [(int(lifetimes.last[index]), 0, int(index)) for index in fixed]
    events += [(int(lifetimes.first[index]), 1, int(index)) for index in fixed]
    live: list[tuple[int, int]] = []
    for _, is_birth, index in sorted(events):
        entry = (int(lifetimes.address[index]), index)
        at = bisect_left(live, entry)
        if not is_birth:
            del live[at]
            continue
        for neighbour in (live[at - 1 : at] if at else []) + live[at : at + 1]:
            low, high = sorted((entry, neighbour))
            if low[0] + lifetimes.size[low[1]] > high[0]:
                raise MemoryPlanError(
                    f"the fixed buffers {_fixed_text(members[low[1]])} and {_fixed_text(members[high[1]])} "
                    "overlap while both are live",
                    hint="move one of them, or leave its address open",
                )
        insort(live, entry)


def _fixed_text(buffer: Buffer) -> str:
    assert buffer.address is not None
    return f"{buffer.id!r} at [{buffer.address}, {buffer.address + buffer.size})"


def _over_capacity(
    space: str,
    members: list[Buffer],
    lifetimes: Lifetimes,
    capacity: int,
    instant: int,
    bound: int,
    arena: int | None,
) -> MemoryPlanError:
    largest = sorted(lifetimes.live_at(instant).tolist(), key=lambda index: (-members[index].size, index))
    shown = ", ".join(f"{members[index].id} {show_bytes(members[index].size)}" for index in largest[:6])
    more = f" and {len(largest) - 6} more" if len(largest) > 6 else ""
    _, live = live_bytes(lifetimes.first, lifetimes.last, lifetimes.size)
    needed = f"{bound} bytes" if arena is None else f"{arena} bytes (no placement needs less than {bound})"
    return MemoryPlanError(
        f"space {space!r} needs {needed}, but its capacity is {capacity}; most is live at instant {instant}, "
        f"{int(live.max(initial=0))} bytes in {len(largest)} buffers: {shown}{more}",
        hint="raise the capacity, reorder or recompute so that less is live at that instant"
        if arena is None
        else "raise the capacity, or give the search more seconds",
    )
