"""What the board draws of a graph: the boxes and arrows of a view, and what is known of a single node."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.board.graph_layout import Arrow, Scene, lay_out_tree
from graphflow.board.graph_text import short_type, shown_type
from graphflow.board.graph_tree import Tree, split_output
from graphflow.board.store import NotLogged
from graphflow.ir.opdef import registry
from graphflow.viz import colors

MOST_BOXES = 1500
MOST_OPEN = 400
FIRST_BOXES = 90  # that a view opens by itself
MOST_LISTED = 200  # neighbours of a node
LONGEST = 160  # characters of a name in a box

MARKS = ("", "removed", "added", "changed")


class Marks(NamedTuple):
    """What became of the records and edges of a graph: numbers of `MARKS`."""

    nodes: np.ndarray
    edges: np.ndarray


class GraphView:
    """A graph that can be looked at.

    Arguments:
        records: of nodes, as `graph.json` has them.
        seconds: of nodes by name, from a profile.
        marks: by name; and of edges by pairs of names.

    Attributes:
        tree: the graph as a tree.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        seconds: Mapping[str, float] | None = None,
        marks: Mapping[str, int] | None = None,
        edge_marks: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        self.tree = tree = Tree(records)
        self.seconds = seconds or {}
        leaves = [records[number] for number in tree.leaves.tolist()]
        self.sums = {
            name: np.concatenate([[0.0], np.cumsum(np.array(values, np.float64))])
            for name, values in (
                ("flops", [_amount(record["flops"]) for record in leaves]),
                ("bytes", [_amount(record["bytes"]) for record in leaves]),
                ("seconds", [self.seconds.get(record["name"], 0.0) for record in leaves]),
            )
        }
        self.dtypes: list[str] = []
        known: dict[str, int] = {}
        codes = [known.setdefault(_dtype(record), len(known)) for record in leaves]
        self.dtypes, self.dtype_codes = list(known), np.array(codes, np.int64)
        self.types: list[str] = []
        self.edge_types = self._edge_types()
        self.marks = self._marks(marks or {}, edge_marks or {})

    def _edge_types(self) -> np.ndarray:
        """For each edge the number, in `types`, of what passes along it."""
        known: dict[str, int] = {}
        found = np.empty(len(self.tree.source), np.int64)
        records = self.tree.records
        pairs = zip(self.tree.source.tolist(), self.tree.output.tolist())
        for number, (source, output) in enumerate(pairs):
            outputs = records[source]["outputs"]
            text = short_type(outputs[output]) if output < len(outputs) else ""
            found[number] = known.setdefault(text, len(known))
        self.types = list(known)
        return found

    def _marks(self, marks: Mapping[str, int], edges: Mapping[tuple[str, str], int]) -> Marks:
        tree = self.tree
        names = [record["name"] for record in tree.records]
        nodes = np.array([marks.get(names[number], 0) for number in tree.leaves.tolist()], np.int64)
        pairs = zip(tree.source.tolist(), tree.target.tolist()) if edges else ()
        told = [edges.get((names[source], names[target]), 0) for source, target in pairs]
        return Marks(nodes, np.array(told or np.zeros(len(tree.source)), np.int64))

    # A view

    def view(self, open_keys: Iterable[str] | None, reveal: str = "") -> dict[str, Any]:
        """Boxes and arrows with these scopes open; those that it opens by itself for None.

        Arguments:
            open_keys: keys of items; unknown ones are passed over, as are those that would be too many.
            reveal: the name of a node that is to be seen; `revealed` is its box, or -1 if there is none.
        """
        tree = self.tree
        wanted = self.first_open() if open_keys is None else self._known(open_keys)
        number = tree.numbers.get(reveal, -1) if reveal else -1
        if number >= 0:
            wanted = [*tree.path(tree.item_of[number]), *wanted]
        opened = self._bounded(wanted)
        scene = lay_out_tree(tree, opened)
        places = list(scene.boxes)
        index = {place: number for number, place in enumerate(places)}
        return {
            "open": [tree.items[place].key for place in opened],
            "left_closed": len(set(wanted)) - len(opened),
            "nodes": len(tree.records),
            "edges": len(tree.source),
            "totals": {name: float(values[-1]) for name, values in self.sums.items()},
            "boxes": [self._box(place, scene, opened, index) for place in places],
            "arrows": [self._arrow(arrow, scene, index) for arrow in scene.arrows],
            "revealed": index.get(tree.item_of[number], -1) if number >= 0 else -1,
        }

    def first_open(self) -> list[int]:
        """What is open at first: large scopes, or small ones with marks, as long as few boxes are seen."""
        items = self.tree.items
        marked = np.concatenate([[0], np.cumsum(self.marks.nodes > 0)])
        has_marks = bool(marked[-1])
        most = FIRST_BOXES if has_marks else FIRST_BOXES // 4
        opened: list[int] = []
        seen = len(items[0].children)
        pending = [(0, 0)]
        while pending:
            _, best = heapq.heappop(pending)
            item = items[best]
            if best:
                if seen + len(item.children) > most or (has_marks and marked[item.high] == marked[item.low]):
                    continue
                opened.append(best)
                seen += len(item.children)
            for child in item.children:
                inner = items[child]
                if inner.node < 0:
                    heapq.heappush(
                        pending, (len(inner.children) if has_marks else inner.low - inner.high, child)
                    )
        return opened

    def _known(self, keys: Iterable[str]) -> list[int]:
        found = [self.tree.by_key.get(key, 0) for key in keys]
        return [place for place in found if place and self.tree.items[place].node < 0]

    def _bounded(self, wanted: Iterable[int]) -> dict[int, None]:
        """As many of the scopes as can be open at once, each with those around it, in this order."""
        opened: dict[int, None] = {}
        count = len(self.tree.items[0].children)
        for place in wanted:
            chain = [one for one in (*self.tree.path(place), place) if one not in opened]
            size = sum(len(self.tree.items[one].children) for one in chain)
            if count + size <= MOST_BOXES and len(opened) + len(chain) <= MOST_OPEN:
                opened.update(dict.fromkeys(chain))
                count += size
        return opened

    def _box(
        self, place: int, scene: Scene, opened: Mapping[int, None], index: Mapping[int, int]
    ) -> dict[str, Any]:
        tree, item = self.tree, self.tree.items[place]
        x, y, width, height = scene.boxes[place]
        low, high = item.low, item.high
        found: dict[str, Any] = {
            "key": item.key, "kind": item.kind, "title": item.title[:LONGEST],
            "parent": index.get(item.parent, -1), "rect": [round(one, 1) for one in (x, y, width, height)],
            "nodes": high - low, "dtype": self._dtype_of(low, high),
            **{name: float(values[high] - values[low]) for name, values in self.sums.items()},
        }  # fmt: skip
        if item.node >= 0:
            record = tree.records[item.node]
            found["name"], found["op"] = record["name"], record["op"][:LONGEST]
            found["family"] = family(record["op"])
            found["type"] = ", ".join(short_type(one) for one in record["outputs"][:4])
        else:
            found["open"] = place in opened
            if item.kind == "run":
                found["times"] = len(item.children)
        marks = np.bincount(self.marks.nodes[low:high], minlength=len(MARKS))
        if marks[1:].any():
            found["marks"] = {MARKS[mark]: int(marks[mark]) for mark in (1, 2, 3) if marks[mark]}
        return found

    def _dtype_of(self, low: int, high: int) -> str:
        codes = self.dtype_codes[low:high]
        if not len(codes):
            return ""
        return self.dtypes[int(codes[0])] if codes.min() == codes.max() else "several"

    def _arrow(self, arrow: Arrow, scene: Scene, index: Mapping[int, int]) -> dict[str, Any]:
        tree = self.tree
        edges = np.concatenate([scene.bundles[number].edges for number in arrow.bundles])
        tensors = len(np.unique(tree.source[edges] * (1 << 20) + tree.output[edges]))
        types = np.unique(self.edge_types[edges])
        text = self.types[int(types[0])] if len(types) == 1 else ""
        told = f"{tensors} tensors" if tensors > 1 and not text else f"{tensors} × {text}"
        found: dict[str, Any] = {
            "from": index.get(arrow.segment.source, -1),
            "to": index.get(arrow.segment.target, -1),
            "label": text if tensors == 1 else told,
            "count": len(edges),
            "points": [[round(x, 1), round(y, 1)] for x, y in arrow.points],
        }
        if arrow.segment.port is not None:
            found["far"] = [index.get(end, -1) for end in arrow.segment.port]
        marks = np.unique(self.marks.edges[edges])
        if len(marks) == 1 and marks[0]:
            found["mark"] = MARKS[int(marks[0])]
        return found

    # Single nodes

    def number(self, name: str) -> int:
        """The position of the record of a node.

        Raises:
            NotLogged: if there is none.
        """
        found = self.tree.numbers.get(name, -1)
        if found < 0:
            raise NotLogged(f"there is no node {name!r:.80} in this graph", hint="search for its name")
        return found

    def node(self, name: str) -> dict[str, Any]:
        """All that the graph says of a node, with what it reads and what reads it.

        Raises:
            NotLogged: if there is no such node.
        """
        tree, number = self.tree, self.number(name)
        record = tree.records[number]
        inputs = []
        for text in record["inputs"][:MOST_LISTED]:
            source, output = split_output(text, tree.numbers)
            if source < 0:
                inputs.append({"name": text, "type": "", "op": "", "missing": True})
                continue
            outputs = tree.records[source]["outputs"]
            kind = shown_type(outputs[output]) if output < len(outputs) else ""
            one = tree.records[source]
            inputs.append({"name": one["name"], "type": kind, "op": one["op"]})
        readers = tree.target[tree.source == number]
        listed = [tree.records[reader] for reader in np.unique(readers)[:MOST_LISTED].tolist()]
        mark = int(self.marks.nodes[tree.places[number]])
        return {
            **{key: record[key] for key in ("name", "op", "scope", "line", "flops", "bytes")},
            "attrs": dict(list(record["attrs"].items())[:MOST_LISTED]),
            "family": family(record["op"]),
            "inputs": inputs,
            "input_count": len(record["inputs"]),
            "outputs": [shown_type(one) for one in record["outputs"][:MOST_LISTED]],
            "readers": [{"name": one["name"], "op": one["op"]} for one in listed],
            "reader_count": len(np.unique(readers)),
            "lineage": record.get("lineage"),
            "mark": MARKS[mark],
        }

    def names(self, most: int) -> dict[str, Any]:
        """Names and operators of the nodes in their order, for searching."""
        records = self.tree.records[:most]
        return {
            "names": [record["name"] for record in records],
            "ops": [record["op"] for record in records],
            "left_out": len(self.tree.records) - len(records),
        }

    def trace(self, name: str, forward: bool, keys: Iterable[str]) -> dict[str, Any]:
        """What a node depends on, or what depends on it: how many nodes, and how many in each of the items.

        Raises:
            NotLogged: if there is no such node.
        """
        tree = self.tree
        ends, others = (tree.source, tree.target) if forward else (tree.target, tree.source)
        order = np.argsort(ends, kind="stable")
        starts = np.searchsorted(ends[order], np.arange(len(tree.records) + 1)).tolist()
        following = others[order].tolist()
        start = self.number(name)
        reached = np.zeros(len(tree.records) + 1, np.int64)
        seen, queue = {start}, deque([start])
        while queue:
            one = queue.popleft()
            for other in following[starts[one] : starts[one + 1]]:
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        reached[1 + tree.places[list(seen)]] = 1
        total = np.cumsum(reached)
        counts = {}
        for key in keys:
            item = tree.items[tree.by_key.get(key, 0)]
            found = int(total[item.high] - total[item.low])
            if found:
                counts[key] = found
        return {"nodes": len(seen) - 1, "items": counts}


def family(op: str) -> str:
    """The family of an operator as legends call it, "other" for one that is not GraphFlow's."""
    return colors.operator_paint(registry[op]).label if op in registry else colors.OTHER.label


def _dtype(record: Mapping[str, Any]) -> str:
    kinds = {output["dtype"] for output in record["outputs"]}
    return kinds.pop() if len(kinds) == 1 else "several" if kinds else ""


def _amount(value: Any) -> float:
    """A number of a file as one that can be summed: at least 0, and far from overflowing."""
    try:
        return min(max(float(value), 0.0), 1e30)
    except OverflowError:
        return 1e30
