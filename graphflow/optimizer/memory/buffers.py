"""What is to be placed and what comes of it: buffers, banks, allocations, and checks of what is asked."""

from __future__ import annotations

import operator
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory.lifetimes import Lifetimes

LARGEST = 2**60


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
class Banks:
    """A space in banks: bank k is the bytes from k * bytes up to (k + 1) * bytes.

    Attributes:
        bytes: the size of a bank.
        within: whether a buffer lies in one bank; one that is larger begins at the start of a bank.
        apart: pairs of buffer ids that have no bank in common while both are live, for units that
            read the one while they write the other.

    >>> from graphflow.optimizer.memory import allocate
    >>> image, result = Buffer("image", 0, 2, 100), Buffer("result", 1, 3, 100)
    >>> allocate([image, result], banks=Banks(256, apart=[("image", "result")])).offsets
    {'image': 0, 'result': 256}
    """

    bytes: int
    within: bool = True
    apart: Sequence[tuple[Hashable, Hashable]] = ()


@dataclass(frozen=True, slots=True)
class Arena:
    """One space of an allocation.

    Attributes:
        arena_bytes: the bytes up to the end of its highest buffer.
        lower_bound_bytes: the bytes that every placement needs.
        peak_instant: the instant that sets this bound.
        proved_bytes: no placement needs less than this; a complete search can show more than the bound does.
    """

    arena_bytes: int
    lower_bound_bytes: int
    peak_instant: int
    proved_bytes: int

    @property
    def is_smallest(self) -> bool:
        """Whether it is known that no smaller arena will do."""
        return self.arena_bytes == self.proved_bytes


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


def by_space(buffers: Iterable[Buffer]) -> dict[str, list[Buffer]]:
    """The buffers of each space.

    Raises:
        MemoryPlanError: for buffers that contradict themselves, or ids that are not unique.
    """
    spaces: dict[str, list[Buffer]] = {}
    seen: set[Hashable] = set()
    total = 0
    for buffer in buffers:
        check_buffer(buffer)
        if buffer.id in seen:
            raise MemoryPlanError(f"two buffers have the id {buffer.id!r}", hint="give each its own id")
        seen.add(buffer.id)
        total = max(total + buffer.size + buffer.alignment, buffer.address or 0)
        if total > LARGEST:
            raise MemoryPlanError(
                f"buffer {buffer.id!r} takes the sum of the sizes above 2**60 bytes",
                hint="count sizes in larger units, such as pages, if they are right",
            )
        spaces.setdefault(buffer.space, []).append(buffer)
    return spaces


def check_buffer(buffer: Buffer) -> None:
    """Raise for a buffer that contradicts itself.

    Raises:
        MemoryPlanError: with the fields that do not go together.
    """
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
    if max(abs(first), abs(last), alignment) > LARGEST:
        raise MemoryPlanError(
            f"buffer {buffer.id!r} has an instant or alignment above 2**60", hint="count instants from 0"
        )


def lifetimes_of(members: Sequence[Buffer], banks: Banks | None) -> Lifetimes:
    """The buffers of one space as arrays.

    Raises:
        MemoryPlanError: for banks that no alignment agrees with, and fixed addresses that do not go together.
    """
    rows = [
        (one.first, one.last, one.size, one.alignment, -1 if one.address is None else one.address)
        for one in members
    ]
    first, last, size, alignment, address = np.array(rows, np.int64).reshape(-1, 5).T.copy()
    used = (size > 0) & (first < last)
    found = Lifetimes(first, np.where(used, last, first), np.where(used, size, 0), alignment, address)
    if banks is not None:
        found = _banked(members, found, banks)
    _check_fixed(members, found)
    return found


def _banked(members: Sequence[Buffer], lifetimes: Lifetimes, banks: Banks) -> Lifetimes:
    if not isinstance(banks.bytes, int) or not 0 < banks.bytes <= LARGEST:
        raise MemoryPlanError(f"a bank of {banks.bytes!r} bytes", hint="give the size of a bank in bytes")
    for buffer in members:
        if buffer.alignment % banks.bytes and banks.bytes % buffer.alignment:
            raise MemoryPlanError(
                f"the alignment {buffer.alignment} of buffer {buffer.id!r} and the bank size {banks.bytes} "
                "do not divide one another",
                hint="use powers of two",
            )
    places = {buffer.id: index for index, buffer in enumerate(members)}
    apart: dict[int, list[int]] = {}
    for one, other in banks.apart:
        if one not in places or other not in places or one == other:
            raise MemoryPlanError(
                f"{one!r} and {other!r} are to lie apart, but are not two buffers of the space",
                hint="name pairs of ids of buffers in the space that has the banks",
            )
        a, b = places[one], places[other]
        meet = lifetimes.first[a] < lifetimes.last[b] and lifetimes.first[b] < lifetimes.last[a]
        if meet and lifetimes.size[a] and lifetimes.size[b]:
            apart.setdefault(a, []).append(b)
            apart.setdefault(b, []).append(a)
    return replace(
        lifetimes,
        bank=banks.bytes,
        is_banked=banks.within,
        apart={index: np.array(sorted(set(others))) for index, others in apart.items()},
    )


def _check_fixed(members: Sequence[Buffer], lifetimes: Lifetimes) -> None:
    """Raise if fixed addresses break a bank or if two that live together overlap."""
    fixed = np.flatnonzero((lifetimes.address >= 0) & (lifetimes.first < lifetimes.last))
    for index in fixed[lifetimes.rounded(lifetimes.address)[fixed] != lifetimes.address[fixed]]:
        raise MemoryPlanError(
            f"the fixed buffer {_fixed_text(members[index])} crosses a border between banks of "
            f"{lifetimes.bank} bytes",
            hint="fix it elsewhere, or allow it with Banks(within=False)",
        )
    for index in fixed[np.isin(fixed, list(lifetimes.apart))].tolist():
        for other in lifetimes.apart[index].tolist():
            if lifetimes.address[other] >= 0 and _share_a_bank(lifetimes, index, other):
                raise MemoryPlanError(
                    f"the fixed buffers {_fixed_text(members[index])} and {_fixed_text(members[other])} "
                    "are to lie apart, but have a bank in common",
                    hint="move one of them, or leave its address open",
                )
    _check_overlap(members, lifetimes, fixed)


def _share_a_bank(lifetimes: Lifetimes, one: int, other: int) -> bool:
    starts = lifetimes.address // lifetimes.bank
    ends = (lifetimes.address + lifetimes.size - 1) // lifetimes.bank
    return bool(starts[one] <= ends[other] and starts[other] <= ends[one])


def _check_overlap(members: Sequence[Buffer], lifetimes: Lifetimes, fixed: np.ndarray) -> None:
    """Sweep by time, and compare neighbours by address."""
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
