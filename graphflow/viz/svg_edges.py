"""The arrows of an SVG picture as smooth curves, and their labels where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from graphflow.viz import colors
from graphflow.viz.layout import Layout
from graphflow.viz.stubs import Edge
from graphflow.viz.svg_boxes import LABEL, Point, text, text_width

Rectangle = tuple[float, float, float, float]

_CELL = 120.0


def draw_arrows(edges: Sequence[Edge], layout: Layout, prefix: str, mark: str) -> list[str]:
    """A path for each edge; it says by data-from and data-to which boxes it joins."""
    drawn = []
    for edge, path in zip(edges, layout.paths):
        tip = ' stroke-dasharray="3,2.5"' if edge.to_stub else f' marker-end="url(#{mark})"'
        ends = f'data-from="{prefix}{edge.source}" data-to="{prefix}{edge.target}"'
        shape = f'<path class="edge" {ends} d="{_curve(path)}" fill="none" stroke="{colors.EDGE}"{tip}'
        drawn.append(f"{shape}><title>{escape(edge.label)}</title></path>" if edge.label else f"{shape}/>")
    return drawn


def _curve(path: Sequence[Point]) -> str:
    """Through all points, upright at each of them."""
    (x, y), rest = path[0], path[1:]
    parts = [f"M{x:.1f},{y:.1f}"]
    for next_x, next_y in rest:
        if abs(next_x - x) < 0.05:
            parts.append(f"V{next_y:.1f}")
        else:
            bend = (next_y - y) / 2
            parts.append(
                f"C{x:.1f},{y + bend:.1f} {next_x:.1f},{next_y - bend:.1f} {next_x:.1f},{next_y:.1f}"
            )
        x, y = next_x, next_y
    return " ".join(parts)


def draw_labels(edges: Sequence[Edge], layout: Layout, sizes: Sequence[tuple[float, float]]) -> list[str]:
    """The labels of edges, each where it covers no other label and no box, if there is such a place."""
    grid: dict[tuple[int, int], list[Rectangle]] = {}
    for (x, y), (width, height) in zip(layout.places, sizes):
        _note(grid, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    words = []
    for edge, path in zip(edges, layout.paths):
        if not edge.label:
            continue
        width = text_width(edge.label, LABEL)
        candidates = [
            (left, y - 6, left + width, y + 6)
            for x, y in _along(path)
            for left in (x + 5, x - 5 - width)
            if left >= 0 and left + width <= max(layout.width, width)
        ]
        rectangle = next((one for one in candidates if not _meets(grid, one)), None)
        if rectangle is None:
            continue
        _note(grid, rectangle)
        place = ((rectangle[0] + rectangle[2]) / 2, rectangle[1] + 9.5)
        words.append(
            f'<rect class="label" x="{rectangle[0]:.1f}" y="{rectangle[1]:.1f}" width="{width:.1f}" '
            f'height="12" fill="{colors.BACKGROUND}" fill-opacity="0.8"/>'
        )
        words.append(text(place, edge.label, LABEL, colors.QUIET))
    return words


def _along(path: Sequence[Point]) -> list[Point]:
    """Points on an edge where its label may sit, the best first."""
    found = []
    for start, end in pairwise(path):
        for share in (0.5, 0.35, 0.65, 0.22, 0.8):
            # The curve's own parameter: x follows 3t^2 - 2t^3 where y is nearly linear.
            eased = share * share * (3 - 2 * share)
            found.append((start[0] + eased * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
    return found


def _cells(rectangle: Rectangle) -> list[tuple[int, int]]:
    left, top, right, bottom = (int(side // _CELL) for side in rectangle)
    return [(column, row) for column in range(left, right + 1) for row in range(top, bottom + 1)]


def _note(grid: dict[tuple[int, int], list[Rectangle]], rectangle: Rectangle) -> None:
    for cell in _cells(rectangle):
        grid.setdefault(cell, []).append(rectangle)


def _meets(grid: dict[tuple[int, int], list[Rectangle]], one: Rectangle) -> bool:
    return any(
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
        for cell in _cells(one)
        for other in grid.get(cell, ())
    )
