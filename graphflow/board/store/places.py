"""Finding and opening what lies below a folder, and nothing else.

Links are followed only where they lead to something below the folder, and files are opened one name at a
time from the folder down without following any link, so that what is exchanged for a link in between is
not followed either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

EVENT_MARK = "tfevents"
MOST_FOLDERS = 100_000
MOST_FILES = 100_000

_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_BY_FOLDER = os.open in os.supports_dir_fd


class Found(NamedTuple):
    """A run: its name, the folder below the root, and its event files there, in the order to be read."""

    name: str
    folder: str
    files: tuple[str, ...]


def find_runs(root: Path) -> tuple[list[Found], list[str]]:
    """All folders below the root that hold event files, and what was left out, in words.

    Arguments:
        root: resolved.
    """
    runs: list[Found] = []
    notices: list[str] = []
    pending, seen, files = [""], {os.path.realpath(root)}, 0
    while pending:
        folder = pending.pop()
        events, inside = _listed(root, folder, seen, notices)
        pending += sorted(inside, reverse=True)
        files += len(events)
        if len(seen) > MOST_FOLDERS or files > MOST_FILES:
            notices.append(f"there are more than {MOST_FOLDERS} folders or event files; the rest is left out")
            break
        if events:
            runs.append(Found(_shown(folder), folder, tuple(sorted(events))))
    return _distinct(runs), notices


def _listed(root: Path, folder: str, seen: set[str], notices: list[str]) -> tuple[list[str], list[str]]:
    """The event files in a folder, and the folders in it, each by its real path below the root."""
    events, inside = [], []
    try:
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                real = _real(root, entry, folder, notices)
                if real is None:
                    continue
                is_folder, place = real
                if is_folder:
                    full = os.path.join(root, place)
                    if full not in seen:
                        seen.add(full)
                        inside.append(place)
                elif EVENT_MARK in entry.name:
                    events.append(place)
    except OSError as error:
        notices.append(f"the folder {_shown(folder)} cannot be read: {error.strerror or error}")
    return events, inside


def _real(root: Path, entry: os.DirEntry[str], folder: str, notices: list[str]) -> tuple[bool, str] | None:
    """Whether an entry is a folder, and its real path below the root; None for all else."""
    place = os.path.join(folder, entry.name)
    try:
        if entry.is_symlink():
            real = os.path.realpath(root / place, strict=True)
            if not Path(real).is_relative_to(root):
                notices.append(f"the link {_shown(place)} leads out of the log directory, and is left out")
                return None
            place = os.path.relpath(real, root)
            place = "" if place == "." else place
        mode = os.stat(root / place).st_mode
    except (OSError, RuntimeError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        return True, place
    return (False, place) if stat.S_ISREG(mode) else None


def _shown(folder: str) -> str:
    return os.fsencode(folder).decode("utf-8", "replace").replace(os.sep, "/") or "."


def _distinct(runs: list[Found]) -> list[Found]:
    """The runs in the order of their names, those that look alike numbered."""
    runs.sort(key=lambda run: (run.name, run.folder))
    used: dict[str, int] = {}
    listed = []
    for run in runs:
        used[run.name] = number = used.get(run.name, 0) + 1
        listed.append(run if number == 1 else run._replace(name=f"{run.name} ({number})"))
    return listed


@contextmanager
def opened(root: Path, place: str) -> Iterator[BinaryIO]:
    """A regular file below the root, by its real path, for reading.

    Raises:
        OSError: if there is none, or there is a link on the way.
    """
    handle = _handle(root, place)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{_shown(place)} is no regular file")
        file = os.fdopen(handle, "rb", buffering=0)
    except BaseException:
        os.close(handle)
        raise
    with file:
        yield file


def _handle(root: Path, place: str) -> int:
    flags = os.O_RDONLY | _NOT_FOLLOWED | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    parts = Path(place).parts
    if os.path.isabs(place) or ".." in parts or not parts:
        raise OSError(f"{_shown(place)} is no place below the log directory")
    if not _BY_FOLDER:
        if not Path(os.path.realpath(root / place)).is_relative_to(root):
            raise OSError(f"{_shown(place)} leads out of the log directory")
        return os.open(root / place, flags)
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | _FOLDER | _NOT_FOLLOWED, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)


def read_exactly(file: BinaryIO, place: int, size: int) -> bytes:
    """Up to `size` bytes from a place on; fewer only at the end of the file."""
    file.seek(place)
    parts, left = [], size
    while left > 0:
        part = file.read(left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
