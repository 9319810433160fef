"""Where the visible boxes of a tree go: each open scope is laid out by itself, its parts then being one box.

An edge between boxes in different scopes leaves its scope by a port at the bottom, runs between the scopes,
and enters by a port at the top; what runs between two scopes shares these. Edges over many rows are cut: both
ends say so, and the board draws them when one of them is chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphflow.board.graph_text import short_type
from graphflow.viz.layout import lay_out
from graphflow.viz.ranks import edges_to_cut, rank

if TYPE_CHECKING:
    from graphflow.board.graph_tree import Tree

HEADER, PAD = 30.0, 16.0
NODE_HEIGHT, GROUP_HEIGHT, WEIGHT_HEIGHT = 40.0, 46.0, 24.0
_PORT = (10.0, 1.0)
_WIDEST, _NARROWEST = 210.0, 64.0
_WEIGHTS = frozenset({"variable", "constant"})


class Bundle(NamedTuple):
    """Edges between two visible boxes, by their numbers in the tree's arrays."""

    source: int
    target: int
    edges: np.ndarray


class Segment(NamedTuple):
    """What runs between two boxes of a scope, or between one and a port.

    Attributes:
        scope: in which it lies.
        source, target: items; -1 where the end is a port.
        port: the ends, outside or here, that the bundle through the port joins: (source, target).
    """

    scope: int
    source: int
    target: int
    port: tuple[int, int] | None


@dataclass(slots=True)
class Arrow:
    """A segment with its bundles; `points` are absolute, and empty where it is cut."""

    segment: Segment
    bundles: list[int] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Scene:
    """A layout: visible items with left, top, width and height, outer ones first; bundles; arrows."""

    boxes: dict[int, tuple[float, float, float, float]]
    bundles: list[Bundle]
    arrows: list[Arrow]


def lay_out_tree(tree: Tree, opened: Collection[int]) -> Scene:
    """The layout with these scopes open; one that lies in a closed one is not seen."""
    visible, scopes = _visible(tree, opened)
    bundles = _bundles(tree, visible)
    arrows: dict[Segment, Arrow] = {}
    for number, bundle in enumerate(bundles):
        for segment in _segments(tree, bundle):
            arrow = arrows.get(segment)
            if arrow is None:
                arrow = arrows[segment] = Arrow(segment)
            arrow.bundles.append(number)
    by_scope: dict[int, list[Arrow]] = {}
    for arrow in arrows.values():
        by_scope.setdefault(arrow.segment.scope, []).append(arrow)
    layouts: dict[int, _Inside] = {}
    for scope in reversed(scopes):
        layouts[scope] = _Inside(tree, scope, layouts, by_scope.get(scope, []))
    return Scene(_absolute(scopes, layouts), bundles, list(arrows.values()))


def _visible(tree: Tree, opened: Collection[int]) -> tuple[list[int], list[int]]:
    """The closed items and nodes that are seen, and the open ones, outer ones first."""
    closed, scopes = [], [0]
    for scope in scopes:
        for child in tree.items[scope].children:
            if child in opened and tree.items[child].node < 0:
                scopes.append(child)
            else:
                closed.append(child)
    return closed, scopes


def _bundles(tree: Tree, visible: Sequence[int]) -> list[Bundle]:
    owner = np.zeros(len(tree.leaves), np.int64)
    for place in visible:
        item = tree.items[place]
        owner[item.low : item.high] = place
    source, target = owner[tree.from_place], owner[tree.to_place]
    between = np.flatnonzero(source != target)
    width = len(tree.items)
    pairs, inverse = np.unique(source[between] * width + target[between], return_inverse=True)
    sorted_edges = between[np.argsort(inverse, kind="stable")]
    cuts = np.cumsum(np.bincount(inverse, minlength=len(pairs)))[:-1]
    parts = np.split(sorted_edges, cuts) if len(pairs) else []
    return [Bundle(pair // width, pair % width, edges) for pair, edges in zip(pairs.tolist(), parts)]


def _segments(tree: Tree, bundle: Bundle) -> Iterator[Segment]:
    """The way of a bundle: out of the scopes around its source, across, into those around its target."""
    up = [*tree.path(bundle.source), bundle.source]
    down = [*tree.path(bundle.target), bundle.target]
    shared = 0
    while up[shared] == down[shared]:
        shared += 1
    port = (up[shared], down[shared])
    yield Segment(up[shared - 1] if shared else 0, up[shared], down[shared], None)
    for place in range(len(up) - 1, shared, -1):
        yield Segment(up[place - 1], up[place], -1, port)
    for place in range(len(down) - 1, shared, -1):
        yield Segment(down[place - 1], -1, down[place], port)


class _Inside:
    """The layout of the children of one open scope, from its own left top."""

    def __init__(self, tree: Tree, scope: int, layouts: dict[int, _Inside], arrows: list[Arrow]) -> None:
        self.size: tuple[float, float]
        self.children = tree.items[scope].children
        self.layouts = layouts
        self.top, self.pad = (HEADER, PAD) if scope else (0.0, 0.0)
        index = {child: number for number, child in enumerate(self.children)}
        sizes = [layouts[child].size if child in layouts else closed_size(tree, child) for child in index]
        self.ports: dict[tuple[bool, tuple[int, int]], int] = {}
        plain = [arrow for arrow in arrows if arrow.segment.port is None]
        crossing = [arrow for arrow in arrows if arrow.segment.port is not None]
        inner = [(index[one.segment.source], index[one.segment.target]) for one in plain]
        rows, backward = rank(len(index), inner)
        entering = any(one.segment.source < 0 for one in crossing)
        rows = [row + entering for row in rows]
        last = max(rows, default=0) + 1
        edges = list(inner)
        for arrow in crossing:
            segment = arrow.segment
            leaving = segment.target < 0
            assert segment.port is not None
            port = self.ports.get((leaving, segment.port))
            if port is None:
                port = self.ports[leaving, segment.port] = len(sizes)
                sizes.append(_PORT)
                rows.append(last if leaving else 0)
            edges.append((index[segment.source], port) if leaving else (port, index[segment.target]))
        cut = edges_to_cut(rows, edges, backward)
        self.drawn = [(arrow, edge) for arrow, edge in zip([*plain, *crossing], edges) if edge not in cut]
        used = {end for _, edge in self.drawn for end in edge}
        self.ports = {key: port for key, port in self.ports.items() if port in used}
        self.layout = lay_out(sizes, rows, [edge for _, edge in self.drawn])
        self.size = (
            max(self.layout.width + 2 * self.pad, _title_width(tree.items[scope].title) + 60),
            self.layout.height + self.top + self.pad,
        )
        self.sizes, self.rows = sizes, rows
        self.tops: dict[int, float] = {}
        self.bottoms: dict[int, float] = {}
        for row, (_, y), (_, height) in zip(rows, self.layout.places, sizes):
            self.tops[row] = min(self.tops.get(row, y), y - height / 2)
            self.bottoms[row] = max(self.bottoms.get(row, y), y + height / 2)
        self.shift = (self.size[0] - self.layout.width) / 2

    def port_x(self, leaving: bool, port: tuple[int, int]) -> float | None:
        """How far from the left a port lies; None where what leads to it is cut."""
        found = self.ports.get((leaving, port))
        return None if found is None else self.layout.places[found][0] + self.shift

    def draw(self, left: float, top: float) -> None:
        """Give the arrows inside their points, the scope's own left top being there."""
        for (arrow, (source, target)), path in zip(self.drawn, self.layout.paths):
            points = [(left + self.shift + x, top + self.top + y) for x, y in path]
            segment = arrow.segment
            if segment.port is None:
                ports = (
                    self._port_of(segment.source, True, (segment.source, segment.target)),
                    self._port_of(segment.target, False, (segment.source, segment.target)),
                )
            else:
                ports = (
                    self._port_of(segment.source, True, segment.port),
                    self._port_of(segment.target, False, segment.port),
                )
            for end, port, child in ((0, ports[0], source), (-1, ports[1], target)):
                if port is not None:
                    x = self.layout.places[child][0] - self.sizes[child][0] / 2 + port
                    points[end] = (left + self.shift + x, points[end][1])
            # straight past the taller boxes of the same row
            points.insert(1, (points[0][0], top + self.top + self.bottoms[self.rows[source]]))
            points.insert(-1, (points[-1][0], top + self.top + self.tops[self.rows[target]]))
            if segment.port is not None and segment.target < 0:
                points[-1] = (points[-1][0], top + self.size[1])
            elif segment.port is not None:
                points[0] = (points[0][0], top)
            arrow.points = _distinct(points)

    def _port_of(self, item: int, leaving: bool, port: tuple[int, int]) -> float | None:
        inside = self.layouts.get(item)
        return None if inside is None else inside.port_x(leaving, port)


def _distinct(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points without those that are where the one before is."""
    found = [points[0]]
    for x, y in points[1:]:
        if abs(x - found[-1][0]) > 0.5 or abs(y - found[-1][1]) > 0.5:
            found.append((x, y))
    return found if len(found) > 1 else [points[0], points[-1]]


def closed_size(tree: Tree, place: int) -> tuple[float, float]:
    """Width and height of the box of a node or a closed item."""
    item = tree.items[place]
    if item.node < 0:
        return max(104.0, _title_width(item.title) + 40), GROUP_HEIGHT
    record = tree.records[item.node]
    if record["op"] in _WEIGHTS:
        return _title_width(item.title) + 18, WEIGHT_HEIGHT
    second = item.title
    if second == record["op"] and record["outputs"]:
        second = short_type(record["outputs"][0])
    return max(_title_width(record["op"]), _title_width(second) * 0.92) + 22, NODE_HEIGHT


def _title_width(text: str) -> float:
    return min(max(7.0 * len(text), _NARROWEST), _WIDEST)


def _absolute(
    scopes: Sequence[int], layouts: dict[int, _Inside]
) -> dict[int, tuple[float, float, float, float]]:
    """The rectangles of all visible items, and the points of all arrows."""
    boxes = {0: (0.0, 0.0, *layouts[0].size)}
    for scope in scopes:
        left, top, _, _ = boxes[scope]
        inside = layouts[scope]
        for child, (x, y), (width, height) in zip(inside.children, inside.layout.places, inside.sizes):
            boxes[child] = (
                left + inside.shift + x - width / 2, top + inside.top + y - height / 2, width, height
            )  # fmt: skip
        inside.draw(left, top)
    del boxes[0]
    return boxes
