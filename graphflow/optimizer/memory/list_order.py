"""List scheduling with look-ahead: of the tasks that can run, that which promises most goes first.

The promise of a task is found by running it on trial, and what only it was holding up after it, as long
as that goes on: by how much more is live at worst on the way (the *hill*) and at the best place to stop
(the *valley*). What ends no higher than it began is run at once, least hills first: nothing is lost by it.
Of the others, a *rule* chooses:

    follow   the one that comes first in a given ranking
    fall     the one that comes down furthest from its hill to its valley
    least    the one with the lowest valley

The first and second are J. W. H. Liu's for trees ("An application of generalized tree pebbling to sparse
matrix factorization", 1987), where hills and valleys give the best order.

A task is tried when it becomes ready, when what it reads is read by nothing else any more, and a bounded
number of times when its turn comes; so the work grows as the graph does, but for the heap's logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from graphflow.optimizer.memory.order_problem import OrderProblem

RULES = ("follow", "fall", "least")

_RETRIED = 4  # tasks whose promise has changed that are put back before one is run
_LOOKED_AT = 8  # followers of one task beyond which looking ahead ends


class _Promise(NamedTuple):
    """What running some tasks, one after another, leads to, in bytes above what is live now."""

    valley: int
    hill: int
    tasks: tuple[int, ...]


_Entry: TypeAlias = tuple[int, int, int, int, tuple[int, ...]]
"""Of the heap: whether it ends higher than it began, two numbers by rule, the task, and all its tasks."""


class ListOrder:
    """One run of list scheduling.

    Arguments:
        ranking: for each task, its place in the ranking; ties are broken by it, too.
        rule: one of `RULES`.
        reach: how many tasks are run on trial.

    Attributes:
        work: how many nodes were run on trial.
    """

    def __init__(
        self, problem: OrderProblem, ranking: Sequence[int], rule: str = "fall", reach: int = 8
    ) -> None:
        self.problem, self.ranking, self.rule, self.reach = problem, ranking, rule, reach
        self.work = 0
        self._left = list(problem.touches)
        self._waits = [len(before) for before in problem.reads]
        self._done = bytearray(len(problem))
        self._heap: list[_Entry] = []
        # The sum of the nodes still to touch a storage: the last of them, once one is left.
        self._remaining = [0] * len(problem.size)
        self._task_of = [0] * len(problem.nodes)
        for task, members in enumerate(problem.tasks):
            for number in members:
                self._task_of[number] = task
        for number, touched in enumerate(problem.touched):
            for storage in touched:
                self._remaining[storage] += number

    def run(self) -> list[int]:
        """The tasks in the order in which they are to run."""
        order: list[int] = []
        for task, waits in enumerate(self._waits):
            if not waits:
                self._offer(task)
        while self._heap:
            entry = self._next()
            if entry is not None:
                hasty = entry[0] == 0 or self.rule == "fall"
                for task in entry[-1] if hasty else entry[-1][:1]:
                    order.append(task)
                    self._run(task)
        return order

    def _offer(self, task: int) -> None:
        heappush(self._heap, self._entry(task))

    def _entry(self, task: int) -> _Entry:
        members = self.problem.tasks[task]
        if self.reach == 1 and len(members) == 1:
            tasks: tuple[int, ...] = (task,)
            valley, hill = self._alone(members[0])
        else:
            valley, hill, tasks = self._promise(task)
        rank = self.ranking[task]
        if valley <= 0:
            return (0, hill, rank, task, tasks)
        if self.rule == "follow":
            return (1, rank, 0, task, tasks)
        return (1, valley - hill if self.rule == "fall" else valley, rank, task, tasks)

    def _next(self) -> _Entry | None:
        """The best entry, tried again as things are now; one that is no longer the best goes back."""
        heap = self._heap
        for _ in range(_RETRIED):
            while heap and self._done[heap[0][3]]:
                heappop(heap)
            if not heap:
                return None
            if heap[0][0] and self.rule == "follow":
                return heappop(heap)  # its rank has not changed, and had it become cheap it had been offered
            found = self._entry(heappop(heap)[3])
            if not heap or found <= heap[0]:
                return found
            heappush(heap, found)
        while self._done[heap[0][3]]:
            heappop(heap)
        return self._entry(heappop(heap)[3])

    def _run(self, task: int) -> None:
        """Take a task as run, and offer what it makes ready or cheaper."""
        problem, done, waits = self.problem, self._done, self._waits
        left, remaining = self._left, self._remaining
        done[task] = 1
        cheaper: list[int] = []
        for number in problem.tasks[task]:
            for storage in problem.touched[number]:
                left[storage] -= 1
                remaining[storage] -= number
                if left[storage] == 1:
                    cheaper.append(self._task_of[remaining[storage]])
        offered = []
        for follower in problem.followers[task]:
            waits[follower] -= 1
            if not waits[follower]:
                offered.append(follower)
        offered += [other for other in cheaper if not done[other] and not waits[other]]
        for other in dict.fromkeys(offered) if len(offered) > 1 else offered:
            heappush(self._heap, self._entry(other))

    def _promise(self, task: int) -> _Promise:
        """Run a task on trial, and of what it holds up, the cheapest, as far as the reach goes."""
        taken: dict[int, int] = {}
        live, hill = self._try(task, 0, taken)
        best = _Promise(live, hill, (task,))
        tasks = [task]
        while best.valley > 0 and len(tasks) < self.reach:
            follower = self._cheapest(tasks, taken)
            if follower is None:
                break
            live, top = self._try(follower, live, taken)
            tasks.append(follower)
            hill = max(hill, top)
            if live < best.valley:
                best = _Promise(live, hill, tuple(tasks))
        return best

    def _alone(self, number: int) -> tuple[int, int]:
        """`_try` for one node with nothing before it."""
        problem, left = self.problem, self._left
        self.work += 1
        live = hill = problem.made[number]
        scratch = problem.scratch[number]
        candidates, saved = problem.reused[number]
        if saved and any([left[one] == 1 for one in candidates]):
            scratch -= saved
        for storage in problem.touched[number]:
            if left[storage] == 1:
                live -= problem.size[storage]
        return live, hill + scratch

    def _try(self, task: int, live: int, taken: dict[int, int]) -> tuple[int, int]:
        """What is live after a task and at worst while it runs; `taken` counts the touches so far."""
        problem, left = self.problem, self._left
        hill = live
        for number in problem.tasks[task]:
            self.work += 1
            candidates, saved = problem.reused[number]
            if saved and not any([left[one] - taken.get(one, 0) == 1 for one in candidates]):
                saved = 0
            live += problem.made[number]
            hill = max(hill, live + problem.scratch[number] - saved)
            for storage in problem.touched[number]:
                touches = taken[storage] = taken.get(storage, 0) + 1
                if left[storage] == touches:
                    live -= problem.size[storage]
        return live, hill

    def _cheapest(self, tasks: Sequence[int], taken: dict[int, int]) -> int | None:
        """The follower of the last task that waits for nothing but `tasks` and leaves least live."""
        problem, inside = self.problem, set(tasks)
        followers = problem.followers[tasks[-1]]
        if len(followers) > _LOOKED_AT:
            return None
        ready = [
            one
            for one in followers
            if self._waits[one] <= len(inside)
            and self._waits[one] == sum([1 for other in problem.reads[one] if other in inside])
        ]
        if len(ready) < 2:
            return ready[0] if ready else None
        return min(ready, key=lambda one: (self._try(one, 0, dict(taken)), self.ranking[one]))


def depth_first(problem: OrderProblem, shallow: bool) -> list[int]:
    """The tasks by a walk from the ends to what they read, first what needs most beside its result.

    Arguments:
        shallow: whether ends of little depth come first, rather than in the given order. In a training
            step the update of the last layer then comes with its gradient, before those of other layers.

    The choice among what is read is that of R. Sethi and J. D. Ullman, "The generation of optimal code for
    arithmetic expressions", 1970, as if the graph were a tree.
    """
    made = [sum([problem.made[number] for number in members]) for members in problem.tasks]
    need, depth = list(made), [1] * len(problem)
    reads: list[list[int]] = []
    beside = [0] * len(problem)  # what a task needs beyond its result, with the sign changed
    for task, before in enumerate(problem.reads):
        if len(before) > 1:
            before = sorted(before, key=beside.__getitem__)
        held = 0
        for other in before:
            if held + need[other] > need[task]:
                need[task] = held + need[other]
            if depth[other] >= depth[task]:
                depth[task] = depth[other] + 1
            held += made[other]
        need[task] = max(need[task], held + made[task])
        beside[task] = made[task] - need[task]
        reads.append(before)
    ends = [task for task, after in enumerate(problem.followers) if not after]
    if shallow:
        ends.sort(key=depth.__getitem__)
    return _post_order(reads, ends)


def _post_order(reads: Sequence[Sequence[int]], ends: Sequence[int]) -> list[int]:
    """Each task after all it reads, which is walked through in the order given."""
    seen, order = bytearray(len(reads)), []
    for end in ends:
        stack = [end]
        while stack:
            task = stack[-1]
            if seen[task] == 2:
                stack.pop()
            elif seen[task]:
                seen[task] = 2
                order.append(stack.pop())
            else:
                seen[task] = 1
                stack.extend([other for other in reversed(reads[task]) if not seen[other]])
    return order


def ranks(order: Sequence[int]) -> list[int]:
    """For each task its place in an order."""
    found = [0] * len(order)
    for place, task in enumerate(order):
        found[task] = place
    return found
