"""The tree that a graph is folded into: scopes by the names of nodes, and groups where a scope has too many.

Nothing is believed of the records but what `store.side` mends: names may be equal, endless or wild, inputs
may name nothing, and edges may run in circles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.board.graph_groups import group_by_connection, group_repeats, group_stretches
from graphflow.errors import FileFormatError

MOST_NODES = 500_000
MOST_EDGES = 4_000_000
MOST_LEVELS = 24  # scopes inside of one another; what is deeper belongs to the name


class Item:
    """A scope, a group or a node of the tree.

    Attributes:
        kind: "scope", "group" (connected), "part" (a stretch), "run" (alike) or "node".
        key: what it is called by in requests; the same as long as the graph is.
        parent: position of the item in which it lies, -1 for the root.
        children: positions, in the order of running.
        node: position of the record, -1 for what is no node.
        first: position of its first record.
        low, high: its nodes are those at these positions of `Tree.leaves`.
    """

    __slots__ = ("children", "first", "high", "key", "kind", "low", "node", "parent", "title")

    def __init__(self, kind: str, key: str, title: str, parent: int, first: int, node: int = -1) -> None:
        self.kind = kind
        self.key = key
        self.title = title
        self.parent = parent
        self.first = first
        self.node = node
        self.children: list[int] = []
        self.low = self.high = 0


class Tree:
    """Records of nodes as a tree, with the edges between them.

    Attributes:
        records: the nodes.
        numbers: positions of records by name; of equal names the first.
        source, target, output: for each edge the records at both ends, and which output it is of.
        items: the root first.
        by_key: positions of items.
        leaves: records in the order of the tree; `places` is the inverse.
        item_of: for each record, the position of its item.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        if len(records) > MOST_NODES:
            raise FileFormatError(
                f"the graph has {len(records):,} nodes", hint=f"up to {MOST_NODES:,} nodes can be drawn"
            )
        self.records = records
        self.numbers: dict[str, int] = {}
        for number, record in enumerate(records):
            self.numbers.setdefault(record["name"], number)
        self.source, self.target, self.output = _edges(records, self.numbers)
        self.items = _scopes(records)
        self.order()
        group_by_connection(self)
        self.order()
        group_repeats(self)
        group_stretches(self)
        self.order()
        self.by_key = {item.key: place for place, item in enumerate(self.items)}
        self.item_of = [0] * len(records)
        for place, item in enumerate(self.items):
            if item.node >= 0:
                self.item_of[item.node] = place

    def order(self) -> None:
        """Number the leaves from the left, and sort the edges by the place of what reads them."""
        leaves: list[int] = []
        stack = [(0, False)]
        while stack:
            place, done = stack.pop()
            item = self.items[place]
            if done:
                item.high = len(leaves)
                continue
            item.low = len(leaves)
            if item.node >= 0:
                leaves.append(item.node)
                item.high = len(leaves)
                continue
            stack.append((place, True))
            stack.extend((child, False) for child in reversed(item.children))
        self.leaves = np.array(leaves, np.int64)
        self.places = np.empty(len(leaves), np.int64)
        self.places[self.leaves] = np.arange(len(leaves))
        ranked = np.argsort(self.places[self.target], kind="stable")
        self.source, self.target, self.output = (
            column[ranked] for column in (self.source, self.target, self.output)
        )
        self.from_place = self.places[self.source]
        self.to_place = self.places[self.target]

    def edges_into(self, item: Item) -> slice:
        """The edges that end in an item, as a slice of the arrays of edges."""
        start, stop = np.searchsorted(self.to_place, (item.low, item.high))
        return slice(int(start), int(stop))

    def add_group(self, kind: str, title: str, members: Sequence[int], number: int) -> int:
        """A new item around children of one item, which stands in the parent's list nowhere yet."""
        parent = self.items[members[0]].parent
        owner = self.items[parent]
        made = Item(kind, f"{kind}:{number}:{owner.key}", title, parent, self.items[members[0]].first)
        made.children = list(members)
        self.items.append(made)
        place = len(self.items) - 1
        for member in members:
            self.items[member].parent = place
        return place

    def path(self, place: int) -> list[int]:
        """The items around an item, the outermost below the root first."""
        found = []
        place = self.items[place].parent
        while place > 0:
            found.append(place)
            place = self.items[place].parent
        return found[::-1]


def _edges(
    records: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source, target, output = [], [], []
    for number, record in enumerate(records):
        for text in record["inputs"]:
            found, index = split_output(text, numbers)
            if found >= 0 and found != number:
                source.append(found)
                target.append(number)
                output.append(index)
        if len(source) > MOST_EDGES:
            raise FileFormatError(
                f"the graph has more than {MOST_EDGES:,} edges", hint="log a part of the graph"
            )
    return np.array(source, np.int64), np.array(target, np.int64), np.array(output, np.int64)


def split_output(text: str, numbers: Mapping[str, int]) -> tuple[int, int]:
    """The record and the output that `name` or `name:output` means; (-1, 0) for what is not there."""
    found = numbers.get(text)
    if found is not None:
        return found, 0
    name, _, index = text.rpartition(":")
    found = numbers.get(name, -1)
    if found < 0 or len(index) > 5 or not (index.isascii() and index.isdigit()):
        return -1, 0
    return found, int(index)


def _scopes(records: Sequence[Mapping[str, Any]]) -> list[Item]:
    """The root, and an item for each scope and each node; a node that is called as a scope lies in it."""
    items = [Item("scope", "", "", -1, 0)]
    known: dict[tuple[int, str], int] = {}
    parts_of = []
    for number, record in enumerate(records):
        parts = record["name"].split("/", MOST_LEVELS)
        parts_of.append(parts)
        place = 0
        for part in parts[:-1]:
            below = known.get((place, part))
            if below is None:
                key = f"{items[place].key}{part}/"
                below = known[place, part] = len(items)
                items.append(Item("scope", key, part, place, number))
                items[place].children.append(below)
            place = below
    taken: set[str] = {item.key for item in items}
    for number, parts in enumerate(parts_of):
        place = 0
        for part in parts[:-1]:
            place = known[place, part]
        place = known.get((place, parts[-1]), place)
        key = f"node:{records[number]['name']}"
        while key in taken:
            key += "'"
        taken.add(key)
        items.append(Item("node", key, parts[-1], place, number, number))
        items[place].children.append(len(items) - 1)
    for item in items:
        item.children.sort(key=lambda child: items[child].first)
    return items
