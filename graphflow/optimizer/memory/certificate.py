"""`certify`: an allocation checked from scratch, by nothing that took part in making it."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory.buffers import Allocation, Banks, Buffer


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was checked of an allocation; see `certify`.

    Attributes:
        buffers: how many were looked at.
        most_live: by space, how many are live at its peak instant.
        witnesses: by space, the ids of what is live then and sets the lower bound.
    """

    buffers: int
    most_live: dict[str, int]
    witnesses: dict[str, tuple[Hashable, ...]]

    def __str__(self) -> str:
        return (
            f"checked: {self.buffers} buffers lie where they may, no two live ones overlap, and the bound "
            f"holds by the {sum(self.most_live.values())} buffers that are live at the peak"
        )


def certify(
    buffers: Iterable[Buffer],
    allocation: Allocation,
    capacity: int | Mapping[str, int] | None = None,
    *,
    banks: Banks | Mapping[str, Banks] | None = None,
) -> Certificate:
    """Check that an allocation is valid, is as large as it says, and that its lower bound is one.

    No two live buffers overlap; each is aligned, inside the arena and at its fixed address; banks and
    capacities are kept; and the sizes of what is live at the peak instant add up to the bound.

    Arguments:
        buffers, capacity, banks: what `allocate` was given.
        allocation: what it answered.

    Raises:
        MemoryPlanError: for the first thing that is wrong, with the buffers at fault.

    >>> from graphflow.optimizer.memory import allocate
    >>> some = [Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5)]
    >>> print(certify(some, allocate(some)).witnesses)
    {'main': ('a', 'b')}
    """
    spaces: dict[str, list[Buffer]] = {}
    for buffer in buffers:
        spaces.setdefault(buffer.space, []).append(buffer)
    count = sum(map(len, spaces.values()))
    _hold(len(allocation.offsets) == count, f"{len(allocation.offsets)} offsets for {count} buffers")
    witnesses: dict[str, tuple[Hashable, ...]] = {}
    for space, members in spaces.items():
        divided = banks.get(space) if isinstance(banks, Mapping) else banks
        limit = capacity.get(space) if isinstance(capacity, Mapping) else capacity
        end = 0
        for buffer in members:
            end = max(end, _check_place(buffer, allocation.offsets, divided))
        arena = allocation.arenas[space]
        _hold(end == arena.arena_bytes, f"space {space!r} ends at {end}, not at {arena.arena_bytes}")
        _hold(limit is None or end <= limit, f"space {space!r} ends at {end}, above its capacity {limit}")
        _check_overlap(members, allocation.offsets)
        if divided is not None:
            _check_apart(members, allocation.offsets, divided)
        witnesses[space] = _witnesses(members, arena.lower_bound_bytes, arena.peak_instant)
    return Certificate(count, {space: len(found) for space, found in witnesses.items()}, witnesses)


def _hold(holds: bool, message: str) -> None:
    if not holds:
        raise MemoryPlanError(
            f"the allocation is wrong: {message}",
            hint="if `allocate` made it for these buffers, please report it",
        )


def _is_used(buffer: Buffer) -> bool:
    return buffer.size > 0 and buffer.first < buffer.last


def _check_place(buffer: Buffer, offsets: Mapping[Any, int], banks: Banks | None) -> int:
    """Where a buffer ends, if it is somewhere it may be."""
    _hold(buffer.id in offsets, f"buffer {buffer.id!r} has no offset")
    offset = offsets[buffer.id]
    what = f"buffer {buffer.id!r} at {offset}"
    _hold(offset >= 0 and offset % buffer.alignment == 0, f"{what} is not aligned to {buffer.alignment}")
    _hold(buffer.address in (None, offset), f"{what} was fixed at {buffer.address}")
    if not _is_used(buffer):
        return 0
    if banks is not None and banks.within and offset % banks.bytes:
        crosses = offset % banks.bytes + buffer.size > banks.bytes
        _hold(not crosses, f"{what} crosses a border between banks of {banks.bytes} bytes")
    return offset + buffer.size


def _check_overlap(members: Sequence[Buffer], offsets: Mapping[Any, int]) -> None:
    """Sweep by time: what is born must not reach into its neighbours by address."""
    used = [buffer for buffer in members if _is_used(buffer)]
    events = [(buffer.last, 0, index) for index, buffer in enumerate(used)]
    events += [(buffer.first, 1, index) for index, buffer in enumerate(used)]
    live: list[tuple[int, int, int]] = []
    for _, is_birth, index in sorted(events):
        offset = offsets[used[index].id]
        entry = (offset, offset + used[index].size, index)
        at = bisect_left(live, entry)
        if not is_birth:
            del live[at]
            continue
        below = [(live[at - 1], entry)] if at else []
        above = [(entry, live[at])] if at < len(live) else []
        for low, high in below + above:
            _hold(
                low[1] <= high[0],
                f"buffers {used[low[2]].id!r} at [{low[0]}, {low[1]}) and {used[high[2]].id!r} at "
                f"[{high[0]}, {high[1]}) overlap while both are live",
            )
        insort(live, entry)


def _check_apart(members: Sequence[Buffer], offsets: Mapping[Any, int], banks: Banks) -> None:
    named = {buffer.id: buffer for buffer in members if _is_used(buffer)}
    for pair in banks.apart:
        if pair[0] in named and pair[1] in named:
            one, other = named[pair[0]], named[pair[1]]
            if one.first < other.last and other.first < one.last:
                first, last = _banks_of(one, offsets, banks)
                begin, end = _banks_of(other, offsets, banks)
                shared = f"buffers {one.id!r} and {other.id!r} share bank {max(first, begin)}"
                _hold(last < begin or end < first, shared)


def _banks_of(buffer: Buffer, offsets: Mapping[Any, int], banks: Banks) -> tuple[int, int]:
    offset = offsets[buffer.id]
    return offset // banks.bytes, (offset + buffer.size - 1) // banks.bytes


def _witnesses(members: Sequence[Buffer], bound: int, instant: int) -> tuple[Hashable, ...]:
    """What is live at an instant, if it adds up to the bound, or reaches it from a fixed address.

    Starts are multiples of the common divisor of the alignments, so all but the highest buffer take
    their sizes rounded up to it.
    """
    live = [buffer for buffer in members if _is_used(buffer) and buffer.first <= instant < buffer.last]
    step = math.gcd(*(buffer.alignment for buffer in members))
    rounded = [-(-buffer.size // step) * step for buffer in live]
    padding = max((whole - buffer.size for whole, buffer in zip(rounded, live)), default=0)
    fixed = max((one.address + one.size for one in live if one.address is not None), default=0)
    reached = max(sum(rounded) - padding, fixed)
    _hold(bound <= reached, f"only {reached} bytes are needed at instant {instant}, not {bound}")
    return tuple(buffer.id for buffer in live)
