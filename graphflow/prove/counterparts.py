"""Which tensor of an optimised program stands for which one of the original, and how exactly it must.

The journal tells what each node was replaced by; a tensor has a counterpart if the chain of these ends
at a node that is still there. How closely the two must agree depends on all edits above: on a tensor
below a rule that rounds, rounding is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from graphflow.ir.body import has_bodies, nested_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.closeness import rounding_tolerance
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import SAFETY, Rule
from graphflow.optimizer.rules import PASS_RULES, RULES

_RANKS = {name: rank for rank, name in enumerate(SAFETY)}
_ROUNDING = _RANKS["rounding"]


class Pair(NamedTuple):
    """A tensor of the original, its counterpart, the safety class, and what rounding may amount to."""

    before: Tensor
    after: Tensor
    safety: str
    tolerance: float


def counterparts(
    original: Program, optimized: Program, journal: Journal, rules: tuple[Rule, ...] = ()
) -> list[Pair]:
    """The pairs of corresponding tensors, in the order of the original; its outputs are among them."""
    final = {node.name: node for node in optimized.order()}
    own = _own_ranks(journal, rules)
    ranks = _ranks(optimized, own)
    tolerances: dict[Node, float] = {}
    above: dict[Node, int] = {}
    relaid = _Relaid()
    pairs = []
    for node in original.order():
        tolerances[node] = max(
            [0.0, *[rounding_tolerance(tensor.dtype) for tensor in node.outputs]]
            + [tolerances[tensor.node] for tensor in node.inputs]
        )
        # What was folded into a constant has nothing above it any more that could tell.
        inner = [own.get(one.name, 0) for one in nested_nodes([node])]  # of bodies, which may come out
        above[node] = max([*inner, *[above[tensor.node] for tensor in node.inputs]])
        if relaid.reads(node):
            above[node] = max(above[node], _ROUNDING)
        if not node.inputs:
            continue
        for before in node.outputs:
            name, index = last_place(journal, final, node.name, before.index)
            other = final.get(name)
            after = other.outputs[index] if other is not None else None
            if after is not None and before.type == after.type:
                safety = list(SAFETY)[max(ranks[after.node], above[node])]
                pairs.append(Pair(before, after, safety, tolerances[node]))
    return pairs


class _Relaid:
    """Which nodes read a constant that folding lays out anew: one that is broadcast or has its axes permuted.

    As built, NumPy moves no element of it, and copies none. A folded constant lies in the order of its
    axes, and in which order a product or a sum adds up depends on how its operands lie. Inside of a loop
    or a branch it is enough that there is such a permutation and a constant.
    """

    def __init__(self) -> None:
        self._constant: set[Node] = set()
        self._turned: set[Node] = set()

    def reads(self, node: Node) -> bool:
        """Whether a node adds up elements of such a constant; nodes are asked for in their order."""
        inputs = [tensor.node for tensor in node.inputs]
        if node.op.name == "constant" or (inputs and self._constant.issuperset(inputs)):
            self._constant.add(node)
        turned = not self._turned.isdisjoint(inputs)
        if has_bodies(node):
            names = {one.op.name for one in nested_nodes([node])}
            held = "constant" in names or not self._constant.isdisjoint(inputs)
            return turned or (held and "permute_dims" in names)
        if node.op.name == "permute_dims" and node in self._constant:
            self._turned.add(node)
        elif turned and not {"elementwise", "view"}.isdisjoint(node.op.traits):
            self._turned.add(node)
            turned = False
        return turned or ("contraction" in node.op.traits and any(map(self._is_spread, inputs)))

    def _is_spread(self, node: Node) -> bool:
        return node.op.name == "broadcast_to" and node in self._constant


def last_place(
    journal: Journal, final: Mapping[str, object], name: str, index: int = 0, path: str = ""
) -> tuple[str, int]:
    """The node, and which of its outputs, that now gives the value of an output of a node.

    Arguments:
        final: what there is, by name; a node that is not among it has no counterpart.
        path: that of the body they are in.
    """
    place = f"{path}{name}:{index}"
    seen = set()
    while place.removeprefix(path).rpartition(":")[0] not in final:
        if place in seen or place not in journal.moved:
            break
        seen.add(place)
        place = journal.moved[place]
    found, _, number = place.removeprefix(path).rpartition(":")
    return found, int(number)


def worst_class(name: str, rules: Mapping[str, str]) -> int:
    """The rank of the safety class of what a journal calls a rule."""
    if name.startswith("decompose_"):
        return _ROUNDING
    return _RANKS[rules.get(name, "exact")]


def _own_ranks(journal: Journal, rules: tuple[Rule, ...]) -> dict[str, int]:
    """For each name in the journal the worst class of the edits that removed or made the node."""
    safety = {rule.name: rule.safety for rule in (*RULES, *PASS_RULES, *rules)}
    own: dict[str, int] = {}
    inner = 0
    for entry in journal.entries:
        rank = max([worst_class(entry.rule, safety), *[own.get(name, 0) for name in entry.removed]])
        held = [name.partition(":")[0] for name in entry.removed if ":" in name]
        if held:
            inner = max(inner, rank)
        if entry.kind == "body":
            rank = max(rank, inner)
        for name in (*entry.removed, *entry.added, *entry.into, *held):
            own[name] = max(own.get(name, 0), rank)
    # What took the place of a node may itself have been replaced later on, by another class of rule.
    for entry in reversed(journal.entries):
        rank = max([own[name] for name in entry.into], default=0)
        for name in entry.removed:
            own[name] = max(own[name], rank)
    return own


def _ranks(optimized: Program, own: Mapping[str, int]) -> dict[Node, int]:
    """For each node the worst class of all edits that made it or anything above it."""
    ranks: dict[Node, int] = {}
    for node in optimized.order():
        ranks[node] = max([own.get(node.name, 0), *[ranks[tensor.node] for tensor in node.inputs]])
    return ranks
