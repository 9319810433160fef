"""The geometry of an SVG: boxes apart, arrows from box to box, all on the page; on any graph."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.graph import Graph
from graphflow.viz.picture import picture
from graphflow.viz.svg import to_svg
from tests.viz.graphs import tangle, training
from tests.viz.test_collapse import scoped_graphs
from tests.viz.test_repeats import tower

SVG = "{http://www.w3.org/2000/svg}"
Rectangle = tuple[float, float, float, float]


def numbers(text: str) -> list[float]:
    return [float(part) for part in re.findall(r"-?\d+(?:\.\d+)?", text)]


def outline(element: ElementTree.Element) -> Rectangle:
    """The rectangle around a shape: a rect, or the path of a cylinder or a bar."""
    if element.tag == f"{SVG}rect":
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        return x, y, x + float(element.get("width", "0")), y + float(element.get("height", "0"))
    return 1e9, 1e9, -1e9, -1e9


def cylinder(path: str) -> Rectangle:
    """That of `M left,top+5 A ... right,top+5 V bottom-5 ...`."""
    found = numbers(path)
    return found[0], found[1] - 5, found[7], found[9] + 5


def shapes(
    document: str,
) -> tuple[dict[str, Rectangle], list[tuple[str, str, list[float]]], ElementTree.Element]:
    """The boxes by data-box and the arrows, all in the coordinates of the page."""
    root = ElementTree.fromstring(document.encode("utf-8"))
    boxes: dict[str, Rectangle] = {}
    arrows = []
    pending = [(root, 0.0, 0.0)]
    while pending:
        element, x, y = pending.pop()
        if element.get("transform"):
            move = numbers(element.get("transform", ""))
            x, y = x + move[0], y + move[1]
        if element.get("class", "").startswith("box"):
            first = [outline(one) for one in element if one.tag == f"{SVG}rect"]
            first = first or [cylinder(element.findall(f"{SVG}path")[0].get("d", ""))]
            sides = [min(s[0] for s in first), min(s[1] for s in first)]
            sides += [max(s[2] for s in first), max(s[3] for s in first)]
            boxes[element.get("data-box", "")] = (sides[0] + x, sides[1] + y, sides[2] + x, sides[3] + y)
        elif element.get("class") == "edge":
            points = numbers(element.get("d", "").replace("V", " V"))
            last = re.findall(r"[MVC][^MVC]*", element.get("d", ""))[-1]
            end = (
                numbers(last)[-2:]
                if last[0] != "V"
                else [points[-2] if len(points) > 2 else points[0], points[-1]]
            )
            if last[0] == "V":
                end[0] = numbers(re.findall(r"[MC][^MVC]*", element.get("d", ""))[-1])[-2]
            arrow = [points[0] + x, points[1] + y, end[0] + x, end[1] + y]
            arrows.append((element.get("data-from", ""), element.get("data-to", ""), arrow))
        pending += [(child, x, y) for child in element]
    return boxes, arrows, root


def check(document: str) -> None:
    boxes, arrows, root = shapes(document)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    sides = sorted(boxes.values())
    for left, top, right, bottom in sides:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
    for number, one in enumerate(sides):
        for other in sides[number + 1 :]:
            if other[0] >= one[2]:
                break
            assert one[3] <= other[1] or other[3] <= one[1], (one, other)
    for start, end, (x0, y0, x1, y1) in arrows:
        if start in boxes:
            left, top, right, bottom = boxes[start]
            assert left - 0.2 <= x0 <= right + 0.2 and top < y0 <= bottom + 0.2
        if end in boxes:
            left, top, right, bottom = boxes[end]
            assert left - 0.2 <= x1 <= right + 0.2 and abs(y1 - top) <= 0.2
        assert y1 > y0
    assert root.get("role") == "img" and root[0].tag == f"{SVG}title" and root[1].tag == f"{SVG}desc"
    assert "background" in root.get("style", "") and root.find(f"{SVG}rect").get("width") == "100%"


@pytest.mark.parametrize("budget", [1, 6, 25, 150, 500])
@pytest.mark.parametrize("options", [{}, {"repeats": False}, {"weights": False}, {"color": "bytes"}])
def test_training(budget: int, options: dict) -> None:
    check(to_svg(picture(training(7), budget, **options)))


@given(scoped_graphs(), st.integers(1, 45), st.sampled_from(["family", "dtype", "flops"]))
@settings(max_examples=40, deadline=None)
def test_random_scopes(graph: Graph, budget: int, color: str) -> None:
    check(to_svg(picture(graph, budget, color=color)))


@given(st.integers(1, 120), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_random_tangles(count: int, seed: int) -> None:
    with Graph():
        check(to_svg(picture(tangle(count, seed))))


def test_blocks_and_bodies() -> None:
    check(to_svg(picture(tower(12))))
    x = gf.placeholder("z", (3,))
    y = gf.while_loop(lambda c: gf.sum(c) < 10.0, lambda c: gf.cond(gf.max(c) > 0.5, gf.sqrt, gf.cos, c), x)
    check(to_svg(picture(y)))


def test_the_main_path_of_a_chain_is_straight() -> None:
    x = gf.placeholder("x", (3,))
    y = x
    for _ in range(20):
        y = gf.exp(gf.tanh(y))
    boxes, _, _ = shapes(to_svg(picture(y)))
    middles = [(left + right) / 2 for left, _, right, _ in boxes.values()]
    assert max(middles) - min(middles) < 1
