"""`allocate`: offsets for buffers with known lifetimes, so that no two live ones overlap.

Up to 4096 buffers are placed greedily by size, several orders being tried, and any number by sweeps
over time in n log n, with the highest places done anew. Where that is above the lower bound, a search
that would be complete takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import greedy
from graphflow.optimizer.memory.buffers import (
    Allocation,
    Arena,
    Banks,
    Buffer,
    by_space,
    lifetimes_of,
)
from graphflow.optimizer.memory.improve import improve
from graphflow.optimizer.memory.lifetimes import Lifetimes, live_bytes, lower_bound
from graphflow.optimizer.memory.sweep import place_by_sweep
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.memory.windows import lower_by_windows

GREEDY_LIMIT = 4096
_WINDOWS = 40  # that are placed anew after a sweep
_STATES = 2_000  # of a small search, that are looked at where no time is given
_STATES_IF_FAR = 10_000  # the same where the quick placements are further than this above the bound
_FAR = 1.005
_GOOD = 1.06  # of the bound, at which many buffers are not placed once more
_STATES_TO_FIT = 40_000  # the same where the capacity is at stake


def allocate(
    buffers: Iterable[Buffer],
    capacity: int | Mapping[str, int] | None = None,
    seconds: float | None = None,
    *,
    banks: Banks | Mapping[str, Banks] | None = None,
    states: int | None = None,
) -> Allocation:
    """Offsets at which no two buffers of a space that are live together overlap.

    Arguments:
        buffers: what to place.
        capacity: bytes that each space has; a mapping gives them by space; None for no limit. An
            arena within the capacity is good enough; without one the smallest is looked for.
        seconds: how long to search where the quick placements are above the lower bound or the
            capacity. The answer is then the best one found, which depends on the machine if the
            time is spent; without a time it is always the same.
        banks: the banks of each space that has some; a mapping gives them by space.
        states: about how many states of a small search to look at where no time is given; by default
            few, and more if the quick placements are far above the bound or the capacity is at stake.

    Raises:
        MemoryPlanError: for buffers that contradict themselves or one another, and where the
            capacity is too small; the message names the instant at which most is live.

    >>> plan = allocate([Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5), Buffer("c", 2, 4, 10)])
    >>> plan.offsets, plan.arena_bytes, plan.lower_bound_bytes
    ({'a': 0, 'c': 0, 'b': 10}, 15, 15)
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    spaces = by_space(buffers)
    offsets: dict[Any, int] = {}
    arenas: dict[str, Arena] = {}
    for space, members in spaces.items():
        limit = capacity.get(space) if isinstance(capacity, Mapping) else capacity
        lifetimes = lifetimes_of(members, banks.get(space) if isinstance(banks, Mapping) else banks)
        placed, arenas[space] = _allocate_space(space, members, lifetimes, limit, deadline, states)
        order = np.lexsort((np.arange(len(members)), placed))
        offsets.update((members[index].id, int(placed[index])) for index in order)
    return Allocation(
        offsets,
        sum(arena.arena_bytes for arena in arenas.values()),
        sum(arena.lower_bound_bytes for arena in arenas.values()),
        arenas,
    )


def _allocate_space(
    space: str,
    members: list[Buffer],
    lifetimes: Lifetimes,
    capacity: int | None,
    deadline: float | None,
    states: int | None,
) -> tuple[np.ndarray, Arena]:
    bound, instant = lower_bound(lifetimes)
    arena = Arena(bound, bound, instant, bound)
    if capacity is not None and bound > capacity:
        raise _over_capacity(space, members, lifetimes, capacity, arena)
    offsets, proved = _place(lifetimes, bound, capacity, deadline, states)
    arena = Arena(lifetimes.arena(offsets), bound, instant, proved)
    if capacity is not None and arena.arena_bytes > capacity:
        raise _over_capacity(space, members, lifetimes, capacity, arena)
    return offsets, arena


def _place(
    lifetimes: Lifetimes, bound: int, capacity: int | None, deadline: float | None, states: int | None
) -> tuple[np.ndarray, int]:
    """The best of several placements, and the bytes that every one needs."""
    best = _quickly(lifetimes, bound)
    height = lifetimes.arena(best)
    is_over = capacity is not None and height > capacity
    if height == bound or (capacity is not None and not is_over):
        return best, bound
    if deadline is None and len(lifetimes) > GREEDY_LIMIT and not is_over:
        return best, bound
    if states is None:
        states = _STATES_TO_FIT if is_over else _STATES_IF_FAR if height > _FAR * bound else _STATES
    found = improve(lifetimes, best, bound, capacity, states, deadline)
    return found.offsets, found.lower_bound


def _quickly(lifetimes: Lifetimes, bound: int) -> np.ndarray:
    """The best of the quick placements; none is tried after one that meets the bound."""
    placements: list[Callable[[], np.ndarray]] = []
    if len(lifetimes) <= GREEDY_LIMIT or lifetimes.bank:
        orders = greedy.orders(lifetimes)
        placements += [partial(greedy.place_in_order, lifetimes, order) for order in orders]
    if not lifetimes.bank:
        placements += [partial(_sweep, lifetimes, bound, backward) for backward in (False, True)]
    good = bound if len(lifetimes) <= GREEDY_LIMIT else int(bound * _GOOD)
    tried: list[np.ndarray] = []
    for place in placements:
        tried.append(place())
        if lifetimes.arena(tried[-1]) <= good:
            break
    return min(tried, key=lifetimes.arena)


def _sweep(lifetimes: Lifetimes, bound: int, backward: bool) -> np.ndarray:
    windows = _WINDOWS if len(lifetimes) > GREEDY_LIMIT else _WINDOWS // 10
    return lower_by_windows(lifetimes, place_by_sweep(lifetimes, backward), bound, windows)


def _over_capacity(
    space: str, members: list[Buffer], lifetimes: Lifetimes, capacity: int, arena: Arena
) -> MemoryPlanError:
    instant, needed = arena.peak_instant, arena.arena_bytes
    largest = sorted(lifetimes.live_at(instant).tolist(), key=lambda index: (-members[index].size, index))
    shown = ", ".join(f"{members[index].id} {show_bytes(members[index].size)}" for index in largest[:6])
    more = f" and {len(largest) - 6} more" if len(largest) > 6 else ""
    _, live = live_bytes(lifetimes.first, lifetimes.last, lifetimes.size)
    if arena.arena_bytes == arena.lower_bound_bytes:
        known, hint = "", "raise the capacity, reorder or recompute so that less is live at that instant"
    elif arena.proved_bytes > capacity:
        known = f" (a complete search shows that no placement needs less than {arena.proved_bytes})"
        hint = "raise the capacity, reorder or recompute; more time will not help"
    else:
        known = f" (no placement needs less than {arena.proved_bytes})"
        hint = "raise the capacity, or give the search more seconds"
    return MemoryPlanError(
        f"space {space!r} needs {needed} bytes{known}, but its capacity is {capacity}, "
        f"{needed - capacity} bytes less; most is live at instant {instant}, "
        f"{int(live.max(initial=0))} bytes in {len(largest)} buffers: {shown}{more}",
        hint=hint,
    )
