"""What the pictures of a timeline share: an SVG document, text, and an axis of time in microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from graphflow.errors import AttributeValueError

WIDTH = 1200.0
LEFT, RIGHT = 96.0, 24.0
TEXT, QUIET, GRID, ALERT = "#1a1a1a", "#5c5c5c", "#e3e3e3", "#c1121f"
_FONT = "Helvetica,Arial,sans-serif"
_CHARACTER = 0.56
"""The width of a character, as a part of the size of the font."""

_TICKS = 10


def clean(said: object) -> str:
    """Text that is safe in XML: what cannot be printed is left out, apart from ends of lines."""
    return escape("".join(char for char in str(said) if char.isprintable() or char == "\n"))


def text(x: float, y: float, said: str, size: float = 10, color: str = QUIET, anchor: str = "start") -> str:
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{color}" text-anchor="{anchor}">'
        f"{clean(said)}</text>"
    )


def text_width(said: str, size: float = 10) -> float:
    """About how wide a text is."""
    return _CHARACTER * size * len(said)


def rectangle(
    x: float, y: float, width: float, height: float, fill: str, title: str = "", kind: str = ""
) -> str:
    """A rectangle, of a class, with what pointing at it tells."""
    named = f' class="{kind}"' if kind else ""
    head = f'<rect{named} x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"'
    return f"{head}><title>{clean(title)}</title></rect>" if title else f"{head}/>"


def document(height: float, heading: str, said: str, parts: Iterable[str]) -> str:
    """A whole SVG file with a heading and a line below it."""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}" height="{height:g}" '
            f'viewBox="0 0 {WIDTH:g} {height:g}" font-family="{_FONT}">',
            f"<title>{clean(heading)}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            text(LEFT, 22, heading, 15, TEXT),
            text(LEFT, 40, said, 11),
            *parts,
            "</svg>",
            "",
        ]
    )


def legend(y: float, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Colours with their meanings, in as many lines as they need."""
    x = LEFT
    for fill, said in entries:
        if x > LEFT and x + 34 + text_width(said) > WIDTH - RIGHT:
            x, y = LEFT, y + 18
        yield rectangle(x, y - 9, 11, 11, fill)
        yield text(x + 16, y, said)
        x += 34 + text_width(said)


@dataclass(frozen=True)
class Axis:
    """Time from left to right, from `start` to `end` in seconds.

    Raises:
        AttributeValueError: if it ends before it starts.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise AttributeValueError(
                f"a picture from {1e6 * self.start:g} to {1e6 * self.end:g} us shows nothing",
                hint="let it end after it starts, within the timeline",
            )

    def x(self, seconds: float) -> float:
        """Where an instant is; those outside are at the edges."""
        part = (min(max(seconds, self.start), self.end) - self.start) / (self.end - self.start)
        return LEFT + (WIDTH - LEFT - RIGHT) * part

    def drawn(self, top: float, bottom: float) -> Iterator[str]:
        """Ticks at round numbers of microseconds, with lines from top to bottom."""
        step = _round_step(1e6 * (self.end - self.start) / _TICKS)
        tick = -(-1e6 * self.start // step)
        while tick * step <= 1e6 * self.end * (1 + 1e-12):
            x = self.x(tick * step / 1e6)
            yield f'<path d="M{x:.1f},{top:g}V{bottom:g}" stroke="{GRID}"/>'
            yield text(x, bottom + 14, f"{tick * step:,g}", anchor="middle")
            tick += 1
        yield text(WIDTH - RIGHT, bottom + 28, "microseconds", anchor="end")


def _round_step(least: float) -> float:
    """The least of 1, 2, 5, 10, 20, ... (and tenths of them) that is not below `least`."""
    step = 1e-6
    while True:
        for factor in (1, 2, 5):
            if step * factor >= least * (1 - 1e-9):
                return step * factor
        step *= 10
