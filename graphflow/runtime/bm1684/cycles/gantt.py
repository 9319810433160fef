"""`draw_timeline`: what both engines do over time, as a picture with one row for each kind of work."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphflow.files import write_svg
from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.cycles.drawing import (
    ALERT,
    LEFT,
    RIGHT,
    TEXT,
    WIDTH,
    Axis,
    document,
    legend,
    rectangle,
    text,
    text_width,
)
from graphflow.runtime.bm1684.cycles.schedule import NONE, Span, Timeline
from graphflow.runtime.bm1684.isa import Command, Direction

_TOP, _ROW, _BAR, _STRIP = 58.0, 58.0, 34.0, 5.0
_LEAST = 1.5
"""Pixels from which on neighbours are not drawn as one."""

_MOST_GROUPS = 100
_WAITING, _CRITICAL = "#f3b5ab", TEXT
_BANDS = ("#eef2f6", "#dfe6ee")

_ROWS = ("tiu", "gdma load", "gdma store", "gdma other")
_DIRECTIONS = {Direction.LOAD: "load", Direction.STORE: "store"}

# The hues of Okabe and Ito.
_COLORS = {
    "convolution": "#0072b2",
    "Winograd convolution": "#56b4e9",
    "by channel": "#7a5195",
    "pool": "#009e73",
    "product": "#00418a",
    "element by element": "#e69f00",
    "function": "#d55e00",
    "copy": "#b8b000",
    "load": "#5a7d5a",
    "store": "#a64d80",
    "within DDR or the lanes": "#8c8c8c",
}
_FAMILIES: dict[type[Command], str] = {
    isa.Convolution: "convolution",
    isa.WinogradConvolution: "Winograd convolution",
    isa.DepthwiseConvolution: "by channel",
    isa.AveragePool: "pool",
    isa.MaximumPool: "pool",
    isa.MatrixMultiply: "product",
    isa.OuterCombine: "product",
    isa.Copy: "copy",
    isa.Series: "function",
    isa.SpecialFunction: "function",
    isa.TableLookup: "function",
}


def family(command: Command) -> str:
    """The kind of work that a command is, which gives its colour.

    >>> family(isa.LinearCopy(source=1 << 32, destination=1 << 33, length=64))
    'within DDR or the lanes'
    """
    direction = getattr(command, "direction", None)
    if direction is not None:
        return _DIRECTIONS.get(direction, "within DDR or the lanes")
    return _FAMILIES.get(type(command), "element by element")


def draw_timeline(
    made: Timeline,
    path: str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    title: str = "timeline",
) -> Path:
    """Draw a timeline into an .svg file; see `timeline_svg`.

    Raises:
        FileFormatError: if the file does not end in .svg, or cannot be written.
        AttributeValueError: as `timeline_svg`.
    """
    return write_svg(path, timeline_svg(made, start=start, end=end, title=title))


def timeline_svg(
    made: Timeline, *, start: float | None = None, end: float | None = None, title: str = "timeline"
) -> str:
    """A timeline as an SVG document that needs nothing else.

    One row for the tensor unit and one for each direction of the data mover; the colour is the kind of work.
    Below a row it says where the engine waits for the other one, above it what lies on the critical path.
    Neighbours that would be less than 1.5 pixels wide are drawn as one, as tall as the part of the time for
    which one of them runs; so the file stays small however many commands there are. `start` and `end` show a
    part in more detail.

    Arguments:
        start, end: the part that is shown, in seconds; all of it by default.
        title: the heading.

    Raises:
        AttributeValueError: if the part is empty.
    """
    axis = Axis(start or 0.0, (made.seconds or 1e-9) if end is None else end)
    rows: dict[str, list[int]] = {name: [] for name in _ROWS}
    for index, span in enumerate(made.spans):
        if span.end >= axis.start and span.start <= axis.end:
            rows[_row(span)].append(index)
    shown = {name: kept for name, kept in rows.items() if kept or name == "tiu"}
    critical = set(made.critical_path)
    parts: list[str] = []
    y = _TOP + 22
    bottom = y + _ROW * len(shown)
    parts += axis.drawn(_TOP, bottom)
    parts += _layers(made, rows["tiu"], axis)
    for name, kept in shown.items():
        parts += _drawn(made, axis, kept, y, critical)
        parts.append(text(LEFT - 8, y + _BAR / 2 + 10, name, 11, TEXT, "end"))
        y += _ROW
    parts += _borders(made, axis, bottom)
    found = {family(made.spans[index].command) for kept in shown.values() for index in kept}
    entries = [(color, name) for name, color in _COLORS.items() if name in found]
    entries += [(_WAITING, "waits for the other engine"), (_CRITICAL, "on the critical path")]
    if len({span.group for span in made.spans}) > 1:
        entries.append((ALERT, "a group ends"))
    parts += legend(bottom + 50, entries)
    return document(bottom + 90, title, _summary(made), parts)


def _summary(made: Timeline) -> str:
    said = [f"{len(made.spans):,} commands in {1e6 * made.seconds:,.1f} us"]
    for name, part in made.utilisation.items():
        said.append(f"{name} busy {100 * part:.1f} %")
    return " · ".join([*said, "computed, not measured"])


def _row(span: Span) -> str:
    if span.engine == "tiu":
        return "tiu"
    direction = getattr(span.command, "direction", Direction.SYSTEM)
    return f"gdma {_DIRECTIONS.get(direction, 'other')}"


@dataclass
class _Block:
    """Neighbours that are drawn as one."""

    left: float
    right: float
    indices: list[int] = field(default_factory=list)


def _blocks(pieces: Iterable[tuple[float, float, int]]) -> Iterator[_Block]:
    """Pieces from left to right, joined until a block is wide enough to be seen."""
    block: _Block | None = None
    for left, right, index in pieces:
        if block is not None and max(right, block.right) - block.left < _LEAST:
            block.right = max(right, block.right)
            block.indices.append(index)
            continue
        if block is not None:
            yield block
        block = _Block(left, right, [index])
    if block is not None:
        yield block


def _drawn(made: Timeline, axis: Axis, kept: list[int], y: float, critical: set[int]) -> Iterator[str]:
    """The bars of a row, with the strips above and below."""
    spans = made.spans
    for block in _blocks((axis.x(spans[i].start), axis.x(spans[i].end), i) for i in kept):
        several = [spans[index] for index in block.indices]
        times: Counter[str] = Counter()
        for span in several:
            times[family(span.command)] += max(span.cycles, 1)
        fill = _COLORS[times.most_common(1)[0][0]]
        wide = max(block.right - block.left, 0.6)
        tall = _BAR * _busy(several)
        yield rectangle(block.left, y + 6 + _BAR - tall, wide, tall, fill, _told(made, several), "run")
        if not critical.isdisjoint(block.indices):
            yield rectangle(block.left, y + 1, wide, 3, _CRITICAL, kind="critical")
    waiting = [index for index in kept if spans[index].stall > 0]
    pieces = ((axis.x(spans[i].start - spans[i].stall), axis.x(spans[i].start), i) for i in waiting)
    for block in _blocks(pieces):
        wide = max(block.right - block.left, 0.6)
        said = "\n".join(_reason(made, spans[index]) for index in block.indices[:5])
        yield rectangle(block.left, y + 6 + _BAR + 2, wide, _STRIP, _WAITING, said, "wait")


def _busy(several: list[Span]) -> float:
    """For which part of the time from the first to the last of some commands one of them runs."""
    whole = several[-1].end - several[0].start
    return min(1.0, sum(span.seconds for span in several) / whole) if whole else 1.0


def _told(made: Timeline, several: list[Span]) -> str:
    """What pointing at a bar tells."""
    first, last = several[0], several[-1]
    when = f"{1e6 * first.start:.2f} to {1e6 * last.end:.2f} us"
    if len(several) > 1:
        counts = Counter(type(span.command).__name__ for span in several).most_common(4)
        kinds = ", ".join(f"{count} {name}" for name, count in counts)
        ids = f"{first.engine} {first.command.id} to {last.command.id}"
        return f"{len(several)} commands, {ids}: {kinds}\n{when}"
    of = f"layer {first.label}\n" if first.label else ""
    name = f"{first.engine} {first.command.id}: {type(first.command).__name__}"
    waited = f"\n{_reason(made, first)}" if first.stall > 0 else ""
    return f"{name}\n{of}{when}, {first.cycles:,} cycles{waited}"


def _reason(made: Timeline, span: Span) -> str:
    if span.cause == NONE:
        return ""
    cause = made.spans[span.cause]
    return (
        f"{span.engine} {span.command.id} waits {1e6 * span.stall:.2f} us for {cause.engine} "
        f"{cause.command.id} ({type(cause.command).__name__})"
    )


def _layers(made: Timeline, kept: list[int], axis: Axis) -> Iterator[str]:
    """A band for each layer that the tensor unit works on."""
    runs: list[tuple[float, float, int]] = []
    for index in kept:
        span = made.spans[index]
        if runs and made.spans[runs[-1][2]].label == span.label:
            runs[-1] = (runs[-1][0], axis.x(span.end), runs[-1][2])
        elif span.label:
            runs.append((axis.x(span.start), axis.x(span.end), index))
    for number, block in enumerate(_blocks(runs)):
        label = made.spans[block.indices[0]].label
        more = f" and {len(block.indices) - 1} more" if len(block.indices) > 1 else ""
        wide = max(block.right - block.left, 0.6)
        yield rectangle(block.left, _TOP, wide, 16, _BANDS[number % 2], label + more, "layer")
        if not more and text_width(label, 9) + 4 < wide:
            yield text(block.left + wide / 2, _TOP + 11, label, 9, TEXT, "middle")


def _borders(made: Timeline, axis: Axis, bottom: float) -> Iterator[str]:
    """A line where a group of commands ends, if there are not too many."""
    ends: dict[int, float] = {}
    for span in made.spans:
        ends[span.group] = max(ends.get(span.group, 0.0), span.end)
    inner = sorted(ends.values())[:-1]
    for end in inner if len(inner) <= _MOST_GROUPS else ():
        x = axis.x(end)
        if LEFT < x < WIDTH - RIGHT:
            yield f'<path d="M{x:.1f},{_TOP:g}V{bottom:g}" stroke="{ALERT}" stroke-dasharray="3,3"/>'
