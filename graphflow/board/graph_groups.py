"""Groups in scopes that have too many children: what hangs together, what is alike, what is near."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphflow.board.graph_tree import Item, Tree

WIDE = 64  # children that are drawn side by side
PART = 32  # children of a stretch
SHARED = 8  # readers that make a value one that all use: it holds nothing together
FEWEST = 4  # blocks that are drawn as one
SMALLEST = 3  # nodes of a block


def group_by_connection(tree: Tree) -> None:
    """In wide scopes, put together what reads one another, if that makes several groups."""
    for place in range(len(tree.items)):
        item = tree.items[place]
        if len(item.children) <= WIDE:
            continue
        parts = _components(tree, item)
        groups = [part for part in parts if len(part) >= SMALLEST]
        if len(groups) < FEWEST or max(map(len, groups)) > 0.7 * len(item.children):
            continue
        _replace(tree, place, groups, "group", lambda members: _purpose(tree, members))


def group_repeats(tree: Tree) -> None:
    """Put together neighbours that are one function after another, and groups that are alike."""
    forms = _Forms(tree)
    for place in range(len(tree.items)):
        children = tree.items[place].children
        if len(children) < FEWEST:
            continue
        inner = [child for child in children if tree.items[child].node < 0]
        groups = _neighbours(inner, forms) + _alike(
            [child for child in inner if tree.items[child].kind == "group"], forms
        )
        groups = [group for group in groups if FEWEST <= len(group) < len(children)]
        if groups:
            _replace(tree, place, groups, "run", lambda members: _range(tree, members))


def group_stretches(tree: Tree) -> None:
    """Cut what is still too wide into stretches of neighbours, of stretches if need be."""
    place = 0
    while place < len(tree.items):
        number = 0
        while len(tree.items[place].children) > WIDE:
            children = tree.items[place].children
            count = -(-len(children) // PART)
            cuts = [round(index * len(children) / count) for index in range(count + 1)]
            groups = [children[start:stop] for start, stop in pairwise(cuts)]
            _replace(tree, place, groups, "part", lambda members: _range(tree, members), number)
            number += count
        place += 1


def _replace(
    tree: Tree,
    place: int,
    groups: Sequence[Sequence[int]],
    kind: str,
    title: Callable[[Sequence[int]], str],
    number: int = 0,
) -> None:
    """Put items around groups of an item's children; the others stay."""
    grouped = {child for group in groups for child in group}
    kept = [child for child in tree.items[place].children if child not in grouped]
    made = [tree.add_group(kind, title(group), group, number + index) for index, group in enumerate(groups)]
    tree.items[place].children = sorted([*kept, *made], key=lambda child: tree.items[child].first)


def _components(tree: Tree, item: Item) -> list[list[int]]:
    """The children of an item that hang together without what many of them read, in their order."""
    inside = _inner_edges(tree, item)
    count = len(item.children)
    readers = np.bincount(inside[0], minlength=count)
    root = list(range(count))

    def find(one: int) -> int:
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for source, target in zip(inside[0].tolist(), inside[1].tolist()):
        if readers[source] <= SHARED:
            root[find(target)] = find(source)
    found: dict[int, list[int]] = {}
    for ordinal, child in enumerate(item.children):
        found.setdefault(find(ordinal), []).append(child)
    return list(found.values())


def _inner_edges(tree: Tree, item: Item) -> np.ndarray:
    """The edges between different children of an item, as pairs of their ordinals, each once."""
    owner = np.empty(item.high - item.low, np.int64)
    for ordinal, child in enumerate(item.children):
        one = tree.items[child]
        owner[one.low - item.low : one.high - item.low] = ordinal
    into = tree.edges_into(item)
    sources = tree.from_place[into]
    mine = (sources >= item.low) & (sources < item.high)
    pairs = np.stack([owner[sources[mine] - item.low], owner[tree.to_place[into][mine] - item.low]])
    return np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)


class _Forms:
    """What items compute, whatever their nodes are called: equal for those that are alike."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        kinds: dict[tuple[str, str], int] = {}
        codes = np.empty(len(tree.records), np.int64)
        for number, record in enumerate(tree.records):
            codes[number] = kinds.setdefault((record["op"], str(record["outputs"])), len(kinds))
        self.codes = codes[tree.leaves] if len(codes) else codes
        self.known: dict[int, bytes] = {}

    def of(self, place: int) -> bytes:
        """The form of an item."""
        found = self.known.get(place)
        if found is None:
            item, tree = self.tree.items[place], self.tree
            into = tree.edges_into(item)
            sources = tree.from_place[into]
            inside = (sources >= item.low) & (sources < item.high)
            digest = hashlib.blake2b(self.codes[item.low : item.high].tobytes(), digest_size=16)
            digest.update(np.where(inside, sources - item.low, -1).tobytes())
            digest.update((tree.to_place[into] - item.low).tobytes())
            found = self.known[place] = digest.digest()
        return found


def _neighbours(children: Sequence[int], forms: _Forms) -> list[list[int]]:
    """Neighbouring scopes with the same form."""
    groups: list[list[int]] = []
    for child in children:
        item = forms.tree.items[child]
        if item.high - item.low < SMALLEST or item.kind == "group":
            continue
        if groups and forms.of(groups[-1][0]) == forms.of(child):
            groups[-1].append(child)
        else:
            groups.append([child])
    return groups


def _alike(children: Sequence[int], forms: _Forms) -> list[list[int]]:
    """Groups with the same form, wherever they are."""
    found: dict[bytes, list[int]] = {}
    for child in children:
        found.setdefault(forms.of(child), []).append(child)
    return list(found.values())


def _range(tree: Tree, members: Sequence[int]) -> str:
    first, last = tree.items[members[0]].title, tree.items[members[-1]].title
    return f"{first} … {last}"


def _purpose(tree: Tree, members: Sequence[int]) -> str:
    """What connected nodes are for: the variable that they update, or their last node."""
    records = [tree.records[node] for member in members if (node := tree.items[member].node) >= 0]
    updated = [record["inputs"][0] for record in records if record["op"] == "assign" and record["inputs"]]
    return f"update {min(updated, key=len)}" if updated else _range(tree, members)
