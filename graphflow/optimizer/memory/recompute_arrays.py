"""A problem of recomputation as arrays, so that a trial needs no loop over its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphflow.optimizer.memory.recompute import RecomputeProblem


class Ragged:
    """Rows of numbers of different lengths, one after the other.

    Attributes:
        values: the numbers of all rows.
        owners: for each of them, its row.

    >>> rows = Ragged([(7, 8), (), (9,)])
    >>> rows.of(np.array([2, 0, 2]))
    (array([9, 7, 8, 9]), array([0, 1, 1, 2]))
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self._lengths = np.array([len(row) for row in rows], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self.values = np.fromiter(chain.from_iterable(rows), np.int64, int(self._lengths.sum()))
        self.owners = np.repeat(np.arange(len(rows)), self._lengths)

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of some rows in turn, and for each of them, which of these rows it is from."""
        lengths = self._lengths[rows]
        ends = np.cumsum(lengths)
        places = np.repeat(np.arange(len(rows)), lengths)
        inside = np.arange(len(places)) - (ends - lengths)[places]
        return self.values[self._starts[rows][places] + inside], places


class Arrays:
    """What trials need of a problem, as it is when the first of them is made.

    Attributes:
        sources: for each node, those it reads.
        views, shown: the nodes that are views, and for each node the home of what it shows.
        made, scratch, saved: for each node, its bytes.
        touched, reused: for each node, its storages.
        homes, size: of each storage.
        stays: the storages that are kept to the end.
    """

    def __init__(self, problem: RecomputeProblem) -> None:
        base = problem.base
        self.sources = Ragged(problem.sources)
        self.shown = np.array(problem.shown, np.int64)
        self.views = np.flatnonzero(self.shown >= 0)
        self.made = np.array(base.made, np.int64)
        self.scratch = np.array(base.scratch, np.int64)
        self.saved = np.array([saved for _, saved in base.reused], np.int64)
        self.touched = Ragged(base.touched)
        self.reused = Ragged([storages if saved else () for storages, saved in base.reused])
        self.homes = np.array(problem.homes, np.int64)
        self.size = np.array(base.size, np.int64)
        self.stays = np.flatnonzero(np.array(problem.stays(), np.int64))
