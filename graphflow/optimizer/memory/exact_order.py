"""The best order of a section, by a best-first search over its downsets, and where orders fall into sections.

A *downset* holds with each task all that it waits for; an order is a path from the empty downset to the
full one, and how much is live depends on the downset alone, not on the path. So the search keeps for each
downset the lowest peak on a way to it, and always goes on from the lowest: the first way to the end is
the best order. It is a shortest-path search whose lengths are peaks (M. Pollack, "The maximum capacity
through a network", 1960).

A task that leaves no more live than before, and needs no more on the way than has been live already, is
run at once: whatever the best order is, it stays one if that task is moved forward.

A section is any run of tasks in some order; what is before it and after it stays as it is. *Cuts*
are the places that every order has: a task that all before it lead to and that leads to all after it.
Sections between cuts are independent, so orders that are best for each make one that is best for all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from graphflow.optimizer.memory.order_problem import OrderProblem


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        tasks: an order with a lower peak, or None if none was found.
        peak: its peak, or the bound.
        complete: whether there is none better.
        states: how many downsets were looked at.
    """

    tasks: tuple[int, ...] | None
    peak: int
    complete: bool
    states: int


def cuts(problem: OrderProblem, order: Sequence[int]) -> list[int]:
    """The places in an order right after tasks that every order runs at that place; the end is one."""
    ends = _open_ends(order, problem.reads)
    begins = _open_ends(order[::-1], problem.followers)[::-1]
    found = [position + 1 for position in range(len(order)) if ends[position] == 1 and begins[position] == 1]
    return found if found and found[-1] == len(order) else [*found, len(order)]


def _open_ends(order: Sequence[int], neighbours: Sequence[Sequence[int]]) -> list[int]:
    """After each task, how many tasks so far lead to no other one so far."""
    is_open = bytearray(len(order))
    count, found = 0, []
    for task in order:
        is_open[task] = 1
        count += 1
        for other in neighbours[task]:
            if is_open[other]:
                is_open[other] = 0
                count -= 1
        found.append(count)
    return found


class Section:
    """A run of tasks in an order, whose best order is asked for.

    Arguments:
        order: of all tasks.
        start, stop: the section is order[start:stop].
        last: for each storage, the place in the order of the last task to touch it, len(order) if it stays.
        live: what is live before it.
    """

    def __init__(
        self, problem: OrderProblem, order: Sequence[int], start: int, stop: int, last: np.ndarray, live: int
    ) -> None:
        self.problem, self.tasks, self.live = problem, tuple(order[start:stop]), live
        bit = {task: 1 << place for place, task in enumerate(self.tasks)}
        self.needs = [
            sum([bit[other] for other in problem.reads[task] if other in bit]) for task in self.tasks
        ]
        touching: dict[int, int] = {}
        for task in self.tasks:
            for number in problem.tasks[task]:
                for storage in problem.touched[number]:
                    touching[storage] = touching.get(storage, 0) | bit[task]
        dying = {storage: mask for storage, mask in touching.items() if last[storage] < stop}
        self.steps = [self._steps(task, bit[task], dying) for task in self.tasks]

    def _steps(self, task: int, own: int, dying: dict[int, int]) -> list[tuple]:
        """For each node of a task: bytes made, scratch, bytes saved, and what has to be done for the saving
        and for each storage it lets go, as sets of tasks."""
        problem = self.problem
        members = problem.tasks[task]
        final = {storage: number for number in members for storage in problem.touched[number]}
        rows = []
        for number in members:
            ends = [
                (dying[storage] & ~own, problem.size[storage])
                for storage in problem.touched[number]
                if storage in dying and final[storage] == number and problem.size[storage]
            ]
            candidates, saved = problem.reused[number]
            free = [dying[one] & ~own for one in candidates if one in dying and final[one] == number]
            rows.append((problem.made[number], problem.scratch[number], saved if free else 0, free, ends))
        return rows

    def search(self, bound: int, budget: int) -> Found:
        """An order with a peak below the bound, the best there is if the budget of downsets suffices."""
        full = (1 << len(self.tasks)) - 1
        came: dict[int, tuple[int, int]] = {}
        heap = [(self.live, 0, 0, self.live, -1, -1)]
        states = 0
        while heap:
            peak, _, done, live, before, through = heappop(heap)
            if done in came:
                continue
            came[done] = (before, through)
            if done == full:
                return Found(self._path(came, full), peak, True, states)
            states += 1
            if states > budget:
                return Found(None, bound, False, states)
            for task, after, top in self._moves(done, live, peak):
                reached = done | 1 << task
                if top < bound and reached not in came:
                    heappush(heap, (max(peak, top), -reached.bit_count(), reached, after, done, task))
        return Found(None, bound, True, states)

    def _moves(self, done: int, live: int, peak: int) -> list[tuple[int, int, int]]:
        """(task, live after it, most on the way) for those that can run; a harmless one by itself."""
        moves = []
        for task, needs in enumerate(self.needs):
            if done >> task & 1 or needs & ~done:
                continue
            after, top = self._after(task, done, live)
            if after <= live and top <= peak:
                return [(task, after, top)]
            moves.append((task, after, top))
        return moves

    def _after(self, task: int, done: int, live: int) -> tuple[int, int]:
        top = live
        for made, scratch, saved, free, ends in self.steps[task]:
            if saved and not any([not mask & ~done for mask in free]):
                saved = 0
            live += made
            top = max(top, live + scratch - saved)
            for mask, size in ends:
                if not mask & ~done:
                    live -= size
        return live, top

    def _path(self, came: dict[int, tuple[int, int]], full: int) -> tuple[int, ...]:
        path, done = [], full
        while done:
            done, through = came[done]
            path.append(self.tasks[through])
        return tuple(reversed(path))


class Improvement:
    """Searches the sections in which most is live, until the peak is proved or the budget spent.

    Arguments:
        order: where to begin.
        budget: how many downsets to look at, over all sections.
        window: how many tasks are searched at once in a section that is too large to be searched whole.

    Attributes:
        order, peak: the best so far.
        complete: whether no order has a lower peak.
        states: how many downsets were looked at.
    """

    def __init__(self, problem: OrderProblem, order: Sequence[int], budget: int, window: int = 20) -> None:
        self.problem, self.order, self.budget, self.window = problem, list(order), budget, window
        self.complete = False
        self.states = 0
        self._borders = [0, *cuts(problem, self.order)]
        self._solved: set[int] = set()
        self._lengths = np.array([len(members) for members in problem.tasks], np.int64)
        self._measure()

    def run(self) -> None:
        """Improve the order."""
        bound = self.problem.lower_bound
        if self.peak <= bound:
            self.complete = True
            return
        for _ in range(1 + _MEASURED // (1 + len(self.problem.nodes))):
            place = bisect_right(self._borders, self._worst)
            start, stop = self._borders[place - 1], self._borders[place]
            self.complete = self.peak <= bound or start in self._solved
            if self.complete or not (self._whole(start, stop) or self._windows(start, stop)):
                return

    def _whole(self, start: int, stop: int) -> bool:
        """Search a section between cuts; whether something is known of it that was not before."""
        if stop - start > _WHOLE or self.states >= self.budget:
            return False
        found = self._search(start, stop, self.budget - self.states)
        if found.complete:
            self._solved.add(start)
        return found.complete or found.tasks is not None

    def _windows(self, start: int, stop: int) -> bool:
        """Search a few tasks around the peak, in three ways; whether that lowered it there."""
        width = self.window
        for ahead in (width // 2, width // 5, 4 * width // 5):
            left = min(self.budget - self.states, max(1, self.budget // 8))
            first = max(start, self._worst - ahead)
            if left > 0 and self._search(first, min(stop, first + width), left).tasks is not None:
                return True
        return False

    def _search(self, start: int, stop: int, budget: int) -> Found:
        section = Section(self.problem, self.order, start, stop, self._last, int(self._before[start]))
        found = section.search(self.peak, budget)
        self.states += found.states
        if found.tasks is not None:
            self.order[start:stop] = found.tasks
            self._measure()
        return found

    def _measure(self) -> None:
        """Find the peak and where it is, what is live before each task, and what each storage waits for."""
        course = self.problem.course(self.order)
        ends = np.cumsum(self._lengths[self.order])
        self.peak = course.peak
        self._worst = int(np.searchsorted(ends, _argmax(course.live), "right"))
        self._before = course.before[np.concatenate([[0], ends])]
        self._last = np.searchsorted(ends, course.last, "right")


def _argmax(live: np.ndarray) -> int:
    return int(np.argmax(live)) if len(live) else 0


_WHOLE = 64  # the most tasks of a section that is searched whole
_MEASURED = 1_000_000  # how many nodes may be gone through to measure improved orders
