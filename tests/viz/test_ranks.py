"""Ranks: readers below what they read, cycles opened, and long edges chosen for stubs."""

from __future__ import annotations

import networkx
from hypothesis import given
from hypothesis import strategies as st

from graphflow.viz.ranks import LONGEST, MANY, edges_to_cut, rank


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40))
def test_ranks_of_any_graph(pairs: list[tuple[int, int]]) -> None:
    edges = list(dict.fromkeys((a, b) for a, b in pairs if a != b))
    rows, backward = rank(12, edges)
    forward = networkx.DiGraph([edge for edge in edges if edge not in backward])
    assert networkx.is_directed_acyclic_graph(forward)
    assert all(rows[source] < rows[target] for source, target in forward.edges)
    assert min(rows) == 0
    if networkx.is_directed_acyclic_graph(networkx.DiGraph(edges)):
        assert not backward


def test_a_late_input_stands_just_above_its_reader() -> None:
    chain = [(k, k + 1) for k in range(5)]
    rows, _ = rank(8, [*chain, (6, 5), (7, 6)])
    assert (rows[5], rows[6], rows[7]) == (5, 4, 3)


def test_what_is_cut() -> None:
    chain = [(k, k + 1) for k in range(10)]
    rows, backward = rank(11, [*chain, (0, LONGEST), (0, LONGEST + 1)])
    assert edges_to_cut(rows, [*chain, (0, LONGEST), (0, LONGEST + 1)], backward) == {(0, LONGEST + 1)}


def test_one_of_very_many_readers_is_cut() -> None:
    edges = [(0, reader) for reader in range(1, MANY + 6)]
    rows, backward = rank(MANY + 6, edges)
    assert len(edges_to_cut(rows, edges, backward)) == 5


def test_a_cycle_is_cut_once() -> None:
    rows, backward = rank(2, [(0, 1), (1, 0)])
    assert backward == edges_to_cut(rows, [(0, 1), (1, 0)], backward) == {(1, 0)}


def test_a_chain_of_many_thousands() -> None:
    count = 50_000
    rows, backward = rank(count, [(k, k + 1) for k in range(count - 1)])
    assert rows == list(range(count)) and not backward
