"""The cheapest choice of what to keep and what to recompute, once each has its cost: a minimum cut, in parts.

Almost all values can be decided without a flow, and then little is left of the network:

    keep(v) < cost(v)                  v is kept whenever it is needed
    only w needs v                     v costs w the smaller of keep(v), and cost(v) with that of what v needs
    v is needed from outside           and if it needs nothing undecided, its own two costs decide

What remains are values that several others need in order to be recomputed. They fall into parts that have
nothing to do with one another (blocks of a model, say), and each of these is a network by itself. The sum
is the least of all choices, and of several such choices it is the one that recomputes most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphflow.optimizer.memory.maximum_flow import END, START, Network


class Choice:
    """What is recomputed of values 0, 1, ..., each of which needs only smaller ones.

    Arguments:
        needed: those that are needed in any case, and that nothing here needs.
        needs: for each value that can be recomputed, those that this needs and that are not there anyway.
        keep, cost: for each value, the cost of keeping it and that of recomputing it by itself.

    Attributes:
        recomputed: the values to recompute, in order.

    >>> Choice({2}, {1: [0], 2: [1]}, {0: 3, 1: 9, 2: 9}, {1: 2, 2: 2}).recomputed
    [1, 2]
    >>> Choice({2}, {1: [0], 2: [1]}, {0: 3, 1: 9, 2: 6}, {1: 2, 2: 2}).recomputed
    []
    """

    def __init__(
        self,
        needed: Collection[int],
        needs: Mapping[int, Sequence[int]],
        keep: Mapping[int, int],
        cost: Mapping[int, int],
    ) -> None:
        self.needed, self.keep = needed, keep
        self.needs = {value: needs[value] for value in sorted(needs) if cost[value] <= keep[value]}
        self._total = {value: cost[value] for value in self.needs}
        self._readers: dict[int, int] = {}
        for sources in self.needs.values():
            for source in sources:
                self._readers[source] = self._readers.get(source, 0) + 1
        # For each value that is left, what it needs of those that are left, or that several need.
        self._open: dict[int, list[int]] = {}
        self._merge()
        self._cheap = self._solved()
        self.recomputed = self._chosen()

    def _merge(self) -> None:
        """Add to what a value costs that of all it alone needs; what others need, too, stays open."""
        keep, total, readers = self.keep, self._total, self._readers
        for value, sources in self.needs.items():
            still = []
            for source in sources:
                if source in self._open or (readers[source] > 1 and min(self._costs(source))):
                    still.append(source)
                elif readers[source] == 1:
                    total[value] += min(self._costs(source))
            if still and total[value] <= keep[value]:
                self._open[value] = still

    def _costs(self, value: int) -> tuple[int, int]:
        """Of keeping a value, and of recomputing it as far as that is known."""
        keep = self.keep[value]
        return keep, self._total.get(value, keep + 1)

    def _solved(self) -> set[int]:
        """Of what is left, the values that are recomputed."""
        found: set[int] = set()
        for part in self._parts():
            found.update(self._cut(part))
        return found

    def _parts(self) -> list[list[int]]:
        """The values that are left, those together that are joined by what they need."""
        joined: dict[int, list[int]] = {}
        for value, sources in self._open.items():
            for source in sources:
                joined.setdefault(source, []).append(value)
        seen: set[int] = set()
        parts = []
        for value in self._open:
            if value in seen:
                continue
            seen.add(value)
            part = [value]
            for member in part:  # which grows meanwhile
                for other in (*self._open.get(member, ()), *joined.get(member, ())):
                    if other not in seen:
                        seen.add(other)
                        part.append(other)
            parts.append(part)
        return parts

    def _cut(self, part: Sequence[int]) -> list[int]:
        """The values of a part that are recomputed.

        A value v has a vertex that stands for its being recomputed, and before that, unless it is needed in
        any case, one for its being needed, with keep(v) between them. Where nothing of what v needs is
        undecided, one vertex and the smaller of its costs say the same.
        """
        without_end = 1 + sum([min(self._costs(value)) for value in part])
        place = {value: 2 + 2 * position for position, value in enumerate(part)}
        network = Network(2 + 2 * len(part))
        for value in part:
            before, after = place[value], place[value] + 1
            sources = self._open.get(value)
            if sources is None:
                network.connect(before, END, min(self._costs(value)))
                continue
            network.connect(START if value in self.needed else before, after, self.keep[value])
            network.connect(after, END, self._total[value])
            for source in sources:
                network.connect(after, place[source], without_end)
        network.send()
        side = network.before_the_cut()
        return [value for value in part if value in self._open and side[place[value] + 1]]

    def _chosen(self) -> list[int]:
        """The values that are needed, in any case or by what is recomputed, and cost less than if kept."""
        needed, found = set(self.needed), []
        for value in reversed(self.needs):
            if value not in needed:
                continue
            keep, total = self._costs(value)
            if value in self._cheap if value in self._open else total <= keep:
                found.append(value)
                needed.update(self.needs[value])
        return found[::-1]
