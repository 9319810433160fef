"""Stubs: the short dashed ends of arrows that are too long to draw, each naming what is at the other end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graphflow.viz import colors
from graphflow.viz.boxes import Box, tail

MOST_NAMES = 3


class Edge(NamedTuple):
    """An arrow between two boxes, by their positions; `to_stub` marks the short ones that end in a stub."""

    source: int
    target: int
    label: str
    to_stub: bool = False


class Outside(NamedTuple):
    """What a box reads from, or gives to, something that has no box: the box, what is there, which way."""

    box: int
    name: str
    leaving: bool


def add_stubs(
    boxes: list[Box],
    edges: list[Edge],
    cuts: Sequence[tuple[int, int]],
    outside: Iterable[Outside] = (),
) -> None:
    """At most two stubs a box: one names all far readers, the other all far sources."""
    leaving: dict[int, dict[str, None]] = {}
    entering: dict[int, dict[str, None]] = {}
    for source, target in cuts:
        leaving.setdefault(source, {})[short_name(boxes[target])] = None
        entering.setdefault(target, {})[short_name(boxes[source])] = None
    for one in outside:
        (leaving if one.leaving else entering).setdefault(one.box, {})[tail(one.name, 28)] = None
    for arrow, ends, offset in (("to", leaving, 1), ("from", entering, -1)):
        for index, names in ends.items():
            listed = list(names)
            shown = listed if len(listed) <= MOST_NAMES else [*listed[:2], f"{len(listed) - 2} more"]
            row = boxes[index].row + offset
            boxes.append(Box("stub", arrow, shown, colors.OTHER, f"{arrow} " + ", ".join(listed), row))
            position = len(boxes) - 1
            pair = (index, position) if offset > 0 else (position, index)
            edges.append(Edge(*pair, "", to_stub=True))
    first = min((box.row for box in boxes), default=0)
    for box in boxes:
        box.row -= first


def short_name(box: Box) -> str:
    """What a stub calls the box."""
    return tail(box.title if box.node is None else box.node.name, 28)
