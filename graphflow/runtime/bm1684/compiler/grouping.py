"""Groups of layers whose values between them stay in local memory, and the slices in which they run.

A group of one slice keeps whole values; one of several computes a part of the batch or some rows of what
leaves it after the other, with the rows around them that its windows need. The groups are the path from the
first layer to the last that takes the least time in simulated runs of each group, among ends where few bytes
cross.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from graphflow.runtime.bm1684.chip import LANE_BYTES
from graphflow.runtime.bm1684.compiler.costs import COSTS
from graphflow.runtime.bm1684.compiler.errors import TooLarge
from graphflow.runtime.bm1684.compiler.layers.layer import Layer, LocalLayer, TransferLayer
from graphflow.runtime.bm1684.compiler.schedule import Schedule, demand, schedule
from graphflow.runtime.bm1684.compiler.steps import Group, Step, steps_of
from graphflow.runtime.bm1684.compiler.tensors import Box, Value

_ROOMS = (20 << 10, 10 << 10, 5 << 10)
"""Bytes a lane that the coefficients of one piece of work may take, the first that lets a group fit."""

_SLICES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 112, 160)
_HIDDEN = (0.75, 0.4, 0.0)
"""Parts of a group's first loads and last stores that its neighbours may hide; each gives a path to try."""

_ROOM = LANE_BYTES * 15 // 16
"""What a group may take of every lane; a layer alone may take all."""

_BEYOND = 3
"""More slices that are tried once all layers fit into a group: there is more room to load ahead then."""

_FEW = (2, 3)
"""Slices of a group that are run to know what one of many takes."""

_CUTS = 3
"""Ends of a group that are tried besides the last that fits: those where the fewest bytes cross."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Choice:
    """A group with the time of a simulated run, and how much of it its neighbours may hide."""

    group: Group
    seconds: float
    ends: float = 0.0


def grouped(layers: Sequence[Layer], outputs: Sequence[Value]) -> list[Group]:
    """The groups that compute outputs, in the order of the layers.

    Raises:
        TooLarge: if the smallest slice of a layer alone does not fit into local memory.
    """
    return _Search(_needed(layers, outputs), outputs).run()


def _needed(layers: Sequence[Layer], outputs: Sequence[Value]) -> list[Layer]:
    """The layers that outputs are computed from."""
    wanted = {value.root for value in outputs}
    kept = []
    for layer in reversed(layers):
        if layer.output.root in wanted:
            kept.append(layer)
            wanted.update([value.root for value in layer.inputs])
    return kept[::-1]


class _Search:
    """The cheapest path from the first layer to the last, over groups."""

    def __init__(self, layers: Sequence[Layer], outputs: Sequence[Value]) -> None:
        self.layers, self.outputs = layers, {value.root for value in outputs}
        self.made_by = {layer.output.root: index for index, layer in enumerate(layers)}
        self.read_last: dict[Value, int] = {}
        self.aliased = {value.root for layer in layers for value in layer.inputs if value.alias is not None}
        for index, layer in enumerate(layers):
            for value in layer.inputs:
                self.read_last[value.root] = index
        self.crossing = self._crossing()
        self.limits = self._limits()

    def run(self) -> list[Group]:
        edges: dict[int, list[tuple[int, _Choice]]] = {}
        reached = {0}
        for start in range(len(self.layers)):
            if start in reached:
                edges[start] = list(self.choices(start))
                reached.update([end for end, _ in edges[start]])
        paths: list[list[Group]] = []
        for hidden in _HIDDEN:
            path = self.path(edges, hidden)
            if path not in paths:
                paths.append(path)
        if len(paths) == 1:
            return paths[0]
        return min(paths, key=lambda path: schedule(steps_of(path), COSTS, _ROOM).seconds)

    def path(self, edges: dict[int, list[tuple[int, _Choice]]], hidden: float) -> list[Group]:
        """The groups from the first layer to the last that are fastest if so much of their ends is hidden."""
        best: dict[int, tuple[float, int, Group | None]] = {0: (0.0, -1, None)}
        for start, choices in edges.items():
            for end, choice in choices:
                seconds = best[start][0] + choice.seconds - hidden * choice.ends
                if end not in best or seconds < best[end][0]:
                    best[end] = (seconds, start, choice.group)
        groups: list[Group] = []
        at = len(self.layers)
        while at > 0:
            _, before, group = best[at]
            assert group is not None
            groups.append(group)
            at = before
        return groups[::-1]

    def choices(self, start: int) -> Iterator[tuple[int, _Choice]]:
        """Groups that begin at a layer, with where they end."""
        first = self.layers[start]
        if isinstance(first, TransferLayer):
            moved = Group(layers=(first,), leaving=(first.output,), slices=(), room=0)
            yield start + 1, _Choice(moved, COSTS.step(Step(first)))
            return
        limits = self.limits[start]
        found, beyond = False, 0
        for slices in _SLICES:
            limit = limits[slices == 1]
            last = self._longest(start, limit, slices)
            if last is None:
                continue
            found = True
            cuts = sorted(range(start + 1, last), key=lambda end: (self.crossing[end], -end))[:_CUTS]
            for end in (last, *cuts):
                group = self.fitting(start, end, slices)
                if group is not None:
                    yield end, _timed(group)
            beyond += last == limit
            if (slices == 1 and last == limit) or beyond > _BEYOND:
                break
        if not found:
            yield start + 1, self._alone(start)

    def _limits(self) -> list[tuple[int, int]]:
        """For each layer the end of those that may share a group with it, in several slices and in one.

        A transfer is alone. What is read again as an alias must be in DDR as a whole before.
        """
        last = len(self.layers)
        again = [last] * last
        for index, layer in reversed(list(enumerate(self.layers))):
            for value in layer.inputs:
                if value.alias is not None and value.root in self.made_by:
                    again[self.made_by[value.root]] = index
        made = []
        whole = sliced = last
        for index, layer in reversed(list(enumerate(self.layers))):
            whole = index if isinstance(layer, TransferLayer) else whole
            sliced = min(sliced, again[index])
            made.append((min(sliced, whole), whole))
        return made[::-1]

    def _longest(self, start: int, limit: int, slices: int) -> int | None:
        """The furthest end at which a group of so many slices still fits, found by doubling and halving."""
        if self.fitting(start, start + 1, slices) is None:
            return None
        low, step = start + 1, 1
        while low + step <= limit and self.fitting(start, low + step, slices) is not None:
            low += step
            step *= 2
        high = min(low + step, limit + 1)
        while high - low > 1:
            middle = (low + high) // 2
            if self.fitting(start, middle, slices) is None:
                high = middle
            else:
                low = middle
        return low

    def fitting(self, start: int, end: int, slices: int) -> Group | None:
        """The group of the layers from start to end in so many slices, or None if it does not fit."""
        layers = tuple(self.layers[start:end])
        leaving = self.leaving(start, end)
        boxes = cut(layers, leaving, slices)
        if boxes is None:
            return None
        for room in _ROOMS:
            for keeps in (True, False) if slices > 1 else (True,):
                made = Group(layers=layers, leaving=leaving, slices=boxes, room=room, keeps=keeps)
                if _fits(made, _ROOM):
                    return made
        return None

    def _alone(self, start: int) -> _Choice:
        """A layer by itself in as many slices as it takes, over any axis that it can be cut along.

        Raises:
            TooLarge: if there are none.
        """
        layer = self.layers[start]
        assert isinstance(layer, LocalLayer)
        shape, axes = layer.output.shape, [axis for axis in "nhcw" if axis in layer.cuts()]
        boxes = [Box.whole(shape)]
        group = Group(layers=(layer,), leaving=(layer.output,), slices=((boxes[0],),), room=_ROOMS[-1])
        while True:
            if _fits(group, LANE_BYTES):
                return _timed(group)
            axis = next((axis for axis in axes if getattr(boxes[0].shape, axis) > 1), None)
            if axis is None:
                raise TooLarge(layer, int(demand(steps_of([group])).max()))
            boxes = [half for box in boxes for half in _halved(box, axis)]
            group = Group(
                layers=(layer,),
                leaving=(layer.output,),
                slices=tuple([(box,) for box in boxes]),
                room=_ROOMS[-1],
                keeps=False,
            )

    def leaving(self, start: int, end: int) -> tuple[Value, ...]:
        """The values that layers from start to end make and that are read from DDR."""
        made = [layer.output for layer in self.layers[start:end]]
        return tuple(
            [
                value
                for value in made
                if value.root in self.outputs
                or value.root in self.aliased
                or self.read_last.get(value.root, -1) >= end
            ]
        )

    def _crossing(self) -> list[int]:
        """For every place between layers the bytes of the values that cross it."""
        change = [0] * (len(self.layers) + 1)
        for index, layer in enumerate(self.layers):
            last = self.read_last.get(layer.output.root, index)
            if last > index:
                change[index + 1] += layer.output.bytes
                change[last + 1 if last + 1 < len(change) else last] -= layer.output.bytes
        total, made = 0, []
        for difference in change:
            total += difference
            made.append(total)
        return made


def _fits(group: Group, room: int) -> bool:
    """Whether a group takes no more of local memory than there is room, as its slices in the middle show."""
    middle = len(group.slices) // 2
    probe = dataclasses.replace(group, slices=group.slices[max(0, middle - 1) : middle + 1])
    return int(demand(steps_of([probe])).max(initial=0)) <= room


def _timed(group: Group) -> _Choice:
    """How long a group takes in a simulated run; further slices take what the last of a few does."""
    few = [_run(dataclasses.replace(group, slices=group.slices[:count])) for count in _FEW]
    each = few[1].seconds - few[0].seconds if len(group.slices) > _FEW[1] else 0.0
    each = max(0.0, each - (few[1].ends - few[0].ends) * _HIDDEN[0])
    return _Choice(group, few[1].seconds + each * max(0, len(group.slices) - _FEW[1]), few[1].ends)


def _run(group: Group) -> Schedule:
    return schedule(steps_of([group]), COSTS, _ROOM)


def cut(layers: Sequence[Layer], leaving: Sequence[Value], slices: int) -> tuple[tuple[Box, ...], ...] | None:
    """The boxes of the values that leave a group for each of so many slices: over the batch first, then rows.

    None if they cannot be cut into as many.
    """
    if slices == 1:
        return (tuple([Box.whole(value.shape) for value in leaving]),)
    batch, rows = min(value.shape.n for value in leaving), min(value.shape.h for value in leaving)
    alike = len({value.shape.n for value in leaving}) == 1
    over_n = math.gcd(slices, batch) if alike and _can_cut(layers, "n") else 1
    over_h = slices // over_n
    if over_h > 1 and (over_h > rows or not _can_cut(layers, "h")):
        return None
    made = []
    for n in range(over_n):
        for h in range(over_h):
            boxes = [
                _part(_part(Box.whole(value.shape), "n", n, over_n), "h", h, over_h) for value in leaving
            ]
            made.append(tuple(boxes))
    return tuple(made)


def _can_cut(layers: Sequence[Layer], axis: str) -> bool:
    return all(isinstance(layer, LocalLayer) and axis in layer.cuts() for layer in layers)


def _part(box: Box, axis: str, index: int, count: int) -> Box:
    start, size = getattr(box.start, axis), getattr(box.shape, axis)
    return box.over(axis, start + size * index // count, start + size * (index + 1) // count)


def _halved(box: Box, axis: str) -> list[Box]:
    """A box cut in two; channels at a multiple of 64, where there are more."""
    start, size = getattr(box.start, axis), getattr(box.shape, axis)
    half = size // 2
    if axis == "c" and size > 64:
        half = max(64, half // 64 * 64)
    if not half:
        return [box]
    return [box.over(axis, start, start + half), box.over(axis, start + half, start + size)]
