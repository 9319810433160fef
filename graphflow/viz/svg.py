"""SVG written directly: a picture with its heading and legend, and frames for what is inside boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape
from zlib import crc32

from graphflow.viz import colors
from graphflow.viz.boxes import tail
from graphflow.viz.layout import Layout, lay_out
from graphflow.viz.picture import Inset, Picture
from graphflow.viz.svg_boxes import BOLD, START, box_size, draw_box, text, text_width
from graphflow.viz.svg_edges import draw_arrows, draw_labels

_MARGIN = 24.0
_PADDING = 16.0
_GUTTER = 44.0  # between the picture and the frames beside it
_LEAST_WIDTH = 480.0
_LEAST_HEIGHT = 900.0
_HEADING, _CAPTION, _LEGEND, _FRAME = 18.0, 12.0, 11.0, 12.0


def to_svg(drawing: Picture) -> str:
    """The picture as an SVG document.

    >>> import graphflow as gf
    >>> from graphflow.viz.picture import picture
    >>> to_svg(picture(gf.exp(gf.constant(1.0))))[:5]
    '<?xml'
    """
    mark = f"tip{crc32(f'{drawing.title} {drawing.caption}'.encode()):08x}"
    main = _content(drawing, "b", mark)
    frames, wide, high = _frames(drawing.insets, main, mark)
    inner = max(wide, _LEAST_WIDTH, text_width(drawing.title, _HEADING, bold=True))
    heading, top = _heading(drawing, inner)
    width, height = inner + 2 * _MARGIN, top + high + _MARGIN
    left = _MARGIN if frames else (width - main.width) / 2
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{colors.FONT}" role="img" '
            f'style="background:{colors.BACKGROUND};color-scheme:light">',
            f"<title>{escape(drawing.title)}</title>",
            f"<desc>{escape(drawing.text())}</desc>",
            f'<defs><marker id="{mark}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0,1 L7,4 L0,7 z" fill="{colors.EDGE}"/></marker></defs>',
            f'<rect width="100%" height="100%" fill="{colors.BACKGROUND}"/>',
            *heading,
            f'<g class="picture" transform="translate({left:.1f},{top:.1f})">',
            *(part for frame in frames for part in frame.leader),
            *main.parts,
            *(part for frame in frames for part in _moved(frame.parts, frame.x, frame.y)),
            "</g>",
            "</svg>",
            "",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """A picture that is laid out: its elements, its layout, and the sizes of its boxes."""

    parts: list[str]
    layout: Layout
    sizes: list[tuple[float, float]]

    @property
    def width(self) -> float:
        return self.layout.width

    @property
    def height(self) -> float:
        return self.layout.height


def _content(drawing: Picture, prefix: str, mark: str) -> _Content:
    """The boxes and arrows of a picture; the ids of its boxes begin with `prefix`."""
    sizes = [box_size(box) for box in drawing.boxes]
    pairs = [(edge.source, edge.target) for edge in drawing.edges]
    light = {index for index, box in enumerate(drawing.boxes) if box.kind == "stub"}
    layout = lay_out(sizes, [box.row for box in drawing.boxes], pairs, light)
    drawn = [
        *draw_arrows(drawing.edges, layout, prefix, mark),
        *(
            draw_box(box, place, size, f"{prefix}{index}")
            for index, (box, place, size) in enumerate(zip(drawing.boxes, layout.places, sizes))
        ),
        *draw_labels(drawing.edges, layout, sizes),
    ]
    return _Content(drawn, layout, sizes)


def _moved(parts: Sequence[str], x: float, y: float) -> list[str]:
    return [f'<g transform="translate({x:.1f},{y:.1f})">', *parts, "</g>"]


# Frames


class _Frame(NamedTuple):
    """A frame with what is inside, its place beside the picture, and the line that leads to it."""

    parts: list[str]
    x: float
    y: float
    leader: list[str]


def _frames(insets: Sequence[Inset], main: _Content, mark: str) -> tuple[list[_Frame], float, float]:
    """A frame for each body and block in columns beside the picture, near its box; and the size of all."""
    frames: list[_Frame] = []
    limit = max(main.height, _LEAST_HEIGHT)
    x, cursor, column, columns = main.width + _GUTTER, 0.0, 0.0, 1
    wide, high = main.width, main.height
    for number, inset in enumerate(insets):
        parts, width, height = _frame(inset, f"i{number}b", mark)
        beside = inset.host < 0 and columns == 1
        wanted = main.layout.places[inset.box][1] - 20 if beside else cursor
        y = max(cursor, min(wanted, limit - height))
        if cursor and y + height > limit:
            x, y, column, columns, beside = x + column + _PADDING, 0.0, 0.0, columns + 1, False
        leader = _leader(main, inset.box, x, y) if beside else []
        frames.append(_Frame(parts, x, y, leader))
        cursor, column = y + height + _PADDING, max(column, width)
        wide, high = max(wide, x + width), max(high, y + height)
    return frames, wide, high


def _frame(inset: Inset, prefix: str, mark: str) -> tuple[list[str], float, float]:
    content = _content(inset.picture, prefix, mark)
    shown = inset.picture.title
    title = shown if "one of" in shown else f"{tail(inset.owner)} · {shown}"
    width = max(content.width, text_width(title, _FRAME, bold=True)) + 2 * _PADDING
    height = content.height + 2 * _PADDING + 22
    frame = (
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="8" fill="#fafafa" '
        f'stroke="{colors.CONTROL.line}" stroke-dasharray="6,4"/>'
    )
    heading = text((_PADDING, 22), title, _FRAME, extra=BOLD + START)
    moved = _moved(content.parts, (width - content.width) / 2, _PADDING + 22)
    return [frame, heading, *moved], width, height


def _leader(main: _Content, box: int, x: float, y: float) -> list[str]:
    """A dotted line from a box to the upper left corner of its frame."""
    (middle, centre), (width, _) = main.layout.places[box], main.sizes[box]
    return [
        f'<line x1="{middle + width / 2:.1f}" y1="{centre:.1f}" x2="{x:.1f}" y2="{y + 18:.1f}" '
        f'stroke="{colors.CONTROL.line}" stroke-dasharray="1.5,4" stroke-linecap="round"/>'
    ]


# The heading


def _heading(drawing: Picture, limit: float) -> tuple[list[str], float]:
    """Title, counts and legend in lines no wider than `limit`, and the height they take."""
    parts = [text((_MARGIN, 38), drawing.title, _HEADING, extra=BOLD + START)]
    y = 58.0
    for line in _wrapped(drawing.caption, limit):
        parts.append(text((_MARGIN, y), line, _CAPTION, colors.QUIET, START))
        y += 17
    x, y = _MARGIN, y + 5
    if drawing.telling:
        parts.append(text((x, y), f"{drawing.telling}:", _LEGEND, colors.TEXT, START))
        x += text_width(f"{drawing.telling}:", _LEGEND) + 14
    legend = drawing.legend()
    for paint in legend:
        width = text_width(paint.label, _LEGEND) + 36
        if x > _MARGIN and x + width - 16 > _MARGIN + limit:
            x, y = _MARGIN, y + 18
        parts.append(
            f'<rect class="legend" x="{x:.1f}" y="{y - 9:.1f}" width="15" height="10" rx="2.5" '
            f'fill="{paint.fill}" stroke="{paint.line}"/>'
        )
        parts.append(text((x + 20, y), paint.label, _LEGEND, colors.QUIET, START))
        x += width
    return parts, y + (30 if legend or drawing.telling else 14)


def _wrapped(line: str, limit: float) -> list[str]:
    """The parts of a line between dots, in lines no wider than `limit` where that can be."""
    lines: list[str] = []
    for part in line.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and text_width(longer, _CAPTION) > limit:
            lines.append(part)
        else:
            lines[-1:] = [longer]
    return lines
