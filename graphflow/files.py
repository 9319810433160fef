"""Writing files and folders so that a failure leaves the old ones whole, and reading them with care."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from graphflow.errors import FileFormatError

_AT_CWD = -100
_EXCHANGE = 2


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


def _beside(place: Path) -> Path:
    """A name in the same folder that nothing has."""
    return place.with_name(f".{place.name}.{secrets.token_hex(8)}.tmp")


def unwritable(place: Path, error: OSError) -> FileFormatError:
    """The error for a file or folder that cannot be written."""
    return FileFormatError(
        f"{str(place)!r} cannot be written: {error.strerror or error}",
        hint="choose a place that can be written; what was there is untouched",
    )


def write_folder(place: Path, files: Mapping[str, bytes], check_old: Callable[[Path], None]) -> None:
    """Write a folder of files, replacing the one at `place` all at once.

    The files go to a new folder beside it, which then takes its name. Nothing is left behind by a
    failure.

    Arguments:
        check_old: raises if what is at `place` must not be replaced.

    Raises:
        FileFormatError: if it cannot be written; what was there is untouched.
    """
    if os.path.lexists(place):
        check_old(place)
    temporary = _beside(place)
    try:
        os.mkdir(temporary)
        for name, content in files.items():
            with open(temporary / name, "xb") as file:
                file.write(content)
                _sync(file)
        _sync_folder(temporary)
        _take_name(temporary, place)
        _sync_folder(place.parent)
    except OSError as error:
        raise unwritable(place, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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


def read_file(place: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; links are not followed.

    Raises:
        FileFormatError: if it is missing, something else than a file, or larger.
    """
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
        with open(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(handle)
