"""Banks: what the tensor unit works on lies apart from what the data mover moves at the same time.

Two engines on one bank wait for one another on the chip; the cycle model does not charge for it. So banks
decide only among places that fit: they cost neither memory nor loads ahead. Where no placement keeps all
apart, a search moves one or two buffers at a time to other free places, by simulated annealing of the time
for which the engines meet.

Source: Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing" (1983).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from graphflow.runtime.bm1684.chip import ALIGNMENT, BANK_BYTES, LANE_BYTES
from graphflow.runtime.bm1684.compiler.schedule import Schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer, Step, Store

_SEARCHES = 3
"""Searches by other chances, of which the best counts: one alone is bad at times."""

_MOVES = 4_000
"""Moves of a search at most: about half a second."""

_MOVES_OF_MEETING = 100
"""The same for each meeting, so that little is searched where little can be won."""

_WARM = 1 / 30
_COLD = 1 / 20_000
"""The temperature at the start and at the end, of the seconds for which the engines meet at first."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A step of the tensor unit beside one move of the data mover.

    Attributes:
        seconds: for how long.
        worked: the buffers of the step.
        moved: the buffer that is loaded or stored meanwhile.
    """

    seconds: float
    worked: tuple[Buffer, ...]
    moved: Buffer


def meetings(made: Schedule) -> list[Meeting]:
    """All that happens at the same time; a buffer is not said to meet itself."""
    works: list[tuple[float, float, list[Buffer]]] = []
    moves: list[tuple[float, float, Buffer]] = []
    for item, (start, end) in zip(made.items, made.times):
        if not isinstance(item, Step):
            moves.append((start, end, item.buffer if isinstance(item, Store) else item))
        elif item.work is not None:
            works.append((start, end, list(dict.fromkeys(item.buffers()))))
    found, at = [], 0
    for start, end, worked in works:
        while at < len(moves) and moves[at][1] <= start:
            at += 1
        beside = at
        while beside < len(moves) and moves[beside][0] < end:
            since, until, moved = moves[beside]
            others = tuple([buffer for buffer in worked if buffer is not moved])
            seconds = min(end, until) - max(start, since)
            if others and seconds > 0:
                found.append(Meeting(seconds, others, moved))
            beside += 1
    return found


def between_engines(found: Sequence[Meeting]) -> list[tuple[Buffer, Buffer]]:
    """The pairs of buffers that meet."""
    return list(dict.fromkeys([(worked, one.moved) for one in found for worked in one.worked]))


def within_steps(steps: Sequence[Step]) -> list[tuple[Buffer, Buffer]]:
    """The pairs of an input, the coefficients and the output of one step."""
    pairs: dict[tuple[Buffer, Buffer], None] = {}
    for step in steps:
        if step.work is None or step.output is None:
            continue
        inputs, output = [buffer for buffer, _ in step.inputs], step.output[0]
        pairs.update(dict.fromkeys([(one, output) for one in (*inputs, *step.coefficients)]))
        pairs.update(dict.fromkeys([(one, other) for one in inputs for other in step.coefficients]))
    return [(one, other) for one, other in pairs if one is not other]


def settle(
    made: Schedule, offsets: dict[Buffer, int], found: Sequence[Meeting], moves: int = _MOVES
) -> dict[Buffer, int]:
    """Other offsets, at which the engines meet in a bank for less time; the given ones at worst.

    Arguments:
        offsets: of all buffers, of which no two overlap while both live.
        moves: of each search, at most.
    """
    best, least = offsets, math.inf
    for seed in range(_SEARCHES):
        search = _Search(made, offsets, found)
        seconds = search.run(min(moves, _MOVES_OF_MEETING * len(found)), random.Random(seed))
        if seconds < least:
            best, least = dict(zip(offsets, search.best)), seconds
        if least <= 0:
            break
    return best


class _Search:
    """Buffers by their numbers, with their places so far and the best ones."""

    def __init__(self, made: Schedule, offsets: dict[Buffer, int], found: Sequence[Meeting]) -> None:
        numbers = {buffer: number for number, buffer in enumerate(offsets)}
        first, last = np.array([made.lives[buffer] for buffer in offsets], np.int64).reshape(-1, 2).T
        self.sizes = [buffer.bytes for buffer in offsets]
        self.offsets = list(offsets.values())
        self.masks = [self.mask(number, offset) for number, offset in enumerate(self.offsets)]
        self.beside = [
            [other for other in np.flatnonzero((first <= end) & (start <= last)).tolist() if other != number]
            for number, (start, end) in enumerate(zip(first.tolist(), last.tolist()))
        ]
        self.found = [
            (one.seconds, tuple([numbers[buffer] for buffer in one.worked]), numbers[one.moved])
            for one in found
        ]
        self.of: list[list[int]] = [[] for _ in offsets]
        for index, (_, worked, moved) in enumerate(self.found):
            for number in (*worked, moved):
                self.of[number].append(index)
        self.best = list(self.offsets)

    def mask(self, number: int, offset: int) -> int:
        """The banks that a buffer would lie in, one bit each."""
        return (2 << (offset + self.sizes[number] - 1) // BANK_BYTES) - (1 << offset // BANK_BYTES)

    def seconds(self, indices: Sequence[int] | range) -> float:
        """For how long some of the meetings are in one bank."""
        total, masks = 0.0, self.masks
        for index in indices:
            seconds, worked, moved = self.found[index]
            if any([masks[number] & masks[moved] for number in worked]):
                total += seconds
        return total

    def run(self, moves: int, chance: random.Random) -> float:
        """Anneal; the seconds at the best places."""
        total = least = first = self.seconds(range(len(self.found)))
        for move in range(moves):
            if least <= 0:
                break
            heat = first * _WARM * (_COLD / _WARM) ** (move / moves)
            change = self.move(chance, heat)
            total += change
            if total < least - 1e-12:
                least, self.best = total, list(self.offsets)
        return least

    def move(self, chance: random.Random, heat: float) -> float:
        """Put one or two buffers elsewhere, or leave them: the change in seconds."""
        _, worked, moved = chance.choice(self.found)
        one = chance.choice((chance.choice(worked), moved))
        chosen = [one]
        if self.beside[one] and chance.random() < 0.5:
            chosen.append(chance.choice(self.beside[one]))
        before = {number: self.offsets[number] for number in chosen}
        touched = list(dict.fromkeys([index for number in chosen for index in self.of[number]]))
        seconds = self.seconds(touched)
        if self.put_anew(chosen, chance):
            change = self.seconds(touched) - seconds
            if change <= 0 or chance.random() < math.exp(-change / heat):
                return change
        for number, offset in before.items():
            self.put(number, offset)
        return 0.0

    def put_anew(self, chosen: Sequence[int], chance: random.Random) -> bool:
        """Put buffers at free places, each of which may be where a later one is still; whether there are."""
        for at, number in enumerate(chosen):
            places = self.places(number, chosen[at + 1 :])
            if not places:
                return False
            self.put(number, chance.choice(places))
        return True

    def put(self, number: int, offset: int) -> None:
        self.offsets[number], self.masks[number] = offset, self.mask(number, offset)

    def places(self, number: int, absent: Sequence[int]) -> list[int]:
        """Where a buffer could lie: at the ends of free ranges, and with an end at a border of banks."""
        size, found = self.sizes[number], set[int]()
        for low, high in self.free(number, absent):
            last = (high - size) // ALIGNMENT * ALIGNMENT
            found.update((low, last))
            found.update(range(-(-low // BANK_BYTES) * BANK_BYTES, last + 1, BANK_BYTES))
            ends = range(-(-(low + size) // BANK_BYTES) * BANK_BYTES, high + 1, BANK_BYTES)
            starts = [(end - size) // ALIGNMENT * ALIGNMENT for end in ends]
            found.update([start for start in starts if start >= low])
        return sorted(found)

    def free(self, number: int, absent: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The ranges that hold a buffer and are free for as long as it lives."""
        others = [other for other in self.beside[number] if other not in absent]
        taken = sorted([(self.offsets[other], self.offsets[other] + self.sizes[other]) for other in others])
        low, size = 0, self.sizes[number]
        for start, end in (*taken, (LANE_BYTES, LANE_BYTES)):
            if start // ALIGNMENT * ALIGNMENT - low >= size or start - low >= size:
                yield low, start
            low = max(low, -(-end // ALIGNMENT) * ALIGNMENT)
