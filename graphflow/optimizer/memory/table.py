"""Buffers in a CSV file: `id,lower,upper,size`, live in [lower, upper), as MiniMalloc writes instances.

Columns `alignment`, `space` and `address` may be there as well; what is empty in them has its default. So may
`offset`, an earlier answer: it binds nobody, but a file in which live buffers overlap is refused.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphflow.errors import FileFormatError, MemoryPlanError
from graphflow.files import atomic_write
from graphflow.optimizer.memory.buffers import Allocation, Buffer, check_buffer, lifetimes_of

_NEEDED = ("id", "lower", "upper", "size")
_OPTIONAL = ("alignment", "space", "address", "offset")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")


def read_buffers(path: str | os.PathLike[str]) -> list[Buffer]:
    """The buffers in a CSV file, with their ids as text.

    Raises:
        FileFormatError: if it cannot be read, or for the first line that is no buffer.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except OSError as error:
        raise FileFormatError(
            f"{os.fspath(path)!r} cannot be read: {error.strerror or error}", hint="give a CSV file"
        ) from error
    except ValueError as error:
        raise FileFormatError(
            f"{os.fspath(path)!r} is no text in UTF-8", hint=f"its first line has to be {','.join(_NEEDED)}"
        ) from error
    return parse_buffers(text)


def parse_buffers(text: str) -> list[Buffer]:
    """The buffers in the text of a CSV file.

    Raises:
        FileFormatError: for the first line that is no buffer.

    >>> parse_buffers("id,lower,upper,size\\nx,0,2,10\\n")
    [Buffer(id='x', first=0, last=2, size=10, alignment=1, space='main', address=None)]
    """
    rows = csv.reader(io.StringIO(text), strict=True)
    buffers: list[Buffer] = []
    answers: list[Buffer] = []
    lines: dict[str, int] = {}
    try:
        columns = _columns(next(rows, []))
        for row in rows:
            if not row:
                continue
            buffer, offset = _buffer(columns, row, rows.line_num)
            known = lines.setdefault(str(buffer.id), rows.line_num)
            if known != rows.line_num:
                raise _wrong(rows.line_num, f"the id {buffer.id!r} was given on line {known} already")
            buffers.append(buffer)
            answers.append(replace(buffer, address=offset))
    except csv.Error as error:
        raise _wrong(rows.line_num, str(error)) from error
    _check_fixed(buffers, lines)
    _check_fixed(answers, lines)
    return buffers


def _wrong(line: int, message: str) -> FileFormatError:
    return FileFormatError(
        f"line {line}: {message}",
        hint="a line is id,lower,upper,size in whole numbers; the buffer is live from lower to before upper",
    )


def _columns(header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise _wrong(1, f"the column {missing[0]!r} is missing in {','.join(header)!r:.80}")
    for place, name in enumerate(columns):
        if name not in _NEEDED + _OPTIONAL or name in columns[:place]:
            raise _wrong(1, f"the column {name!r:.40} is unknown or there twice")
    return columns


def _buffer(columns: Sequence[str], row: Sequence[str], line: int) -> tuple[Buffer, int | None]:
    """A buffer, and the offset that it had before."""
    if len(row) != len(columns):
        raise _wrong(line, f"{len(row)} fields instead of {len(columns)}")
    fields = {name: value.strip() for name, value in zip(columns, row)}
    if not fields["id"]:
        raise _wrong(line, "the id is missing")
    numbers = {
        name: _number(fields[name], name, line)
        for name in ("lower", "upper", "size", "alignment", "address", "offset")
        if fields.get(name) or name in _NEEDED
    }
    buffer = Buffer(
        fields["id"],
        numbers["lower"],
        numbers["upper"],
        numbers["size"],
        numbers.get("alignment", 1),
        fields.get("space") or "main",
        numbers.get("address"),
    )
    try:
        check_buffer(buffer)
        if numbers.get("offset", 0) < 0:
            raise _wrong(line, f"buffer {buffer.id!r} has the offset {numbers['offset']}")
    except MemoryPlanError as error:
        raise _wrong(line, error.message) from error
    return buffer, numbers.get("offset")


def _number(text: str, name: str, line: int) -> int:
    if not text:
        raise _wrong(line, f"the {name} is missing")
    if not _NUMBER.fullmatch(text):
        raise _wrong(line, f"the {name} {text!r:.40} is no whole number")
    return int(text)


def _check_fixed(buffers: Sequence[Buffer], lines: Mapping[str, int]) -> None:
    """Refuse fixed addresses that overlap, naming the lines."""
    spaces: dict[str, list[Buffer]] = {}
    for buffer in buffers:
        if buffer.address is not None:
            named = replace(buffer, id=f"{buffer.id} (line {lines[str(buffer.id)]})")
            spaces.setdefault(buffer.space, []).append(named)
    for members in spaces.values():
        try:
            lifetimes_of(members, None)
        except MemoryPlanError as error:
            raise FileFormatError(error.message, hint=error.hint) from error


def write_offsets(path: str | os.PathLike[str], buffers: Iterable[Buffer], allocation: Allocation) -> None:
    """Write the buffers with their offsets as CSV, which `read_buffers` reads again.

    Raises:
        FileFormatError: if it cannot be written; a file that was there is untouched.
    """
    buffers = list(buffers)
    extra = [
        name
        for name, is_default in (
            ("alignment", all(one.alignment == 1 for one in buffers)),
            ("space", all(one.space == "main" for one in buffers)),
            ("address", all(one.address is None for one in buffers)),
        )
        if not is_default
    ]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*_NEEDED, *extra, "offset"])
    for one in buffers:
        more = ["" if getattr(one, name) is None else getattr(one, name) for name in extra]
        rows.writerow([one.id, one.first, one.last, one.size, *more, allocation.offsets[one.id]])
    with atomic_write(os.fspath(path)) as file:
        file.write(text.getvalue().encode("utf-8"))
