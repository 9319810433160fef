"""Ranks: in which row of a picture each box belongs, and which edges are too long to be drawn.

A layered layout gives every long edge a place in each row it passes, which is what makes Graphviz
never finish on training graphs, where activations of early layers are read by the last gradients.
So an edge over more than a few rows is cut, and both ends get a stub that names the other.
"""

from __future__ import annotations

from collections.abc import Sequence

Pair = tuple[int, int]

LONGEST = 6  # rows an edge may span; measured: above it `dot` slows down, below it pictures fall apart
MANY = 12  # readers of one box that are drawn by edges; further ones by stubs


def rank(count: int, edges: Sequence[Pair]) -> tuple[list[int], set[Pair]]:
    """The row of each of `count` boxes, and the edges that close a cycle.

    A box lies below everything it reads; one with more readers than sources moves down to them.
    """
    backward = _closing_edges(count, edges)
    readers, reads = _adjacency(count, [edge for edge in edges if edge not in backward])
    rows = [0] * count
    waiting = [len(sources) for sources in reads]
    order = [box for box in range(count) if not waiting[box]]
    for box in order:
        for reader in readers[box]:
            rows[reader] = max(rows[reader], rows[box] + 1)
            waiting[reader] -= 1
            if not waiting[reader]:
                order.append(reader)
    follows = _following(order, readers, reads)
    for box in reversed(order):
        held = sum(not follows[source] for source in reads[box])
        if held < len(readers[box]):
            rows[box] = min(rows[reader] for reader in readers[box]) - 1
    first = min(rows, default=0)
    return [row - first for row in rows], backward


def edges_to_cut(
    rows: Sequence[int], edges: Sequence[Pair], backward: set[Pair], longest: int = LONGEST
) -> set[Pair]:
    """The edges to draw as stubs: over more than `longest` rows, backward, or one of very many."""
    cut = {edge for edge in edges if edge in backward or rows[edge[1]] - rows[edge[0]] > longest}
    readers: dict[int, list[int]] = {}
    for source, target in edges:
        if (source, target) not in cut:
            readers.setdefault(source, []).append(target)
    for source, targets in readers.items():
        if len(targets) > MANY:
            far = sorted(targets, key=lambda target: (rows[target], target))[MANY:]
            cut.update((source, target) for target in far)
    return cut


def _following(order: Sequence[int], readers: list[list[int]], reads: list[list[int]]) -> list[bool]:
    """Whether each box can go down with its reader: it reads nothing, or only what follows it in turn."""
    follows = [False] * len(order)
    for box in order:
        follows[box] = all(
            follows[source] and (not reads[source] or len(readers[source]) == 1) for source in reads[box]
        )
    return follows


def _adjacency(count: int, edges: Sequence[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    readers: list[list[int]] = [[] for _ in range(count)]
    reads: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        readers[source].append(target)
        reads[target].append(source)
    return readers, reads


def _closing_edges(count: int, edges: Sequence[Pair]) -> set[Pair]:
    """Edges whose removal leaves no cycle: those that a depth-first walk finds pointing at its own path.

    Scopes as boxes can form cycles (a before b before a), though nodes cannot.
    """
    readers, _ = _adjacency(count, edges)
    closing: set[Pair] = set()
    state = [0] * count  # 1 while on the path, 2 when done
    for start in range(count):
        if state[start]:
            continue
        state[start] = 1
        path = [(start, iter(readers[start]))]
        while path:
            box, rest = path[-1]
            following = next(rest, None)
            if following is None:
                state[box] = 2
                path.pop()
            elif state[following] == 1:
                closing.add((box, following))
            elif not state[following]:
                state[following] = 1
                path.append((following, iter(readers[following])))
    return closing
