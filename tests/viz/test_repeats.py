"""Repeated blocks: found where they are alike and chained, whatever their names; drawn once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.viz.picture import picture
from graphflow.viz.repeats import find_flat_runs, find_runs
from tests.viz.graphs import dense, training


def tower(layers: int, odd: int = -1) -> Tensor:
    """Layers in a row; the one numbered `odd` is another function."""
    x = gf.placeholder("x", (4, 8))
    for layer in range(layers):
        with gf.name_scope(f"block_{layer}"):
            w = gf.variable("w", (8, 8))
            x = gf.sin(gf.matmul(x, w)) + x if layer == odd else gf.tanh(gf.matmul(x, w)) + x
    return x


def test_a_run_of_layers() -> None:
    (run,) = find_runs(tower(5).graph.nodes)
    assert (run.name, run.times, run.scope) == ("block_0 … block_4", 5, "")
    assert [node.op.name for node in run.bodies[3]] == ["matmul", "tanh", "add"]
    assert len(run.blocks[0]) == 4  # with its weight
    chained = {(node.op.name, position) for node, position in run.chained()}
    assert chained == {("matmul", 0), ("add", 1)}


@given(st.integers(1, 9), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_a_layer_that_differs_ends_a_run(layers: int, odd: int) -> None:
    with Graph():
        found = find_runs(tower(layers, odd).graph.nodes, 2)
    stretches = [odd, layers - odd - 1] if odd < layers else [layers]
    assert [run.times for run in found] == [length for length in stretches if length >= 2]


def test_weights_values_do_not_matter_but_scalars_do() -> None:
    x = gf.placeholder("x", (3,))
    for layer in range(6):
        with gf.name_scope(f"layer_{layer}"):
            x = gf.exp(gf.tanh(x * gf.constant(np.full(3, layer, np.float32))) * (2.0 if layer < 3 else 3.0))
    assert [run.times for run in find_runs(x.graph.nodes)] == [3, 3]


def test_what_is_alike_but_not_chained_is_no_run() -> None:
    x = gf.placeholder("x", (4, 8))
    heads = [dense(x, 8, f"head_{number}") for number in range(4)]
    assert find_runs(heads[0].graph.nodes) == []


def test_gradients_run_the_other_way() -> None:
    nodes = training(6)[0].graph.nodes
    names = [(run.name, run.times) for run in find_runs(nodes)]
    assert ("layer_0 … layer_5", 6) in names
    backward = [run for run in find_runs(nodes) if run.scope == "gradients"]
    assert backward and int(backward[0].name[-1]) < int(backward[0].name.partition(" ")[0][-1])


def test_dropout_streams_do_not_matter() -> None:
    x = gf.placeholder("x", (4, 8))
    for layer in range(4):
        with gf.name_scope(f"layer_{layer}"):
            x = gf.nn.dropout(gf.tanh(x + 1.0), 0.5)
    assert [run.times for run in find_runs(x.graph.nodes)] == [4]


def test_a_flat_graph_repeats_too() -> None:
    x = gf.placeholder("x", (8,))
    for _ in range(40):
        x = gf.tanh(gf.exp(gf.sin(x)) + x)
    assert find_runs(x.graph.nodes) == []
    runs = find_flat_runs(x.graph.nodes)
    assert sum(run.times for run in runs) >= 38 and {len(run.bodies[0]) for run in runs} == {4}
    drawing = picture(x, budget=30)
    assert any("×" in box.title for box in drawing.boxes) and drawing.visible <= 30
    assert sum(len(box.nodes) for box in drawing.boxes) == 161


def test_the_picture_has_the_run_once_and_one_block_beside_it() -> None:
    drawing = picture(tower(12))
    (box,) = [box for box in drawing.boxes if box.run is not None]
    assert (box.kind, box.title) == ("run", "block_0 … block_11  × 12")
    assert box.lines[0] == "12 × 4 nodes" and len(box.nodes) == 48
    (inset,) = drawing.insets
    assert inset.picture.title == "block_0, one of 12"
    inside = {one.title: one for one in inset.picture.boxes if one.kind != "stub"}
    assert set(inside) == {"matmul", "tanh", "add"}
    assert inside["matmul"].lines == ["w float32[8, 8] · 256 B"]
    stubs = [" ".join([one.title, *one.lines]) for one in inset.picture.boxes if one.kind == "stub"]
    assert sorted(stubs) == ["from the block before", "from the block before", "to the next block"]


def test_it_can_be_turned_off() -> None:
    drawing = picture(tower(12), repeats=False)
    assert drawing.insets == [] and sum("tanh" in box.title for box in drawing.boxes) == 12


@pytest.mark.parametrize("budget", [1, 2, 5, 8, 13, 40])
def test_the_budget_holds(budget: int) -> None:
    drawing = picture(training(7), budget)
    assert drawing.visible <= budget
    nodes = [node for box in drawing.boxes for node in box.nodes]
    assert len(nodes) == len(set(nodes))
