"""A few files in one zip file: stored, aligned so that they can be mapped, and read by trusting nothing.

Every zip tool opens such a file. Reading takes only what could be written here: stored members under plain
names, each once, that do not overlap. So nothing is ever unpacked, neither into memory nor to the disk, and
there is no size but the file's own.

Source: APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.5.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from graphflow.errors import FileFormatError
from graphflow.files import Content, Piece

MAGIC = b"PK\x03\x04"

_ALIGNMENT = 64
_DATE = (1980, 1, 1, 0, 0, 0)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_PADDING = 0xD935  # the field under which Android's zipalign stores padding
_ZIP64_FIELD = 20
_LARGEST_DIRECTORY = 1 << 20
_MOST_MEMBERS = 256


def write_zip(file: IO[bytes], parts: Iterable[tuple[str, Iterable[Piece]]]) -> None:
    """Write parts into a new file; equal parts give equal bytes.

    Arguments:
        file: open for writing, at its beginning, and seekable.
        parts: names and the pieces of their contents; each part is written before the next is asked for.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, pieces in parts:
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16
            info.extra = _padding(file.tell() + _LOCAL.size + len(name.encode()) + _ZIP64_FIELD)
            # Sizes are known only at the end, so the header always has the field for large ones.
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)


def _padding(start: int) -> bytes:
    """An extra field after which data that would begin at `start` begins at a multiple of the alignment."""
    size = -(start + 4) % _ALIGNMENT
    return struct.pack("<HH", _PADDING, size) + bytes(size)


class ZipParts:
    """The members of a mapped zip file, by name.

    Raises:
        FileFormatError: if it is no zip file, or one that `write_zip` would not have written.
    """

    def __init__(self, place: Path, content: Content) -> None:
        self._place = place
        self._content = content
        try:
            with zipfile.ZipFile(_Window(content)) as archive:
                found = archive.infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            EOFError,
            struct.error,
            OSError,
            ValueError,
        ) as error:
            self._fail(f"is no whole zip file: {error}", "it was cut off or changed; get it again")
        if len(found) > _MOST_MEMBERS:
            self._fail(f"has {len(found)} members, more than the {_MOST_MEMBERS} that a model may have")
        self._parts: dict[str, Content] = {}
        end = 0
        for info in sorted(found, key=lambda info: info.header_offset):
            if info.filename in self._parts:
                self._fail(f"has the member {info.filename!r:.80} twice")
            part = self._member(info)
            if info.header_offset < end:
                self._fail(f"has a member {info.filename!r:.80} that overlaps another")
            end = part.start + part.size
            self._parts[info.filename] = part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def content(self, name: str, most: int) -> Content:
        """The content of a member of at most `most` bytes."""
        part = self._parts[name]
        if part.size > most:
            self._fail(f"has the member {name!r:.80} of {part.size} bytes, more than {most}")
        return part

    def _fail(self, what: str, hint: str = "get the model again from where it was made") -> NoReturn:
        raise FileFormatError(f"{str(self._place)!r} {what}", hint=hint)

    def _member(self, info: zipfile.ZipInfo) -> Content:
        """Where a member lies, once it is known to be stored as it is."""
        name = info.filename
        if not name or not name.isprintable() or set(name) & set("/\\:") or name.startswith("."):
            self._fail(f"has the member {name!r:.80}, but a model's files lie in no folder", _ZIP_AGAIN)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            self._fail(f"has the compressed member {name!r:.80}", _ZIP_AGAIN)
        if info.flag_bits & ~0x0808 or (info.external_attr >> 28) not in (0, 8):
            self._fail(f"has the member {name!r:.80}, which is encrypted or no file")
        start = info.header_offset + _LOCAL.size
        if info.header_offset < 0 or start > self._content.size:
            self._fail(f"has a member {name!r:.80} outside of the file")
        header = _LOCAL.unpack(self._content.part(info.header_offset, _LOCAL.size).view())
        written = bytes(self._content.part(start, min(header[9], self._content.size - start)).view())
        start += header[9] + header[10]
        if header[0] != MAGIC or header[3] != zipfile.ZIP_STORED or written != name.encode():
            self._fail(f"has a member {name!r:.80} whose two headers differ")
        if start + info.file_size > self._content.size:
            self._fail(f"has a member {name!r:.80} that is cut off")
        return self._content.part(start, info.file_size)


_ZIP_AGAIN = "zip the files themselves without compressing them: cd model; zip -0 ../model.gfm *"


class _Window(io.RawIOBase):
    """The content as a file, of which no more is read at a time than a directory may have."""

    def __init__(self, content: Content) -> None:
        self._view, self._place = content.view(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._place, len(self._view))[whence]
        if base + offset < 0:
            raise ValueError("an offset before the beginning")
        self._place = base + offset
        return self._place

    def read(self, size: int | None = -1) -> Any:
        end = len(self._view) if size is None or size < 0 else min(self._place + size, len(self._view))
        if end - self._place > _LARGEST_DIRECTORY:
            raise ValueError("its directory is too large")
        made = bytes(self._view[self._place : end])
        self._place += len(made)
        return made
