"""Writing files and folders so that a failure leaves the old ones whole, and reading them with care."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import mmap
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeAlias

from graphflow.errors import FileFormatError

Piece: TypeAlias = bytes | memoryview

_AT_CWD = -100
_EXCHANGE = 2
_TEMPORARY = ".tmp"
_PIECE = 1 << 22


def checked_path(path: Any) -> Path:
    """A path from what names a file or folder.

    Raises:
        FileFormatError: if it is neither text nor a path.
    """
    try:
        place = Path(path)
        os.fsencode(place)
    except (TypeError, ValueError):
        place = Path("\0")
    if "\0" in str(place):
        raise FileFormatError(f"{path!r:.80} names no file", hint="pass a path, such as 'runs/first'")
    return place


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces the one at `path` when the block ends without an error.

    Once it has ended, the file outlives a crash of the machine.

    Raises:
        FileFormatError: if it cannot be written; a file that was there is untouched.
    """
    place = checked_path(path)
    if not place.name:
        raise FileFormatError(f"{str(path)!r} names no file", hint="pass a path, such as 'runs/first'")
    temporary = _beside(place)
    try:
        with open(temporary, "xb") as file:
            yield file
            _sync(file)
        os.replace(temporary, place)
    except OSError as error:
        raise unwritable(place, error) from error
    finally:
        # Where it could not be made it cannot be removed either, and the first error is the one to tell.
        with suppress(OSError):
            temporary.unlink()
    _make_last(place)


def write_svg(path: str | os.PathLike[str], drawing: str) -> Path:
    """Write an SVG document; it appears whole or not at all.

    Raises:
        FileFormatError: if the name does not end in .svg, or the file cannot be written.
    """
    target = checked_path(path)
    if target.suffix.lower() != ".svg":
        raise FileFormatError(
            f"{target.name!r} is no .svg file", hint="end the name in .svg: browsers show such pictures"
        )
    with atomic_write(target) as file:
        file.write(drawing.encode("utf-8"))
    return target


def _beside(place: Path) -> Path:
    """A name in the same folder that nothing has."""
    return place.with_name(f".{place.name}.{secrets.token_hex(8)}{_TEMPORARY}")


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove the files and folders under temporary names that killed writers left behind.

    Arguments:
        pattern: of the names that they were to get, such as "step-*".
    """
    for left in folder.glob(f".{pattern}.{'[0-9a-f]' * 16}{_TEMPORARY}"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def remove_folder(place: Path) -> None:
    """Remove a folder so that whoever looks sees all of it, or nothing.

    Raises:
        FileFormatError: if it cannot be removed.
    """
    aside = _beside(place)
    try:
        os.rename(place, aside)
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} cannot be removed: {error.strerror or error}", hint="remove it by hand"
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def unwritable(place: Path, error: OSError) -> FileFormatError:
    """The error for a file or folder that cannot be written."""
    return FileFormatError(
        f"{str(place)!r} cannot be written: {error.strerror or error}",
        hint="choose a place that can be written; what was there is untouched",
    )


def write_folder(
    place: Path, parts: Iterable[tuple[str, Iterable[Piece]]], check_old: Callable[[Path], None]
) -> None:
    """Write a folder of files, replacing the one at `place` all at once.

    The files go to a new folder beside it, which then takes its name. Nothing is left behind by a
    failure. Once it returns, the folder outlives a crash of the machine.

    Arguments:
        parts: names and the pieces of their contents; each part is written before the next is asked for.
        check_old: raises if what is at `place` must not be replaced.

    Raises:
        FileFormatError: if it cannot be written; what was there is untouched.
    """
    if os.path.lexists(place):
        check_old(place)
    temporary = _beside(place)
    try:
        os.mkdir(temporary)
        for name, pieces in parts:
            with open(temporary / name, "xb") as file:
                for piece in pieces:
                    file.write(piece)
                _sync(file)
        _sync_folder(temporary)
        _take_name(temporary, place)
    except OSError as error:
        raise unwritable(place, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _make_last(place)


class Digests:
    """The size and SHA-256 of contents, found while they pass by on their way to the disk."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, str]] = {}

    def watch(self, name: str, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces, no larger than a few megabytes; they are hashed while they are written."""
        digest, size = hashlib.sha256(), 0
        with ThreadPoolExecutor(1) as pool:
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(view), _PIECE):
                    some = view[start : start + _PIECE]
                    hashed = pool.submit(digest.update, some)
                    yield some
                    hashed.result()
                size += len(view)
        self.files[name] = (size, digest.hexdigest())


def _take_name(temporary: Path, place: Path) -> None:
    """Give `place` to the new folder, and its name to the old one, if there is one."""
    if not os.path.lexists(place):
        os.rename(temporary, place)
    elif not _exchange(temporary, place):
        # Where two names cannot be exchanged in one step, the old folder steps aside in between.
        aside = _beside(place)
        os.rename(place, aside)
        try:
            os.rename(temporary, place)
        except OSError:
            os.rename(aside, place)
            raise
        os.rename(aside, temporary)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step (Linux's renameat2); False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if rename(_AT_CWD, os.fsencode(first), _AT_CWD, os.fsencode(second), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code))


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(place: Path) -> None:
    """Make the names in a folder last; some systems cannot, and keep them anyway."""
    if os.name != "posix":
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_last(place: Path) -> None:
    """Let a file or folder that has just got its name keep it through a crash of the machine."""
    try:
        _sync_folder(place.parent)
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} is written, but may be lost if the machine stops: {error.strerror or error}",
            hint="look after the disk, and write it again",
        ) from error


# Reading


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, or some of them: `size` bytes of `buffer`, from `start` on."""

    buffer: bytes | mmap.mmap
    start: int
    size: int

    @property
    def is_mapped(self) -> bool:
        """Whether the bytes are those of the file, and not a copy."""
        return not isinstance(self.buffer, bytes)

    def view(self) -> memoryview:
        """The bytes without a copy."""
        return memoryview(self.buffer)[self.start : self.start + self.size]

    def part(self, start: int, size: int) -> Content:
        """Some of these bytes."""
        return Content(self.buffer, self.start + start, size)


def read_file(place: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; links are not followed.

    Raises:
        FileFormatError: if it is missing, something else than a file, or larger.
    """
    with _opened(place, most) as (handle, size), open(handle, "rb", closefd=False) as file:
        return file.read(size)


def map_file(place: Path, most: int, read_below: int = 0) -> Content:
    """The content of a regular file, mapped into memory rather than read; links are not followed.

    It must not be cut off while it is mapped; replacing it by another file, as this module does, is safe.

    Arguments:
        read_below: a smaller file is read instead.

    Raises:
        FileFormatError: as `read_file` does.
    """
    with _opened(place, most) as (handle, size):
        if size == 0 or size < read_below:
            with open(handle, "rb", closefd=False) as file:
                content = file.read(size)
            return Content(content, 0, len(content))
        return Content(mmap.mmap(handle, size, access=mmap.ACCESS_READ), 0, size)


@contextmanager
def _opened(place: Path, most: int) -> Iterator[tuple[int, int]]:
    """The handle and size of a regular file."""
    try:
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise FileFormatError(
            f"{str(place)!r} cannot be read: {reason}", hint="copy the whole folder"
        ) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError(f"{str(place)!r} is no regular file", hint="copy the files themselves")
        if status.st_size > most:
            raise FileFormatError(
                f"{str(place)!r} has {status.st_size} bytes, more than the {most} that it should have",
                hint="the file was changed after it was written; get the model again",
            )
        try:
            yield handle, status.st_size
        except (OSError, ValueError) as error:
            raise FileFormatError(
                f"{str(place)!r} cannot be read: {error}", hint="look after the disk, or get the file again"
            ) from error
    finally:
        os.close(handle)


def strict_json(content: bytes) -> Any:
    """What a JSON text says, without the liberties that Python takes.

    Raises:
        ValueError: for what is no JSON, a key that is there twice, NaN, and nesting that is too deep.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
