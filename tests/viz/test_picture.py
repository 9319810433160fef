"""Pictures before layout: each node once, stubs in pairs, text that says what is what."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir.graph import Graph
from graphflow.optimizer.program import extract
from graphflow.viz.picture import Box, Picture, clean, picture
from graphflow.viz.select import select
from tests.viz.graphs import tangle, training


def box_of(drawing: Picture, name: str) -> Box:
    (found,) = [box for box in drawing.boxes if box.node is not None and box.node.name == name]
    return found


def labels(drawing: Picture) -> dict[tuple[str, str], str]:
    boxes = drawing.boxes
    return {
        (boxes[edge.source].nodes[-1].name, boxes[edge.target].nodes[-1].name): edge.label
        for edge in drawing.edges
        if not edge.to_stub
    }


@pytest.mark.parametrize("budget", [1, 5, 20, 150])
def test_each_node_is_drawn_once_or_folded(budget: int) -> None:
    fetches = training(6)
    drawing = picture(fetches, budget)
    assert drawing.visible <= budget
    drawn = [node for box in drawing.boxes for node in box.nodes]
    assert len(drawn) == len(set(drawn)) > 100
    left_out = set(select(fetches).nodes).difference(drawn)
    assert {node.op.name for node in left_out} == {"constant"}
    assert all(node.output.size == 1 for node in left_out)


def test_stubs_come_in_pairs_that_name_each_other() -> None:
    drawing = picture(training(6), repeats=False)
    assert drawing.cuts
    leaving = {
        edge.source: edge.target
        for edge in drawing.edges
        if edge.to_stub and drawing.boxes[edge.target].kind == "stub"
    }
    entering = {
        edge.target: edge.source
        for edge in drawing.edges
        if edge.to_stub and drawing.boxes[edge.source].kind == "stub"
    }
    assert set(leaving) == {source for source, _ in drawing.cuts}
    assert set(entering) == {target for _, target in drawing.cuts}
    for source, target in drawing.cuts:
        there, here = drawing.boxes[leaving[source]], drawing.boxes[entering[target]]
        assert (there.title, here.title) == ("to", "from")
        assert drawing.boxes[target].nodes[0].name.rpartition("/")[2] in there.tooltip
        assert drawing.boxes[source].nodes[0].name.rpartition("/")[2] in here.tooltip
    assert sum(box.kind == "stub" for box in drawing.boxes) == len(leaving) + len(entering)


def test_no_drawn_edge_spans_many_rows_or_points_up() -> None:
    fetches = training(6)
    with Graph():
        flat = tangle(400)
    for drawing in (picture(fetches), picture(flat), picture(fetches, 12)):
        spans = [drawing.boxes[edge.target].row - drawing.boxes[edge.source].row for edge in drawing.edges]
        assert min(spans) >= 1 and max(spans) <= 6


def test_texts_of_boxes_and_edges() -> None:
    x = gf.placeholder("x", ("batch", 3))
    w = gf.variable("w", (3, 4))
    c = gf.constant([1.0, 2.0, 3.0, 4.0], name="c")
    y = gf.add(gf.multiply(gf.matmul(x, w), 0.125), c, name="y")
    drawing = picture({"answer": gf.sum(y, axis=0, name="total")}, weights=False)
    assert (box_of(drawing, "x").kind, box_of(drawing, "w").kind, box_of(drawing, "c").kind) == (
        "input", "variable", "constant",
    )  # fmt: skip
    assert box_of(drawing, "multiply").title == "multiply(·, 0.125)"
    assert (box_of(drawing, "y").title, box_of(drawing, "y").lines) == ("add", ["y"])
    assert box_of(drawing, "total").lines == ["total", "axis=(0,)"]
    assert box_of(drawing, "total").badges == ["fetched"]
    assert box_of(drawing, "w").lines == ["float32[3, 4] · 48 B"]
    found = labels(drawing)
    assert found["x", "matmul"] == "float32[batch, 3]"
    assert found["matmul", "multiply"] == found["multiply", "y"] == "float32[batch, 4]"
    assert found["w", "matmul"] == found["c", "y"] == ""
    assert "test_picture.py" in box_of(drawing, "y").tooltip
    assert drawing.caption == "8 nodes · 1 variable with 48 B · drawn as 7 boxes"


def test_attributes_are_short_and_leave_out_defaults() -> None:
    x = gf.placeholder("x", ("batch", 3, 8, 8))
    w = gf.variable("w", (4, 3, 3, 3))
    y = gf.nn.conv(x, w, strides=2, padding=1)
    z = gf.nn.conv(x, w, padding=((0, 1), (2, 3)))
    drawing = picture([y, z, gf.reshape(x, ("batch", 1, 1, 192)), gf.permute_dims(x, (0, 2, 3, 1))])
    details = {box.nodes[0].name: box.lines[-1] for box in drawing.boxes if box.nodes and box.kind == "node"}
    assert details["conv"] == "strides=2, padding=1"
    assert details["conv_1"] == "padding=((0, 1), (2, 3))"
    assert details["reshape"] == "shape=(batch, 1, 1, 192)"
    assert details["permute_dims"] == "axes=(0, 2, 3, 1)"


def test_a_collapsed_scope_says_what_is_in_it() -> None:
    drawing = picture(training(4), 12, repeats=False)
    (box,) = [box for box in drawing.boxes if box.title == "layer_1"]
    assert box.kind == "scope"
    assert box.lines == ["5 nodes", "2 variables, 288 B", "1 matmul, 1 add, …"]


def test_programs_show_their_outputs_and_new_values() -> None:
    x = gf.placeholder("x", (2,))
    w = gf.variable("w", (2,))
    update = gf.assign(w, gf.multiply(w, x, name="product"))
    program = extract([gf.exp(x)], update.assigns, [x])
    drawing = picture(program)
    assert box_of(drawing, "exp").badges == ["output 0"]
    assert box_of(drawing, "product").badges == ["new w"]
    assert {box.title for box in drawing.boxes} == {"x", "exp", "multiply"}
    assert box_of(drawing, "product").lines == ["product", "w float32[2] · 8 B"]


def test_an_update_is_drawn_without_an_edge_from_its_variable() -> None:
    w = gf.variable("w", (2,))
    drawing = picture(gf.assign(w, gf.constant([1.0, 2.0], name="c")), weights=False)
    assert labels(drawing) == {("c", "assign_w"): ""}
    assert box_of(drawing, "assign_w").lines == ["w"]


def test_highlights() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.tanh(gf.exp(x))
    for highlight in ("exp", ["exp:0"], [y.node.inputs[0]], [y.node.inputs[0].node]):
        marked = [box.title for box in picture(y, highlight=highlight).boxes if box.highlighted]
        assert marked == ["exp"]


def test_models_and_graphs_are_recognised() -> None:
    with Graph("net") as graph:
        x = gf.placeholder("x", (2,))
        y = gf.exp(x)
        gf.tanh(x, name="aside")

    class Model:
        pass

    model = Model()
    model.graph, model.outputs = graph, [y]
    assert {box.title for box in picture(model).boxes} == {"x", "exp"}
    assert {box.title for box in picture(graph).boxes} == {"x", "exp", "tanh"}
    assert picture(graph).title == "net"
    assert picture(graph, title="mine").title == "mine"


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(AttributeValueError, match="cannot be drawn"):
        picture(42)
    with Graph():
        one = gf.placeholder("x", (2,))
    with Graph():
        other = gf.placeholder("x", (2,))
    with pytest.raises(GraphError, match="one graph"):
        picture([one, other])
    with pytest.raises(GraphError, match="none"):
        picture([])


def test_an_empty_graph_has_an_empty_picture() -> None:
    drawing = picture(Graph("nothing"))
    assert (drawing.boxes, drawing.edges, drawing.caption) == ([], [], "0 nodes · drawn as 0 boxes")


def test_a_large_flat_graph_stays_small() -> None:
    drawing = picture(tangle(5000))
    assert drawing.visible <= 150
    assert len(drawing.boxes) <= 3 * 150 and len(drawing.edges) <= 2000
    assert sum(len(box.nodes) for box in drawing.boxes) == 5001


def test_one_line_texts() -> None:
    assert clean("a\nb\tc\x00\ud800") == "a·b·c··"
    assert len(clean("x" * 500)) == 40
