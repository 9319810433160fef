"""The bodies of nodes in pictures: named in the box, drawn in a frame of their own, nested in one another."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

import graphflow as gf
from graphflow.ir.node import Tensor
from graphflow.viz.bodies import parts_of
from graphflow.viz.dot import dot_of
from graphflow.viz.picture import Picture, picture
from graphflow.viz.svg import to_svg


def recurrent() -> Tensor:
    """A scan with one carry, one sequence, and two captured variables."""
    xs = gf.placeholder("xs", (5, 2, 3))
    w = gf.variable("w", (7, 4))
    b = gf.variable("b", (4,))

    def cell(h, x):
        h = gf.tanh(gf.matmul(gf.concat([x, h], axis=-1), w) + b)
        return h, h

    return gf.scan(cell, gf.zeros((2, 4)), xs)[1]


def nested() -> Tensor:
    """A choice with a choice among three in one branch, inside a while loop."""
    x = gf.placeholder("x", (4,))

    def among(v):
        return gf.switch_case(gf.astype(gf.sum(v), gf.int32), [gf.sin, gf.cos, gf.tanh], v)

    def step(c):
        return gf.cond(gf.max(c) > 0.5, gf.sqrt, among, c) + 1.0

    return gf.while_loop(lambda c: gf.sum(c) < 10.0, step, x, max_steps=9)


def titles(drawing: Picture) -> list[str]:
    return [inset.picture.title for inset in drawing.insets]


def test_parts_of_a_scan() -> None:
    (part,) = parts_of(recurrent().node)
    assert part.title == "step: cell" and part.size == 4
    assert part.parameters == ("carry", "slice", "captured", "captured")
    assert part.results == ("carry", "row")


def test_parts_of_the_others() -> None:
    assert [part.title for part in parts_of(nested().node)] == ["condition", "step"]
    x = gf.placeholder("z", ())
    assert [part.title for part in parts_of(gf.cond(True, lambda: x, lambda: -x).node)] == [
        "if false",
        "if true",
    ]
    assert [part.title for part in parts_of(gf.function(gf.exp)(x).node)] == ["body: exp"]
    assert parts_of(gf.exp(x).node) == []


def test_a_body_is_drawn_beside_its_node() -> None:
    drawing = picture(recurrent(), weights=False)
    (inset,) = drawing.insets
    assert inset.host == -1 and drawing.boxes[inset.box].title == "scan" and inset.owner == "scan"
    assert "step: cell, 4 nodes" in drawing.boxes[inset.box].lines
    assert "length=5" in drawing.boxes[inset.box].lines
    boxes = {box.title: box for box in inset.picture.boxes}
    assert set(boxes) == {"carry", "x", "concat", "w", "b", "matmul", "add", "tanh"}
    assert boxes["x"].lines == ["float32[2, 3]", "slice"] and boxes["w"].lines[-1] == "captured"
    assert boxes["tanh"].badges == ["carry", "row"]
    assert boxes["matmul"].lines == []  # its name, less the scope of the body, says the same
    assert drawing.caption.startswith("6 nodes and 8 in bodies") and "13 boxes" in drawing.caption


def test_bodies_lie_in_the_bodies_of_their_nodes() -> None:
    drawing = picture(nested())
    branches = ["if false: among", "if true: sqrt", "branch 0: sin", "branch 1: cos", "branch 2: tanh"]
    assert titles(drawing) == ["condition", "step", *branches]
    hosts = [inset.host for inset in drawing.insets]
    assert hosts == [-1, -1, 1, 1, 2, 2, 2]


def test_the_budget_is_shared() -> None:
    y = nested()
    for budget in range(1, 40):
        assert picture(y, budget).visible <= budget
    assert titles(picture(y, 5)) == ["condition"]
    small = picture(y, 3)
    assert titles(small) == [] and "drawn as 3 boxes" not in small.caption
    assert any("condition, 3 nodes" in box.lines for box in small.boxes)


def test_equal_bodies_are_drawn_once() -> None:
    x = gf.placeholder("x", (3,))
    layer = gf.function(lambda v: gf.tanh(v * 2.0))
    drawing = picture(layer(layer(layer(x))))
    assert len(drawing.insets) == 1
    assert sum(any("nodes" in line for line in box.lines) for box in drawing.boxes) == 3


def test_a_body_is_drawn_by_itself() -> None:
    body = recurrent().node.attrs.body
    assert {box.title for box in picture(body).boxes} >= {"carry", "x", "tanh"}


@pytest.mark.parametrize("make", [recurrent, nested])
def test_dot_has_a_cluster_for_each(make: object) -> None:
    drawing = picture(make())
    source = dot_of(drawing).source
    assert len(re.findall(r"subgraph cluster_\d+", source)) == len(drawing.insets)
    assert len(re.findall(r"lhead=cluster_\d+", source)) == len(drawing.insets)
    assert "compound=true" in source
    named = set(re.findall(r"^\t*(\w+) \[label", source, re.MULTILINE))
    ends = set(re.findall(r"(\w+) -> (\w+)", source))
    assert {end for pair in ends for end in pair} <= named


def test_without_bodies_nothing_changes() -> None:
    drawing = picture(gf.exp(gf.placeholder("x", ())))
    assert drawing.insets == [] and "bodies" not in drawing.caption
    assert "compound" not in dot_of(drawing).source


@pytest.mark.parametrize("make", [recurrent, nested])
def test_svg_has_a_frame_for_each_that_lies_on_the_page(make: object) -> None:
    drawing = picture(make())
    root = ET.fromstring(to_svg(drawing))
    page = float(root.attrib["width"]), float(root.attrib["height"])
    frames = []
    pending = [(root, 0.0, 0.0)]
    while pending:
        element, x, y = pending.pop()
        move = re.match(r"translate\((.*),(.*)\)", element.attrib.get("transform", ""))
        if move:
            x, y = x + float(move[1]), y + float(move[2])
        if element.attrib.get("stroke-dasharray") == "6,4":
            frames.append((x, y, x + float(element.attrib["width"]), y + float(element.attrib["height"])))
        pending += [(child, x, y) for child in element]
    assert len(frames) == len(drawing.insets)
    for left, top, right, bottom in frames:
        assert left >= 0 and top >= 0 and right <= page[0] and bottom <= page[1]
    frames.sort()
    for number, one in enumerate(frames):
        for other in frames[number + 1 :]:
            assert one[2] <= other[0] or one[3] <= other[1] or other[3] <= one[1]
    text = " ".join(root.itertext())
    assert all(inset.picture.title in text for inset in drawing.insets)


def test_gradients_of_a_scan_can_be_drawn() -> None:
    y = recurrent()
    loss = gf.sum(y)
    drawing = picture([loss, *gf.gradients(loss, list(y.graph.variables.values()))])
    assert any("gradient" in title for title in titles(drawing))
    assert to_svg(drawing).count('stroke-dasharray="6,4"') == len(drawing.insets)
