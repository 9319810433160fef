"""DOT source: what is in the picture is in the source, once, and no name can break out of its label."""

from __future__ import annotations

import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.viz.dot import dot_of, to_dot
from graphflow.viz.picture import picture
from tests.viz.graphs import tangle, training

HOSTILE = 'a"b\'<b>bold</b>&amp;]; x [label="y"\\N\\'


def html_labels(source: str) -> list[str]:
    """The text of every HTML-like label; parsing them proves that they are well-formed."""
    found = re.findall(r"label=<(.*?)>(?=\s\w+=|\]|\n)", source)
    return [
        "".join(ElementTree.fromstring(f"<x>{label.replace('&nbsp;', ' ')}</x>").itertext())
        for label in found
    ]


@pytest.mark.parametrize("budget", [150, 12])
def test_boxes_and_edges_are_written_once(budget: int) -> None:
    drawing = picture(training(5), budget, repeats=False)
    source = dot_of(drawing).source
    nodes = re.findall(r"^\t(b\d+) \[", source, re.MULTILINE)
    edges = re.findall(r"^\t(b\d+) -> (b\d+)", source, re.MULTILINE)
    assert nodes == [f"b{index}" for index in range(len(drawing.boxes))]
    assert edges == [(f"b{edge.source}", f"b{edge.target}") for edge in drawing.edges]
    assert source.count("shape=plaintext") == len(drawing.boxes) - drawing.visible
    assert source.count("style=dashed") == sum(edge.to_stub for edge in drawing.edges)
    assert "nslimit=1" in source and "mclimit=0.2" in source


def test_shapes_and_dtypes_are_on_the_edges() -> None:
    x = gf.placeholder("x", ("batch", 3), dtype=gf.float64)
    source = to_dot(gf.tanh(gf.exp(x))).source
    assert source.count("label=<&nbsp;float64[batch, 3]&nbsp;>") == 2


def test_hostile_names_stay_inside_their_labels() -> None:
    with Graph(HOSTILE):
        y = Builder(gf.default_graph()).exp(gf.placeholder("x", (2,)), name=HOSTILE)  # as read from a file
    source = to_dot(y, title=HOSTILE).source
    shown = html_labels(source)
    assert len(shown) == 4  # the heading, two boxes, one edge
    # Graphviz makes one backslash of two.
    assert sum("]; x [label=" in text and "<b>bold</b>" in text for text in shown) >= 1
    assert all("\\\\" in text for text in shown if "\\" in text)
    tooltips = re.findall(r'tooltip="((?:[^"\\]|\\.)*)"', source)
    assert len(tooltips) == 2 and all("\\" not in tip and "<" not in tip for tip in tooltips)


def test_a_name_that_looks_like_html_is_text() -> None:
    y = gf.exp(gf.placeholder("x", (2,)), name="<b>bold</b>")
    assert any("<b>bold</b>" in text for text in html_labels(to_dot(y).source))


def test_the_budget_holds_for_thousands_of_nodes() -> None:
    source = to_dot(tangle(5000), budget=40).source
    boxes = re.findall(r"^\tb\d+ \[.*", source, re.MULTILINE)
    assert sum("shape=plaintext" not in box for box in boxes) <= 40


def test_graphviz_reads_it() -> None:
    pygraphviz = pytest.importorskip("pygraphviz")
    for source in (training(4), tangle(300)):
        drawing = picture(source, title=HOSTILE, repeats=False)
        graph = pygraphviz.AGraph(string=dot_of(drawing).source)
        assert graph.number_of_nodes() == len(drawing.boxes)
        assert graph.number_of_edges() == len(drawing.edges)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_dot_shows_hostile_names_as_they_are() -> None:
    name = 'a"<b>&amp;\\N\\'
    y = gf.exp(gf.placeholder("x", (2,)), name=name)
    done = subprocess.run(["dot", "-Tsvg"], input=to_dot(y).source.encode(), capture_output=True, timeout=60)
    root = ElementTree.fromstring(done.stdout)
    assert name in {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
