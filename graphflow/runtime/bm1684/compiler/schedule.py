"""The order of both engines: a simulated run, in which the data mover loads ahead as far as memory allows.

Steps keep their order. Whenever the data mover is free it takes, in this order: a load that the tensor unit
waits for, or would wait for if a store came first; a store that is ready; the first load of those ahead that
fits, given what all steps up to its use need anyhow; else it waits for the tensor unit. Buffers that are
loaded early or stored late live longer; these longer lives are what is placed in local memory afterwards.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.runtime.bm1684.chip import LANE_BYTES
from graphflow.runtime.bm1684.compiler.steps import Buffer, Step, Store
from graphflow.runtime.bm1684.compiler.tensors import Value

_AHEAD = 64
"""Loads that are looked at, beyond the first, for one that fits."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that a step, a load and a store take.

    Attributes:
        step: of the tensor unit, or of the data mover for a step without work.
        within: of the data mover, for what a step with work moves between lanes.
    """

    step: Callable[[Step], float]
    load: Callable[[Buffer], float]
    store: Callable[[Store], float]
    within: Callable[[Step], float] = lambda _: 0.0


@dataclass(slots=True)
class Schedule:
    """A sequential order of all that happens, and from when to when each buffer lives.

    Attributes:
        items: steps, buffers (which are loaded) and stores; each comes after what it needs.
        times: when each of them starts and ends, in seconds.
        lives: (first, last) steps during which a buffer's bytes are taken.
        seconds: how long the simulated run took.
        ends: how much of it lies before the tensor unit begins, and behind its last step.
    """

    items: list[Step | Buffer | Store] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    lives: dict[Buffer, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0
    ends: float = 0.0


def demand(steps: Sequence[Step]) -> np.ndarray:
    """Bytes a lane that the buffers of each step need, when nothing is loaded early or stored late."""
    change = np.zeros(len(steps) + 1, np.int64)
    for buffer in buffers_of(steps):
        change[buffer.first] += buffer.bytes
        change[buffer.last + 1] -= buffer.bytes
    return np.cumsum(change)[:-1]


def buffers_of(steps: Sequence[Step]) -> list[Buffer]:
    """All buffers, in the order of their first use."""
    return list(dict.fromkeys([buffer for step in steps for buffer in step.buffers()]))


def schedule(steps: Sequence[Step], costs: Costs, capacity: int) -> Schedule:
    """The order in which the engines run steps.

    Arguments:
        capacity: bytes a lane that loads ahead may fill.
    """
    return _Run(steps, costs, capacity).run()


class _Run:
    """The simulated run: two clocks, and what has been done."""

    def __init__(self, steps: Sequence[Step], costs: Costs, capacity: int) -> None:
        self.steps, self.costs, self.capacity = steps, costs, capacity
        self.made = Schedule()
        self.demand = demand(steps)
        self.loads: deque[Buffer] = deque([one for one in buffers_of(steps) if one.load is not None])
        self.needs: list[list[Buffer]] = [[] for _ in steps]
        for buffer in self.loads:
            self.needs[buffer.first].append(buffer)
        self.stores: deque[tuple[int, Store]] = deque()
        self.ends: list[float] = []
        self.loaded: dict[Buffer, float] = {}
        self.leaving: dict[Buffer, float] = {}
        self.unstored = {store.value.root: 0 for step in steps for store in step.stores}
        for step in steps:
            for store in step.stores:
                self.unstored[store.value.root] += 1
            if step.work is None:
                self.unstored.setdefault(step.layer.output.root, 1)
        self.tiu = self.gdma = self.began = 0.0
        self.finished = 0

    def run(self) -> Schedule:
        while len(self.ends) < len(self.steps) or self.stores:
            if not self.step() and not self.move():
                self.gdma = max(self.gdma, self.ends[self.finished])
        for buffer in buffers_of(self.steps):
            self.made.lives.setdefault(buffer, (buffer.first, buffer.last))
        self.made.seconds = max(self.tiu, self.gdma)
        if self.ends:
            self.made.ends = self.began + self.made.seconds - self.ends[-1]
        return self.made

    def step(self) -> bool:
        """Run the next step if it starts before the data mover decides again."""
        number = len(self.ends)
        if number == len(self.steps):
            return False
        step, needs = self.steps[number], self.needs[number]
        if any(buffer not in self.loaded for buffer in needs):
            return False
        start = max([self.tiu, *[self.loaded[buffer] for buffer in needs]])
        if step.work is None:
            return self.transfer(step, start)
        start = max(start, self.room(number, start))
        if start > self.gdma:
            return False
        self.keep(number, start)
        self.began = self.began if number else start
        self.tiu = start + self.costs.step(step)
        if within := self.costs.within(step):
            # It comes behind what the data mover was given before, which waits for it in turn.
            self.gdma += within
            self.tiu = max(self.tiu, self.gdma)
        self.ends.append(self.tiu)
        self.note(step, start, self.tiu)
        for store in step.stores:
            self.stores.append((number, store))
            self.leaving[store.buffer] = math.inf
        return True

    def room(self, number: int, start: float) -> float:
        """When enough is stored for a step to have its memory; never, if a store must be issued first."""
        free = LANE_BYTES - int(self.demand[number])
        held = [(end, one.bytes) for one, end in self.leaving.items() if one.last < number and end > start]
        taken = sum([size for _, size in held])
        for end, size in sorted(held):
            if taken <= free:
                break
            start, taken = end, taken - size
        return start

    def keep(self, number: int, start: float) -> None:
        """Let tiles that are not stored yet live on during a step."""
        for buffer, end in list(self.leaving.items()):
            if end <= start:
                del self.leaving[buffer]
            elif buffer.last < number:
                self.demand[number] += buffer.bytes
                first, _ = self.made.lives.get(buffer, (buffer.first, buffer.last))
                self.made.lives[buffer] = (first, number)

    def transfer(self, step: Step, start: float) -> bool:
        """Let the data mover do a layer from DDR to DDR, once all that it reads is stored."""
        if any(self.unstored.get(value.root, 0) for value in step.layer.inputs):
            return False
        start = max(self.gdma, start)
        self.gdma = start + self.costs.step(step)
        self.ends.append(max(self.tiu, self.gdma))
        self.unstored[step.layer.output.root] = 0
        self.note(step, start, self.gdma)
        return True

    def note(self, item: Step | Buffer | Store, start: float, end: float) -> None:
        """Add what is done next to the order."""
        self.made.items.append(item)
        self.made.times.append((start, end))

    def move(self) -> bool:
        """Let the data mover do one thing."""
        while self.finished < len(self.ends) and self.ends[self.finished] <= self.gdma:
            self.finished += 1
        here = len(self.ends)
        storing = bool(self.stores) and self.stores[0][0] < self.finished
        starving = here < len(self.steps) and self.tiu <= self.gdma + (self.longer(here) if storing else 0.0)
        if starving and self.load(forced=True):
            return True
        if storing:
            self.store()
            return True
        return self.load(forced=False) or (not self.running() and self.load(forced=True))

    def longer(self, here: int) -> float:
        """How long the next store and then the loads that a step waits for take."""
        waiting = [buffer for buffer in self.needs[here] if buffer not in self.loaded]
        return self.costs.store(self.stores[0][1]) + sum([self.costs.load(buffer) for buffer in waiting])

    def running(self) -> bool:
        """Whether the tensor unit still has something to finish."""
        return self.finished < len(self.ends)

    def load(self, forced: bool) -> bool:
        """Issue a load: the first that is ready and fits, or that the next step waits for."""
        here = len(self.ends)
        for index, buffer in enumerate(self.loads):
            if index > _AHEAD or (forced and buffer.first > here):
                return False
            if self.ready(buffer) and self.fits(buffer):
                del self.loads[index]
                self.issue(buffer)
                return True
        return False

    def ready(self, buffer: Buffer) -> bool:
        """Whether what it reads from DDR has been written."""
        assert buffer.load is not None
        source = buffer.load.source
        return not isinstance(source, Value) or not self.unstored.get(source.root, 0)

    def fits(self, buffer: Buffer) -> bool:
        """Whether there is memory for it from now on; there is once all steps before its first are done."""
        between = self.demand[self.free() : buffer.first]
        return not len(between) or int(between.max()) + buffer.bytes <= self.capacity

    def free(self) -> int:
        """The first step whose memory is still in use: it runs, or has a tile that is not stored yet."""
        return min([self.finished, *[number for number, _ in self.stores]])

    def issue(self, buffer: Buffer) -> None:
        first = min(self.free(), buffer.first)
        self.demand[first : buffer.first] += buffer.bytes
        self.made.lives[buffer] = (first, buffer.last)
        start = self.gdma
        self.gdma += self.costs.load(buffer)
        self.loaded[buffer] = self.gdma
        self.note(buffer, start, self.gdma)

    def store(self) -> None:
        number, store = self.stores.popleft()
        start = max(self.gdma, self.ends[number])
        self.gdma = start + self.costs.store(store)
        self.unstored[store.value.root] -= 1
        self.note(store, start, self.gdma)
        if store.buffer not in [other.buffer for _, other in self.stores]:
            self.leaving[store.buffer] = self.gdma
