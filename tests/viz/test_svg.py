"""The package's own SVG: well-formed, every box and edge in it, hostile names harmless."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.viz.picture import picture
from graphflow.viz.svg import text_width, to_svg
from tests.viz.graphs import tangle, training

NAMESPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = "a\"b'<script>alert(1)</script>&amp;]]>\\N\x00\n\u202e\ufffe"


def texts(document: str) -> list[str]:
    root = ElementTree.fromstring(document.encode("utf-8"))
    return [element.text or "" for element in root.iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("budget", [150, 10, 1])
def test_all_that_is_in_the_picture_is_in_the_svg(budget: int) -> None:
    drawing = picture(training(5), budget, repeats=False)
    root = ElementTree.fromstring(to_svg(drawing).encode("utf-8"))
    groups = [element.get("class", "") for element in root.iter(f"{NAMESPACE}g")]
    assert sum(name.startswith("box") for name in groups) == drawing.visible
    assert sum(name == "stub" for name in groups) == len(drawing.boxes) - drawing.visible
    arrows = [path for path in root.iter(f"{NAMESPACE}path") if path.get("class") == "edge"]
    assert len(arrows) == len(drawing.edges)
    shown = texts(to_svg(drawing))
    assert drawing.title in shown and drawing.caption in shown
    said = [edge for edge in drawing.edges if edge.label]
    assert sum(edge.label in shown for edge in said) >= 0.9 * len(said)


def test_everything_lies_inside_the_page() -> None:
    root = ElementTree.fromstring(to_svg(picture(tangle(300))).encode("utf-8"))
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    (body,) = [group for group in root.findall(f"{NAMESPACE}g") if group.get("transform")]
    left, top = (float(part) for part in body.get("transform", "")[10:-1].split(","))
    for box in body.iter(f"{NAMESPACE}rect"):
        x, y = float(box.get("x", "0")) + left, float(box.get("y", "0")) + top
        assert x >= 0 and x + float(box.get("width", "0")) <= width
        assert y >= 0 and y + float(box.get("height", "0")) <= height


def test_hostile_names_are_text() -> None:
    with Graph(HOSTILE):
        y = Builder(gf.default_graph()).exp(gf.placeholder("x", (2,)), name=HOSTILE)  # as read from a file
    document = to_svg(picture(y, title=HOSTILE))
    assert "<script" not in document
    assert any(text.startswith("a\"b'<script>alert(1)</script>&amp;]]>\\N·") for text in texts(document))


def test_an_empty_picture_is_a_document() -> None:
    assert texts(to_svg(picture(Graph("nothing")))) == ["nothing", "0 nodes · drawn as 0 boxes"]


def test_widths_grow_with_the_text() -> None:
    assert 0 == text_width("", 10) < text_width("i", 10) < text_width("m", 10) < text_width("mm", 10)
    assert text_width("abc", 10, bold=True) > text_width("abc", 10)
