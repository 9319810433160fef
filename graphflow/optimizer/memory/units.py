"""Bytes in words: decimal units with one digit after the point."""

from __future__ import annotations


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
