"""`fit`: what to compute again so that a program fits a budget of bytes, at as little cost as can be found.

This is the problem of P. Jain et al., "Checkmate: Breaking the Memory Wall with Optimal Tensor
Rematerialization", 2020, for sequences in which nothing runs more than twice. Where few values could be
recomputed, all choices are tried, so that none is better. Otherwise:

1. Minimum cuts (`recompute_cut`) for rising prices of a byte give choices from the cheapest on, at first
   for the whole first half, then for windows of it, which lowers the peak further at a higher cost.
2. The nearest choices that do not fit are changed where their peaks are: values that lie idle there are
   recomputed, the cheapest for their bytes first; or one is kept of those computed again together.
3. Of a choice that fits, as much is taken back as goes, the dearest for their bytes first; in halves, so that
   what can be taken back together is.

How many trials are made depends on the size of the program and never on the clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from graphflow.optimizer.memory.recompute import RecomputeProblem
from graphflow.optimizer.memory.recompute_cut import all_recomputed, cut, held_values
from graphflow.optimizer.memory.recompute_trial import Trial

PRICES = (0.5, 2.0, 8.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
"""Operations a byte: elementwise operators cost about 1/4, products of matrices half their inner size."""

WINDOWS = (2, 4, 8, 16, 32)
_DEAR = (64.0, 256.0)
"""Prices below which windows make no difference, and that are tried for each number of windows."""

_LARGE = 3000  # values from which on only few cuts are tried, as each trial goes through all nodes
_FEW_PRICES = (2.0, 64.0, 256.0)
_SMALL = 24  # nodes up to which every place is tried at which halves could be divided
_NEAR = 4  # choices that do not fit from which others are made
_SPACED = 8  # values of those computed again together that are tried to be kept
_COMPLETE = 10  # values up to which all choices are tried
_RUNS = 600_000  # nodes run on paper in all, which decides the number of trials
_FEWEST = 12


class Search:
    """The search for what to recompute.

    Attributes:
        best: the cheapest trial that fits, or None.
        lowest: the trial with the lowest peak.
    """

    def __init__(self, problem: RecomputeProblem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self._left = max(_FEWEST, _RUNS // max(1, len(problem)))
        self._seen: dict[frozenset[int], Trial] = {}
        self.best: Trial | None = None
        self.lowest = Trial(problem)
        self._tried(())

    def run(self) -> None:
        """Fill in `best` and `lowest`."""
        if self._fits(self.lowest):
            return
        candidates = all_recomputed(self.problem)
        if len(candidates) <= _COMPLETE:
            for count in range(1, len(candidates) + 1):
                for chosen in combinations(candidates, count):
                    self._tried(chosen)
            return
        self._cuts(len(candidates) > _LARGE)
        over = [trial for trial in self._seen.values() if not self._fits(trial)]
        for start in sorted(over, key=lambda trial: (trial.highest, trial.cost))[:_NEAR]:
            if self.best is None or start.cost < self.best.cost:
                self._lower(start)
        if self.best is not None:
            self._take_back(self.best)

    def rank(self) -> tuple[bool, int, int]:
        """The better a search went, the less: by the cost of what fits, or else by the lowest peak."""
        best = self.lowest if self.best is None else self.best
        return (True, best.highest, best.cost) if self.best is None else (False, best.cost, best.highest)

    def _fits(self, trial: Trial) -> bool:
        return trial.highest <= self.budget

    def _tried(self, homes: Iterable[int]) -> Trial:
        """The trial of a choice, made once and remembered if it is better than what has been found."""
        chosen = frozenset(homes)
        trial = self._seen.get(chosen)
        if trial is not None:
            return trial
        trial = self._seen[chosen] = Trial(self.problem, chosen)
        self._left -= 1
        if (trial.highest, trial.cost) < (self.lowest.highest, self.lowest.cost):
            self.lowest = trial
        best = self.best
        if self._fits(trial) and (best is None or (trial.cost, trial.highest) < (best.cost, best.highest)):
            self.best = trial
        return trial

    def _cuts(self, is_large: bool) -> None:
        """Try minimum cuts from the cheapest on, until one fits at a price at which windows do not matter."""
        for price in _FEW_PRICES if is_large else PRICES:
            if self._fits(self._tried(cut(self.problem, price))):
                if price < _DEAR[0]:
                    return
                break
        for windows in WINDOWS:
            if self._left <= 0:
                return
            held = held_values(self.problem, windows)
            self._tried(all_recomputed(self.problem, held))
            for price in () if is_large else _DEAR:
                self._tried(cut(self.problem, price, held))

    def _lower(self, trial: Trial) -> None:
        """Change a trial where its peak is, as long as that lowers it, until it fits."""
        while not self._fits(trial) and self._left > 0:
            lower = self._more(trial) or self._less(trial)
            if lower is None:
                return
            trial = lower

    def _more(self, trial: Trial) -> Trial | None:
        """A lower trial that recomputes more of what lies idle at the peak, or half as much of it."""
        idle = sorted(
            [home for home in trial.idle_at_peak() if self.problem.movable[home]], key=self._dearness
        )
        count = self._enough(idle, trial.highest - self.budget)
        while count and self._left > 0:
            made = self._tried(trial.chosen.union(idle[:count]))
            if made.highest < trial.highest:
                return made
            count //= 2
        return None

    def _less(self, trial: Trial) -> Trial | None:
        """A lower trial that keeps one of the values that are computed again together before the peak."""
        group = [home for home in trial.group_at_peak() if home in trial.chosen]
        spaced = [group[len(group) * step // _SPACED] for step in range(_SPACED)] if group else []
        made = [self._tried(trial.chosen - {home}) for home in dict.fromkeys(spaced) if self._left > 0]
        lowest = min(made, key=lambda one: (one.highest, one.cost), default=trial)
        return lowest if lowest.highest < trial.highest else None

    def _enough(self, homes: list[int], excess: int) -> int:
        """How many of the homes, from the first on, have so many bytes."""
        for count, home in enumerate(homes, 1):
            excess -= self.problem.bytes[home]
            if excess <= 0:
                return count
        return len(homes)

    def _take_back(self, trial: Trial) -> None:
        """Keep, of what is recomputed, as much as fits after all."""
        pending = [sorted(trial.chosen, key=self._dearness, reverse=True)]
        while pending and self._left > 0:
            homes = pending.pop()
            made = self._tried(trial.chosen.difference(homes))
            if self._fits(made) and made.cost <= trial.cost:
                trial = made
            elif len(homes) > 1:
                middle = len(homes) // 2
                pending += [homes[middle:], homes[:middle]]

    def _dearness(self, home: int) -> tuple[float, int]:
        """The operations for a byte; ties go by the order of running."""
        return self.problem.costs[home] / self.problem.bytes[home], home


def fit(problem: RecomputeProblem, budget: int) -> Search:
    """What to recompute so that at most `budget` bytes are live at once: `best`, if a way was found."""
    search = Search(problem, budget)
    search.run()
    if len(problem) > _SMALL:
        return search
    others = [Search(problem.divided(split), budget) for split in range(len(problem) - 1)]
    for other in others:
        other.run()
    return min([search, *others], key=Search.rank)
