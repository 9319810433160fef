"""The difference of two graphs, node by node: aligned by provenance first, then by structure.

Two nodes correspond if they have the same name and operator, or if the optimizer made one in the place
of the other (its lineage says so), or if they compute the same from corresponding inputs, or stand on the
same line of the user's program. What is left on one side was removed or added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphflow.errors import GraphError
from graphflow.ir.attrs import value_key
from graphflow.ir.body import Body, bodies_of
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.text import printed_nodes
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ir.types import TensorType
from graphflow.optimizer.closeness import distance
from graphflow.optimizer.journal import describe
from graphflow.optimizer.passes.bodies import body_place

SAME, CHANGED, RENAMED, REMOVED, ADDED = "same", "changed", "renamed", "removed", "added"
_SIGNS = {REMOVED: "-", ADDED: "+", CHANGED: "~", RENAMED: "~"}


@dataclass(frozen=True, slots=True)
class Change:
    """One node, or a pair of corresponding ones.

    Attributes:
        kind: "same", "changed", "renamed" (only its name is another), "removed" or "added".
        path: of the body it is in, "" outside of bodies.
        before, after: the node as text on either side, "" where it is not there.
        what: what changed: "operator", "inputs", "type", or attributes with both values.
        origin: the user's line, where it is known.
        rule: the optimizer's rule that made it, or "".
    """

    kind: str
    path: str
    before: str
    after: str
    what: tuple[str, ...] = ()
    origin: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Difference:
    """Two graphs beside each other; print it.

    Attributes:
        left, right: what they are called.
        sizes: how many nodes each has.
        changes: all nodes in order, those that are the same included.
        outputs: sentences on outputs that differ.
    """

    left: str
    right: str
    sizes: tuple[int, int]
    changes: tuple[Change, ...]
    outputs: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs, except perhaps names of nodes."""
        return not self.outputs and all(change.kind in (SAME, RENAMED) for change in self.changes)

    def counts(self) -> dict[str, int]:
        """How many nodes there are of each kind of change."""
        found = Counter(change.kind for change in self.changes)
        return {kind: found[kind] for kind in (SAME, CHANGED, RENAMED, REMOVED, ADDED)}

    def __str__(self) -> str:
        lines = [f"--- {self.left} ({self.sizes[0]} nodes)", f"+++ {self.right} ({self.sizes[1]} nodes)"]
        for change in self.changes:
            lines += _lines(change)
        lines += [f"! {said}" for said in self.outputs]
        told = [f"{number} {kind}" for kind, number in self.counts().items() if number]
        return "\n".join([*lines, ", ".join(told) or "nothing there"])

    def to_dict(self) -> dict[str, Any]:
        """The difference in types that JSON has; nodes that are the same are counted only."""
        return {
            "left": self.left,
            "right": self.right,
            "nodes": list(self.sizes),
            "same": self.same,
            "counts": self.counts(),
            "changes": [
                {**asdict(change), "what": list(change.what)}
                for change in self.changes
                if change.kind != SAME
            ],
            "outputs": list(self.outputs),
        }

    def _repr_html_(self) -> str:
        """Both sides beside each other, where a notebook shows the difference."""
        from graphflow.optimizer.difference_html import fragment

        return fragment(self)

    def save_html(self, path: Any) -> str:
        """Write both sides beside each other as one HTML file that needs nothing else; its path.

        Raises:
            FileFormatError: if it cannot be written.
        """
        from graphflow.files import atomic_write
        from graphflow.optimizer.difference_html import page

        with atomic_write(path) as file:
            file.write(page(self).encode())
        return str(path)


def _lines(change: Change) -> list[str]:
    """A change as text: nothing for a node that is the same."""
    if change.kind == SAME:
        return []
    note = [f"   [{change.rule}]"] if change.rule else []
    at = f"   {change.origin}" if change.origin else ""
    path = change.path
    if change.kind in (REMOVED, ADDED):
        return [f"{_SIGNS[change.kind]} {path}{change.before or change.after}{at}{''.join(note)}"]
    what = ", ".join(change.what) if change.kind == CHANGED else "name"
    return [
        f"~ {what}:{at}{''.join(note)}",
        f"    - {path}{change.before}",
        f"    + {path}{change.after}",
    ]


def diff(left: Any, right: Any, names: tuple[str, str] | None = None) -> Difference:
    """What differs between two graphs.

    Arguments:
        left, right: graphs, models, programs, or tensors with all they need.
        names: what the two are called; the graphs' names by default.

    Returns:
        a Difference; print it, or ask `.same`. Graphs that differ only in names of nodes are the same.

    Raises:
        GraphError: for anything else.

    >>> import graphflow as gf
    >>> def build(scale):
    ...     with gf.Graph("net"):
    ...         return gf.exp(gf.placeholder("x", (2,)) * scale)
    >>> print(diff(build(2.0), build(3.0)))
    --- net (4 nodes)
    +++ net (4 nodes)
    ~ value 2.0 -> 3.0:   <doctest graphflow.optimizer.difference.diff[1]>:3
        - constant = constant(value=2.0) : float32[]
        + constant = constant(value=3.0) : float32[]
    3 same, 1 changed
    """
    (first, nodes), (second, others) = _listed(left), _listed(right)
    pairs = _aligned(nodes, others)
    changes = _changes(nodes, others, pairs, "")
    called = names or (first.name, second.name)
    outputs = _outputs(left, right, pairs)
    return Difference(*called, (len(nodes), len(others)), tuple(changes), tuple(outputs))


def _listed(what: Any) -> tuple[Graph, list[Node]]:
    """The graph of what can be compared, and its nodes in order."""
    graph = what if isinstance(what, Graph) else getattr(what, "graph", None)
    tensors = [what] if isinstance(what, Tensor) else what if isinstance(what, (list, tuple)) else []
    if tensors and all(isinstance(tensor, Tensor) for tensor in tensors):
        return tensors[0].graph, creation_order(ancestors(tensors))
    if not isinstance(graph, Graph):
        raise GraphError(f"{what!r:.80} is no graph", hint="pass two graphs, models, programs or tensors")
    return graph, printed_nodes(graph)


# Aligning


def _aligned(nodes: Sequence[Node], others: Sequence[Node]) -> dict[Node, Node]:
    """For each node on the left the corresponding one on the right, where there is one."""
    pairs: dict[Node, Node] = {}
    taken: set[Node] = set()

    def pair(node: Node | None, other: Node) -> None:
        if node is not None and node not in pairs and other not in taken:
            pairs[node] = other
            taken.add(other)

    by_name = {node.name: node for node in nodes}
    for other in others:
        node = by_name.get(other.name)
        if node is not None and node.op is other.op and node.lineage == other.lineage:
            pair(node, other)
    numbers: dict[Hashable, int] = {}
    left, right = _structures(nodes, numbers), _structures(others, numbers)
    for node, other in _matches(nodes, others, pairs, taken, left, right):
        pair(node, other)
    for node, other in _stand_ins(others, by_name):
        pair(node, other)
    for other in others:
        if other not in taken:
            node = by_name.get(other.name)
            pair(node, other)
    places = [{node: (str(node.origin), node.op) for node in side} for side in (nodes, others)]
    for node, other in _matches(nodes, others, pairs, taken, *places):
        if node.origin is not None:
            pair(node, other)
    return pairs


def _stand_ins(others: Sequence[Node], by_name: Mapping[str, Node]) -> list[tuple[Node, Node]]:
    """What the optimizer made in the place of a node: that of its type first, and the last one made."""
    found = []
    for other in reversed(others):
        node = by_name.get(other.lineage[1][0]) if other.lineage is not None and other.lineage[1] else None
        if node is not None:
            found.append((node, other))
    alike = [pair for pair in found if _types(pair[0]) == _types(pair[1])]
    return alike + [pair for pair in found if pair[1].inputs or not pair[0].inputs]


def _types(node: Node) -> list[TensorType]:
    return [tensor.type for tensor in node.outputs]


def _structures(nodes: Iterable[Node], numbers: dict[Hashable, int]) -> dict[Node, Hashable]:
    """A number for each node; equal ones compute the same from inputs of the same names."""
    found: dict[Node, Hashable] = {}
    for node in nodes:
        reads = tuple([(found.get(tensor.node), tensor.index) for tensor in node.inputs])
        name = node.name if "nullary_input" in node.op.traits else ""
        key = (node.op, reads, node.attrs.key, name)
        found[node] = numbers.setdefault(key, len(numbers))
    return found


def _matches(
    nodes: Iterable[Node], others: Iterable[Node], pairs: dict[Node, Node], taken: set[Node],
    left: dict[Node, Any], right: dict[Node, Any],
) -> list[tuple[Node, Node]]:  # fmt: skip
    """Nodes without a partner whose keys are equal, in order."""
    waiting: dict[Any, list[Node]] = {}
    for node in nodes:
        if node not in pairs:
            waiting.setdefault(left[node], []).append(node)
    for listed in waiting.values():
        listed.reverse()
    found = []
    for other in others:
        if other not in taken and waiting.get(right[other]):
            found.append((waiting[right[other]].pop(), other))
    return found


# Comparing


def _changes(
    nodes: Sequence[Node], others: Sequence[Node], pairs: dict[Node, Node], path: str
) -> list[Change]:
    """Both sides in one list: the order of the right one, with what was removed where it used to be."""
    partner = {other: node for node, other in pairs.items()}
    position = {node: place for place, node in enumerate(nodes)}
    changes: list[Change] = []
    done = 0
    for other in others:
        node = partner.get(other)
        if node is None:
            rule = other.lineage[0] if other.lineage is not None else ""
            changes.append(Change(ADDED, path, "", describe(other), (), str(other.origin or ""), rule))
            continue
        changes += [_gone(one, path) for one in nodes[done : position[node]] if one not in pairs]
        done = max(done, position[node] + 1)
        changes += _pair_changes(node, other, pairs, path)
    return changes + [_gone(one, path) for one in nodes[done:] if one not in pairs]


def _gone(node: Node, path: str) -> Change:
    return Change(REMOVED, path, describe(node), "", (), str(node.origin or ""))


def _pair_changes(node: Node, other: Node, pairs: dict[Node, Node], path: str) -> list[Change]:
    """How two corresponding nodes differ, and below that their bodies."""
    what = []
    if node.op is not other.op:
        what.append(f"operator {node.op.name} -> {other.op.name}")
    if not _same_inputs(node, other, pairs):
        what.append("inputs")
    types = [", ".join(str(tensor.type) for tensor in one.outputs) for one in (node, other)]
    if types[0] != types[1]:
        what.append(f"type {types[0]} -> {types[1]}")
    if node.op is other.op:
        what += _attribute_changes(node, other)
    kind = CHANGED if what else SAME if node.name == other.name else RENAMED
    rule = other.lineage[0] if other.lineage is not None and node.lineage != other.lineage else ""
    origin = str(other.origin or node.origin or "")
    changes = [Change(kind, path, describe(node), describe(other), tuple(what), origin, rule)]
    for number, (body, changed) in enumerate(zip(bodies_of(node), bodies_of(other))):
        if body.attribute_key() != changed.attribute_key():
            inner, inside = body.order(), changed.order()
            below = f"{path}{node.name}:{body_place(node, number)}/"
            changes += _changes(inner, inside, _aligned(inner, inside), below)
    return changes


def _same_inputs(node: Node, other: Node, pairs: dict[Node, Node]) -> bool:
    mapped = [(pairs.get(tensor.node), tensor.index) for tensor in node.inputs]
    read = [(tensor.node, tensor.index) for tensor in other.inputs]
    commutes = "commutative" in node.op.traits and len(read) == 2 and node.op is other.op
    return mapped == read or (commutes and mapped[::-1] == read)


def _attribute_changes(node: Node, other: Node) -> list[str]:
    found = []
    for name in dict.fromkeys([*node.attrs, *other.attrs]):
        old, new = node.attrs.get(name), other.attrs.get(name)
        if value_key(old) != value_key(new):
            found.append(_attribute_change(name, old, new))
    return found


def _attribute_change(name: str, old: Any, new: Any) -> str:
    """Both values where they are short, or how many elements differ, or the name alone."""
    first, second = (getattr(value, "array", value) for value in (old, new))
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.ndim and second.ndim:
        if first.shape != second.shape or first.dtype != second.dtype:
            return f"{name} of another type"
        differ = int(np.sum(first != second))
        most = distance(first, second).absolute
        return f"{name}: {differ:,} of {first.size:,} elements, by at most {most:.3g}"
    if _shown(old) == _shown(new) or _has_body(old):
        return name
    return f"{name} {_shown(old)} -> {_shown(new)}"


def _has_body(value: Any) -> bool:
    return isinstance(value, Body) or (isinstance(value, tuple) and any(map(_has_body, value)))


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else text[:37] + "..."


def _outputs(left: Any, right: Any, pairs: dict[Node, Node]) -> list[str]:
    """Sentences on the outputs, where both sides have some."""
    first, second = (getattr(getattr(one, "graph", one), "outputs", None) or [] for one in (left, right))
    if not first or not second:
        return []
    if len(first) != len(second):
        return [f"there are {len(first)} outputs on the left and {len(second)} on the right"]
    return [
        f"output {number} is {old.name} on the left and {new.name} on the right"
        for number, (old, new) in enumerate(zip(first, second))
        if (pairs.get(old.node), old.index) != (new.node, new.index)
    ]
