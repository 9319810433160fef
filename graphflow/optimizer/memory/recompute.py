"""What could be computed again instead of kept.

An order of nodes is divided in two: a *first half*, and a *second half* that reads values of the first.
In a training step these are the forward and the backward computation, and the values are the activations;
the place is found from how long values lie idle, so any program has one. A value of the first half that is
*recomputed* is let go when the first half has used it. Right before its first reader in the second half it
is computed again, with what that needs and is not there; all readers of the second half read this copy. So
nothing is computed more than twice. `recompute_trial` tells what is live then.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import elements, node_flops
from graphflow.optimizer.memory.order_problem import OrderProblem
from graphflow.optimizer.memory.recompute_arrays import Arrays

_FIXED = frozenset(("effect", "nullary_input", "finds_size"))


class RecomputeProblem:
    """An order of nodes, numbered as they run, divided into two halves.

    A *home* is a node that makes a storage; all others make views, which follow their homes.

    Arguments:
        order: nodes as they run; sizes are known.
        outputs: what is returned; it is kept anyway, so it is not recomputed.
        split: the number of the last node of the first half; found by default.

    Attributes:
        base: the storages, and who touches them.
        nodes: those that run.
        costs: for each node, its operations; where elements are only moved, their number.
        sources: for each node, the numbers of the nodes that it reads.
        homes: for each storage, the number of the node that makes it.
        shown: for each node, the home of what it is a view of; -1 if it is none.
        bytes: for each node, those of the storages that it makes.
        needs: for each node, the homes of what it reads.
        movable: for each node, whether it may be computed again.
        wanted: the homes of the first half that the second half reads, in order.
    """

    def __init__(self, order: Sequence[Node], outputs: Sequence[Tensor], split: int | None = None) -> None:
        self.base = OrderProblem(order, outputs)
        self.nodes = self.base.nodes
        number = {node: place for place, node in enumerate(self.nodes)}
        self.costs = [max(node_flops(node), _moved(node)) for node in self.nodes]
        self.sources = [
            tuple(dict.fromkeys([number[given.node] for given in node.inputs if given.node in number]))
            for node in self.nodes
        ]
        self.homes, self.bytes = self._homes()
        self.shown = self._shown()
        self.needs = [
            tuple(dict.fromkeys([self.homes[storage] for storage in touched if self.homes[storage] != place]))
            for place, touched in enumerate(self.base.touched)
        ]
        self._divide(self._turn() if split is None else split)

    def _divide(self, split: int) -> None:
        self.split = split
        self.movable = self._movable()
        later = {home for needs in self.needs[split + 1 :] for home in needs}
        self.wanted = sorted([home for home in later if home <= split])

    def divided(self, split: int) -> RecomputeProblem:
        """The same problem with its halves divided elsewhere."""
        other = copy.copy(self)
        other._divide(split)
        return other

    def _homes(self) -> tuple[list[int], list[int]]:
        homes = [-1] * len(self.base.size)
        made = [0] * len(self.nodes)
        for place, touched in enumerate(self.base.touched):
            for storage in touched:
                if homes[storage] < 0:
                    homes[storage] = place
                    made[place] += self.base.size[storage]
        return homes, made

    def _shown(self) -> list[int]:
        shown = [-1] * len(self.nodes)
        for place, touched in enumerate(self.base.touched):
            if touched and all([self.homes[storage] != place for storage in touched]):
                shown[place] = self.homes[touched[0]]
        return shown

    def _turn(self) -> int:
        """The place over which values lie idle most: the sum of bytes, each times how long it does.

        Activations lie idle from their last use forward to their first one backward, one inside the other,
        and all of these spans have the turn in common.
        """
        weights = [0] * (len(self.nodes) + 1)
        last = [-1] * len(self.base.size)
        for place, touched in enumerate(self.base.touched):
            for storage in touched:
                before = last[storage]
                if 0 <= before < place - 1:
                    weight = self.base.size[storage] * (place - before)
                    weights[before] += weight
                    weights[place] -= weight
                last[storage] = place
        idle = list(accumulate(weights))
        return max(range(len(idle)), key=idle.__getitem__) if idle else 0

    def _movable(self) -> list[bool]:
        """The homes of the first half that may be computed again: what is pure and not kept anyway."""
        kept = {self.homes[storage] for storage, count in enumerate(self.stays()) if count}
        return [
            place <= self.split
            and self.bytes[place] > 0
            and place not in kept
            and bool(node.inputs)
            and not node.op.callback
            and _FIXED.isdisjoint(node.op.traits)
            and all(
                self.base.size[storage]
                for storage in self.base.touched[place]
                if self.homes[storage] == place
            )
            for place, node in enumerate(self.nodes)
        ]

    def stays(self) -> list[int]:
        """For each storage, 1 if it is kept to the end because something returned shows a part of it."""
        stays = list(self.base.touches)
        for touched in self.base.touched:
            for storage in touched:
                stays[storage] -= 1
        return stays

    @cached_property
    def arrays(self) -> Arrays:
        """The problem as arrays."""
        return Arrays(self)

    def __len__(self) -> int:
        return len(self.nodes)


def _moved(node: Node) -> int:
    """The elements that a node makes, if it does not just show its input."""
    if "view" in node.op.traits:
        return 0
    return sum([elements(tensor.type.shape) for tensor in node.outputs])
