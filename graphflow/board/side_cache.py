"""Side files of runs and what is made of them, kept as long as the files are the same."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from graphflow.board.store import LogDirectory, NotLogged
from graphflow.train.side_files import FOLDER

MOST_KEPT = 12


class SideCache:
    """The last few things that were made of side files, by what they were asked for.

    Arguments:
        log: where the files are.
    """

    def __init__(self, log: LogDirectory) -> None:
        self.log = log
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()
        self._making: dict[tuple[Any, ...], threading.Lock] = {}

    def stamp(self, run: str, kind: str) -> tuple[int, int] | None:
        """What changes whenever a side file does; None if there is none.

        Raises:
            NotLogged: if there is no such run.
        """
        place = self.log.root / self.log.place(run) / FOLDER / f"{kind}.json"
        try:
            found = os.stat(place, follow_symlinks=False)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def made(self, key: tuple[Any, ...], stamp: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, or gave when the stamp was the same; it is called by one thread at a time."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept[0] == stamp:
                    self._kept.move_to_end(key)
                    return kept[1]
            found = make()
            with self._lock:
                self._kept[key] = (stamp, found)
                self._kept.move_to_end(key)
                while len(self._kept) > MOST_KEPT:
                    gone, _ = self._kept.popitem(last=False)
                    self._making.pop(gone, None)
        return found

    def content(self, run: str, kind: str) -> dict[str, Any]:
        """A side file.

        Raises:
            NotLogged: if the run has none, or is none.
            FileFormatError: if it is damaged.
        """
        stamp = self.stamp(run, kind)
        found = self.made(("content", run, kind), stamp, lambda: self.log.side(run, kind))
        if found is None:
            call = "explain" if kind == "journal" else kind
            raise NotLogged(f"the run {run!r:.80} has no {kind}.json", hint=f"write it by writer.{call}(...)")
        result: dict[str, Any] = found
        return result

    def optional(self, run: str, kind: str) -> dict[str, Any] | None:
        """A side file, or None where there is none or it is damaged: for what only adds to something else."""
        from graphflow.errors import GraphFlowError

        try:
            return self.content(run, kind)
        except GraphFlowError:
            return None
