"""What an order is chosen from: tasks that depend on one another, and the memory each makes and lets go.

A *task* is a node, or the nodes of a region, which run one after another. What comes from outside and
constants are no tasks: they need no room. A *storage* is the memory of a value with all its views; it is
made by one node and *touched* by that one and all that read it, and is live from the first of them to
the last. Sizes are rounded up to what offsets are multiples of; an unknown size of an axis counts as 1.

A region runs as a loop over blocks, so that values inside of the loop need no room; the others of a region
do, and its result may be written over what the loop reads.

What is returned has memory of its own for the whole run, so it counts nothing. A node that may write its
result over an input does so in every order in which it is the last to touch that; the result then
needs no room beside it. An input that nothing else reads lies from the first where a returned result
will be, and counts nothing either. (A plan finds that for further inputs, which are read last by that
node in its order by chance, so it can need a little less than is said here.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from graphflow.ir.body import has_bodies
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.analysis.regions import Region, class_of, is_source
from graphflow.optimizer.memory.liveness import scratch_bytes, view_source, write_targets
from graphflow.optimizer.memory.plan import ALIGNMENT


class OrderProblem:
    """Tasks and storages, all by number; nodes are numbered as they run in the given order.

    Attributes:
        nodes: those that run, in the given order.
        sources: those that do not: feeds, variables, constants.
        tasks: for each task, its nodes; in the given order of their last ones.
        reads, followers: for each task, the tasks that it reads, and those that read it.
        made, scratch: for each node, the bytes it makes room for, and those it needs while it runs.
        touched: for each node, the storages it makes or reads.
        reused: for each node, the storages it may write its result over, and the bytes that saves.
        size, touches: for each storage, its bytes, and how many nodes touch it; one more if it stays.
    """

    def __init__(
        self, order: Sequence[Node], outputs: Sequence[Tensor], regions: Sequence[Region] = ()
    ) -> None:
        self.sources = [node for node in order if is_source(node)]
        self.nodes = [node for node in order if not is_source(node)]
        self.made: list[int] = []
        self.scratch: list[int] = []
        self.touched: list[tuple[int, ...]] = []
        self.reused: list[tuple[tuple[int, ...], int]] = []
        self.size: list[int] = []
        self.touches: list[int] = []
        self._arrays: _Arrays | None = None
        known = set(self.nodes)
        whole = [region for region in regions if known.issuperset(region.nodes)]
        _Memory(self, outputs, whole).fill()
        self._group(whole)

    def __len__(self) -> int:
        return len(self.tasks)

    def peak(self, tasks: Sequence[int]) -> int:
        """The most bytes that are live at once if the tasks run in this order."""
        return self.course(tasks).peak

    def course(self, tasks: Sequence[int]) -> Course:
        """What is live while the tasks run in this order."""
        if self._arrays is None:
            self._arrays = _Arrays(self)
        if len(self.tasks) == len(self.nodes):
            return self._arrays.course(np.array(tasks, np.int64))
        return self._arrays.course(np.array([one for task in tasks for one in self.tasks[task]], np.int64))

    @property
    def total_bytes(self) -> int:
        """The bytes of all storages and of what nodes need while they run."""
        return sum(self.size) + sum(self.scratch)

    @cached_property
    def lower_bound(self) -> int:
        """Bytes below which no order can be: those that the hungriest node needs by itself."""
        size = self.size
        needs = [
            sum([size[storage] for storage in touched]) + extra - saved
            for touched, extra, (_, saved) in zip(self.touched, self.scratch, self.reused)
        ]
        return max(needs, default=0)

    def order_of(self, tasks: Sequence[int]) -> list[Node]:
        """The nodes in an order of tasks, what comes from outside right before its first reader."""
        placed: set[Node] = set()
        order: list[Node] = []
        for task in tasks:
            for number in self.tasks[task]:
                node = self.nodes[number]
                for tensor in node.inputs:
                    if is_source(tensor.node) and tensor.node not in placed:
                        placed.add(tensor.node)
                        order.append(tensor.node)
                order.append(node)
        return order + [node for node in self.sources if node not in placed]

    def _group(self, regions: Sequence[Region]) -> None:
        """Make the tasks, and what each of them waits for."""
        number = {node: place for place, node in enumerate(self.nodes)}
        home: dict[int, list[int]] = {}
        for region in regions:
            members = sorted([number[node] for node in region.nodes])
            home.update(dict.fromkeys(members, members))
        each = [home.get(place, [place]) for place in range(len(self.nodes))]
        self.tasks = [members for place, members in enumerate(each) if members[-1] == place]
        task_of = dict(zip(self.nodes, range(len(self.nodes))))
        for task, members in enumerate(self.tasks if home else ()):
            for member in members:
                task_of[self.nodes[member]] = task
        self.followers: list[list[int]] = [[] for _ in self.tasks]
        self.reads: list[list[int]] = []
        for task, members in enumerate(self.tasks):
            before: dict[int, None] = {}
            for member in members:
                for tensor in self.nodes[member].inputs:
                    other = task_of.get(tensor.node)
                    if other is not None and other != task and other not in before:
                        before[other] = None
                        self.followers[other].append(task)
            self.reads.append(list(before))


@dataclass(frozen=True, slots=True)
class Course:
    """What is live while nodes run.

    Attributes:
        live: for each place in the order, the bytes that are live there, at its worst.
        before: for each place and the end, the bytes that are live before it.
        last: for each storage, the place of the last node to touch it; beyond the end if it stays.
    """

    live: np.ndarray
    before: np.ndarray
    last: np.ndarray

    @property
    def peak(self) -> int:
        """The most bytes."""
        return int(self.live.max(initial=0))


class _Arrays:
    """A problem as arrays, by which an order is measured without a loop over its nodes."""

    def __init__(self, problem: OrderProblem) -> None:
        self.made = np.array(problem.made, np.int64)
        self.scratch = np.array(problem.scratch, np.int64)
        self.size = np.array(problem.size, np.int64)
        touched = problem.touched
        lengths = np.array([len(one) for one in touched], np.int64)
        storages = np.fromiter(chain.from_iterable(touched), np.int64, int(lengths.sum()))
        nodes = np.repeat(np.arange(len(touched)), lengths)
        by_storage = np.argsort(storages, kind="stable")
        self.touching = nodes[by_storage]
        counts = np.bincount(storages, minlength=len(self.size))
        self.starts = np.cumsum(counts) - counts
        self.stays = np.flatnonzero(np.array(problem.touches, np.int64) > counts)
        writing = [number for number, (_, saved) in enumerate(problem.reused) if saved]
        self.writers = np.array([number for number in writing for _ in problem.reused[number][0]], np.int64)
        self.targets = np.array([one for number in writing for one in problem.reused[number][0]], np.int64)
        self.saved = np.array([saved for _, saved in problem.reused], np.int64)

    def course(self, order: np.ndarray) -> Course:
        """What is live while the nodes run in this order."""
        count = len(order)
        place = np.empty(count, np.int64)
        place[order] = np.arange(count)
        last = np.maximum.reduceat(place[self.touching], self.starts) if len(self.size) else self.size
        last[self.stays] = count
        freed = np.zeros(count + 1, np.int64)
        np.add.at(freed, last, self.size)
        made = np.cumsum(self.made[order])
        gone = np.cumsum(freed)
        before = np.concatenate([[0], made - gone[:count]])
        over = np.zeros(count, np.int64)
        hit = self.writers[last[self.targets] == place[self.writers]]
        over[place[hit]] = self.saved[hit]
        live = made + self.scratch[order] - over
        live[1:] -= gone[: max(0, count - 1)]
        return Course(live, before, last)


class _Memory:
    """Fills in what the nodes of a problem make, touch and may reuse."""

    def __init__(self, problem: OrderProblem, outputs: Sequence[Tensor], regions: Sequence[Region]) -> None:
        self.problem = problem
        self.outputs = outputs
        self.returned = _returned_whole(outputs)
        self.static = all(tensor.type.is_static for node in problem.nodes for tensor in node.outputs)
        self.of: dict[Tensor, int] = {}
        self.root: list[Tensor] = []
        self.maker: list[int] = []
        self.readers: list[int] = []
        self.first: list[int | None] = []  # for each node, the storage it would write over by preference
        self.strided: set[Tensor] = set()
        self.inside: set[Node] = set()
        self.loops: dict[Node, list[Tensor]] = {}  # for each result of a loop, what that reads
        for region in regions:
            looped = [node for node in region.nodes if _is_looped(node, region)]
            self.inside.update(looped if looped[-1:] != [region.nodes[-1]] else looped[:-1])
            if looped[-1:] == [region.nodes[-1]]:
                read = dict.fromkeys([tensor for node in looped for tensor in node.inputs])
                self.loops[looped[-1]] = [tensor for tensor in read if tensor.node not in self.inside]
        self._sizes: dict[TensorType, int] = {}

    def fill(self) -> None:
        problem = self.problem
        of, touches, readers = self.of, problem.touches, self.readers
        for number, node in enumerate(problem.nodes):
            made, results = self._enter(number, node)
            problem.made.append(made)
            has_scratch = bool(node.attrs) and self.static and has_bodies(node)
            problem.scratch.append(_rounded(scratch_bytes(node)) if has_scratch else 0)
            touched = dict.fromkeys([of[tensor] for tensor in node.inputs if tensor in of])
            for storage in touched:
                touches[storage] += 1
                readers[storage] += 1
            for storage in results:
                if storage in touched:  # a view
                    readers[storage] -= 1
                else:
                    touched[storage] = None
                    touches[storage] += 1
            problem.touched.append(tuple(touched))
            problem.reused.append(self._reused(node))
        self._keep_outputs()
        self._give_to_outputs()

    def _enter(self, number: int, node: Node) -> tuple[int, dict[int, None]]:
        """Enter the storages of the results: the bytes of the new ones, and all that are known."""
        made, of, is_view = 0, self.of, "view" in node.op.traits
        results: dict[int, None] = {}
        for tensor in node.outputs:
            source = view_source(node, tensor, self.strided) if is_view else None
            if source is None:
                of[tensor] = len(self.root)
                self.root.append(tensor)
                self.maker.append(number)
                self.readers.append(0)
                roomless = tensor in self.returned or node in self.inside
                size = 0 if roomless else self._bytes(tensor)
                self.problem.size.append(size)
                self.problem.touches.append(0)
                made += size
            elif source in of:
                of[tensor] = of[source]
            else:
                continue  # a view of what comes from outside needs no room either
            results[of[tensor]] = None
        return made, results

    def _bytes(self, tensor: Tensor) -> int:
        found = self._sizes.get(tensor.type)
        if found is None:
            found = self._sizes[tensor.type] = _rounded(type_bytes(tensor.type))
        return found

    def _reused(self, node: Node) -> tuple[tuple[int, ...], int]:
        """The storages that the result may be written over; none of what no order allows."""
        of, reads = self.of, node.inputs
        targets = write_targets(node)
        if node in self.loops:
            reads = tuple(self.loops[node])
            targets = [tensor for tensor in reads if tensor.type is node.outputs[0].type]
        candidates = [of[source] for source in targets if source in of and self._is_free(source, reads)]
        self.first.append(candidates[0] if candidates else None)
        saved = self.problem.size[of[node.outputs[0]]] if candidates else 0
        return (tuple(dict.fromkeys(candidates)), saved) if saved else ((), 0)

    def _is_free(self, source: Tensor, reads: Sequence[Tensor]) -> bool:
        """Whether what reads a value may write over it, if it does so last."""
        storage = self.of[source]
        root = self.root[storage]
        if root in self.returned:
            return False
        if root is not source and (source in self.strided or self._bytes(root) != self._bytes(source)):
            return False
        return len(reads) == 1 or not any(
            [given is not source and self.of.get(given) == storage for given in reads]
        )

    def _keep_outputs(self) -> None:
        """What a returned view shows a part of is kept to the end."""
        for tensor in dict.fromkeys(self.outputs):
            storage = self.of.get(tensor)
            if storage is not None and self.root[storage] not in self.returned:
                self.problem.touches[storage] += 1
                self.readers[storage] += 1

    def _give_to_outputs(self) -> None:
        """Let count nothing what only a node reads that writes a returned result over it."""
        problem = self.problem
        given = bytearray([root in self.returned for root in self.root])
        for storage in range(len(given) - 1, -1, -1):
            number = self.maker[storage]
            below = self.first[number] if given[storage] else None
            if below is not None and self.readers[below] == 1:
                given[below] = 1
                maker = self.maker[below]
                problem.made[maker] -= problem.size[below]
                problem.size[below] = 0
                if self.first[maker] is not None:
                    problem.reused[maker] = ((), 0)


def _returned_whole(outputs: Sequence[Tensor]) -> set[Tensor]:
    """The outputs, and what they are views of that show all of it."""
    found: set[Tensor] = set()
    pending = list(outputs)
    while pending:
        tensor = pending.pop()
        if tensor in found:
            continue
        found.add(tensor)
        source = view_source(tensor.node, tensor, set())
        if source is not None and type_bytes(source.type) == type_bytes(tensor.type):
            pending.append(source)
    return found


def _is_looped(node: Node, region: Region) -> bool:
    """Whether a node of a region is part of its loop rather than done before or after it."""
    return class_of(node) == "elementwise" and node.output.shape == region.domain


def _rounded(size: int) -> int:
    return size + -size % ALIGNMENT
