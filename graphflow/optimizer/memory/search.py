"""A complete search for offsets within a capacity: placing from the bottom up, with pruning.

The search looks for bottom-justified placements: each buffer lies at 0 or on one that is live with it,
and where there is a placement there is such a one (push every buffer down, the lowest first). A state
knows for each buffer the lowest offset that is left to it, `low`. A step takes a buffer under which
nothing else fits any more, and either places it at its low or learns that it lies on something not
yet placed, which raises its low. So no placement is met twice.

Only instants with a maximal set of live buffers count ("sections"). A state is given up when in some
section the lowest of the open buffers, or those above the first gap, do not fit below the capacity;
if only one buffer can be the lowest of a section, the others lie on it. Where no open buffer crosses
an instant the two sides are solved one after the other, and the first is not solved again because
the second fails. Sections that were the end of many states are decided early.

Source: Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning"
(ASPLOS 2023) for canonical placements, inference by section and the splitting; Boussemart et al.,
"Boosting Systematic Search by Weighting Constraints" (ECAI 2004) for the weights.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes

PLACED = 2**62  # the low of a buffer that has its offset
_EASE = 0.002  # of the capacity: slack below which a section counts as tight
_CLOCK = 63  # states between two looks at the clock
_TIDY = 16  # placements between two removals of the placed from a part


@dataclass(frozen=True, slots=True)
class Strategy:
    """What decides the next step of a search.

    Attributes:
        by_floor: take the section whose open buffers start lowest, not that with the fewest choices.
        choices: by floor, how many bytes (as a part of the capacity) a choice more counts for.
        weight: the power of a section's failures.
        total: judge a buffer by the waste in all its sections, not by that in the worst.
        length, size: what a long life and many bytes count for.
        noise: how much chance counts for.
    """

    by_floor: bool
    choices: float
    weight: float
    total: bool
    length: float
    size: float
    noise: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> Strategy:
        """One of many that work; which one works best differs from instance to instance."""
        return cls(
            by_floor=bool(random.random() < 0.9),
            choices=float(10 ** random.uniform(-2.3, -1.0)),
            weight=float(random.choice([0.5, 1.0])),
            total=bool(random.random() < 0.5),
            length=float(random.random()),
            size=float(random.random()),
            noise=float(random.choice([0.03, 0.1, 0.2])),
        )


class Outcome(NamedTuple):
    """How a search ended: offsets, or None; whether nothing was left to look at; how many states it took."""

    offsets: np.ndarray | None
    is_complete: bool
    states: int


class _Part(NamedTuple):
    """A range of sections that is being solved, and how much of the stack was there before it."""

    start: int
    stop: int
    height: int
    around: _Part | None
    members: np.ndarray  # the open buffers of each section, one section a column, filled up with none
    sizes: np.ndarray


class _State(NamedTuple):
    low: np.ndarray
    open_bytes: np.ndarray  # by section
    crossing: np.ndarray  # by boundary before each section, the open buffers on both sides of it
    depth: int
    step: tuple[int, int] | None
    part: _Part


class _View(NamedTuple):
    """What the sections of the current part say."""

    floor: np.ndarray
    slack: np.ndarray
    choices: np.ndarray  # the buffers of each column that can be the lowest
    numbers: np.ndarray  # of choices, by section


class Search:
    """The buffers of one partition, ready to be searched many times."""

    def __init__(self, buffers: Lifetimes) -> None:
        self.buffers = buffers
        self.first, self.last, sections = maximal_sections(buffers.first, buffers.last)
        self.weight = np.ones(sections)
        self._size = np.append(buffers.size, 0)
        self._is_plain = buffers.is_plain
        places = np.arange(sections + 1)
        self._live = (self.first[:, None] <= places[:-1]) & (places[:-1] < self.last[:, None])
        self._open_bytes = buffers.size @ self._live
        self._crossing = ((self.first[:, None] < places) & (places < self.last[:, None])).sum(0)
        is_fixed = buffers.address >= 0
        self._latest = np.where(is_fixed, buffers.address, PLACED - 1) if is_fixed.any() else None
        self._low = np.append(np.maximum(buffers.address, 0), PLACED)
        self._near_to: dict[int, np.ndarray] = {}
        self._twins = _twins(buffers, self.first, self.last)
        self._part = self._whole()

    @property
    def work(self) -> float:
        """What a state costs, compared with a small search."""
        return 1 + self._part.members.size / 8000

    def run(
        self,
        capacity: int,
        strategy: Strategy,
        random: np.random.Generator,
        limit: int,
        deadline: float | None,
    ) -> Outcome:
        """Search until offsets are found, nothing is left, or `limit` states or the time are spent."""
        self._capacity, self._strategy, self._random = capacity, strategy, random
        self._taste = strategy.length * (self.last - self.first) / len(self.weight)
        self._taste += strategy.size * self.buffers.size / max(capacity, 1)
        stack = [_State(self._low, self._open_bytes, self._crossing, 0, None, self._part)]
        steps: list[tuple[int, int]] = []
        for states in range(1, limit + 1):
            if not stack:
                return Outcome(None, True, states)
            if states & _CLOCK == 0 and deadline is not None and time.monotonic() > deadline:
                return Outcome(None, False, states)
            state = stack.pop()
            del steps[state.depth - (state.step is not None) :]
            if state.step is not None:
                steps.append(state.step)
            if len(steps) == len(self.buffers):
                return Outcome(self._offsets(steps), False, states)
            part = self._unsolved(state, stack)
            inferred = self._infer(state.low, state.open_bytes, part)
            if inferred is not None:
                self._branch(state._replace(low=inferred[0], part=part), inferred[1], stack)
        return Outcome(None, False, limit)

    def _offsets(self, steps: list[tuple[int, int]]) -> np.ndarray:
        offsets = np.zeros(len(self.buffers), np.int64)
        for buffer, offset in steps:
            offsets[buffer] = offset
        return offsets

    # Parts

    def _whole(self) -> _Part:
        """All sections, with all buffers."""
        order = np.argsort(~self._live, axis=0, kind="stable")[: int(self._live.sum(0).max(initial=0))]
        members = np.where(np.take_along_axis(self._live, order, 0), order, len(self.buffers))
        return _Part(0, len(self.weight), 0, None, members, self._size[members])

    def _within(self, part: _Part, low: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The open buffers of some sections of a part, and their sizes."""
        members = part.members[:, start - part.start : stop - part.start]
        is_open = low[members] < PLACED
        order = np.argsort(~is_open, axis=0, kind="stable")[: int(is_open.sum(0).max(initial=0))]
        members = np.take_along_axis(np.where(is_open, members, len(self.buffers)), order, 0)
        return members, self._size[members]

    @staticmethod
    def _unsolved(state: _State, stack: list[_State]) -> _Part:
        """The innermost part with something open; what was left to try in solved ones is dropped."""
        part = state.part
        while part.around is not None and not state.open_bytes[part.start : part.stop].any():
            del stack[part.height :]
            part = part.around
        return part

    def _narrowed(self, state: _State, section: int, height: int) -> _Part:
        """The part around a section that no open buffer leaves."""
        part = state.part
        cuts = np.flatnonzero(state.crossing[part.start + 1 : part.stop] == 0) + part.start + 1
        if not len(cuts):
            if state.depth % _TIDY == _TIDY - 1:
                members, sizes = self._within(part, state.low, part.start, part.stop)
                return part._replace(members=members, sizes=sizes)
            return part
        at = int(np.searchsorted(cuts, section, side="right"))
        start = int(cuts[at - 1]) if at else part.start
        stop = int(cuts[at]) if at < len(cuts) else part.stop
        return _Part(start, stop, height, part, *self._within(part, state.low, start, stop))

    # Pruning

    def _infer(self, low: np.ndarray, open_bytes: np.ndarray, part: _Part) -> tuple[np.ndarray, _View] | None:
        """The lows with what follows from them, and what the sections then say; None for a dead end."""
        needed = open_bytes[part.start : part.stop]
        highest = self._capacity - needed
        used = needed > 0
        while True:
            if self._latest is not None and ((low[:-1] > self._latest) & (low[:-1] < PLACED)).any():
                return None
            lows = low[part.members]
            floor = lows.min(0)
            slack = highest - floor
            choices = lows <= highest
            above = np.where(choices, PLACED, lows).min(0)
            taken = np.where(choices, part.sizes, 0).sum(0)
            gap = (above < PLACED) & (above + needed - taken > self._capacity)
            failing = used & (gap | (slack < 0))
            if failing.any():
                self.weight[part.start + int(failing.argmax())] += 1
                return None
            count = choices.sum(0)
            # The only choice for the lowest of a section lies under all the others.
            under = np.flatnonzero((count == 1) & (above < floor + taken))
            if not len(under):
                return low, _View(floor, slack, choices, count)
            row, column = np.nonzero(~choices[:, under] & (lows[:, under] < (floor + taken)[under]))
            low = low.copy()
            np.maximum.at(low, part.members[row, under[column]], (floor + taken)[under[column]])
            low = self._rounded(low)

    def _rounded(self, low: np.ndarray) -> np.ndarray:
        """Lows at which the buffers may begin."""
        if not self._is_plain:
            low[:-1] = np.where(low[:-1] < PLACED, self.buffers.rounded(low[:-1]), PLACED)
        return low

    # Branching

    def _branch(self, state: _State, view: _View, stack: list[_State]) -> None:
        """Push both ways to go on: the buffer not at its low, and, on top, the buffer placed there."""
        section = self._section(state, view)
        buffer, nearest = self._ready(state.low, self._choice(state, view, section))
        part = self._narrowed(state, section, len(stack))
        offset, size = int(state.low[buffer]), int(self._size[buffer])
        if nearest < PLACED and self.buffers.address[buffer] < 0:
            low = state.low.copy()
            low[self._same(low, buffer)] = nearest
            stack.append(state._replace(low=self._rounded(low), step=None, part=part))
        low = np.maximum(state.low, self._near(buffer) * (offset + size))
        if self.buffers.apart:
            others = self._apart(buffer)
            low[others] = np.maximum(low[others], self.buffers.bank_end(offset + size))
        low[buffer] = PLACED
        open_bytes, crossing = state.open_bytes.copy(), state.crossing.copy()
        first, last = self.first[buffer], self.last[buffer]
        open_bytes[first:last] -= size
        crossing[first + 1 : last] -= 1
        step = (buffer, offset)
        stack.append(_State(self._rounded(low), open_bytes, crossing, state.depth + 1, step, part))

    def _section(self, state: _State, view: _View) -> int:
        part, strategy = state.part, self._strategy
        key = view.numbers / self.weight[part.start : part.stop] ** strategy.weight
        if strategy.by_floor:
            key = view.floor / self._capacity + strategy.choices * key
        key = np.where(state.open_bytes[part.start : part.stop] > 0, key, np.inf)
        return part.start + int(key.argmin())

    def _choice(self, state: _State, view: _View, section: int) -> int:
        """Of the buffers that can be the lowest of a section one that wastes little, or is long or large."""
        part, column = state.part, section - state.part.start
        buffers = part.members[view.choices[:, column], column]
        if len(buffers) == 1:
            return int(buffers[0])
        waste = (state.low[buffers][:, None] - view.floor) / (view.slack + _EASE * self._capacity)
        waste *= self._live[buffers, part.start : part.stop]
        cost = 2 * (waste.sum(1) if self._strategy.total else waste.max(1)) - self._taste[buffers]
        return int(buffers[(cost + self._strategy.noise * self._random.random(len(buffers))).argmin()])

    def _ready(self, low: np.ndarray, buffer: int) -> tuple[int, int]:
        """The buffer, or one that fits under it; and the lowest top that it could lie on instead."""
        while True:
            tops = low + self._size
            if self.buffers.apart:
                others = self._apart(buffer)
                tops[others] = self.buffers.bank_end(tops[others])
            tops = np.where(self._near(buffer), tops, PLACED)
            lowest = int(tops.argmin())
            if tops[lowest] > low[buffer]:
                tops[self._same(low, buffer)] = PLACED
                return buffer, min(int(tops.min()), PLACED)
            buffer = lowest

    def _near(self, buffer: int) -> np.ndarray:
        """Which buffers live at the same time as this one."""
        near = self._near_to.get(buffer)
        if near is None:
            near = np.zeros(len(self._size), bool)
            near[:-1] = (self.first < self.last[buffer]) & (self.first[buffer] < self.last)
            near[buffer] = False
            self._near_to[buffer] = near
        return near

    def _apart(self, buffer: int) -> np.ndarray:
        """Which buffers may share no bank with this one."""
        return self.buffers.apart.get(buffer, np.empty(0, np.int64))

    def _same(self, low: np.ndarray, buffer: int) -> np.ndarray:
        """The buffer, and its twins in the same state: what is learned of one holds for all."""
        twins = self._twins[buffer]
        return twins[low[twins] == low[buffer]]


def maximal_sections(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Lives counted in the instants with a maximal set of live buffers, and the number of those.

    >>> maximal_sections(np.array([0, 2, 2, 7]), np.array([3, 9, 5, 9]))
    (array([0, 0, 0, 1]), array([1, 2, 1, 2]), 2)
    """
    instants = np.unique(np.concatenate([first, last]))
    is_birth, is_death = np.isin(instants, first), np.isin(instants, last)
    maximal = []
    grown = False
    for place in range(len(instants) - 1):
        grown = grown or bool(is_birth[place])
        if grown and is_death[place + 1]:
            maximal.append(instants[place])
            grown = False
    return np.searchsorted(maximal, first), np.searchsorted(maximal, last), len(maximal)


def _twins(buffers: Lifetimes, first: np.ndarray, last: np.ndarray) -> list[np.ndarray]:
    """For each buffer those that can take its place: itself, and what differs in nothing."""
    groups: dict[Any, list[int]] = {}
    keys = []
    for index in range(len(buffers)):
        is_single = buffers.address[index] >= 0 or index in buffers.apart
        row = (int(first[index]), int(last[index]), int(buffers.size[index]), int(buffers.alignment[index]))
        keys.append(index if is_single else row)
        groups.setdefault(keys[-1], []).append(index)
    arrays = {key: np.array(members) for key, members in groups.items()}
    return [arrays[key] for key in keys]
