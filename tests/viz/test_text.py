"""Tables and trees: the right numbers, shared parts once, and an end to every output."""

from __future__ import annotations

import io

import pytest

import graphflow as gf
from graphflow.ir.node import Tensor
from graphflow.viz.summary import summary
from graphflow.viz.tree import debug_print, tree
from tests.viz.graphs import dense, tangle, training
from tests.viz.test_repeats import tower


def net() -> Tensor:
    x = gf.placeholder("x", ("batch", 4))
    with gf.name_scope("encoder"):
        h = dense(dense(x, 6, "first"), 5, "second")
    return gf.sum(h * 2.0, name="total")


def test_a_row_for_each_layer() -> None:
    table = net().graph.summary()
    assert [row.name for row in table.rows] == ["x", "encoder/first", "encoder/second", "multiply", "total"]
    first = table.rows[1]
    assert (first.parameters, first.trainable, first.weight_bytes, first.nodes) == (30, 30, 120, 5)
    assert first.output == "float32[batch, 6]"
    assert first.flops == 2 * 4 * 6 + 6 + 6  # the product, the sum, tanh
    assert table.total.parameters == 30 + 35 and table.scalars == 1
    assert table.counted == "batch = 1"
    assert net_summary_text().splitlines()[-1] == "counted with batch = 8"


def net_summary_text() -> str:
    with gf.Graph():
        return str(net().graph.summary(sizes={"batch": 8}))


def test_sizes_scale_the_costs_but_not_the_weights() -> None:
    with gf.Graph():
        y = net()
    one, many = summary(y.graph), summary(y.graph, sizes={"batch": 10})
    assert many.total.flops == 10 * one.total.flops and many.total.parameters == one.total.parameters


def test_depths() -> None:
    with gf.Graph():
        y = net()
    assert [row.name for row in summary(y.graph, depth=0).rows][1] == "encoder"
    assert len(summary(y.graph, depth=2).rows) > 5
    sums = {(summary(y.graph, depth=depth).total.nodes) for depth in (0, 1, 2, None)}
    assert len(sums) == 1


def test_repeated_layers_share_a_row_and_flat_graphs_have_parts() -> None:
    table = tower(12).graph.summary()
    (row,) = [row for row in table.rows if "×" in row.name]
    assert row.name == "block_0 … block_11 × 12" and row.parameters == 12 * 64
    with gf.Graph():
        flat = tangle(900)
    assert len(flat.graph.summary().rows) <= 50 and flat.graph.summary().total.nodes == 901


def test_untrainable_and_shared_weights_count_once() -> None:
    x = gf.placeholder("x", (4, 4))
    w = gf.variable("w", (4, 4))
    frozen = gf.variable("frozen", (4,), trainable=False)
    table = (gf.matmul(gf.matmul(x, w), w) + frozen).graph.summary()
    assert (table.total.parameters, table.total.trainable) == (20, 16)
    assert "4 of the parameters are not trainable" in str(table)
    assert str(gf.Graph("nothing").summary()).startswith("layer")


def test_tables_escape_names_in_html() -> None:
    y = gf.exp(gf.placeholder("x", (2,)), name="<b>bold</b>")
    assert "&lt;b&gt;bold&lt;/b&gt;" in y.graph.summary()._repr_html_()


def test_shared_parts_are_printed_once() -> None:
    x = gf.placeholder("x", (2, 3))
    shared = gf.exp(gf.sin(x))
    text = tree(gf.add(gf.sqrt(shared), gf.tanh(shared)))
    assert [line[:43].rstrip() for line in text.splitlines()] == [
        "add : float32[2, 3]",
        "├─ sqrt : float32[2, 3]",
        "│  └─ exp #1 : float32[2, 3]",
        "│     └─ sin : float32[2, 3]",
        "│        └─ x = placeholder : float32[2, 3]",
        "└─ tanh : float32[2, 3]",
        "   └─ exp #1, see above",
    ]
    assert "6 FLOP" in text and "48 B" in text and "test_text.py:" in text


def test_a_tree_ends_and_says_what_it_left_out() -> None:
    y = tangle(3000)
    for text in (tree(y, lines=50), tree(y, depth=2), tree(training(3), lines=20)):
        assert len(text.splitlines()) <= 51
    assert tree(y, lines=50).splitlines()[-1] == "… and 2,951 more nodes" or "more nodes" in tree(y, lines=50)
    assert max(map(len, tree(y, lines=2000).splitlines())) < 200


def test_scalars_are_written_in_place() -> None:
    y = gf.placeholder("x", (3,)) * 0.125
    assert tree(y).splitlines()[0].startswith("multiply(·, 0.125) : float32[3]")
    assert len(tree(y).splitlines()) == 2


def test_debug_print_writes_to_a_file_and_shows_times() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.exp(x)
    profile = gf.Session(backend="numpy", level="O0").profile(y, {x: [1.0, 2.0, 3.0]})
    file = io.StringIO()
    gf.debug_print(y, profile=profile, file=file)
    assert file.getvalue() == tree(y, profile=profile) + "\n" and " us " in file.getvalue()
    assert gf.debug_print is debug_print


def test_updates_have_trees() -> None:
    fetches = training(2)
    text = tree(fetches)
    assert "assign" in text and text.count("layer_0/matmul = matmul") + text.count("matmul #") >= 1


@pytest.mark.parametrize("count", [1, 199, 200, 201, 5000])
def test_printing_a_graph_is_bounded(count: int) -> None:
    with gf.Graph("long") as graph:
        x = gf.placeholder("x", ())
        for _ in range(count - 1):
            x = gf.exp(x)
    text = str(graph)
    if count <= 200:
        assert text == gf.print_graph(graph)
        return
    assert len(text.splitlines()) <= 210
    assert f"... {count - 200:,} more nodes" in text and "%x:" in text and f"%exp_{count - 2}:" in text


def test_bodies_are_bounded_too() -> None:
    def step(carry: Tensor) -> Tensor:
        for _ in range(1000):
            carry = gf.sin(carry)
        return carry

    y = gf.function(step)(gf.placeholder("x", ()))
    assert len(str(y.graph).splitlines()) < 230 and "more nodes" in str(y.graph)
    assert "more nodes" not in gf.print_graph(y.graph)
