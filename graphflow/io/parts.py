"""The files of a saved model, wherever they lie: in a folder, or in one zip file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from graphflow.errors import FileFormatError
from graphflow.files import Content, Piece, atomic_write, map_file, read_file, write_folder
from graphflow.io.manifest import LARGEST_FILE, LARGEST_MANIFEST, NAME, file_names, is_manifest
from graphflow.io.zip_file import MAGIC, ZipParts, write_zip

ONE_FILE = (".gfm", ".zip")
"""What the name of a model in one file ends in."""

MAPPED_FROM = 1 << 24
"""The bytes from which a file is mapped into memory rather than read."""

_MOST_FILES = 256


# Writing


def write_parts(place: Path, parts: Iterable[tuple[str, Iterable[Piece]]]) -> None:
    """Write a model's files to a folder, or to one file if the name of the place says so.

    Raises:
        FileFormatError: if it cannot be written, or something that is no saved model is in the way.
    """
    if place.suffix not in ONE_FILE:
        write_folder(place, parts, _check_folder)
        return
    if os.path.lexists(place):
        _check_file(place)
    with atomic_write(place) as file:
        write_zip(file, parts)


def _check_folder(place: Path) -> None:
    """Raise unless there is an empty folder or a saved model, and nothing else that could be lost."""
    try:
        names = set(os.listdir(place)) if place.is_dir() and not place.is_symlink() else None
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} cannot be read: {error.strerror}", hint="choose another folder"
        ) from error
    if names is not None and (
        not names or _is_model(names, lambda: read_file(place / NAME, LARGEST_MANIFEST))
    ):
        return
    _refuse(place)


def _check_file(place: Path) -> None:
    """Raise unless there is a saved model in one file."""
    try:
        parts = ZipParts(place, map_file(place, LARGEST_FILE))
        good = _is_model(set(parts), lambda: bytes(parts.content(NAME, LARGEST_MANIFEST).view()))
    except FileFormatError:
        good = False
    if not good:
        _refuse(place)


def _is_model(names: set[str], manifest: Callable[[], bytes]) -> bool:
    """Whether there is a manifest of a saved model, and nothing that it does not name."""
    if NAME not in names:
        return False
    try:
        content = manifest()
    except FileFormatError:
        return False
    return is_manifest(content) and names <= {NAME, *file_names(content)}


def _refuse(place: Path) -> None:
    raise FileFormatError(
        f"{str(place)!r} exists and is no saved model, so it is not replaced",
        hint="choose another path, or remove it",
    )


# Reading


class Parts(Protocol):
    """Contents by file name."""

    def __iter__(self) -> Iterator[str]: ...

    def content(self, name: str, most: int) -> Content:
        """The content of a file of at most `most` bytes.

        Raises:
            FileFormatError: if it is larger, or cannot be read.
        """
        ...


class FolderParts:
    """The files in a folder.

    Raises:
        FileFormatError: if there is no such folder, or it has too many files to be a model.
    """

    def __init__(self, place: Path, map_from: int) -> None:
        self._place = place
        self._map_from = map_from
        try:
            with os.scandir(place) as entries:
                self._names = [entry.name for entry, _ in zip(entries, range(_MOST_FILES + 1))]
        except OSError as error:
            raise FileFormatError(
                f"{str(place)!r} cannot be read: {error.strerror or error}",
                hint="pass the folder that save wrote",
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def content(self, name: str, most: int) -> Content:
        """The content of a file; links are not followed."""
        return map_file(self._place / name, most, self._map_from)


def open_parts(place: Path, mapped: bool | None) -> Parts:
    """The files of the model at a place.

    Arguments:
        mapped: whether to map them into memory rather than read them; by default the large ones.

    Raises:
        FileFormatError: if there is nothing, or neither a folder nor a zip file.
    """
    map_from = MAPPED_FROM if mapped is None else 0 if mapped else LARGEST_FILE
    if not place.is_file():
        return FolderParts(place, map_from)
    content = map_file(Path(os.path.realpath(place)), LARGEST_FILE, map_from)
    if bytes(content.view()[:4]) != MAGIC:
        raise FileFormatError(
            f"{str(place)!r} is no saved model: it is neither a folder nor a zip file",
            hint="pass what gf.saved_model.save wrote",
        )
    return ZipParts(place, content)


def check_names(place: Path, parts: Parts, wanted: Collection[str]) -> None:
    """Raise unless these are all the files there are."""
    names = {*parts}
    missing, extra = sorted({*wanted} - names), sorted(names - {*wanted})
    if missing or extra:
        said = [f"lacks {', '.join(missing[:4])}"] * bool(missing)
        said += [f"has {', '.join(map(repr, extra[:4]))} too many"] * bool(extra)
        raise FileFormatError(
            f"{str(place)!r} is no whole saved model: it {' and '.join(said)}",
            hint=f"a model is {NAME} with the files that it names, and nothing else",
        )
