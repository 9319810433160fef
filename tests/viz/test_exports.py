"""Mermaid and Model Explorer: everything in them, ids that fit together, and names that stay text."""

from __future__ import annotations

import json
import re

import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.viz import to_mermaid, to_model_explorer
from graphflow.viz.mermaid import mermaid_of
from graphflow.viz.model_explorer import model_explorer_text
from graphflow.viz.picture import picture
from tests.viz.graphs import training
from tests.viz.test_bodies import nested, recurrent

HOSTILE = "a\"b'<script>alert(1)</script>&amp;]]>`|{}\\N\n--> end\u202e"


@pytest.mark.parametrize("make", [recurrent, nested, lambda: training(5)])
def test_mermaid_has_every_box_and_edge(make: object) -> None:
    drawing = picture(make())
    text = mermaid_of(drawing)
    named = re.findall(r"^ +(\w+)[\[\(]+\"", text, re.MULTILINE)
    boxes = len(drawing.all_boxes())
    assert len(named) == len(set(named)) == boxes
    arrows = re.findall(r"^ +(\w+) (?:-->|-\.-)(?:\|\"[^\"|]*\"\|)? (\w+)$", text, re.MULTILINE)
    assert len(arrows) == sum(
        len(one.edges) for one in (drawing, *(i.picture for i in drawing.insets))
    ) + len(drawing.insets)
    frames = set(re.findall(r"subgraph (\w+)\[", text))
    assert {end for pair in arrows for end in pair} <= set(named) | frames
    assert text.count("subgraph ") == text.count("\n  end\n") == len(drawing.insets)
    painted = [
        name for line in re.findall(r"^  class (\S+) c\d+$", text, re.MULTILINE) for name in line.split(",")
    ]
    assert len(painted) == drawing.visible


def test_hostile_names_in_mermaid_are_text() -> None:
    with Graph(HOSTILE):
        y = Builder(gf.default_graph()).exp(gf.placeholder("x", (2,)), name=HOSTILE)  # as read from a file
    text = to_mermaid(y, title=HOSTILE)
    assert "<script" not in text.partition("flowchart")[2]
    for label in re.findall(r"[\[\(]\"(.*)\"[\]\)]", text):
        inside = re.sub(r"</?b>|</?i>|<br/>", "", label)
        assert not set(inside) & set("\"'<>&`\\{}|") and "\n" not in inside
    heading = text.split("\n")[1]
    assert json.loads(heading.partition(": ")[2])  # a quoted string of YAML is one of JSON here


def test_model_explorer_has_every_node_and_use() -> None:
    fetches = training(4)
    nodes = fetches[0].graph.nodes
    made = to_model_explorer(fetches)
    assert json.loads(model_explorer_text(fetches)) == made
    (graph,) = made["graphs"]
    assert set(graph) == {"id", "nodes", "groupNodeAttributes"}
    ids = {node["id"] for node in graph["nodes"]}
    assert len(ids) == len(graph["nodes"]) and len(nodes) - len(ids) <= 1
    edges = [edge for node in graph["nodes"] for edge in node["incomingEdges"]]
    assert {edge["sourceNodeId"] for edge in edges} <= ids
    (product,) = [n for n in graph["nodes"] if {"key": "name", "value": "layer_2/matmul"} in n["attrs"]]
    assert (product["label"], product["namespace"]) == ("matmul", "layer_2")
    facts = {one["key"]: one["value"] for one in product["attrs"]}
    assert facts["operations"] == "128" and "graphs.py:" in facts["line"]
    shape = {"key": "tensor_shape", "value": "float32[batch, 8]"}
    assert shape in product["outputsMetadata"][0]["attrs"] and len(product["inputsMetadata"]) == 2


def test_bodies_are_graphs_of_their_own_and_equal_ones_shared() -> None:
    made = to_model_explorer(nested())
    names = [graph["id"] for graph in made["graphs"]]
    assert len(names) == len(set(names)) > 4
    led_to = [
        name for graph in made["graphs"] for node in graph["nodes"] for name in node.get("subgraphIds", ())
    ]
    assert set(led_to) == set(names[1:])
    x = gf.placeholder("only", (3,))
    layer = gf.function(lambda v: gf.tanh(v * 2.0))
    assert len(to_model_explorer(layer(layer(x)))["graphs"]) == 2


def test_a_profile_adds_times() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.exp(x)
    profile = gf.Session(backend="numpy", level="O0").profile(y, {x: [1.0, 2.0, 3.0]})
    (graph,) = to_model_explorer(y, "timed", profile)["graphs"]
    assert graph["id"] == "timed"
    assert [any(one["key"] == "time" for one in node["attrs"]) for node in graph["nodes"]] == [False, True]
