"""Walks: each node once, every node after what it reads, no recursion."""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node
from graphflow.ir.opdef import registry
from graphflow.ir.provenance import Origin
from graphflow.ir.traversal import ancestors, creation_order, topological_order
from graphflow.ops.declare import placeholder

add = registry["add"]


def random_graph(rng: np.random.Generator, size: int) -> Graph:
    with Graph() as g:
        tensors = [placeholder("x", (2,))]
        for _ in range(size):
            left, right = (tensors[int(rng.integers(len(tensors)))] for _ in range(2))
            tensors.append(add(left, right))
    return g


def test_topological_order(rng: np.random.Generator) -> None:
    g = random_graph(rng, 200)
    roots = [g.nodes[index].outputs[0] for index in rng.integers(len(g.nodes), size=5)]
    order = topological_order(roots)
    place = {node: index for index, node in enumerate(order)}
    assert len(place) == len(order) and set(order) == ancestors(roots)
    assert all(place[tensor.node] < place[node] for node in order for tensor in node.inputs)
    assert topological_order(roots) == order and topological_order([*roots, *roots]) == order
    assert topological_order([]) == []


def test_ancestors_are_the_closure(rng: np.random.Generator) -> None:
    g = random_graph(rng, 60)
    root = g.nodes[-1].outputs[0]
    closure: set[Node] = {root.node}
    while True:
        grown = closure | {tensor.node for node in closure for tensor in node.inputs}
        if grown == closure:
            break
        closure = grown
    assert ancestors([root]) == closure
    assert creation_order(closure) == [node for node in g.nodes if node in closure]


def test_stopping() -> None:
    with Graph():
        x = placeholder("x", (2,))
        y = add(x, x)
        z = add(y, x)
    assert [node.name for node in topological_order([z], stop={y}.__contains__)] == ["x", "add_1"]
    assert (
        topological_order([z], stop={z}.__contains__) == [] and ancestors([z], stop={z}.__contains__) == set()
    )
    assert ancestors([z], stop={x, y}.__contains__) == {z.node}


def test_stopping_at_one_output_of_several() -> None:
    with Graph():
        first, second = registry["split"](placeholder("x", (2,)), (1, 1))
        z = add(first, second)
    assert [node.name for node in topological_order([z], stop={first}.__contains__)] == ["x", "split", "add"]


def test_a_chain_of_any_length() -> None:
    with Graph() as g:
        x = placeholder("x", (2,))
        b = Builder(g, origin=Origin("f.py", 1))
        for _ in range(30_000):
            x = b.add(x, x)
    assert topological_order([x]) == g.nodes and len(ancestors([x])) == 30_001
