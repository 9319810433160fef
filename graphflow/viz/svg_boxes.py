"""The boxes of an SVG picture: their sizes, their outlines by kind, and their text."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from graphflow.viz import colors
from graphflow.viz.boxes import Box

Point = tuple[float, float]

BOLD = ' font-weight="bold"'
START = ' style="text-anchor:start"'
TITLE, LINE, LABEL = 13.0, 11.0, 10.0
_LINE_HEIGHT = 14.5
_STACK = 5.0  # how far the cards of repeated blocks stick out
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]/ "), frozenset("mwMW@%—…")


def text_width(words: str, size: float, bold: bool = False) -> float:
    """A safe guess of how wide text is in a sans-serif font."""
    units = sum(0.32 if char in _NARROW else 0.9 if char in _WIDE else 0.58 for char in words)
    return units * size * (1.08 if bold else 1.0)


def text(place: Point, words: str, size: float, color: str = colors.TEXT, extra: str = "") -> str:
    """A text element, centred unless `extra` says otherwise."""
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size:g}" fill="{color}" '
        f'text-anchor="middle"{extra}>{escape(words)}</text>'
    )


def box_size(box: Box) -> tuple[float, float]:
    """The width and height of a box around its text."""
    if box.kind == "stub":
        return text_width(_stub_text(box), LABEL) + 8, 14.0
    widths = [text_width(box.title, TITLE, bold=True)]
    widths += [text_width(line, LINE) for line in box.lines]
    widths += [text_width(badge, LINE, bold=True) for badge in box.badges]
    widths += [text_width(box.region, LINE, bold=True)]
    count = len(box.lines) + len(box.badges) + bool(box.region)
    stack = 2 * _STACK if box.kind == "run" else 0.0
    return max(widths) + 22 + stack, 13 + TITLE + _LINE_HEIGHT * count + _inset(box) + stack


def draw_box(box: Box, place: Point, size: tuple[float, float], name: str) -> str:
    """A box as a group with its tooltip; `name` is its data-box."""
    (x, y), (width, height) = place, size
    group = f'<g class="{"stub" if box.kind == "stub" else f"box {box.kind}"}" data-box={quoteattr(name)}>'
    if box.kind == "stub":
        words = text((x, y + 3.5), _stub_text(box), LABEL, colors.QUIET, ' font-style="italic"')
        return f"{group}<title>{escape(box.tooltip)}</title>{words}</g>"
    left, top = x - width / 2, y - height / 2
    if box.kind == "run":
        top, width, height = top + 2 * _STACK, width - 2 * _STACK, height - 2 * _STACK
    parts = _cards(box, left, top, width, height) + _words(box, left + width / 2, top)
    return f"{group}<title>{escape(box.tooltip)}</title>{''.join(parts)}</g>"


def _words(box: Box, x: float, top: float) -> list[str]:
    baseline = top + 6.5 + TITLE + _inset(box)
    parts = [text((x, baseline), box.title, TITLE, extra=BOLD)]
    told = [
        *((line, box.paint.quiet, "") for line in box.lines),
        *((badge, colors.TEXT, BOLD) for badge in box.badges),
        *((region, colors.REGION.line, BOLD) for region in [box.region] if region),
    ]
    for number, (words, color, extra) in enumerate(told, 1):
        parts.append(text((x, baseline + _LINE_HEIGHT * number), words, LINE, color, extra))
    return parts


def _stub_text(box: Box) -> str:
    return f"{box.title} {', '.join(box.lines)}"


def _inset(box: Box) -> float:
    """How much lower the text begins, below a rim or a bar."""
    return 8.0 if box.kind == "variable" or box.holds_many else 0.0


def _cards(box: Box, left: float, top: float, width: float, height: float) -> list[str]:
    """The outline; for repeated blocks two more look out behind it."""
    line = colors.ACCENT if box.highlighted else box.paint.line
    thickness = 3 if box.highlighted else 2.2 if box.badges else 1.8 if box.kind == "input" else 1.2
    style = f'fill="{box.paint.fill}" stroke="{line}" stroke-width="{thickness:g}"'
    behind = [
        f'<rect x="{left + shift:.1f}" y="{top - shift:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="3" {style}/>'
        for shift in ((2 * _STACK, _STACK) if box.kind == "run" else ())
    ]
    return [*behind, _outline(box, left, top, width, height, style)]


def _outline(box: Box, left: float, top: float, width: float, height: float, style: str) -> str:
    if box.kind == "variable":
        right, bottom, rx = left + width, top + height, width / 2
        body = (
            f"M{left:.1f},{top + 5:.1f} A{rx:.1f},5 0 0 1 {right:.1f},{top + 5:.1f} V{bottom - 5:.1f} "
            f"A{rx:.1f},5 0 0 1 {left:.1f},{bottom - 5:.1f} Z"
        )
        rim = f"M{left:.1f},{top + 5:.1f} A{rx:.1f},5 0 0 0 {right:.1f},{top + 5:.1f}"
        return f'<path d="{body}" {style}/><path d="{rim}" {style} fill-opacity="0"/>'
    rx = 3 if box.holds_many else 7
    rect = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{rx}" {style}/>'
    if not box.holds_many:
        return rect
    return f'{rect}<path d="M{left:.1f},{top + 6:.1f} h{width:.1f}" {style} stroke-opacity="0.55"/>'
