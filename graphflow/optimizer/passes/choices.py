"""Choices whose branches agree, in part or altogether: rules that take what they share out of them.

same_branches   a choice between equal branches is what each of them computes
common_code     what every branch computes of the operands is computed once, in front of the choice
handed_on       a result that every branch hands on from the same operand is that operand

Whatever the choice is, the values are the same, and nothing is computed that was not before.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from graphflow.ir.body import Body
from graphflow.ir.builder import several
from graphflow.ir.copying import copy_node
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.rule import Answer

CHEAP = frozenset(("constant", "broadcast_to", "iota", "expand_dims", "reshape", "dimension"))
"""What is not worth an operand of its own."""


def same_branches(match: Match, b: Any) -> Answer:
    """switch_case(i, [f, f, ...], x) = f(x)."""
    first, *others = match.root.attrs.branches
    if not others or any([branch.attribute_key() != first.attribute_key() for branch in others]):
        return None
    return list(first.replay(b, match.root.inputs[1:]))


def handed_on(match: Match, b: Any) -> Answer:
    """A result that is the same operand in all branches is that operand."""
    node = match.root
    branches = node.attrs.branches
    places = [{tensor: number for number, tensor in enumerate(branch.parameters)} for branch in branches]
    listed: list[Tensor | None] = []
    for number in range(len(node.outputs)):
        taken = {place.get(branch.outputs[number], -1) for place, branch in zip(places, branches)}
        operand = taken.pop() if len(taken) == 1 else -1
        listed.append(node.inputs[1 + operand] if operand >= 0 else None)
    kept = [number for number, tensor in enumerate(listed) if tensor is None]
    if len(kept) == len(listed):
        return None
    if kept:
        fewer = tuple([branch.restricted(kept) for branch in branches])
        made = several(b.apply(node.op, node.inputs, {**node.attrs, "branches": fewer}, node.name))
        for number, tensor in zip(kept, made):
            listed[number] = tensor
    return listed


def common_code(match: Match, b: Any) -> Answer:
    """What every branch computes of the operands is computed in front of the choice."""
    node = match.root
    branches: Sequence[Body] = node.attrs.branches
    known: dict[Hashable, int] = {}
    numbered = [_numbered(branch, known) for branch in branches]
    shared = set(numbered[0]).intersection(*numbered[1:])
    heavy = [number for number, one in numbered[0].items() if number in shared and one.op.name not in CHEAP]
    if len(branches) < 2 or not heavy:
        return None
    copies = dict(zip(branches[0].parameters, node.inputs[1:]))
    needed = ancestors([tensor for number in heavy for tensor in numbered[0][number].outputs])
    for inner in branches[0].order()[len(branches[0].placeholders) :]:
        if inner in needed:
            inputs = tuple([copies[tensor] for tensor in inner.inputs])
            made = b.make(inner.op, inputs, inner.attrs, [one.type for one in inner.outputs], inner.name)
            copies.update(zip(inner.outputs, made.outputs))
    moved = [copies[tensor] for number in heavy for tensor in numbered[0][number].outputs]
    changed = tuple(
        [_without(branch, [nodes[number] for number in heavy]) for branch, nodes in zip(branches, numbered)]
    )
    return several(b.apply(node.op, [*node.inputs, *moved], {**node.attrs, "branches": changed}, node.name))


def _numbered(branch: Body, known: dict[Hashable, int]) -> dict[int, Node]:
    """The nodes of a branch by numbers that are equal, in all branches, where they compute the same."""
    values: dict[Tensor, Hashable] = {tensor: place for place, tensor in enumerate(branch.parameters)}
    nodes: dict[int, Node] = {}
    for node in branch.order()[len(branch.placeholders) :]:
        key: Hashable = (node.op, tuple([values[tensor] for tensor in node.inputs]), node.attrs.key)
        if {"nullary_input", "effect"} & set(node.op.traits):
            key = (node.op, id(node))
        number = known.setdefault(key, len(known))
        nodes.setdefault(number, node)
        values.update([(tensor, (number, tensor.index)) for tensor in node.outputs])
    return nodes


def _without(branch: Body, nodes: Sequence[Node]) -> Body:
    """A branch with the results of some nodes as further parameters."""
    made = Body(branch.name, repeats=branch.repeats)
    copies: dict[Tensor, Tensor] = {}
    for tensor in branch.parameters:
        copies[tensor] = copy_node(made, tensor.node, copies).outputs[0]
    for tensor in [tensor for node in nodes for tensor in node.outputs]:
        copies[tensor] = made.parameter(tensor.type, tensor.node.name, tensor.node.origin)
    for node in branch.order()[len(branch.placeholders) :]:
        if not node.outputs or node.outputs[0] not in copies:
            copies.update(zip(node.outputs, copy_node(made, node, copies).outputs))
    made.outputs = [copies[tensor] for tensor in branch.outputs]
    return made.seal()
