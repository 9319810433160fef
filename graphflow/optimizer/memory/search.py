"""A complete search for offsets within a capacity: placing from the bottom up, with pruning.

The search looks for bottom-justified placements: each buffer lies at 0 or on one that is live with it,
and where there is a placement there is such a one (push every buffer down, the lowest first). A state
knows for each buffer the lowest offset that is left to it, `low`. A step takes a buffer under which
nothing else fits any more, and either places it at its low or learns that it lies on something not
yet placed, which raises its low. So no placement is met twice.

Only instants with a maximal set of live buffers count ("sections"). A state is given up when in some
section the open buffers from some low on do not fit below the capacity. What is not the lowest of a
section lies on the lowest that can be. Sections that were the end of many states are decided early.

A state also knows `why` each low is as high as it is: the steps that it follows from. A dead end goes
back to the last step that it follows from, past those that have nothing to do with it; if it follows
from none, there is no placement.

Source: Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning"
(ASPLOS 2023) for canonical placements and inference by section; Prosser, "Hybrid Algorithms for the
Constraint Satisfaction Problem" (1993) for going back by conflicts; Boussemart et al., "Boosting
Systematic Search by Weighting Constraints" (ECAI 2004) for the weights.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes
from graphflow.optimizer.memory.sections import PLACED, Part, Sections, twins

_EASE = 0.002  # of the capacity: slack below which a section counts as tight
_CLOCK = 63  # states between two looks at the clock
_TIDY = 16  # placements between two removals of the placed from a part
_FADING = 0.98  # a later run is the deepest so far if it places this part of what an earlier one did
_BLAMED = 12  # sections of a dead end, whose reasons are compared


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
        habit: what it counts for that a buffer lay there in the run that had placed most.
        is_bold: go back as if what lies under a buffer had nothing to do with where else it could lie; that
            can miss placements, and so proves nothing, but goes back further.
    """

    by_floor: bool
    choices: float
    weight: float
    total: bool
    length: float
    size: float
    noise: float
    habit: float
    is_bold: bool

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
            habit=float(random.choice([0.0, 0.5])),
            is_bold=bool(random.random() < 0.5),
        )


class Outcome(NamedTuple):
    """How a search ended: offsets, or None; whether nothing was left to look at; how many states it took."""

    offsets: np.ndarray | None
    is_complete: bool
    states: int


class _State(NamedTuple):
    low: np.ndarray
    why: list[int]  # for each buffer, one bit for each step that its low follows from
    open_bytes: np.ndarray  # by section
    crossing: np.ndarray  # by boundary before each section, the open buffers on both sides of it
    part: Part


class _Step(NamedTuple):
    """A buffer placed at its low, and the lowest top on which it could lie instead."""

    before: _State
    buffer: int
    offset: int
    nearest: int


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
        self.sections = Sections(buffers)
        self.weight = np.ones(self.sections.count)
        self._habit = np.full(len(buffers), -1)
        self._most = 0  # buffers placed at once in the run that the habits are from
        self._size = self.sections.sizes
        self._is_plain = buffers.is_plain
        is_fixed = buffers.address >= 0
        self._latest = np.where(is_fixed, buffers.address, PLACED - 1) if is_fixed.any() else None
        low = np.append(np.maximum(buffers.address, 0), PLACED)
        why = [0] * (len(buffers) + 1)
        self._start = _State(
            low, why, self.sections.open_bytes, self.sections.crossing, self.sections.whole()
        )
        self._twins = twins(buffers, self.sections.first, self.sections.last)

    @property
    def work(self) -> float:
        """What a state costs, compared with a small search."""
        return 1 + self._start.part.members.size / 8000

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
        self._taste = strategy.length * (self.sections.last - self.sections.first) / len(self.weight)
        self._taste += strategy.size * self.buffers.size / max(capacity, 1)
        self._most = int(_FADING * self._most)
        steps: list[_Step] = []
        state: _State | None = self._start
        for states in range(1, limit + 1):
            if state is None:
                return Outcome(None, not strategy.is_bold, states)
            if states & _CLOCK == 0 and deadline is not None and time.monotonic() > deadline:
                return Outcome(None, False, states)
            if len(steps) == len(self.buffers):
                return Outcome(_offsets(steps, len(steps)), False, states)
            found = self._infer(state)
            if isinstance(found, int):
                state = self._back(found, steps)
            else:
                state = self._place(*found, steps)
        return Outcome(None, False, limit)

    # Pruning

    def _infer(self, state: _State) -> tuple[_State, _View] | int:
        """The state with what follows from it, and what its sections then say; or why it is a dead end."""
        low, why, part = state.low, state.why, state.part
        while part.around is not None and not state.open_bytes[part.start : part.stop].any():
            part = part.around
        needed = state.open_bytes[part.start : part.stop]
        highest = self._capacity - needed
        used = needed > 0
        while True:
            if self._latest is not None:
                late = np.flatnonzero((low[:-1] > self._latest) & (low[:-1] < PLACED))
                if len(late):
                    return why[late[0]]
            lows = low[part.members]
            floor = lows.min(0)
            slack = highest - floor
            choices = lows <= highest
            above = np.where(choices, PLACED, lows).min(0)
            taken = np.where(choices, part.sizes, 0).sum(0)
            gap = (above < PLACED) & (above + needed - taken > self._capacity)
            failing = np.flatnonzero(used & (gap | (slack < 0)))
            if len(failing):
                return self._blamed(part, failing, low, why)
            # One of the choices lies under all that is none.
            beneath = np.where(choices, lows + part.sizes, PLACED).min(0)
            under = np.flatnonzero(used & (above < beneath))
            if not len(under):
                return state._replace(low=low, why=why, part=part), _View(
                    floor, slack, choices, choices.sum(0)
                )
            row, column = np.nonzero(~choices[:, under] & (lows[:, under] < beneath[under]))
            raised, column = part.members[row, under[column]], under[column]
            low, why = low.copy(), list(why)
            np.maximum.at(low, raised, beneath[column])
            low = self._rounded(low)
            self._explain(part, raised, column, why)

    def _explain(self, part: Part, raised: np.ndarray, columns: np.ndarray, why: list[int]) -> None:
        """Note for raised buffers that it follows from the lows of all in a section."""
        causes: dict[int, int] = {}
        for buffer, column in zip(raised.tolist(), columns.tolist()):
            if column not in causes:
                causes[column] = _union(why, part.members[:, column].tolist())
            why[buffer] |= causes[column]

    def _blamed(self, part: Part, failing: np.ndarray, low: np.ndarray, why: list[int]) -> int:
        """The steps that a dead end follows from: of several reasons that which leads back the furthest."""
        best, section = -1, 0
        for column in failing[:_BLAMED].tolist():
            members = part.members[:, column]
            rows = zip(low[members].tolist(), part.sizes[:, column].tolist(), members.tolist())
            is_open = [(start, size, why[one]) for start, size, one in rows if start < PLACED]
            found = _overfull(is_open, self._capacity)
            if best < 0 or found < best:
                best, section = found, column
        self.weight[part.start + section] += 1
        return best

    def _rounded(self, low: np.ndarray) -> np.ndarray:
        """Lows at which the buffers may begin."""
        if not self._is_plain:
            low[:-1] = np.where(low[:-1] < PLACED, self.buffers.rounded(low[:-1]), PLACED)
        return low

    # Going on

    def _place(self, state: _State, view: _View, steps: list[_Step]) -> _State:
        """The state after one more buffer is placed at its low."""
        section = self._section(state, view)
        buffer, nearest = self._ready(state.low, self._choice(state, view, section))
        tidy = len(steps) % _TIDY == _TIDY - 1
        part = self.sections.narrowed(state.part, section, state.low, state.crossing, tidy)
        offset, size = int(state.low[buffer]), int(self._size[buffer])
        steps.append(_Step(state, buffer, offset, nearest))
        if len(steps) > self._most:
            self._most = len(steps)
            self._habit = _offsets(steps, len(self.buffers))
        low = np.maximum(state.low, self.sections.near(buffer) * (offset + size))
        if self.buffers.apart:
            others = self._apart(buffer)
            low[others] = np.maximum(low[others], self.buffers.bank_end(offset + size))
        low[buffer] = PLACED
        low = self._rounded(low)
        why, bit = list(state.why), 1 << (len(steps) - 1)
        for one in np.flatnonzero(low > state.low).tolist():
            why[one] |= bit
        why[buffer] = 0
        open_bytes, crossing = state.open_bytes.copy(), state.crossing.copy()
        first, last = self.sections.first[buffer], self.sections.last[buffer]
        open_bytes[first:last] -= size
        crossing[first + 1 : last] -= 1
        return _State(low, why, open_bytes, crossing, part)

    def _back(self, reason: int, steps: list[_Step]) -> _State | None:
        """The state in which the last step of a reason is not taken; None if nothing is left."""
        while reason:
            last = reason.bit_length() - 1
            state, buffer, _, nearest = steps[last]
            reason = (reason ^ 1 << last) | state.why[buffer]
            if not self._strategy.is_bold:
                reason |= self._around(buffer, state, steps[:last])
            del steps[last:]
            if nearest < PLACED and self.buffers.address[buffer] < 0:
                low, why = state.low.copy(), list(state.why)
                same = self._same(low, buffer)
                low[same] = nearest
                for one in same.tolist():
                    why[one] |= reason
                return state._replace(low=self._rounded(low), why=why)
        return None

    def _around(self, buffer: int, state: _State, steps: list[_Step]) -> int:
        """The steps that decide on what a buffer can lie: of all that is near, where it lies or can lie."""
        near = self.sections.near(buffer)
        found = _union(state.why, np.flatnonzero(near & (state.low < PLACED)).tolist())
        for level, step in enumerate(steps):
            if near[step.buffer]:
                found |= 1 << level
        return found

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
        waste *= self.sections.live[buffers, part.start : part.stop]
        cost = 2 * (waste.sum(1) if self._strategy.total else waste.max(1)) - self._taste[buffers]
        cost -= self._strategy.habit * (state.low[buffers] == self._habit[buffers])
        return int(buffers[(cost + self._strategy.noise * self._random.random(len(buffers))).argmin()])

    def _ready(self, low: np.ndarray, buffer: int) -> tuple[int, int]:
        """The buffer, or one that fits under it; and the lowest top that it could lie on instead."""
        while True:
            tops = low + self._size
            if self.buffers.apart:
                others = self._apart(buffer)
                tops[others] = self.buffers.bank_end(tops[others])
            tops = np.where(self.sections.near(buffer), tops, PLACED)
            lowest = int(tops.argmin())
            if tops[lowest] > low[buffer]:
                tops[self._same(low, buffer)] = PLACED
                return buffer, min(int(tops.min()), PLACED)
            buffer = lowest

    def _apart(self, buffer: int) -> np.ndarray:
        """Which buffers may share no bank with this one."""
        return self.buffers.apart.get(buffer, np.empty(0, np.int64))

    def _same(self, low: np.ndarray, buffer: int) -> np.ndarray:
        """The buffer, and its twins in the same state: what is learned of one holds for all."""
        alike = self._twins[buffer]
        return alike[low[alike] == low[buffer]]


def _offsets(steps: list[_Step], count: int) -> np.ndarray:
    """The offsets of what is placed, and -1 for the rest."""
    offsets = np.full(count, -1)
    offsets[[step.buffer for step in steps]] = [step.offset for step in steps]
    return offsets


def _union(why: list[int], buffers: list[int]) -> int:
    found = 0
    for buffer in buffers:
        found |= why[buffer]
    return found


def _overfull(rows: list[tuple[int, int, int]], capacity: int) -> int:
    """Why buffers, given by (low, size, why), do not fit below the capacity, by the earliest of the steps.

    Those from any low on that do not fit are a reason, and less of them, as long as they do not fit either.
    """
    rows.sort(reverse=True)
    best, total = -1, 0
    for count, (start, size, _) in enumerate(rows, 1):
        total += size
        excess = start + total - capacity
        if excess <= 0:
            continue
        found = 0
        for _, size, reason in sorted(rows[:count], key=lambda row: -row[2]):
            if size < excess:
                excess -= size
            else:
                found |= reason
        if best < 0 or found < best:
            best = found
    return best
