"""Collapsing: the budget holds, no node is lost, scopes go before neighbours, like goes with like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.ir.graph import Graph
from graphflow.viz.collapse import collapse, folded_constants
from graphflow.viz.select import select
from tests.viz.graphs import dense, tangle, training


@st.composite
def scoped_graphs(draw: st.DrawFn) -> Graph:
    """A random graph whose nodes lie in random scopes."""
    with Graph() as graph:
        made = [gf.placeholder("x", (2,))]
        for index in range(draw(st.integers(0, 40))):
            scope = "/".join(draw(st.lists(st.sampled_from("abc"), max_size=3)))
            left, right = draw(st.sampled_from(made)), draw(st.sampled_from(made))
            made.append(gf.add(left, right, name=f"{scope}/n{index}" if scope else f"n{index}"))
    return graph


@given(scoped_graphs(), st.integers(1, 45))
def test_every_node_is_in_one_of_at_most_budget_groups(graph: Graph, budget: int) -> None:
    groups = collapse(graph.nodes, budget)
    assert len(groups) <= budget
    found = [node for group in groups for node in group.nodes]
    assert sorted(node.id for node in found) == [node.id for node in graph.nodes]
    if budget >= len(graph):
        assert all(group.kind == "node" for group in groups)


def test_the_deepest_scopes_go_first_and_only_as_far_as_needed() -> None:
    x = gf.placeholder("x", (8, 8))
    with gf.name_scope("encoder"):
        y = dense(dense(x, 8, "first"), 8, "second")
    groups = collapse(gf.tanh(y).graph.nodes, 8, repeats=False, weights=False)
    names = [group.name for group in groups if group.kind == "scope"]
    assert names == ["encoder/first", "encoder/second"]
    (whole,) = [group for group in collapse(y.graph.nodes, 3, repeats=False) if group.kind == "scope"]
    assert whole.name == "encoder" and len(whole.nodes) == 10


def test_layers_of_the_same_kind_are_collapsed_together() -> None:
    x = gf.placeholder("x", (8, 8))
    for layer in range(6):
        x = dense(x, 8, f"layer_{layer}")
    groups = collapse(x.graph.nodes, 20, repeats=False, weights=False)
    assert [group.name for group in groups if group.kind == "scope"] == [f"layer_{k}" for k in range(6)]


def test_a_scope_with_one_box_stays_a_node() -> None:
    x = gf.placeholder("x", (2,))
    with gf.name_scope("alone"):
        y = gf.exp(x)
    with gf.name_scope("pair"):
        gf.tanh(gf.tanh(y))
    kinds = {group.name: group.kind for group in collapse(y.graph.nodes, 3)}
    assert kinds == {"x": "node", "alone/exp": "node", "pair": "scope"}


def test_a_flat_graph_falls_back_to_neighbours_and_keeps_its_inputs() -> None:
    groups = collapse(select(tangle(5000)).nodes, 150)
    assert 75 < len(groups) <= 150
    assert (groups[0].kind, groups[0].name) == ("node", "x")
    assert {group.kind for group in groups[1:]} == {"part"}
    sizes = [len(group.nodes) for group in groups[1:]]
    assert max(sizes) - min(sizes[:-1]) <= 1


def test_scalar_constants_are_folded_unless_they_are_returned() -> None:
    x = gf.placeholder("x", (2,))
    one, vector, alone = (
        gf.constant(1.0, name="one"),
        gf.constant([1.0, 2.0], name="vector"),
        gf.constant(3.0),
    )
    y = gf.add(gf.multiply(x, one), vector)
    assert folded_constants(y.graph.nodes, {}) == {one.node}
    assert folded_constants(y.graph.nodes, {one: ["fetched"]}) == set()
    assert alone.node not in folded_constants(y.graph.nodes, {})


def test_variables_stand_beside_their_first_reader() -> None:
    order = [node for group in collapse(select(training(3)).nodes, 1000) for node in group.nodes]
    places = {node.name: position for position, node in enumerate(order)}
    assert abs(places["layer_2/kernel"] - places["layer_2/matmul"]) <= 2


@pytest.mark.parametrize("budget", [0, -3, 1.5, None])
def test_an_impossible_budget_is_refused(budget: object) -> None:
    x = gf.placeholder("x", (2,))
    with pytest.raises(AttributeValueError, match="cannot have"):
        collapse(x.graph.nodes, budget)
