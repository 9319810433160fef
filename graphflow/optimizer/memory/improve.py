"""Lowering an arena by search: partition by partition, to one target after another, within a budget.

The complete search and the beam take turns, and are started again and again, each time with another
strategy. Runs have 1, 1, 2, 1, 1, 2, 4, ... times the same length, or width, which is near the best
whatever the unknown time to a solution is distributed like. A run of the complete search that ends by
itself is a proof that the target is out of reach, unless its strategy is bold.

A capacity is the only target where there is one. Else the bound and half the way from there to the best
so far are given the same work, each until it is missed, and twice the work in each round.

Source: Luby, Sinclair and Zuckerman, "Optimal Speedup of Las Vegas Algorithms" (1993).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from graphflow.optimizer.memory.beam import Beam, Taste
from graphflow.optimizer.memory.lifetimes import Lifetimes
from graphflow.optimizer.memory.search import Search, Strategy

_RUN = 250  # states of the shortest run, besides those that it takes to place everything twice
_LARGEST = 4096  # buffers in a partition; with more, a state takes too long and too much memory
_TARGETS = (0, 1)  # of a round, in halves of the way from the bound to the best
_BEAMS_TO_FIT = 1 / 3  # of the search's work goes into beams where a capacity is given: it is tight then
_EVEN = 150  # buffers that the search and beams share the work for; beams have more of it for more of them
_NARROW = 2  # of the narrowest beams that the first targets have the work for
_WIDTH = 32  # placements of the narrowest beam
_WIDTH_TO_FIT = 16  # the same where there is a capacity
_RUNG = 1000.0  # the work that a target is given at first


@dataclass
class Improved:
    """The best offsets found, and the bytes below which a search has shown that none exist."""

    offsets: np.ndarray
    lower_bound: int


class _Partition:
    """Buffers that no other buffer lives together with, and the search for them."""

    def __init__(self, buffers: Lifetimes, members: np.ndarray, offsets: np.ndarray, is_to_fit: bool) -> None:
        self.members = members
        self.buffers = buffers.part(members)
        self.offsets = offsets[members]
        self.height = self.buffers.arena(self.offsets)
        self._width = _WIDTH_TO_FIT if is_to_fit else _WIDTH
        self._beams = _BEAMS_TO_FIT if is_to_fit else len(members) / _EVEN
        self._search: Search | None = None
        self._beam: Beam | None = None
        self._random = np.random.default_rng(0)
        self._search_runs = self._beam_runs = 0
        self._search_work = self._beam_work = 0.0

    def prepare(self) -> float:
        """Get ready for searching, and tell the work of the narrowest beam."""
        if self._search is None:
            self._search = Search(self.buffers)
            if Beam.can_place(self.buffers):
                self._beam = Beam(self.buffers, self._search.sections)
        return self._beam.work(self._width) if self._beam is not None else 0.0

    def lower(self, target: int, work: float, deadline: float | None) -> tuple[bool, float]:
        """Search for offsets within the target: whether there can be any, and the work that took."""
        self.prepare()
        assert self._search is not None
        left = work
        while self.height > target and not _is_over(deadline):
            width = _factor(self._beam_runs) * self._width
            length = int(left / self._search.work)
            while width > self._width and self._beam is not None and self._beam.work(width) > left:
                width //= 2
            is_turn = self._beam_work < self._beams * self._search_work
            if is_turn and self._beam is not None and self._beam.work(width) <= left:
                left -= self._run_beam(self._beam, target, width, deadline)
            elif length < len(self.members):
                return True, work
            else:
                is_possible, taken = self._run_search(self._search, target, length, deadline)
                left -= taken
                if not is_possible:
                    return False, work - left
        return True, work - left

    def _run_search(
        self, search: Search, target: int, most: int, deadline: float | None
    ) -> tuple[bool, float]:
        length = min((_RUN + 2 * len(self.members)) * _factor(self._search_runs), most)
        self._search_runs += 1
        outcome = search.run(target, Strategy.draw(self._random), self._random, length, deadline)
        taken = outcome.states * search.work
        self._search_work += taken
        self._keep(outcome.offsets)
        return not outcome.is_complete, taken

    def _run_beam(self, beam: Beam, target: int, width: int, deadline: float | None) -> float:
        self._beam_runs += 1
        taste = Taste.draw(width, self._random)
        outcome = beam.run(target, taste, self._random, deadline)
        taken = beam.work(width) * outcome.states / len(self.members)
        self._beam_work += taken
        self._keep(outcome.offsets)
        return taken

    def _keep(self, offsets: np.ndarray | None) -> None:
        if offsets is not None and self.buffers.arena(offsets) < self.height:
            self.offsets, self.height = offsets, self.buffers.arena(offsets)


def improve(
    buffers: Lifetimes,
    offsets: np.ndarray,
    bound: int,
    capacity: int | None,
    work: float,
    deadline: float | None,
) -> Improved:
    """Offsets with a smaller arena than the given ones, as far as the budget goes.

    Arguments:
        bound: bytes that every placement needs.
        capacity: where the search may stop; None for the smallest arena there is.
        work: about how many states of a small instance to look at, without a deadline.
        deadline: of time.monotonic(), up to which to search instead.
    """
    is_to_fit = capacity is not None
    partitions = [_Partition(buffers, members, offsets, is_to_fit) for members in _partitions(buffers)]
    ladder = _Ladder(partitions, bound, capacity)
    ladder.rung = _first_rung(partitions, ladder, work if deadline is None else np.inf)
    while not ladder.is_done and work > 0 and not _is_over(deadline):
        target = ladder.next_target()
        is_possible, spent = _lower_all(partitions, target, min(ladder.rung, work), deadline)
        work -= spent if deadline is None else 0
        ladder.learn(target, is_possible)
    best = offsets.copy()
    for one in partitions:
        best[one.members] = one.offsets
    return Improved(best, ladder.proved)


def _first_rung(partitions: list[_Partition], ladder: _Ladder, work: float) -> float:
    searched = [one.prepare() for one in partitions if ladder.lowest < one.height]
    return max(_RUNG, min(_NARROW * max(searched, default=0.0), work / len(_TARGETS)))


class _Ladder:
    """What to aim at next: the bound, some arenas below the one at hand, and all again with more work."""

    def __init__(self, partitions: list[_Partition], bound: int, capacity: int | None) -> None:
        self._partitions = partitions
        self._capacity = capacity
        self._turns = 0
        self.rung = _RUNG
        self.proved = bound
        self.lowest = max([bound, *(one.height for one in partitions if len(one.members) > _LARGEST)])

    @property
    def height(self) -> int:
        """The arena at hand."""
        return max((one.height for one in self._partitions), default=0)

    @property
    def is_done(self) -> bool:
        """Whether the arena is small enough, or cannot become smaller."""
        if self._capacity is not None and self.lowest > self._capacity:
            return True
        return self.height <= (self.lowest if self._capacity is None else self._capacity)

    def next_target(self) -> int:
        """The bytes to aim at."""
        if self._capacity is not None:
            return self._capacity
        halves = _TARGETS[self._turns % len(_TARGETS)]
        self._turns += 1
        return self.lowest + (self.height - self.lowest) * halves // len(_TARGETS)

    def learn(self, target: int, is_possible: bool) -> None:
        """Take in how the search for a target went."""
        if not is_possible:
            self.proved = self.lowest = target + 1
        elif self._capacity is None and self.height <= target:
            self._turns -= 1  # the same part of the way again, which is shorter now
        elif self._capacity is not None or self._turns % len(_TARGETS) == 0:
            self.rung *= 2


def _factor(runs: int) -> int:
    """How many times the shortest length the next run has, after some."""
    return (runs + 1) & -(runs + 1)


def _lower_all(
    partitions: list[_Partition], target: int, work: float, deadline: float | None
) -> tuple[bool, float]:
    spent = 0.0
    for one in partitions:
        if one.height > target:
            is_possible, taken = one.lower(target, work, deadline)
            spent += taken
            if not is_possible or one.height > target:
                return is_possible, spent
    return True, spent


def _partitions(buffers: Lifetimes) -> list[np.ndarray]:
    """The indices of the buffers between instants that no buffer crosses."""
    used = np.flatnonzero(buffers.size > 0)
    order = used[np.lexsort((used, buffers.first[used]))]
    if not len(order):
        return []
    ends = np.maximum.accumulate(buffers.last[order])
    return np.split(order, np.flatnonzero(buffers.first[order][1:] >= ends[:-1]) + 1)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
