"""Regions in pictures: a frame around the boxes of each in Graphviz, its name in the boxes elsewhere."""

from __future__ import annotations

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.viz.picture import picture
from graphflow.viz.svg import to_svg


def program(pipeline: str = "fuse") -> Program:
    x = gf.placeholder("x", (4, 4))
    return optimize(extract([gf.exp(gf.sort(gf.sin(x) * 2.0)) + 1.0], feeds=[x]), pipeline=pipeline)


def test_boxes_know_their_regions() -> None:
    drawing = picture(program())
    regions = {box.title.partition("(")[0]: box.region for box in drawing.boxes}
    assert regions == {
        "x": "", "sin": "fused_0", "multiply": "fused_0", "sort": "", "exp": "fused_1", "add": "fused_1",
    }  # fmt: skip
    assert "fused into one loop" in [paint.label for paint in drawing.legend()]


def test_graphviz_frames_them() -> None:
    source = gf.viz.to_dot(program()).source
    assert source.count("subgraph cluster_fused_") == 2
    assert "<<B>fused_1</B>>" in source


def test_our_own_layout_names_them_in_their_boxes() -> None:
    drawn = to_svg(picture(program()))
    assert drawn.count(">fused_0</text>") == 2 and drawn.count(">fused_1</text>") == 2


def test_what_is_not_fused_is_drawn_as_before() -> None:
    plain = program("eliminate")
    assert "cluster" not in gf.viz.to_dot(plain).source
    assert "fused" not in to_svg(picture(plain))


def test_a_box_of_several_regions_is_in_none() -> None:
    assert [box.region for box in picture(program(), budget=1).boxes] == [""]
