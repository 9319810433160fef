"""`draw_memory`: a memory plan as a picture, addresses over time, one rectangle for each buffer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from graphflow.files import write_svg
from graphflow.optimizer.memory.buffers import Allocation, Buffer
from graphflow.optimizer.memory.units import show_bytes

MOST_DRAWN = 600
"""Rectangles in the picture of a notebook."""

_WIDTH, _HEIGHT = 1100.0, 460.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 86.0, 24.0, 64.0, 62.0
_TICKS = 5
_TEXT, _QUIET, _ACCENT, _GRID = "#1a1a1a", "#5c5c5c", "#c1121f", "#e3e3e3"
_FONT = "Helvetica,Arial,sans-serif"
_CHARACTER = 0.58  # the width of one, as a part of the size of the font

# Fill and line by the part of the time that a buffer lives, from the hues of Okabe and Ito.
_PAINTS = (
    (0.02, "lives up to 2 % of the time", "#f4deeb", "#a64d80"),
    (0.1, "up to 10 %", "#fde5bd", "#b86f00"),
    (0.5, "up to 50 %", "#d7efe5", "#008a65"),
    (1.0, "longer", "#cfe4f5", "#0072b2"),
)


def draw_memory(
    buffers: Iterable[Buffer],
    allocation: Allocation,
    path: str | os.PathLike[str],
    title: str = "memory",
    capacity: int | Mapping[str, int] | None = None,
    notes: Mapping[Any, str] | None = None,
    peak: str = "",
) -> Path:
    """Draw where buffers lie into an .svg file: address upwards, time to the right.

    The colour says how long a buffer lives; the dark line is what is live at each instant, so the
    space between it and the top of the rectangles is waste. Instants are equally far apart, however
    much time is between them. Pointing at a rectangle tells its id, bytes, life and offset.

    Arguments:
        buffers, allocation, capacity: what `allocate` was given, and what it answered.
        path: the file to write; it appears whole or not at all.
        title: the heading.
        notes: by id, what else pointing at a rectangle tells.
        peak: what happens at the instant of the peak.

    Raises:
        FileFormatError: if the file does not end in .svg, or cannot be written.
    """
    return write_svg(path, memory_svg(list(buffers), allocation, title, capacity, notes, peak))


def memory_svg(
    buffers: Sequence[Buffer],
    allocation: Allocation,
    title: str = "memory",
    capacity: int | Mapping[str, int] | None = None,
    notes: Mapping[Any, str] | None = None,
    peak: str = "",
    most: int | None = None,
) -> str:
    """The picture of an allocation as an SVG document; see `draw_memory`.

    Arguments:
        most: rectangles in it; of more buffers the largest are drawn. All of them by default.

    >>> from graphflow.optimizer.memory import allocate
    >>> some = [Buffer("a", 0, 2, 10), Buffer("b", 1, 3, 5)]
    >>> memory_svg(some, allocate(some)).count('class="buffer"')
    2
    """
    spaces: dict[str, list[Buffer]] = {}
    for buffer in buffers:
        spaces.setdefault(buffer.space, []).append(buffer)
    parts: list[str] = []
    for row, (space, members) in enumerate(spaces.items()):
        limit = capacity.get(space) if isinstance(capacity, Mapping) else capacity
        panel = _Panel(members, allocation, space, limit, notes or {}, peak, most)
        heading = title if len(spaces) == 1 else f"{title} · {space}"
        parts += [f'<g transform="translate(0,{row * _HEIGHT:g})">', *panel.drawn(heading), "</g>"]
    if not spaces:
        parts = [
            _text(_LEFT, 24, title, 15, _TEXT, ' font-weight="bold"'),
            _text(_LEFT, 44, "there is nothing to place", 11.5, _QUIET),
        ]
    height = max(1, len(spaces)) * _HEIGHT
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" '
            f'viewBox="0 0 {_WIDTH:g} {height:g}" font-family="{_FONT}" role="img" '
            'style="background:#ffffff;color-scheme:light">',
            f"<title>{_clean(title)}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _clean(text: object) -> str:
    """Text that is safe in XML: what cannot be printed is left out."""
    return escape("".join(char for char in str(text) if char.isprintable()))


@dataclass
class _Panel:
    """One space: its axes, its rectangles, and the line of what is live."""

    members: Sequence[Buffer]
    allocation: Allocation
    space: str
    capacity: int | None
    notes: Mapping[Any, str]
    peak: str
    most: int | None = None

    def __post_init__(self) -> None:
        self.used = [one for one in self.members if one.size and one.first < one.last]
        kept = sorted(self.used, key=lambda one: one.size, reverse=True)[: self.most]
        self.shown = self.used if len(kept) == len(self.used) else kept
        self.arena = self.allocation.arenas[self.space]
        ends = [one.first for one in self.used] + [one.last for one in self.used]
        self.instants = np.unique(np.array(ends or [0, 1], np.int64))
        self.top = max(self.arena.arena_bytes, self.capacity or 0, 1)

    def x(self, instant: int) -> float:
        """Where an instant is."""
        place = int(np.searchsorted(self.instants, instant))
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * place / max(len(self.instants) - 1, 1)

    def y(self, address: int) -> float:
        """Where an address is."""
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * address / self.top

    def drawn(self, heading: str) -> list[str]:
        """The elements of the panel."""
        return [
            *self._heading(heading),
            *self._axes(),
            *(self._rectangle(one) for one in self.shown),
            self._live_line(),
            *self._marks(),
            *self._legend(),
        ]

    def _heading(self, heading: str) -> list[str]:
        arena = self.arena
        gap = 100 * (arena.arena_bytes / arena.lower_bound_bytes - 1) if arena.lower_bound_bytes else 0.0
        naive = sum(one.size for one in self.members)
        said = (
            f"{len(self.members):,} buffer{'s' * (len(self.members) != 1)} of {show_bytes(naive)} in all · "
            f"lower bound {show_bytes(arena.lower_bound_bytes)} · arena {show_bytes(arena.arena_bytes)} · "
            f"gap {gap:.1f} %"
        )
        if len(self.shown) < len(self.used):
            said += f" · the {len(self.shown):,} largest are drawn"
        return [
            _text(_LEFT, 24, heading, 15, _TEXT, ' font-weight="bold"'),
            _text(_LEFT, 44, said, 11.5, _QUIET),
        ]

    def _axes(self) -> list[str]:
        parts = []
        for tick in range(_TICKS + 1):
            address = self.top * tick // _TICKS
            y = self.y(address)
            parts.append(f'<path d="M{_LEFT:g},{y:.1f}H{_WIDTH - _RIGHT:g}" stroke="{_GRID}"/>')
            label = show_bytes(address)
            parts.append(_text(_LEFT - 6, y + 4, label, 10, _QUIET, ' text-anchor="end"'))
        last = len(self.instants) - 1
        for shown in sorted({last * tick // _TICKS for tick in range(_TICKS + 1)}):
            instant = int(self.instants[shown])
            place = (self.x(instant), _HEIGHT - _BOTTOM + 14)
            parts.append(_text(*place, f"{instant:,}", 10, _QUIET, ' text-anchor="middle"'))
        below = _HEIGHT - _BOTTOM + 28
        return [*parts, _text(_WIDTH - _RIGHT, below, "instant", 10, _QUIET, ' text-anchor="end"')]

    def _rectangle(self, one: Buffer) -> str:
        offset = self.allocation.offsets[one.id]
        left, right = self.x(one.first), self.x(one.last)
        upper, lower = self.y(offset + one.size), self.y(offset)
        width, height = right - left, lower - upper
        fill, stroke = self._paint(one)
        line = min(0.8, width / 6, height / 6)
        said = f"{one.id}: {show_bytes(one.size)} at {offset}, live from {one.first} to before {one.last}"
        note = self.notes.get(one.id, "")
        said = _clean(said) + (f"\n{_clean(note)}" if note else "")
        parts = (
            f'<rect x="{left:.2f}" y="{upper:.2f}" width="{width:.2f}" height="{max(height, 0.05):.2f}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{line:.2f}"/>'
        )
        name = str(one.id)
        if height > 11 and 9 * _CHARACTER * len(name) + 4 < width:
            middle = ((left + right) / 2, (upper + lower) / 2 + 3)
            parts += _text(*middle, name, 9, _TEXT, ' text-anchor="middle"')
        return f'<g class="buffer"><title>{said}</title>{parts}</g>'

    def _paint(self, one: Buffer) -> tuple[str, str]:
        length = np.searchsorted(self.instants, [one.first, one.last])
        part = (length[1] - length[0]) / max(len(self.instants) - 1, 1)
        return next((fill, stroke) for limit, _, fill, stroke in _PAINTS if part <= limit)

    def _live_line(self) -> str:
        change = np.zeros(len(self.instants))
        for one in self.used:
            change[np.searchsorted(self.instants, one.first)] += one.size
            change[np.searchsorted(self.instants, one.last)] -= one.size
        path = f"M{_LEFT:g},{self.y(0):.1f}"
        for instant, live in zip(self.instants.tolist(), np.cumsum(change).tolist()):
            path += f"H{self.x(instant):.2f}V{self.y(live):.2f}"
        return f'<path d="{path}" fill="none" stroke="{_TEXT}" stroke-width="1.4"/>'

    def _marks(self) -> list[str]:
        """The instant of the peak, the lower bound and the capacity."""
        if not self.used:
            return []
        x, end = self.x(self.arena.peak_instant), _WIDTH - _RIGHT
        label = f"peak at {self.arena.peak_instant:,}" + (f", {self.peak}" if self.peak else "")
        parts = [
            f'<path d="M{x:.1f},{_TOP - 6:g}V{self.y(0):.1f}" stroke="{_ACCENT}" stroke-dasharray="2,3"/>',
            _text(x + 4, _TOP - 8, label, 10, _ACCENT),
        ]
        if x + 10 * _CHARACTER * len(label) > end:
            parts[1] = parts[1].replace("<text ", '<text text-anchor="end" ')
        if self.capacity is not None:
            y = self.y(self.capacity)
            parts.append(f'<path d="M{_LEFT:g},{y:.1f}H{end:g}" stroke="{_ACCENT}" stroke-dasharray="7,4"/>')
            label = f"capacity {show_bytes(self.capacity)}"
            parts.append(_text(end, y - 4, label, 10, _ACCENT, ' text-anchor="end"'))
        return parts

    def _legend(self) -> list[str]:
        x, y = _LEFT, _HEIGHT - 14
        parts = []
        for _, label, fill, stroke in _PAINTS:
            parts.append(
                f'<rect x="{x:g}" y="{y - 9:g}" width="11" height="11" fill="{fill}" stroke="{stroke}"/>'
            )
            parts.append(_text(x + 16, y, label, 10, _QUIET))
            x += 34 + 10 * _CHARACTER * len(label)
        parts.append(f'<path d="M{x:g},{y - 4:g}h18" stroke="{_TEXT}" stroke-width="1.4"/>')
        return [*parts, _text(x + 24, y, "live bytes", 10, _QUIET)]


def _text(x: float, y: float, text: str, size: float, color: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{color}"{extra}>{_clean(text)}</text>'
