"""The index of a log directory, kept between sessions, so that reopening reads no event file again.

It lies in a folder of the user's cache (`$XDG_CACHE_HOME/graphflow/board/HASH`), never in the log directory,
which may come from strangers and be read-only:

    index.json   a line `graphflow.board-index 1 CRC32`, then JSON: the root, all runs with files, tags and
                 segments, and the name of
    columns-*    the columns of sealed points, which are only ever appended to
    lock         held while a process uses the folder; a second one works without an index of its own

The JSON is replaced as a whole, after what it speaks of has been written; what does not fit together is
thrown away and read anew from the event files.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.board.store.catalog import Catalog
from graphflow.board.store.columns import ColumnFile, Segment, Series
from graphflow.board.store.places import Found
from graphflow.board.store.runs import EventFile, RunReader
from graphflow.errors import GraphFlowError
from graphflow.files import atomic_write

SCHEMA, VERSION = "graphflow.board-index", 1
KEPT_SECONDS = 30 * 24 * 3600
"""Indexes that nobody opened for so long are removed."""

_MOST_BYTES = 1 << 30
_WASTE_BYTES = 256 << 20


def cache_folder() -> Path:
    """Where indexes lie, unless another folder is asked for."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "graphflow" / "board"


class IndexFile:
    """The index of one log directory, and the file for its columns.

    Arguments:
        root: the log directory, resolved.
        folder: where indexes lie; None keeps none.

    Attributes:
        columns: where points are sealed to.
        is_kept: whether `save` writes anything.
    """

    def __init__(self, root: Path, folder: Path | None) -> None:
        self.root = root
        self.is_kept = False
        self._place: Path | None = None
        self._name = ""
        self._locked = ExitStack()
        self._content: dict[str, Any] | None = None
        self.columns = self._opened(folder) or ColumnFile()

    def _opened(self, folder: Path | None) -> ColumnFile | None:
        """The file of an earlier session or a new one; None where there can be none."""
        if folder is None:
            return None
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock
        except ImportError:  # Windows: two boards of one folder would each write an index, so there is none
            return None
        try:
            self._place = folder / hashlib.sha256(os.fsencode(self.root)).hexdigest()[:32]
            os.makedirs(self._place, mode=0o700, exist_ok=True)
            lock = os.open(self._place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._locked.callback(os.close, lock)
            flock(lock, LOCK_EX | LOCK_NB)
            _remove_old(folder, self._place)
            self._content = self._read()
            columns = self._columns()
        except OSError:
            self._locked.close()
            return None
        self.is_kept = True
        return columns

    def _columns(self) -> ColumnFile:
        assert self._place is not None
        if self._content is not None:
            self._name = str(self._content["columns"])
            os.truncate(self._place / self._name, self._content["end"])
            return ColumnFile(open(self._place / self._name, "r+b", buffering=0), self._content["end"])
        for old in self._place.glob("columns-*"):
            with suppress(OSError):
                old.unlink()
        self._name = f"columns-{secrets.token_hex(8)}"
        return ColumnFile(open(self._place / self._name, "x+b", buffering=0))

    def _read(self) -> dict[str, Any] | None:
        """The index as it was saved, if it is whole and of this version."""
        assert self._place is not None
        try:
            place = self._place / "index.json"
            if place.stat().st_size > _MOST_BYTES:
                return None
            head, _, text = place.read_bytes().partition(b"\n")
            if head.decode("ascii", "replace").split() != [SCHEMA, str(VERSION), f"{zlib.crc32(text):08x}"]:
                return None
            found = json.loads(text)
            name, end = str(found["columns"]), int(found["end"])
            is_here = name.startswith("columns-") and os.path.basename(name) == name
            wasted = end - int(found["used"])
            whole = is_here and (self._place / name).stat().st_size >= end >= 0
            is_thrifty = wasted <= max(_WASTE_BYTES, end // 2)
            return found if whole and is_thrifty and found["root"] == os.fsencode(self.root).hex() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def load(self, revision: int) -> list[RunReader]:
        """The runs of the last session; none if there is nothing that can be used."""
        found, self._content = self._content, None
        try:
            return [self._run(one, revision) for one in found["runs"]] if found else []
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return []

    def _run(self, found: dict[str, Any], revision: int) -> RunReader:
        folder = os.fsdecode(bytes.fromhex(found["folder"]))
        places = tuple(os.fsdecode(bytes.fromhex(file["place"])) for file in found["files"])
        run = RunReader(self.root, Found(str(found["name"]), folder, places), revision)
        run.catalog = Catalog.from_dict(found["catalog"], revision)
        run.reader.catalog = run.catalog
        run.notices = [str(notice) for notice in found["notices"]]
        run.files = [
            EventFile(place, file["offset"], (int(file["head"][0]), int(file["head"][1])), file["size"])
            for place, file in zip(places, found["files"])
        ]
        for series, listed in ((run.scalars, found["scalars"]), (run.references, found["references"])):
            series.segments = [self._segment(one, len(run.catalog), series) for one in listed]
        return run

    def _segment(self, found: dict[str, Any], tags: int, series: Series) -> Segment:
        first, second, size = (int(one) for one in found["table"])
        ids = self.columns.read(first, 0, size, "<i4")
        starts = self.columns.read(second, 0, size + 1, "<i8")
        dtypes = [str(one) for one in found["dtypes"]]
        segment = Segment(ids, starts, [int(one) for one in found["places"]], dtypes, found["below"])
        segment.table = [first, second, size]
        allowed = [(dtype, "<f4") if dtype == "<f8" else (dtype,) for _, dtype in series.schema]
        fits = len(dtypes) == len(allowed) == len(segment.places) and all(
            dtype in wanted and 0 <= place <= self.columns.end - np.dtype(dtype).itemsize * segment.points
            for dtype, wanted, place in zip(dtypes, allowed, segment.places)
        )
        ordered = size > 0 and ids[0] >= 0 and ids[-1] < tags and bool((np.diff(ids) > 0).all())
        if not (fits and ordered and starts[0] == 0 and bool((np.diff(starts) > 0).all())):
            raise ValueError("the index does not fit together")
        return segment

    def save(self, runs: Iterable[RunReader]) -> bool:
        """Write everything; False where nothing is kept. All points have to be sealed."""
        if not self.is_kept or self._place is None:
            return False
        listed, used = [], 0
        for run in runs:
            content = {**run.to_dict(), "name": run.name}
            for key, series in (("scalars", run.scalars), ("references", run.references)):
                content[key] = [self._saved(segment) for segment in series.segments]
                used += sum(_bytes(segment) for segment in series.segments)
            listed.append(content)
        content = {
            "root": os.fsencode(self.root).hex(), "columns": self._name, "end": self.columns.end,
            "used": used, "runs": listed,
        }  # fmt: skip
        if not self.columns.sync():
            return False
        text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        try:
            with atomic_write(self._place / "index.json") as file:
                file.write(f"{SCHEMA} {VERSION} {zlib.crc32(text):08x}\n".encode() + text)
        except GraphFlowError:
            return False
        return True

    def _saved(self, segment: Segment) -> dict[str, Any]:
        if segment.table is None:
            places = self.columns.append(segment.ids.astype("<i4"), segment.starts.astype("<i8"))
            segment.table = [*places, segment.ids.size]
        return {
            "table": segment.table, "places": segment.places, "dtypes": segment.dtypes, "below": segment.below
        }  # fmt: skip

    def close(self) -> None:
        """Close the files."""
        self.columns.close()
        self._locked.close()


def _bytes(segment: Segment) -> int:
    widths = sum(np.dtype(dtype).itemsize for dtype in segment.dtypes)
    return widths * segment.points + 12 * segment.ids.size + 8


def _remove_old(folder: Path, own: Path) -> None:
    """Remove the indexes that nobody has opened for long, and mark the own one as opened."""
    with suppress(OSError):
        os.utime(own)
        for other in folder.iterdir():
            if other != own and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
