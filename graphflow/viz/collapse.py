"""Collapsing: which nodes share a box, so that a picture has no more boxes than its budget.

Name scopes are collapsed first, the deepest before the shallow, those that save most first. If
that is not enough (a flat graph has no scopes), neighbours in the order of running share a box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Node, Tensor


@dataclass(slots=True)
class Group:
    """Nodes that share a box: one node by itself, a scope, or a stretch of neighbours ("part")."""

    kind: str
    name: str
    nodes: list[Node]


def is_scalar_constant(node: Node) -> bool:
    """Whether a node is a constant with one element, small enough to be written at its users."""
    return node.op.name == "constant" and node.attrs["value"].size == 1


def folded_constants(nodes: Sequence[Node], returned: dict[Tensor, list[str]]) -> set[Node]:
    """The scalar constants that need no box, because whoever reads them shows their value."""
    read = {tensor.node for node in nodes for tensor in node.inputs}
    return {
        node for node in nodes if is_scalar_constant(node) and node in read and node.output not in returned
    }


def collapse(nodes: Sequence[Node], budget: int) -> list[Group]:
    """Groups of nodes, no more than `budget`, in the order of their first nodes.

    Raises:
        AttributeValueError: if the budget is not at least 1.
    """
    if not isinstance(budget, int) or budget < 1:
        raise AttributeValueError(
            f"a picture cannot have {budget!r} boxes", hint="give a budget of 1 or more"
        )
    placed = _sources_beside_users(nodes)
    scopes = _collapsed_scopes(placed, budget)
    groups: dict[str, Group] = {}
    for node in placed:
        scope = _outermost(node.scope, scopes)
        key = node.name if scope is None else f"{scope}/"
        group = groups.get(key)
        if group is None:
            kind = "node" if scope is None else "scope"
            group = groups[key] = Group(kind, scope if scope is not None else node.name, [])
        group.nodes.append(node)
    found = list(groups.values())
    return found if len(found) <= budget else _parts(found, budget)


def _sources_beside_users(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with each that reads nothing moved to just before its first reader."""
    first: dict[Node, int] = {}
    for position, node in enumerate(nodes):
        for tensor in node.inputs:
            first.setdefault(tensor.node, position)
    order = [
        (position if node.inputs else first.get(node, position), bool(node.inputs), position)
        for position, node in enumerate(nodes)
    ]
    return [nodes[position] for _, _, position in sorted(order)]


def _collapsed_scopes(nodes: Sequence[Node], budget: int) -> set[str]:
    """The scopes to draw as one box each.

    `boxes[scope]` counts the boxes that lie anywhere inside a scope as things stand; collapsing it
    saves all of them but one, for the scopes around it too. Scopes with the same operators (the
    layers of a network) are collapsed together, so that like things look alike.
    """
    boxes, operators = _scope_sizes(nodes)
    count = len(nodes)
    collapsed: set[str] = set()
    for depth in sorted({scope.count("/") for scope in boxes}, reverse=True):
        alike: dict[tuple, list[str]] = {}
        for scope in boxes:
            if scope.count("/") == depth:
                alike.setdefault(tuple(sorted(operators[scope].items())), []).append(scope)
        for scopes in sorted(alike.values(), key=lambda some: -sum(boxes[scope] - 1 for scope in some)):
            if count <= budget:
                return collapsed
            for scope in scopes:
                saved = boxes[scope] - 1
                if saved:
                    collapsed.add(scope)
                    count -= saved
                    for outer in _around(scope):
                        boxes[outer] -= saved
    return collapsed


def _scope_sizes(nodes: Sequence[Node]) -> tuple[dict[str, int], dict[str, Counter[str]]]:
    """For each scope, how many nodes lie in it, inner scopes included, and with which operators."""
    boxes: dict[str, int] = {}
    operators: dict[str, Counter[str]] = {}
    for node in nodes:
        for scope in _around(node.scope):
            boxes[scope] = boxes.get(scope, 0) + 1
            operators.setdefault(scope, Counter())[node.op.name] += 1
    return boxes, operators


def _around(scope: str) -> list[str]:
    """A scope and those it lies in, the innermost first."""
    found = []
    while scope:
        found.append(scope)
        scope = scope.rpartition("/")[0]
    return found


def _outermost(scope: str, collapsed: set[str]) -> str | None:
    return next((one for one in reversed(_around(scope)) if one in collapsed), None)


def _parts(groups: Sequence[Group], budget: int) -> list[Group]:
    """At most `budget` groups: the inputs stay by themselves if they leave room, neighbours share boxes."""
    inputs = [group for group in groups if _is_input(group)]
    if len(inputs) > budget // 4:
        inputs = []
    kept = {id(group) for group in inputs}
    rest = [group for group in groups if id(group) not in kept]
    length = -(-len(rest) // max(1, budget - len(inputs)))
    parts = [rest[start : start + length] for start in range(0, len(rest), length)]
    merged = [
        part[0]
        if len(part) == 1
        else Group("part", f"part {index}", [node for one in part for node in one.nodes])
        for index, part in enumerate(parts, 1)
    ]
    return [*inputs, *merged]


def _is_input(group: Group) -> bool:
    return group.kind == "node" and group.nodes[0].op.name == "placeholder"
