"""`to_networkx`: the same nodes and uses, in networkx's terms."""

from __future__ import annotations

import networkx

import graphflow as gf
from graphflow.viz import to_networkx
from tests.viz.graphs import tangle


def test_nodes_and_edges() -> None:
    x = gf.placeholder("x", ("batch", 2))
    with gf.name_scope("head"):
        y = gf.multiply(x, x)
    graph = to_networkx(x.graph)
    assert isinstance(graph, networkx.MultiDiGraph)
    assert set(graph) == {"x", "head/multiply"}
    assert graph.nodes["head/multiply"]["op"] == "multiply"
    assert graph.nodes["head/multiply"]["family"] == y.node.op.family
    assert graph.nodes["head/multiply"]["type"] == "float32[batch, 2]"
    assert graph.nodes["head/multiply"]["scope"] == "head"
    assert graph.nodes["x"]["origin"].startswith("test_networkx.py:")
    uses = sorted(graph.get_edge_data("x", "head/multiply").values(), key=lambda use: use["input"])
    assert uses == [{"tensor": "x:0", "type": "float32[batch, 2]", "input": k} for k in (0, 1)]


def test_it_is_the_same_graph() -> None:
    last = tangle(500)
    graph = to_networkx(last)
    assert networkx.is_directed_acyclic_graph(graph)
    assert graph.number_of_nodes() == 501
    assert graph.number_of_edges() == sum(len(node.inputs) for node in last.graph.nodes)
    assert networkx.ancestors(graph, last.node.name) | {last.node.name} == set(graph)


def test_fetches_of_updates() -> None:
    w = gf.variable("w", (2,))
    graph = to_networkx([gf.assign(w, gf.exp(w))])
    assert set(graph) == {"w", "exp", "assign_w"}
