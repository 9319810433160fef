"""Choosing where to cut a sequence of nodes, so that pieces are near a size and repeat where it repeats.

A cut should be narrow: little should live across it, since that is what has to pass through memory. In
a periodic region the cuts lie a whole number of periods apart, at the place within the period that is
narrowest on average, so that the pieces between them are alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from graphflow.runtime.repetition import Region


def choose_cuts(
    weights: Sequence[int] | np.ndarray,
    costs: Sequence[float] | np.ndarray,
    regions: Iterable[Region],
    budget: int,
) -> list[int]:
    """The positions that begin a piece, 0 first, and the length of the sequence last.

    Arguments:
        weights: of each node, at least 1.
        costs: of a cut before each node, and after the last.
        regions: where the sequence is periodic, in order.
        budget: the weight that no piece exceeds, unless a single node does.

    >>> choose_cuts([1] * 6, [0, 9, 9, 2, 9, 9, 0], [], 4)
    [0, 3, 6]
    """
    before = np.concatenate([[0], np.cumsum(np.asarray(weights, np.int64))])
    chooser = _Chooser(before, np.asarray(costs, np.float64), budget)
    cuts = [0]
    for region in regions:
        for position in chooser.repeating(region):
            cuts += chooser.between(cuts[-1], position)
    return cuts + chooser.between(cuts[-1], len(before) - 1)


class _Chooser:
    """The cuts within one stretch, from cumulated weights and costs."""

    def __init__(self, before: np.ndarray, costs: np.ndarray, budget: int) -> None:
        self.before = before
        self.costs = costs
        self.budget = budget

    def between(self, start: int, stop: int) -> list[int]:
        """Cuts after `start`, up to `stop` and with it, none of them further apart than the budget.

        Pieces of equal weight would do; each cut moves by up to a half of that to where it is narrow.
        """
        cuts = []
        while start < stop:
            left = self.before[stop] - self.before[start]
            pieces = math.ceil(left / self.budget)
            if pieces == 1 or stop - start == 1:
                start = stop
            else:
                latest = min(self._reach(start, self.budget), stop - 1)
                earliest = min(self._reach(start, left / pieces / 2), latest)
                window = self.costs[earliest : latest + 1]
                start = earliest + int(np.flatnonzero(window == window.min())[-1])
            cuts.append(start)
        return cuts

    def _reach(self, start: int, weight: float) -> int:
        """The furthest position whose piece from `start` stays within a weight; one node at least."""
        found = int(np.searchsorted(self.before, self.before[start] + weight, side="right")) - 1
        return max(found, start + 1)

    def repeating(self, region: Region) -> list[int]:
        """Cuts in a periodic region, from its first to its last."""
        start, stop, period = region
        weight = int(self.before[start + period] - self.before[start])
        mean = self._mean_costs(region)
        first = start + int(np.flatnonzero(mean == mean.min())[0])
        periods = (stop - first) // period
        if weight > self.budget:
            within = self.between(first, first + period) if first + period <= stop else []
            shifts = [0, *[position - first for position in within[:-1]]]
            cuts = [first + period * turn + shift for turn in range(periods) for shift in shifts]
            return [*cuts, first + period * periods]
        most = max(1, min(self.budget // weight, periods))
        fitting = range(most, (3 * most + 3) // 4 - 1, -1)
        count = min(fitting, key=lambda number: periods % number)
        return [first + period * count * turn for turn in range(periods // count + 1)]

    def _mean_costs(self, region: Region) -> np.ndarray:
        """The mean cost of a cut at each place within the period."""
        start, stop, period = region
        turns = (stop - start) // period
        return self.costs[start : start + turns * period].reshape(turns, period).mean(axis=0)
