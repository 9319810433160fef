"""SVG written directly: the picture of a graph where there is no Graphviz to draw it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from graphflow.viz import colors
from graphflow.viz.layout import ROW_GAP, Layout, lay_out
from graphflow.viz.picture import Box, Edge, Inset, Picture, tail

Point = tuple[float, float]

_MARGIN = 24.0
_PADDING = 14.0
_PANELS_WIDTH = 760.0
_TITLE, _LINE, _LABEL = 12.0, 9.0, 8.5
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]/ "), frozenset("mwMW@%—…")


def to_svg(drawing: Picture) -> str:
    """The picture as an SVG document.

    >>> import graphflow as gf
    >>> from graphflow.viz.picture import picture
    >>> to_svg(picture(gf.exp(gf.constant(1.0))))[:5]
    '<?xml'
    """
    body, wide, high = _content(drawing)
    heading, top = _heading(drawing)
    inner = max(wide, _heading_width(drawing))
    panels, panels_width, panels_height = _panels(drawing.insets, max(inner, _PANELS_WIDTH))
    width = max(inner, panels_width) + 2 * _MARGIN
    height = high + top + _MARGIN + panels_height
    left = (width - wide) / 2
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{colors.FONT}">',
            f"<title>{escape(drawing.title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0,1 L7,4 L0,7 z" fill="{colors.EDGE}"/></marker></defs>',
            f'<rect width="100%" height="100%" fill="{colors.BACKGROUND}"/>',
            *heading,
            f'<g transform="translate({left:.1f},{top:.1f})">',
            *body,
            "</g>",
            *_moved(panels, _MARGIN, top + high + _MARGIN),
            "</svg>",
            "",
        ]
    )


def _content(drawing: Picture) -> tuple[list[str], float, float]:
    """The boxes and arrows of a picture, and the width and height they take."""
    sizes = [box_size(box) for box in drawing.boxes]
    pairs = [(edge.source, edge.target) for edge in drawing.edges]
    layout = lay_out(sizes, [box.row for box in drawing.boxes], pairs)
    drawn = [
        *_arrows(drawing.edges, layout),
        *(_box(box, place, size) for box, place, size in zip(drawing.boxes, layout.places, sizes)),
        *_labels(drawing, layout, sizes),
    ]
    return drawn, layout.width, layout.height


def _moved(parts: Sequence[str], x: float, y: float) -> list[str]:
    return [f'<g transform="translate({x:.1f},{y:.1f})">', *parts, "</g>"] if parts else []


def _panels(insets: Sequence[Inset], limit: float) -> tuple[list[str], float, float]:
    """A frame for each body with its node's name, in rows no wider than `limit` unless one is alone."""
    parts: list[str] = []
    x = y = row_height = total = 0.0
    for inset in insets:
        content, wide, high = _content(inset.picture)
        title = f"{tail(inset.owner)} · {inset.picture.title}"
        title_width = text_width(title, 11, bold=True)
        width, height = max(wide, title_width) + 2 * _PADDING, high + 2 * _PADDING + 18
        if x and x + width > limit:
            x, y, row_height = 0.0, y + row_height + _PADDING, 0.0
        frame = (
            f'<rect width="{width:.1f}" height="{height:.1f}" rx="8" fill="#fafafa" '
            f'stroke="{colors.CONTROL.line}" stroke-dasharray="6,4"/>'
        )
        heading = _text((_PADDING + title_width / 2, 20), title, 11, extra=_BOLD)
        parts += _moved([frame, heading, *_moved(content, (width - wide) / 2, _PADDING + 18)], x, y)
        row_height, total = max(row_height, height), max(total, x + width)
        x += width + _PADDING
    return parts, total, y + row_height + _MARGIN if insets else 0.0


def text_width(text: str, size: float, bold: bool = False) -> float:
    """A safe guess of how wide text is in a sans-serif font."""
    units = sum(0.32 if char in _NARROW else 0.9 if char in _WIDE else 0.58 for char in text)
    return units * size * (1.08 if bold else 1.0)


def box_size(box: Box) -> tuple[float, float]:
    """The width and height of a box around its text."""
    if box.kind == "stub":
        return text_width(_stub_text(box), _LABEL) + 6, 12.0
    widths = [text_width(box.title, _TITLE, bold=True)]
    widths += [text_width(line, _LINE) for line in box.lines]
    widths += [text_width(badge, _LINE, bold=True) for badge in box.badges]
    extra = 8.0 if box.kind in ("variable", "scope", "part") else 0.0
    count = len(box.lines) + len(box.badges) + bool(box.region)
    widths += [text_width(box.region, _LINE, bold=True)]
    return max(widths) + 18, 11 + _TITLE + 12.0 * count + extra


def _stub_text(box: Box) -> str:
    return f"{box.title} {', '.join(box.lines)}"


def _text(place: Point, text: str, size: float, color: str = colors.TEXT, extra: str = "") -> str:
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size:g}" fill="{color}" '
        f'text-anchor="middle"{extra}>{escape(text)}</text>'
    )


_BOLD = ' font-weight="bold"'


def _box(box: Box, place: Point, size: tuple[float, float]) -> str:
    (x, y), (width, height) = place, size
    if box.kind == "stub":
        words = _text((x, y + 3), _stub_text(box), _LABEL, colors.QUIET, ' font-style="italic"')
        return f'<g class="stub"><title>{escape(box.tooltip)}</title>{words}</g>'
    line = colors.ACCENT if box.highlighted else box.paint.line
    thickness = 3 if box.highlighted else 2.2 if box.badges else 1.8 if box.kind == "input" else 1.2
    style = f'fill="{box.paint.fill}" stroke="{line}" stroke-width="{thickness:g}"'
    parts = [_outline(box, x - width / 2, y - height / 2, width, height, style)]
    baseline = y - height / 2 + 5 + _TITLE + (8 if box.kind in ("variable", "scope", "part") else 0)
    parts.append(_text((x, baseline), box.title, _TITLE, extra=_BOLD))
    for text in box.lines:
        baseline += 12
        parts.append(_text((x, baseline), text, _LINE, colors.QUIET))
    for text in box.badges:
        baseline += 12
        parts.append(_text((x, baseline), text, _LINE, extra=_BOLD))
    if box.region:
        parts.append(_text((x, baseline + 12), box.region, _LINE, colors.REGION.line, _BOLD))
    return f'<g class="box {box.kind}"><title>{escape(box.tooltip)}</title>{"".join(parts)}</g>'


def _outline(box: Box, left: float, top: float, width: float, height: float, style: str) -> str:
    if box.kind == "variable":
        right, bottom, rx = left + width, top + height, width / 2
        body = (
            f"M{left:.1f},{top + 5:.1f} A{rx:.1f},5 0 0 1 {right:.1f},{top + 5:.1f} V{bottom - 5:.1f} "
            f"A{rx:.1f},5 0 0 1 {left:.1f},{bottom - 5:.1f} Z"
        )
        rim = f"M{left:.1f},{top + 5:.1f} A{rx:.1f},5 0 0 0 {right:.1f},{top + 5:.1f}"
        return f'<path d="{body}" {style}/><path d="{rim}" {style} fill-opacity="0"/>'
    if box.kind in ("scope", "part"):
        path = f"M{left:.1f},{top:.1f} h{width:.1f} v{height:.1f} h{-width:.1f} Z m0,5 h{width:.1f}"
        return f'<path d="{path}" {style}/>'
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" {style}/>'


# Edges


def _arrows(edges: Sequence[Edge], layout: Layout) -> list[str]:
    drawn = []
    for edge, path in zip(edges, layout.paths):
        dashed = ' stroke-dasharray="3,2.5"' if edge.to_stub else ' marker-end="url(#tip)"'
        drawn.append(
            f'<path d="{_curve(path)}" fill="none" stroke="{colors.EDGE}" stroke-width="1"{dashed}/>'
        )
    return drawn


def _curve(path: Sequence[Point]) -> str:
    """Through all points, upright at each of them."""
    (x, y), rest = path[0], path[1:]
    parts = [f"M{x:.1f},{y:.1f}"]
    for next_x, next_y in rest:
        bend = (next_y - y) / 2
        parts.append(f"C{x:.1f},{y + bend:.1f} {next_x:.1f},{next_y - bend:.1f} {next_x:.1f},{next_y:.1f}")
        x, y = next_x, next_y
    return " ".join(parts)


def _labels(drawing: Picture, layout: Layout, sizes: Sequence[tuple[float, float]]) -> list[str]:
    """The labels of edges, each where it covers no other label and no box, if there is such a place."""
    taken: list[tuple[float, float, float, float]] = [
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        for (x, y), (width, height) in zip(layout.places, sizes)
    ]
    grid: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}
    for rectangle in taken:
        _note(grid, rectangle)
    words = []
    halo = f' stroke="{colors.BACKGROUND}" stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
    for edge, path in zip(drawing.edges, layout.paths):
        if not edge.label:
            continue
        width = text_width(edge.label, _LABEL)
        candidates = [
            (left, y - 5, left + width, y + 5) for x, y in _along(path) for left in (x + 4, x - 4 - width)
        ]
        rectangle = next((one for one in candidates if not _meets(grid, one)), candidates[0])
        _note(grid, rectangle)
        place = ((rectangle[0] + rectangle[2]) / 2, rectangle[1] + 8)
        words.append(_text(place, edge.label, _LABEL, colors.QUIET, halo))
    return words


def _along(path: Sequence[Point]) -> list[Point]:
    """Points on an edge where its label may sit, the best first."""
    found = []
    for start, end in pairwise(path):
        for share in (0.5, 0.35, 0.65, 0.25, 0.78):
            # The curve's own parameter: x follows 3t^2 - 2t^3 where y is nearly linear.
            eased = share * share * (3 - 2 * share)
            found.append((start[0] + eased * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
    return found


_CELL = 120.0


def _cells(rectangle: tuple[float, float, float, float]) -> list[tuple[int, int]]:
    left, top, right, bottom = (int(side // _CELL) for side in rectangle)
    return [(column, row) for column in range(left, right + 1) for row in range(top, bottom + 1)]


def _note(grid: dict, rectangle: tuple[float, float, float, float]) -> None:
    for cell in _cells(rectangle):
        grid.setdefault(cell, []).append(rectangle)


def _meets(grid: dict, one: tuple[float, float, float, float]) -> bool:
    return any(
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
        for cell in _cells(one)
        for other in grid.get(cell, ())
    )


# The heading


def _heading_width(drawing: Picture) -> float:
    legend = sum(text_width(paint.label, _LABEL) + 34 for paint in drawing.legend())
    return max(text_width(drawing.title, 16, bold=True), text_width(drawing.caption, 10), legend)


def _heading(drawing: Picture) -> tuple[list[str], float]:
    """Title, counts and legend, and the height they take."""
    start = ' style="text-anchor:start"'
    parts = [
        _text((_MARGIN, 34), drawing.title, 16, extra=_BOLD + start),
        _text((_MARGIN, 51), drawing.caption, 10, colors.QUIET, start),
    ]
    x = _MARGIN
    for paint in drawing.legend():
        parts.append(
            f'<rect x="{x:.1f}" y="62" width="14" height="9" rx="2" '
            f'fill="{paint.fill}" stroke="{paint.line}"/>'
        )
        parts.append(_text((x + 19, 70), paint.label, _LABEL, colors.QUIET, start))
        x += text_width(paint.label, _LABEL) + 34
    return parts, 62 + ROW_GAP
