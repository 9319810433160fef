"""Lowering an arena by search: partition by partition, to one target after another, within a budget.

A search is started again and again, each time with another strategy and the weights it has learned;
runs have 1, 1, 2, 1, 1, 2, 4, ... times the same length, which is near the best whatever the unknown
time to a solution is distributed like. A run that ends by itself is a proof that the target is out
of reach, unless its strategy is bold.

Source: Luby, Sinclair and Zuckerman, "Optimal Speedup of Las Vegas Algorithms" (1993).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes
from graphflow.optimizer.memory.search import Search, Strategy

_RUN = 250  # states of the shortest run, besides those that it takes to place everything twice
_LARGEST = 4096  # buffers in a partition; with more, a state takes too long and too much memory
_FOR_BOUND = 4  # rungs of work for the lower bound itself from the second time on; mostly it is within reach
_RUNG = 1000.0  # the work that a target is given at first


@dataclass
class Improved:
    """The best offsets found, and the bytes below which a search has shown that none exist."""

    offsets: np.ndarray
    lower_bound: int


class _Partition:
    """Buffers that no other buffer lives together with, and the search for them."""

    def __init__(self, buffers: Lifetimes, members: np.ndarray, offsets: np.ndarray) -> None:
        self.members = members
        self.buffers = buffers.part(members)
        self.offsets = offsets[members]
        self.height = self.buffers.arena(self.offsets)
        self._search: Search | None = None
        self._random = np.random.default_rng(0)
        self._runs = 0

    def lower(self, target: int, work: float, deadline: float | None) -> tuple[bool, float]:
        """Search for offsets within the target: whether there can be any, and the work that took."""
        if self._search is None:
            self._search = Search(self.buffers)
        spent = 0.0
        while self.height > target and not _is_over(deadline):
            affordable = int((work - spent) / self._search.work)
            if affordable < len(self.members):
                return True, work
            self._runs += 1
            shortest = _RUN + 2 * len(self.members)
            length = min(shortest * (self._runs & -self._runs), affordable)
            strategy = Strategy.draw(self._random)
            outcome = self._search.run(target, strategy, self._random, length, deadline)
            spent += outcome.states * self._search.work
            if outcome.is_complete:
                return False, spent
            if outcome.offsets is not None:
                self.offsets = outcome.offsets
                self.height = self.buffers.arena(self.offsets)
        return True, spent


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
    partitions = [_Partition(buffers, members, offsets) for members in _partitions(buffers)]
    ladder = _Ladder(partitions, bound, capacity)
    while not ladder.is_done and work > 0 and not _is_over(deadline):
        target = ladder.next_target()
        is_possible, spent = _lower_all(partitions, target, min(ladder.share(target), work), deadline)
        work -= spent if deadline is None else 0
        ladder.learn(target, is_possible)
    best = offsets.copy()
    for one in partitions:
        best[one.members] = one.offsets
    return Improved(best, ladder.proved)


class _Ladder:
    """What to aim at next: the bound; then halfway to the arena at hand; then all again with more work."""

    def __init__(self, partitions: list[_Partition], bound: int, capacity: int | None) -> None:
        self._partitions = partitions
        self._capacity = capacity
        self.rung = _RUNG
        self.proved = bound
        self.lowest = max([bound, *(one.height for one in partitions if len(one.members) > _LARGEST)])
        self._failed: int | None = None
        self._near = bound // 200

    def share(self, target: int) -> float:
        """The work that a target is given."""
        is_worth_more = target == self.lowest and self.rung > _RUNG
        return self.rung * (_FOR_BOUND if is_worth_more else 1)

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
        if self._failed is not None and self.height - self._failed > max(self._near, 1):
            return (self._failed + self.height) // 2
        if self._failed is not None:
            self.rung *= 2
            self._near //= 2
        return self.lowest

    def learn(self, target: int, is_possible: bool) -> None:
        """Take in how the search for a target went."""
        if not is_possible:
            self.proved = self.lowest = target + 1
        if self._capacity is not None:
            self.rung *= 2
        elif self.height > target:
            self._failed = target


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
