"""What could be computed again instead of kept, and what is live when it is.

An order of nodes is divided in two: a *first half*, and a *second half* that reads values of the first.
In a training step these are the forward and the backward computation, and the values are the activations;
the place is found from how long values lie idle, so any program has one. A value of the first half that is
*recomputed* is let go when the first half has used it. Right before its first reader in the second half it
is computed again, with what that needs and is not there; all readers of the second half read this copy. So
nothing is computed more than twice.

A `Trial` runs such a sequence on paper, counting as `OrderProblem` does.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import accumulate

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import elements, node_flops
from graphflow.optimizer.memory.order_problem import OrderProblem

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

    def __len__(self) -> int:
        return len(self.nodes)


def _moved(node: Node) -> int:
    """The elements that a node makes, if it does not just show its input."""
    if "view" in node.op.traits:
        return 0
    return sum([elements(tensor.type.shape) for tensor in node.outputs])


class Trial:
    """What is live when some homes are recomputed.

    Arguments:
        recomputed: the numbers of homes, all of them movable.

    Attributes:
        chosen: the homes.
        runs: the numbers of the nodes as they run; ~n is the second run of n.
        live: the bytes that are live at each of the runs.
        highest: the most of them.
        cost: what the second runs cost.
    """

    def __init__(self, problem: RecomputeProblem, recomputed: Collection[int] = ()) -> None:
        self.problem = problem
        self.chosen = frozenset(recomputed)
        self.again = self._followed(recomputed)
        self.runs = self._sequence()
        self._fill()
        self.live = self._profile()
        self.highest = max(self.live, default=0)
        self.cost = sum([problem.costs[~run] for run in self.runs if run < 0])

    def _followed(self, recomputed: Collection[int]) -> bytearray:
        """For each node, 1 if it is recomputed, as a home or as a view of one."""
        problem = self.problem
        again = bytearray(len(problem))
        for home in recomputed:
            again[home] = 1
        if not recomputed:
            return again
        for place in range(problem.split + 1):
            shown = problem.shown[place]
            if shown >= 0:
                again[place] = again[shown]
        return again

    def _sequence(self) -> list[int]:
        problem, again = self.problem, self.again
        runs = list(range(problem.split + 1))
        made = bytearray(len(problem))
        for place in range(problem.split + 1, len(problem)):
            pending = [source for source in problem.sources[place] if again[source] and not made[source]]
            if pending:
                runs += [~source for source in self._missing(pending, made)]
            runs.append(place)
        return runs

    def _missing(self, pending: list[int], made: bytearray) -> list[int]:
        """What has to be computed again for some nodes, in order; it is marked as made."""
        found = []
        while pending:
            place = pending.pop()
            if not made[place]:
                made[place] = 1
                found.append(place)
                pending += [source for source in self.problem.sources[place] if self.again[source]]
        return sorted(found)

    def _fill(self) -> None:
        """Enter the runs as nodes of an order; a recomputed storage has a twin behind all others."""
        base, homes, again = self.problem.base, self.problem.homes, self.again
        count = len(base.size)
        twin = [storage + count if again[home] else storage for storage, home in enumerate(homes)]
        self.size = base.size + base.size
        self.touched = base.touched[: self.problem.split + 1]
        self.reused = base.reused[: self.problem.split + 1]
        numbers = [run if run >= 0 else ~run for run in self.runs]
        for number in numbers[self.problem.split + 1 :]:
            self.touched.append(tuple([twin[storage] for storage in base.touched[number]]))
            storages, saved = base.reused[number]
            self.reused.append((tuple([twin[storage] for storage in storages]), saved))
        self.made = [base.made[number] for number in numbers]
        self.scratch = [base.scratch[number] for number in numbers]
        self.touches = self.problem.stays() + [0] * count
        for touched in self.touched:
            for storage in touched:
                self.touches[storage] += 1

    def _profile(self) -> list[int]:
        left, size, now = self.touches, self.size, 0
        live = []
        for touched, (candidates, saved), made, scratch in zip(
            self.touched, self.reused, self.made, self.scratch
        ):
            if saved and not any([left[storage] == 1 for storage in candidates]):
                saved = 0
            now += made
            live.append(now + scratch - saved)
            for storage in touched:
                left[storage] -= 1
                if not left[storage]:
                    now -= size[storage]
        return live

    def live_at_peak(self) -> list[tuple[int, int]]:
        """(bytes, number of the home) of what is live at the peak, largest first."""
        count, instant = len(self.problem.base.size), self._highest_at()
        before = {storage for touched in self.touched[: instant + 1] for storage in touched}
        later = {storage for touched in self.touched[instant:] for storage in touched}
        found = [(self.size[storage], self.problem.homes[storage % count]) for storage in before & later]
        return sorted([pair for pair in found if pair[0]], key=lambda pair: (-pair[0], pair[1]))

    def idle_at_peak(self) -> list[int]:
        """The homes of first runs that are live at the peak but not used there, in order."""
        count, instant = len(self.problem.base.size), self._highest_at()
        before = {storage for touched in self.touched[:instant] for storage in touched if storage < count}
        later = {storage for touched in self.touched[instant + 1 :] for storage in touched}
        idle = (before & later).difference(self.touched[instant])
        return sorted({self.problem.homes[storage] for storage in idle})

    def group_at_peak(self) -> list[int]:
        """The nodes that run again at the peak or as the last ones before it, one right after the other."""
        place = self._highest_at()
        while place > self.problem.split and self.runs[place] >= 0:
            place -= 1
        first = last = place
        while self.runs[first] < 0:
            first -= 1
        while last < len(self.runs) and self.runs[last] < 0:
            last += 1
        return [~run for run in self.runs[first + 1 : last]]

    def _highest_at(self) -> int:
        return self.live.index(self.highest)
