"""Bytes in words: decimal units with one digit after the point; and bytes as people write them."""

from __future__ import annotations

import operator
import re
from typing import Any

from graphflow.errors import AttributeValueError

_FACTORS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_WRITTEN = re.compile(r"(\d{1,20})(?:\.(\d{1,6}))?\s*(|[kmgt]i?)b?", re.IGNORECASE | re.ASCII)


def show_bytes(count: int) -> str:
    """A number of bytes as people read it.

    >>> show_bytes(412), show_bytes(31_457_280)
    ('412 B', '31.5 MB')
    """
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        # 999_950 rounds to 1000.0 kB; it is shown as 1.0 MB.
        if abs(value) < (1000 if unit == "B" else 999.95):
            break
        value, unit = value / 1000, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def read_bytes(text: str) -> int:
    """A number of bytes from text such as `1048576`, `64MB` (decimal) or `1.5 MiB` (binary).

    Raises:
        AttributeValueError: for anything else.

    >>> read_bytes("1048576"), read_bytes("64MB"), read_bytes("1.5 MiB")
    (1048576, 64000000, 1572864)
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise AttributeValueError(
            f"{text!r:.60} is no number of bytes", hint="write for example 1048576, 64MB or 64MiB"
        )
    whole, digits, unit = found[1], found[2] or "", found[3].lower()
    return int(whole + digits) * _FACTORS[unit] // 10 ** len(digits)


def checked_bytes(budget: Any) -> int:
    """A budget as a number of bytes from 1 on, given as an int or as text such as "64MB".

    Raises:
        AttributeValueError: for anything else.

    >>> checked_bytes("64MB"), checked_bytes(1000)
    (64000000, 1000)
    """
    if isinstance(budget, str):
        value = read_bytes(budget)
    else:
        try:
            value = -1 if isinstance(budget, bool) else operator.index(budget)
        except TypeError:
            value = -1
    if value < 1:
        raise AttributeValueError(
            f"the budget is {budget!r:.80}", hint='pass a number of bytes, such as 64_000_000 or "64MB"'
        )
    return value
