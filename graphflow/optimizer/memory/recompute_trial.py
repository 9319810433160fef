"""What is live when some values are recomputed: a `Trial` runs such a sequence on paper.

It counts as `OrderProblem` does, and as that measures an order, by arrays: what a run makes room for, and
after the last run that touches a storage, what that let go. A recomputed storage has a twin, whose number
comes after those of all storages, for what the second half reads of it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from graphflow.optimizer.memory.recompute import RecomputeProblem


class Trial:
    """What is live when some homes are recomputed.

    Arguments:
        recomputed: the numbers of homes, all of them movable.

    Attributes:
        chosen: the homes.
        runs: the numbers of the nodes as they run; ~n is the second run of n.
        live: the bytes that are live at each of the runs.
        highest: the most of them.
        cost: what the second runs cost.
    """

    def __init__(self, problem: RecomputeProblem, recomputed: Collection[int] = ()) -> None:
        self.problem = problem
        self.chosen = frozenset(recomputed)
        again = self._followed(recomputed)
        self.runs = self._sequence(again)
        self.live = self._profile(again)
        self.highest = int(self.live.max(initial=0))
        costs = problem.costs
        self.cost = sum([costs[~run] for run in self.runs if run < 0])

    def _followed(self, recomputed: Collection[int]) -> np.ndarray:
        """For each node, whether it is recomputed, as a home or as a view of one."""
        problem = self.problem
        again = np.zeros(len(problem), bool)
        if recomputed:
            again[np.fromiter(recomputed, np.int64, len(recomputed))] = True
            views = problem.arrays.views[: np.searchsorted(problem.arrays.views, problem.split + 1)]
            again[views] = again[problem.arrays.shown[views]]
        return again

    def _sequence(self, again: np.ndarray) -> list[int]:
        """The runs: second ones come right before the first of the second half to read them."""
        problem = self.problem
        if not self.chosen:
            return list(range(len(problem)))
        sources = problem.arrays.sources
        readers = np.unique(sources.owners[again[sources.values]])
        flags, made = again.tolist(), bytearray(len(problem))
        runs, done = list(range(problem.split + 1)), problem.split + 1
        for place in readers[np.searchsorted(readers, problem.split + 1) :].tolist():
            pending = [source for source in problem.sources[place] if flags[source] and not made[source]]
            if pending:
                runs += range(done, place)
                runs += [~source for source in self._missing(pending, made, flags)]
                done = place
        runs += range(done, len(problem))
        return runs

    def _missing(self, pending: list[int], made: bytearray, again: list[bool]) -> list[int]:
        """What has to be computed again for some nodes, in order; it is marked as made."""
        found = []
        while pending:
            place = pending.pop()
            if not made[place]:
                made[place] = 1
                found.append(place)
                pending += [source for source in self.problem.sources[place] if again[source]]
        return sorted(found)

    def _profile(self, again: np.ndarray) -> np.ndarray:
        """What is live at each run; on the way, the first and last run that touches each storage."""
        arrays, split, count = self.problem.arrays, self.problem.split, len(self.problem.homes)
        runs = np.array(self.runs, np.int64)
        numbers = np.where(runs < 0, ~runs, runs)
        has_twin = self._has_twin = again[arrays.homes]
        touched, at = arrays.touched.of(numbers)
        touched = touched + count * ((at > split) & has_twin[touched])
        self._first, self._last = np.full(2 * count, -1), np.full(2 * count, -1)  # -1: never touched
        # Of several values for one index the last one is kept.
        self._last[touched] = at
        self._first[touched[::-1]] = at[::-1]
        last = self._last.copy()
        last[arrays.stays] = len(runs)
        freed = np.zeros(len(runs) + 2, np.int64)  # after each run, at the end, and of what is never there
        np.add.at(freed, last, np.concatenate([arrays.size, arrays.size]))
        gone = np.cumsum(freed[: len(runs)])
        live = np.cumsum(arrays.made[numbers]) + arrays.scratch[numbers]
        live[1:] -= gone[: len(runs) - 1]
        targets, at = arrays.reused.of(numbers)
        targets = targets + count * ((at > split) & has_twin[targets])
        over = np.zeros(len(runs), np.int64)
        over[at[last[targets] == at]] = 1
        return live - over * arrays.saved[numbers]

    def idle_at_peak(self) -> list[int]:
        """The homes of first runs that are live at the peak but not used there, in order."""
        problem, instant = self.problem, self._highest_at()
        count = len(problem.homes)
        idle = (self._first[:count] < instant) & (self._last[:count] > instant)
        run = self.runs[instant]
        touched = np.array(problem.base.touched[~run if run < 0 else run], np.int64)
        idle[touched] &= self._has_twin[touched] & (instant > problem.split)
        return [int(home) for home in np.unique(problem.arrays.homes[idle])]

    def group_at_peak(self) -> list[int]:
        """The nodes that run again at the peak or as the last ones before it, one right after the other."""
        place = self._highest_at()
        while place > self.problem.split and self.runs[place] >= 0:
            place -= 1
        first = last = place
        while self.runs[first] < 0:
            first -= 1
        while last < len(self.runs) and self.runs[last] < 0:
            last += 1
        return [~run for run in self.runs[first + 1 : last]]

    def _highest_at(self) -> int:
        return int(np.argmax(self.live))
