"""Collapsing: which nodes share a box, so that a picture has no more boxes than its budget.

Weights that one node alone reads are written into its box, and repeated blocks share one. Then name scopes
are collapsed, the deepest before the shallow, those that save most first. If that is not enough (a flat
graph has no scopes), neighbours in the order of running share a box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Node, Tensor
from graphflow.viz.repeats import FEWEST, Run, around, find_flat_runs, find_runs

WEIGHTS = frozenset({"variable", "constant"})


@dataclass(slots=True)
class Group:
    """Nodes that share a box: one node by itself, a scope, a stretch of neighbours ("part"), or a run.

    Attributes:
        nodes: all of them, in an order in which they can run.
        scope: in which the box lies.
        weights: of a single node, the variables and constants that are written into its box.
        run: the repeated blocks that it stands for.
    """

    kind: str
    name: str
    nodes: list[Node]
    scope: str = ""
    weights: list[Node] = field(default_factory=list)
    run: Run | None = None


def is_scalar_constant(node: Node) -> bool:
    """Whether a node is a constant with one element, small enough to be written at its users."""
    return node.op.name == "constant" and node.attrs["value"].size == 1


def folded_constants(nodes: Sequence[Node], returned: dict[Tensor, list[str]]) -> set[Node]:
    """The scalar constants that need no box, because whoever reads them shows their value."""
    read = {tensor.node for node in nodes for tensor in node.inputs}
    return {
        node for node in nodes if is_scalar_constant(node) and node in read and node.output not in returned
    }


def weights_of(nodes: Sequence[Node], returned: Iterable[Tensor] = ()) -> dict[Node, list[Node]]:
    """For each node the weights that it alone reads, updates left out; those that are fetched stay alone."""
    weights = {node for node in nodes if node.op.name in WEIGHTS and not is_scalar_constant(node)}
    readers: dict[Node, Node | None] = {}
    for node in nodes:
        for tensor in node.inputs[1:] if node.op.name == "assign" else node.inputs:
            source = tensor.node
            if source in weights:
                readers[source] = node if readers.setdefault(source, node) is node else None
    kept = {tensor.node for tensor in returned}
    found: dict[Node, list[Node]] = {}
    for weight, reader in readers.items():
        if reader is not None and weight not in kept:
            found.setdefault(reader, []).append(weight)
    return found


def collapse(
    nodes: Sequence[Node],
    budget: int,
    depth: int | None = None,
    returned: Iterable[Tensor] = (),
    repeats: bool = True,
    weights: bool = True,
) -> list[Group]:
    """Groups of nodes, no more than `budget`, in the order of their first nodes.

    Arguments:
        depth: how many levels of scopes are opened at most; as many as the budget allows if None.
        returned: tensors whose nodes keep boxes of their own if they are weights.
        repeats: whether repeated blocks share a box.
        weights: whether weights with one reader are in its box.

    Raises:
        AttributeValueError: if the budget is not at least 1, or the depth not at least 0.
    """
    _check(budget, depth)
    attached = weights_of(nodes, returned) if weights else {}
    placed = _sources_beside_users(nodes)
    runs = _runs(placed, budget, len(nodes) - sum(map(len, attached.values()))) if repeats else []
    groups = _merged(_single_groups(placed, runs, attached), _scopes_below(placed, depth))
    groups = _merged(groups, _collapsed_scopes(groups, budget))
    return groups if len(groups) <= budget else _parts(groups, budget)


def _check(budget: object, depth: object) -> None:
    if not isinstance(budget, int) or budget < 1:
        raise AttributeValueError(
            f"a picture cannot have {budget!r} boxes", hint="give a budget of 1 or more"
        )
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise AttributeValueError(
            f"scopes cannot be opened to the depth {depth!r}", hint="give 0 or more, or None for all"
        )


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


def _runs(nodes: Sequence[Node], budget: int, count: int) -> list[Run]:
    """The repeated blocks: two are enough, and no scopes are needed, where the budget is too small."""
    found = find_runs(nodes, 2 if count > budget else FEWEST)
    return found or (find_flat_runs(nodes) if count > budget else [])


def _single_groups(
    nodes: Sequence[Node], runs: Sequence[Run], attached: dict[Node, list[Node]]
) -> list[Group]:
    """A group for each run, and one for each other node with its weights."""
    home: dict[Node, Group] = {}
    for run in runs:
        group = Group("run", run.name, [], run.scope, run=run)
        for node in (node for block in run.blocks for node in block):
            home[node] = group
    for node in nodes:
        found = home.get(node)
        for weight in attached.get(node, ()):
            if found is not None:
                home.setdefault(weight, found)
    groups: dict[int, Group] = {}
    inside = {weight for node, weights in attached.items() if node not in home for weight in weights}
    for node in nodes:
        if node in inside and node not in home:
            continue
        group = home.get(node) or Group("node", node.name, [], node.scope, attached.get(node, []))
        group.nodes += [*group.weights, node]
        groups.setdefault(id(group), group)
    return list(groups.values())


def _scopes_below(nodes: Sequence[Node], depth: int | None) -> set[str]:
    """The scopes that are not opened, since they lie deeper than that."""
    if depth is None:
        return set()
    return {scope for node in nodes for scope in around(node.scope) if scope.count("/") >= depth}


def _merged(groups: Sequence[Group], collapsed: set[str]) -> list[Group]:
    """The groups with those inside of collapsed scopes together."""
    if not collapsed:
        return list(groups)
    merged: dict[object, list[Group]] = {}
    for group in groups:
        scope = next((one for one in reversed(around(group.scope)) if one in collapsed), None)
        merged.setdefault(id(group) if scope is None else scope, []).append(group)
    return [
        members[0]
        if len(members) == 1
        else Group("scope", str(key), [node for one in members for node in one.nodes], _outer(str(key)))
        for key, members in merged.items()
    ]


def _outer(scope: str) -> str:
    return scope.rpartition("/")[0]


def _collapsed_scopes(groups: Sequence[Group], budget: int) -> set[str]:
    """The scopes to draw as one box each.

    `boxes[scope]` counts the boxes that lie anywhere inside a scope as things stand; collapsing it
    saves all of them but one, for the scopes around it too. Scopes with the same operators (the
    layers of a network) are collapsed together, so that like things look alike.
    """
    boxes, operators = _scope_sizes(groups)
    count = len(groups)
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
                    for outer in around(scope):
                        boxes[outer] -= saved
    return collapsed


def _scope_sizes(groups: Sequence[Group]) -> tuple[dict[str, int], dict[str, Counter[str]]]:
    """For each scope, how many boxes lie in it, inner scopes included, and with which operators."""
    boxes: dict[str, int] = {}
    operators: dict[str, Counter[str]] = {}
    for group in groups:
        what = group.nodes[-1].op.name if group.kind == "node" else f"{group.kind} of {len(group.nodes)}"
        for scope in around(group.scope):
            boxes[scope] = boxes.get(scope, 0) + 1
            operators.setdefault(scope, Counter())[what] += 1
    return boxes, operators


def _parts(groups: Sequence[Group], budget: int) -> list[Group]:
    """At most `budget` groups: inputs and scopes stay by themselves if they leave room, neighbours share."""
    kept: set[int] = set()
    for keep, room in ((_is_input, budget // 4), (_is_many, budget // 2)):
        found = {id(group) for group in groups if keep(group)}
        if len(found) <= room:
            kept |= found
    alone = [group for group in groups if id(group) in kept]
    rest = [group for group in groups if id(group) not in kept]
    length = -(-len(rest) // max(1, budget - len(alone)))
    parts = [rest[start : start + length] for start in range(0, len(rest), length)]
    merged = [
        part[0]
        if len(part) == 1
        else Group("part", f"part {index}", [node for one in part for node in one.nodes])
        for index, part in enumerate(parts, 1)
    ]
    return [*alone, *merged]


def _is_many(group: Group) -> bool:
    return group.kind in ("scope", "run")


def _is_input(group: Group) -> bool:
    return group.kind == "node" and group.nodes[0].op.name == "placeholder"
