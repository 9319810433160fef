"""Columns of text, two spaces apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Rows as lines; the columns numbered in `right` end, rather than begin, together.

    >>> print(table([["a", "10"], ["bc", "2"]], right=[1]))
    a   10
    bc   2
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    ending = set(right)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in ending else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
