"""A beam search for offsets within a capacity: half-done placements grow side by side, the best stay.

Each placement grows from the bottom up: of the section whose open buffers start lowest, one is placed
at its low (`search` says what sections and lows are). After each round those placements are kept that
waste least, compared with what their sections may waste and with how much they have placed. It forgets
the others for good, so it proves nothing; but where buffers are many, it gets further than a search
that goes back from its dead ends, as all that went wrong early is left behind.

All placements of a round are rows of the same arrays. Fixed addresses and buffers that are kept apart
in banks are left to `search`.

Source: Lowerre, "The HARPY Speech Recognition System" (1976) for beams; the rule for the place is that of
Burke, Kendall and Whitwell, "A New Placement Heuristic for the Orthogonal Stock-Cutting Problem" (2004).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphflow.optimizer.memory.lifetimes import Lifetimes
from graphflow.optimizer.memory.search import Outcome
from graphflow.optimizer.memory.sections import PLACED, Sections

_EACH = 3  # children that are looked at closely, for each placement that is kept
_EASE = 0.02  # of the capacity: added to what a section may waste before its waste is compared with that
_EARLY = 0.1  # added to the part that is placed, so that the first buffers do not decide too much
_CELLS = 2_000_000  # of an array of lows by section, at once
_CELLS_A_STATE = 50_000  # that take as long as a state of a small search
_STATES_A_ROUND = 3.0  # that a round takes as long as, however narrow


@dataclass(frozen=True, slots=True)
class Taste:
    """What decides which placements a beam keeps.

    Attributes:
        width: how many are kept.
        power: of the waste of a section, relative to what it may waste.
        noise: how much chance counts for.
    """

    width: int
    power: float
    noise: float

    @classmethod
    def draw(cls, width: int, random: np.random.Generator) -> Taste:
        """One of many that work; which one works best differs from instance to instance."""
        return cls(width, float(random.choice([1.0, 1.0, 2.0, 4.0])), float(random.choice([0.0, 0.02, 0.1])))


class _Front(NamedTuple):
    """Placements side by side, one a row."""

    low: np.ndarray  # by buffer
    floor: np.ndarray  # by section, where its open buffers start; PLACED where there are none
    filled: np.ndarray  # by section, the bytes of what is placed
    key: np.ndarray  # the same for placements of the same buffers

    def rows(self, chosen: np.ndarray) -> _Front:
        return _Front(*(array[chosen] for array in self))


class _Children(NamedTuple):
    """Placements with one buffer more: of which row, which buffer, and where."""

    row: np.ndarray
    buffer: np.ndarray
    offset: np.ndarray

    def chosen(self, which: np.ndarray) -> _Children:
        return _Children(*(array[which] for array in self))


class Beam:
    """The buffers of one partition, ready to be searched many times."""

    def __init__(self, buffers: Lifetimes, sections: Sections) -> None:
        self.buffers = buffers
        self._sections = sections
        self._members = sections.whole().members
        self._size = sections.sizes
        self._needed = sections.open_bytes
        near = [sections.near(buffer) for buffer in range(len(buffers))]
        self._near = np.array(near).reshape(len(buffers), len(buffers) + 1)

    @staticmethod
    def can_place(buffers: Lifetimes) -> bool:
        """Whether it knows all that is asked of the buffers."""
        return not buffers.apart and not (buffers.address >= 0).any()

    def work(self, width: int) -> float:
        """What a run costs at most, in states of a small search."""
        cells = width * _EACH * self._members.size
        return len(self.buffers) * (_STATES_A_ROUND + cells / _CELLS_A_STATE)

    def run(
        self, capacity: int, taste: Taste, random: np.random.Generator, deadline: float | None
    ) -> Outcome:
        """Offsets within the capacity, or None; how many rounds it took stands for the states."""
        self._capacity, self._taste = capacity, taste
        self._slack = capacity - self._needed
        self._codes = random.integers(1, 2**62, len(self.buffers))
        front = self._first()
        history: list[_Children] = []
        for rounds in range(1, len(self.buffers) + 1):
            if deadline is not None and time.monotonic() > deadline:
                return Outcome(None, False, rounds)
            children = self._best(front, self._children(front))
            grown = self._grown(front, children)
            kept = self._kept(grown, random)
            if not len(kept):
                return Outcome(None, False, rounds)
            front = grown.rows(kept)
            history.append(children.chosen(kept))
        return Outcome(self._offsets(history), False, len(history))

    def _first(self) -> _Front:
        count, sections = len(self.buffers), self._sections.count
        low = np.zeros((1, count + 1), np.int64)
        low[:, count] = PLACED
        empty = np.zeros((1, sections), np.int64)
        return _Front(low, empty, empty, np.zeros(1, np.int64))

    def _children(self, front: _Front) -> _Children:
        """For each placement, the buffers of its lowest section that nothing else there fits under."""
        section = front.floor.argmin(1)
        buffers = self._members[:, section].T
        lows = np.take_along_axis(front.low, buffers, 1)
        tops = np.where(lows < PLACED, lows + self._size[buffers], PLACED)
        row, place = np.nonzero((lows < PLACED) & (lows < tops.min(1)[:, None]))
        return _Children(row, buffers[row, place], lows[row, place])

    def _best(self, front: _Front, children: _Children) -> _Children:
        """The children that waste least at first sight: under the buffer, and beside it as before."""
        row, buffer, offset = children
        before = np.where(front.floor < PLACED, front.floor - front.filled, 0)[row]
        waste = np.where(self._sections.live[buffer], offset[:, None] - front.filled[row], before)
        possible = np.flatnonzero((waste <= self._slack).all(1))
        cost = self._cost(waste[possible])
        count = self._taste.width * _EACH
        if len(possible) > count:
            possible = possible[np.argpartition(cost, count)[:count]]
        return children.chosen(possible)

    def _cost(self, waste: np.ndarray) -> np.ndarray:
        relative = np.maximum(waste, 0) / (self._slack + _EASE * self._capacity)
        if self._taste.power != 1.0:
            relative **= self._taste.power
        return relative.mean(1)

    def _grown(self, front: _Front, children: _Children) -> _Front:
        row, buffer, offset = children
        size = self._size[buffer]
        low = np.maximum(front.low[row], self._near[buffer] * (offset + size)[:, None])
        low[np.arange(len(row)), buffer] = PLACED
        if not self.buffers.is_plain:
            low[:, :-1] = np.where(low[:, :-1] < PLACED, self.buffers.rounded(low[:, :-1]), PLACED)
        filled = front.filled[row] + self._sections.live[buffer] * size[:, None]
        floors = [low[part][:, self._members].min(1) for part in self._pieces(len(row))]
        floor = np.concatenate(floors) if floors else front.floor[row]
        return _Front(low, floor, filled, front.key[row] ^ self._codes[buffer])

    def _pieces(self, count: int) -> Iterator[slice]:
        step = max(1, _CELLS // max(1, self._members.size))
        return (slice(start, start + step) for start in range(0, count, step))

    def _kept(self, front: _Front, random: np.random.Generator) -> np.ndarray:
        """The best of the placements that can still be finished, one of each set of placed buffers."""
        waste = np.where(front.floor < PLACED, front.floor - front.filled, 0)
        possible = np.flatnonzero((waste <= self._slack).all(1))
        part = front.filled[possible].sum(1) / self._needed.sum()
        cost = self._cost(waste[possible]) / (part + _EARLY)
        cost *= 1 + self._taste.noise * random.random(len(cost))
        order = possible[np.argsort(cost, kind="stable")]
        _, first = np.unique(front.key[order], return_index=True)
        return order[np.sort(first)][: self._taste.width]

    def _offsets(self, history: list[_Children]) -> np.ndarray:
        """The offsets of the first placement of the last round, followed back."""
        offsets = np.zeros(len(self.buffers), np.int64)
        row = 0
        for children in reversed(history):
            offsets[children.buffer[row]] = children.offset[row]
            row = children.row[row]
        return offsets
