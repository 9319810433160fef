"""The reader of a log directory: finds runs, reads what has come, and counts revisions.

One block of one run is read at a time, in turns, so that of many runs each shows something soon. The lock
is held only while what was read is taken in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from graphflow.board.store.index_file import IndexFile
from graphflow.board.store.places import find_runs
from graphflow.board.store.runs import BLOCK_BYTES, Replaced, RunReader

FIRST_BYTES = 1 << 17
"""So much of each run is read in the first turn, and twice as much in each that follows."""

TAIL_POINTS = 1 << 21
"""More points than this are not kept in memory; those of the run with most of them are sealed."""

FIND_SECONDS = 5.0
SAVE_SECONDS = 60.0


class Reader:
    """Reads a log directory.

    Arguments:
        root: resolved.
        index: where points are sealed, and what was saved.

    Attributes:
        lock: to be held while the attributes below are used.
        runs: by name.
        revision: how often something changed.
        listed: the revision at which the list of runs last changed.
        notices: what was left out of the folder, in words.
        is_complete: whether all that is there has been read.
        preferred: names of runs to be read first.
    """

    def __init__(self, root: Path, index: IndexFile) -> None:
        self.root, self.index = root, index
        self.lock = threading.RLock()
        self.revision = self.listed = 1
        self.runs: dict[str, RunReader] = {run.name: run for run in index.load(1)}
        self.notices: list[str] = []
        self.is_complete = False
        self.preferred: frozenset[str] = frozenset()
        self.stopping = threading.Event()
        self._reading = threading.Lock()
        self._found_at = -FIND_SECONDS
        self._saved_at = time.monotonic()
        self._saved_revision = self.revision

    def pass_over(self, find: bool = False) -> bool:
        """Look at all files, and read until there is nothing more, or `stopping`; whether anything came."""
        with self._reading:
            before = self.revision
            if find or time.monotonic() - self._found_at >= FIND_SECONDS:
                self._find()
            most = FIRST_BYTES
            while not self.stopping.is_set():
                due = [run for run in self._in_turn() if run.look()]
                if not due:
                    break
                self.is_complete = False
                if not self._turn(due, most):
                    break
                most = min(2 * most, BLOCK_BYTES)
            if not self.stopping.is_set():
                self.is_complete = True
                self._save_sometimes()
            return self.revision != before

    def _in_turn(self) -> list[RunReader]:
        with self.lock:
            runs = list(self.runs.values())
        return sorted(runs, key=lambda run: run.name not in self.preferred)

    def _turn(self, due: Iterable[RunReader], most: int) -> bool:
        """Read a block of each; whether any had one."""
        any_read = False
        for run in due:
            if self.stopping.is_set():
                return False
            any_read |= self._read(run, most)
        return any_read

    def _read(self, run: RunReader, most: int) -> bool:
        noticed = len(run.notices)
        try:
            found = run.read(most)
        except Replaced:
            with self.lock:
                self.revision += 1
                run.clear()
                run.notices.append("an event file was replaced or cut, so the run is read anew")
                run.changed = self.revision
            return True
        with self.lock:
            if found is None:
                if len(run.notices) != noticed:
                    self.revision += 1
                    run.changed = self.revision
                return False
            self.revision += 1
            run.add(*found, self.index.columns, self.revision)
            self._seal_most()
        return True

    def _seal_most(self) -> None:
        runs = self.runs.values()
        while sum(run.scalars.tail_points + run.references.tail_points for run in runs) > TAIL_POINTS:
            fullest = max(runs, key=lambda run: run.scalars.tail_points + run.references.tail_points)
            fullest.scalars.seal(self.index.columns)
            fullest.references.seal(self.index.columns)

    def _find(self) -> None:
        """Take up runs and files that have come, and drop those that are gone."""
        found, notices = find_runs(self.root)
        self._found_at = time.monotonic()
        with self.lock:
            self.notices = notices
            names = [one.name for one in found]
            if names != list(self.runs):
                self.revision += 1
                self.listed = self.revision
            runs: dict[str, RunReader] = {}
            for one in found:
                known = self.runs.get(one.name)
                if known is None or known.folder != one.folder:
                    known = RunReader(self.root, one, self.revision)
                known.follow(one)
                runs[one.name] = known
            self.runs = runs

    def _save_sometimes(self) -> None:
        is_first = self._saved_revision <= 1
        if self.revision != self._saved_revision and (
            is_first or time.monotonic() - self._saved_at >= SAVE_SECONDS
        ):
            self.save()

    def save(self) -> None:
        """Write the index."""
        with self.lock:
            if not self.index.is_kept:
                return
            for run in self.runs.values():
                run.scalars.seal(self.index.columns)
                run.references.seal(self.index.columns)
            self.index.save(self.runs.values())
            self._saved_revision, self._saved_at = self.revision, time.monotonic()

    def close(self) -> None:
        """Stop, write the index if anything came, and close it."""
        self.stopping.set()
        with self._reading:
            if self.revision != self._saved_revision:
                self.save()
            self.index.close()
