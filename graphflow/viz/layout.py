"""A layered layout in plain Python, for machines without Graphviz: rows, then order, then places.

Source: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (1981); edges over several rows pass invisible points, rows are ordered by barycentres,
and places minimise the squared distance to neighbours (a pool-adjacent-violators fit, exact a row).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 10
SIDE_GAP = 22.0
ROW_GAP = 46.0
_POINT_WIDTH = 10.0
_LIGHT = 0.0005


@dataclass(slots=True)
class Vertex:
    """A box, or a point that an edge passes (`box` is None); x and y are its centre.

    A light one goes where there is room for it, and moves no other; what has more weight moves less.
    """

    row: int
    width: float
    height: float
    box: int | None = None
    light: bool = False
    weight: float = 1.0
    x: float = 0.0
    y: float = 0.0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        places: the centre of each box.
        paths: for each edge, the points it runs through, from its source's bottom to its target's top.
        width, height: of the whole, from 0.
    """

    places: list[tuple[float, float]]
    paths: list[list[tuple[float, float]]]
    width: float
    height: float


def lay_out(
    sizes: Sequence[tuple[float, float]],
    rows: Sequence[int],
    edges: Sequence[tuple[int, int]],
    light: Collection[int] = (),
) -> Layout:
    """Places for boxes of given sizes in given rows, and paths for edges that point downward.

    Arguments:
        light: boxes that move no others.

    >>> lay_out([(40, 20), (40, 20)], [0, 1], [(0, 1)]).places
    [(20.0, 10.0), (20.0, 76.0)]
    """
    vertices = [
        Vertex(row, width, height, box, box in light)
        for box, (row, (width, height)) in enumerate(zip(rows, sizes))
    ]
    chains = [_chain(vertices, source, target) for source, target in edges]
    layers = _order(vertices)
    _weigh(vertices, layers)
    _place_across(vertices, layers)
    _place_down(vertices, layers)
    boxes = vertices[: len(sizes)]
    return Layout(
        [(vertex.x, vertex.y) for vertex in boxes],
        _paths(vertices, chains),
        max((vertex.x + vertex.width / 2 for vertex in vertices), default=0.0),
        max((vertex.y + vertex.height / 2 for vertex in vertices), default=0.0),
    )


def _chain(vertices: list[Vertex], source: int, target: int) -> list[int]:
    """The vertices of an edge: its ends, and a new point for each row between them."""
    chain = [source]
    for row in range(vertices[source].row + 1, vertices[target].row):
        vertices.append(Vertex(row, _POINT_WIDTH, 0.0))
        chain.append(len(vertices) - 1)
    chain.append(target)
    for upper, lower in pairwise(chain):
        vertices[upper].below.append(lower)
        vertices[lower].above.append(upper)
    return chain


# Order within rows


def _order(vertices: list[Vertex]) -> list[list[int]]:
    """The vertices of each row from left to right, with few crossings."""
    layers: list[list[int]] = [[] for _ in range(max((vertex.row for vertex in vertices), default=-1) + 1)]
    for index in _walk(vertices):
        layers[vertices[index].row].append(index)
    best, fewest = [list(layer) for layer in layers], _crossings(vertices, layers)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downward = sweep % 2 == 0
        _reorder(vertices, layers, downward)
        crossings = _crossings(vertices, layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _walk(vertices: list[Vertex]) -> list[int]:
    """All vertices, neighbours soon after one another: a depth-first walk without recursion."""
    seen = [False] * len(vertices)
    found: list[int] = []
    starts = sorted(range(len(vertices)), key=lambda index: (vertices[index].row, index))
    for start in starts:
        stack = [start]
        while stack:
            index = stack.pop()
            if not seen[index]:
                seen[index] = True
                found.append(index)
                stack.extend(reversed(vertices[index].above))
                stack.extend(reversed(vertices[index].below))
    return found


def _reorder(vertices: list[Vertex], layers: list[list[int]], downward: bool) -> None:
    """Sort each row by the mean position of the neighbours in the row before."""
    place = [0] * len(vertices)
    for layer in layers if downward else reversed(layers):
        keys = {}
        for position, index in enumerate(layer):
            near = vertices[index].above if downward else vertices[index].below
            keys[index] = sum(place[other] for other in near) / len(near) if near else position
        layer.sort(key=lambda index: keys[index])
        for position, index in enumerate(layer):
            place[index] = position


def _crossings(vertices: list[Vertex], layers: list[list[int]]) -> int:
    """The pairs of edges that cross, row by row: inversions, counted by insertion."""
    place = [0] * len(vertices)
    for layer in layers:
        for position, index in enumerate(layer):
            place[index] = position
    total = 0
    for layer in layers:
        ends: list[int] = []
        for index in layer:
            lower = sorted(place[other] for other in vertices[index].below)
            total += sum(len(ends) - bisect_right(ends, end) for end in lower)
            for end in lower:
                insort(ends, end)
    return total


# Places


def _weigh(vertices: list[Vertex], layers: list[list[int]]) -> None:
    """Let what lies on long paths be heavy, so that side branches give way to the main one."""
    below, above = [0] * len(vertices), [0] * len(vertices)
    for layer in layers:
        for index in layer:
            above[index] = max((above[other] + 1 for other in vertices[index].above), default=0)
    for layer in reversed(layers):
        for index in layer:
            below[index] = max((below[other] + 1 for other in vertices[index].below), default=0)
    longest = max((up + down for up, down in zip(above, below)), default=0) or 1
    for index, vertex in enumerate(vertices):
        share = (above[index] + below[index]) / longest
        vertex.weight = _LIGHT if vertex.light else 3.0 if vertex.box is None else max(0.1, share**3)


def _place_across(vertices: list[Vertex], layers: list[list[int]]) -> None:
    """Each vertex as near to the middle of its neighbours as its row allows."""
    for layer in layers:
        x = 0.0
        for index in layer:
            vertices[index].x = x + vertices[index].width / 2
            x += vertices[index].width + SIDE_GAP
    for sweep in range(2 * SWEEPS):
        downward = sweep % 2 == 0
        both = sweep >= 2 * SWEEPS - 2
        for layer in layers if downward else reversed(layers):
            wanted = []
            for index in layer:
                vertex = vertices[index]
                near = vertex.above if downward else vertex.below
                near = vertex.above + vertex.below if both or not near else near
                near = near if vertex.light else [one for one in near if not vertices[one].light]
                total = sum([vertices[other].weight for other in near])
                middle = sum([vertices[other].x * vertices[other].weight for other in near])
                wanted.append(middle / total if near else vertex.x)
            _fit(vertices, layer, wanted)
    left = min((vertex.x - vertex.width / 2 for vertex in vertices), default=0.0)
    for vertex in vertices:
        vertex.x -= left


def _fit(vertices: list[Vertex], layer: Sequence[int], wanted: Sequence[float]) -> None:
    """The places nearest to `wanted`, in least squares, that keep the row's order and gaps.

    Points weigh more than boxes, so that long edges come out straight, and what is light weighs little.
    """
    shifts, shift = [], 0.0
    for position, index in enumerate(layer):
        if position:
            shift += (vertices[layer[position - 1]].width + vertices[index].width) / 2 + SIDE_GAP
        shifts.append(shift)
    blocks: list[list[float]] = []  # [weighted sum, weight, members]
    for position, index in enumerate(layer):
        weight = vertices[index].weight
        blocks.append([weight * (wanted[position] - shifts[position]), weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last)]
    position = 0
    for total, weight, members in blocks:
        for _ in range(int(members)):
            vertices[layer[position]].x = total / weight + shifts[position]
            position += 1


def _place_down(vertices: list[Vertex], layers: list[list[int]]) -> None:
    y = 0.0
    for layer in layers:
        height = max((vertices[index].height for index in layer), default=0.0)
        for index in layer:
            vertex = vertices[index]
            vertex.y = y + height / 2
            if vertex.box is None:
                vertex.height = height
        y += height + ROW_GAP


def _paths(vertices: list[Vertex], chains: Sequence[list[int]]) -> list[list[tuple[float, float]]]:
    """The points of each edge; where several meet a box they arrive side by side, in their order."""
    ports = _ports(vertices, chains)
    paths = []
    for edge, chain in enumerate(chains):
        start, end = vertices[chain[0]], vertices[chain[-1]]
        middle = [
            (point.x, point.y + side * point.height / 2)
            for point in (vertices[index] for index in chain[1:-1])
            for side in (-1, 1)
        ]
        paths.append(
            [
                (start.x + ports[edge][0], start.y + start.height / 2),
                *middle,
                (end.x + ports[edge][1], end.y - end.height / 2),
            ]
        )
    return paths


def _ports(vertices: list[Vertex], chains: Sequence[list[int]]) -> list[tuple[float, float]]:
    """For each edge, how far from the middle of its source and of its target it attaches.

    Edges to what is light attach at the sides, so that they bend no others.
    """
    offsets = [[0.0, 0.0] for _ in chains]
    for end in (0, 1):
        meeting: dict[int, list[tuple[float, int]]] = {}
        for edge, chain in enumerate(chains):
            box, near = (chain[0], chain[1]) if end == 0 else (chain[-1], chain[-2])
            if vertices[near].light:
                shift = vertices[near].x - vertices[box].x
                offsets[edge][end] = max(-0.38, min(0.38, shift / vertices[box].width)) * vertices[box].width
            else:
                meeting.setdefault(box, []).append((vertices[near].x, edge))
        for box, arrivals in meeting.items():
            step = 0.0 if vertices[box].light else min(16.0, 0.7 * vertices[box].width / len(arrivals))
            for position, (_, edge) in enumerate(sorted(arrivals)):
                offsets[edge][end] = (position - (len(arrivals) - 1) / 2) * step
    return [(source, target) for source, target in offsets]
