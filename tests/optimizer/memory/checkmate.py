"""Checkmate's integer program: the least cost at which a small problem fits a budget, for comparison.

P. Jain et al., "Checkmate: Breaking the Memory Wall with Optimal Tensor Rematerialization", 2020, section 4.
Stage t computes node t for the first time, after any earlier nodes once more. R[t, i] says that node i runs
in stage t, S[t, i] that its value is there when the stage begins, F[t, i, k] that it goes after node k.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from graphflow.optimizer.memory.recompute import RecomputeProblem

Row = tuple[dict[int, float], float, float]


class Checkmate:
    """The program for a problem whose nodes have one result each, nothing in place and no views.

    Arguments:
        budget: the most bytes that are live at once.
        runs: how often a node of the first half may run; those of the second half run once.
    """

    def __init__(self, problem: RecomputeProblem, budget: int, runs: int = 2) -> None:
        self.problem, self.count = problem, len(problem)
        self.readers: list[list[int]] = [[] for _ in range(self.count)]
        for place, needs in enumerate(problem.needs):
            for source in needs:
                self.readers[source].append(place)
        self.rows: list[Row] = []
        self.scale = max(1, max(problem.bytes))
        self._runs(runs)
        self._dependences()
        self._frees()
        self._memory(budget)

    def runs(self, stage: int, node: int) -> int:
        return stage * self.count + node

    def saved(self, stage: int, node: int) -> int:
        return self.count**2 + self.runs(stage, node)

    def frees(self, stage: int, node: int, after: int) -> int:
        return (2 + stage) * self.count**2 + node * self.count + after

    def _runs(self, most: int) -> None:
        for node in range(self.count):
            limit = most if node <= self.problem.split else 1
            self.rows.append(({self.runs(stage, node): 1.0 for stage in range(self.count)}, 1, limit))
            self.rows.append(({self.runs(node, node): 1.0}, 1, 1))
            for stage in range(node):
                self.rows.append(({self.runs(stage, node): 1.0}, 0, 0))
            for stage in range(node + 1):
                self.rows.append(({self.saved(stage, node): 1.0}, 0, 0))

    def _dependences(self) -> None:
        for stage in range(self.count):
            for node in range(self.count):
                for source in self.problem.needs[node]:
                    row = {
                        self.runs(stage, node): 1.0,
                        self.runs(stage, source): -1.0,
                        self.saved(stage, source): -1.0,
                    }
                    self.rows.append((row, -np.inf, 0))
                if stage:
                    before = stage - 1
                    row = {
                        self.saved(stage, node): 1.0,
                        self.runs(before, node): -1.0,
                        self.saved(before, node): -1.0,
                    }
                    self.rows.append((row, -np.inf, 0))

    def _frees(self) -> None:
        """A value goes if it is not kept for the next stage and nothing later in this one reads it."""
        for stage in range(self.count):
            for after in range(self.count):
                allowed = {after, *self.problem.needs[after]}
                for node in range(self.count):
                    free = self.frees(stage, node, after)
                    if node not in allowed:
                        self.rows.append(({free: 1.0}, 0, 0))
                        continue
                    self.rows.append(({free: 1.0, self.runs(stage, after): -1.0}, -np.inf, 0))
                    if stage + 1 < self.count:
                        self.rows.append(({free: 1.0, self.saved(stage + 1, node): 1.0}, -np.inf, 1))
                    for reader in self.readers[node]:
                        if reader > after:
                            self.rows.append(({free: 1.0, self.runs(stage, reader): 1.0}, -np.inf, 1))

    def _memory(self, budget: int) -> None:
        sizes = np.array(self.problem.bytes) / self.scale
        for stage in range(self.count):
            used: dict[int, float] = {self.saved(stage, node): sizes[node] for node in range(self.count)}
            for after in range(stage + 1):
                used = {**used, self.runs(stage, after): sizes[after]}
                self.rows.append((used, -np.inf, budget / self.scale + 1e-7))
                gone = {self.frees(stage, node, after): -sizes[node] for node in range(self.count)}
                used = {**used, **gone}

    def solve(self) -> float | None:
        """The cost of what runs a second time, or None if nothing fits."""
        width = (2 + self.count) * self.count**2
        rows = [place for place, (row, _, _) in enumerate(self.rows) for _ in row]
        columns = [column for row, _, _ in self.rows for column in row]
        values = [value for row, _, _ in self.rows for value in row.values()]
        matrix = coo_array((values, (rows, columns)), shape=(len(self.rows), width)).tocsr()
        low, high = np.array([(low, high) for _, low, high in self.rows]).T
        price = np.zeros(width)
        for stage in range(self.count):
            for node in range(self.count):
                price[self.runs(stage, node)] = self.problem.costs[node]
        found = milp(
            price,
            constraints=LinearConstraint(matrix, low, high),
            integrality=np.ones(width),
            bounds=Bounds(0, 1),
        )
        return None if found.x is None else round(found.fun) - sum(self.problem.costs)
