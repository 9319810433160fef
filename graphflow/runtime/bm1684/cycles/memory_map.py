"""`draw_local_memory`: which parts of the lanes are read, written and kept over time, bank by bank."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from graphflow.files import write_svg
from graphflow.runtime.bm1684.chip import BANK_BYTES, BANKS, LANE_BYTES
from graphflow.runtime.bm1684.cycles.drawing import LEFT, RIGHT, TEXT, WIDTH, Axis, document, legend, text
from graphflow.runtime.bm1684.cycles.schedule import Span, Timeline
from graphflow.runtime.bm1684.cycles.touches import Touch, touches

_COLUMNS, _ROWS = 540, 128
_CELL_BYTES = LANE_BYTES // _ROWS
_TOP, _CELL = 58.0, 4.0
_BOTTOM = _TOP + _CELL * _ROWS

# In the order in which one hides the next, with the bit that says so.
_PAINTS = (
    (8, "#5a7d5a", "loaded"),
    (4, "#a64d80", "stored"),
    (2, "#e69f00", "written by the tensor unit"),
    (1, "#0072b2", "read by the tensor unit"),
    (16, "#d9dde2", "kept until it is read again"),
)
_KEPT = 16


def bank_conflicts(made: Timeline) -> list[float]:
    """For each bank, the seconds for which both engines work on it; the chip may be slower then.

    The cycle model does not charge for it. Ranges that reach over several banks count for all of them.

    Raises:
        ChipFault: as `touches`.
    """
    total = [0.0] * BANKS
    for seconds, shared in _shared(made):
        for bank in range(BANKS):
            if shared >> bank & 1:
                total[bank] += seconds
    return total


def shared_bank_seconds(made: Timeline) -> float:
    """The seconds for which both engines work on some bank together; see `bank_conflicts`.

    Raises:
        ChipFault: as `touches`.
    """
    return sum([seconds for seconds, shared in _shared(made) if shared])


def _shared(made: Timeline) -> Iterator[tuple[float, int]]:
    """For every two commands that run at the same time, for how long, and the banks of both as bits."""
    masks: dict[str, list[tuple[Span, int]]] = {"tiu": [], "gdma": []}
    for span in made.spans:
        mask = 0
        for touch in touches(span.command):
            for bank in touch.banks:
                mask |= 1 << bank
        masks[span.engine].append((span, mask))
    at, movers = 0, masks["gdma"]
    for span, mask in masks["tiu"]:
        while at < len(movers) and movers[at][0].end <= span.start:
            at += 1
        beside = at
        while beside < len(movers) and movers[beside][0].start < span.end:
            other, touched = movers[beside]
            yield min(span.end, other.end) - max(span.start, other.start), mask & touched
            beside += 1


def draw_local_memory(
    made: Timeline,
    path: str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    title: str = "local memory",
) -> Path:
    """Draw the use of local memory into an .svg file; see `local_memory_svg`.

    Raises:
        FileFormatError: if the file does not end in .svg, or cannot be written.
        AttributeValueError: if the part is empty.
        ChipFault: as `touches`.
    """
    return write_svg(path, local_memory_svg(made, start=start, end=end, title=title))


def local_memory_svg(
    made: Timeline, *, start: float | None = None, end: float | None = None, title: str = "local memory"
) -> str:
    """The use of local memory as an SVG document: offset in the lanes upwards, time to the right.

    The lanes are laid over one another. A cell is 4 KiB by a 540th of the time: the file has a bounded size
    however many commands there are.

    Arguments:
        start, end: the part that is shown, in seconds; all of it by default.
        title: the heading.

    Raises:
        AttributeValueError: if the part is empty.
        ChipFault: as `touches`.
    """
    axis = Axis(start or 0.0, (made.seconds or 1e-9) if end is None else end)
    cells, _ = local_memory_cells(made, start, end)
    parts = list(axis.drawn(_TOP, _BOTTOM))
    for bit, color, said in _PAINTS:
        parts.append(_path(cells == bit, color, said))
    for bank in range(BANKS + 1):
        y = _y(bank * BANK_BYTES)
        parts.append(f'<path d="M{LEFT:g},{y:g}H{WIDTH - RIGHT:g}" stroke="{TEXT}" stroke-width="0.6"/>')
        if bank < BANKS:
            middle = _y((bank + 0.5) * BANK_BYTES) + 4
            parts.append(text(LEFT - 8, middle, f"bank {bank}", 10, TEXT, "end"))
    parts += legend(_BOTTOM + 50, [(color, said) for _, color, said in _PAINTS])
    clash = max(bank_conflicts(made))
    said = (
        f"64 lanes of 512 KiB over one another · both engines on one bank for {1e6 * clash:,.1f} us at most"
    )
    return document(_BOTTOM + 90, title, said, parts)


def _y(offset: float) -> float:
    return _BOTTOM - _CELL * offset / _CELL_BYTES


def local_memory_cells(
    made: Timeline, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """The picture of `local_memory_svg` as numbers: uint8 of rows, from offset 0 on, by columns of time.

    Returns:
        the cells, 4 KiB by a 540th of the time each, and what their numbers mean; 0 is not in use.

    Raises:
        AttributeValueError: if the part is empty.
        ChipFault: as `touches`.
    """
    axis = Axis(start or 0.0, (made.seconds or 1e-9) if end is None else end)
    return _cells(made.spans, axis), {bit: said for bit, _, said in _PAINTS}


def _cells(spans: Sequence[Span], axis: Axis) -> np.ndarray:
    """What each cell shows, as one of the bits of the paints or 0: rows by columns."""
    flags = np.zeros((_ROWS, _COLUMNS), np.uint8)
    kept_from = np.full(_ROWS, -1)
    scale = _COLUMNS / (axis.end - axis.start)
    for span in sorted(spans, key=lambda span: (span.start, span.engine)):
        if span.start > axis.end:
            break
        first, last = (
            min(max(int((time - axis.start) * scale), -1), _COLUMNS - 1) for time in (span.start, span.end)
        )
        for touch in touches(span.command):
            # a damaged command may reach over the end of the lanes
            rows = slice(touch.low // _CELL_BYTES, min((touch.high - 1) // _CELL_BYTES + 1, _ROWS))
            if last >= 0:
                flags[rows, max(first, 0) : last + 1] |= _bit(span, touch)
            if not touch.write:
                _keep(flags, kept_from, rows, last)
            kept_from[rows] = max(last, 0)
    shown = np.zeros_like(flags)
    for bit, _, _ in reversed(_PAINTS):
        shown[flags & bit > 0] = bit
    return shown


def _bit(span: Span, touch: Touch) -> int:
    if span.engine == "gdma":
        return 8 if touch.write else 4
    return 2 if touch.write else 1


def _keep(flags: np.ndarray, kept_from: np.ndarray, rows: slice, column: int) -> None:
    """Mark rows as kept from their last use to a column."""
    for row in range(rows.start, rows.stop):
        if 0 <= kept_from[row] <= column:
            flags[row, kept_from[row] : column + 1] |= _KEPT


def _path(cells: np.ndarray, color: str, said: str) -> str:
    """One path of all cells of a colour; equal runs in rows above one another are one rectangle."""
    pieces = [f"M{x:g},{y:g}h{wide:g}v{tall:g}h{-wide:g}z" for x, y, wide, tall in _rectangles(cells)]
    return f'<path class="{said}" d="{"".join(pieces)}" fill="{color}"><title>{said}</title></path>'


def _rectangles(cells: np.ndarray) -> Iterator[tuple[float, float, float, float]]:
    open_since: dict[tuple[int, int], int] = {}
    step = (WIDTH - LEFT - RIGHT) / _COLUMNS
    for row in range(len(cells) + 1):
        runs: set[tuple[int, int]] = set()
        if row < len(cells):
            edges = np.flatnonzero(np.diff(cells[row].astype(np.int8), prepend=0, append=0))
            runs = set(zip(edges[::2].tolist(), edges[1::2].tolist()))
        for run in [run for run in open_since if run not in runs]:
            first = open_since.pop(run)
            left, right = run
            yield (
                round(LEFT + left * step, 2),
                _BOTTOM - _CELL * row,
                round((right - left) * step, 2),
                _CELL * (row - first),
            )
        for run in sorted(runs):
            open_since.setdefault(run, row)
