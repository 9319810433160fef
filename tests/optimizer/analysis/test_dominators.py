"""The tree of post-dominators is that of networkx, and grows without recursion."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.analysis.dominators import PostDominators


def random_graph(seed: int, count: int) -> tuple[list[gf.Tensor], list[gf.Tensor]]:
    rng = np.random.default_rng(seed)
    made = [gf.placeholder("x", (2,)), gf.placeholder("y", (2,))]
    for _ in range(count):
        near = [made[-min(len(made), int(rng.integers(1, 9)))] for _ in range(2)]
        made.append(gf.add(*near) if rng.random() < 0.5 else gf.exp(near[0]))
    return made, [made[-1], *[made[int(rng.integers(0, len(made)))] for _ in range(int(rng.integers(0, 3)))]]


@pytest.mark.parametrize("seed", range(12))
def test_parents_are_the_dominators_of_the_reversed_graph(seed: int) -> None:
    made, outputs = random_graph(seed, 60)
    order = [tensor.node for tensor in made]
    tree = PostDominators(order, outputs)
    end, reversed_graph = len(order), nx.DiGraph()
    place = {node: index for index, node in enumerate(order)}
    for index, node in enumerate(order):
        reversed_graph.add_edges_from((index, place[tensor.node]) for tensor in node.inputs)
        if tree.returned[index] or not tree.users[index]:
            reversed_graph.add_edge(end, index)
    expected = nx.immediate_dominators(reversed_graph, end)
    assert tree.parent == [expected[index] for index in range(end)]
    assert [index for index in range(end) if tree.returned[index]] == sorted(
        {place[tensor.node] for tensor in outputs}
    )


def test_long_chains_with_far_users_take_few_steps() -> None:
    x = gf.placeholder("x", (2,))
    made = [x]
    for index in range(20_000):
        # Each also reads the beginning, so that one common ancestor lies as far as the chain is long.
        made.append(gf.add(made[-1], x) if index % 2 else gf.exp(made[-1]))
    order = [tensor.node for tensor in made]
    tree = PostDominators(order, [made[-1]])
    assert tree.parent[0] == len(order) - 1 and tree.parent[-1] == len(order)
    assert tree.parent[1:-1] == list(range(2, len(order)))


def test_what_nobody_reads_passes_through_nothing() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.exp(x)
    tree = PostDominators([x.node, y.node], [x])
    assert tree.parent == [2, 2] and tree.users == [[1], []]
