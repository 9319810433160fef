"""Where each value of a NumPy program lies: its steps as units, with kernels, layouts and a memory plan.

A unit is what runs at once: a node, or a loop over blocks, inside which nothing has memory but the blocks.
Results are views, or have a place in the arena, or lie outside: those are returned in arrays of their own,
are text, or have sizes that only the run tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.ops.custom import CustomOp
from graphflow.optimizer.memory.liveness import (
    Liveness,
    Storage,
    last_uses,
    obstacle,
    scratch_bytes,
    write_targets,
)
from graphflow.optimizer.memory.plan import ALIGNMENT, MemoryPlan, plan_liveness
from graphflow.runtime.numpy.fused import FusedStep, alone
from graphflow.runtime.numpy.kernels import kernel_of
from graphflow.runtime.numpy.layouts import (
    Strides,
    bytes_of,
    is_dense,
    is_row_major,
    predicted,
    row_major,
    shape_of,
)
from graphflow.runtime.numpy.steps import Step
from graphflow.runtime.numpy.viewing import view_layouts
from graphflow.runtime.numpy.whole import whole_kernel
from graphflow.runtime.numpy.workspace import Whole


@dataclass(slots=True)
class Unit:
    """What runs at once.

    Attributes:
        plain: how it runs without an arena.
        kind: "constant", "outside" (as without an arena), "view", "kernel", "loop", or "reference" (its
            result is copied to its place).
        whole: the kernel.
        first, last: positions in the order of nodes.
        results: what is left in memory when it has run.
        spaces: the storages of its workspaces.
        over: the operand over which the result is written.
    """

    plain: Step | FusedStep
    kind: str
    first: int
    last: int
    results: tuple[Tensor, ...]
    whole: Whole | None = None
    spaces: tuple[int, ...] = ()
    over: Tensor | None = None


@dataclass(slots=True)
class Placing:
    """The units of a program, and its plan.

    Attributes:
        layouts: the strides of everything that is not outside.
        private: the positions of the outputs that nothing else holds, so that they are returned as they are.
    """

    units: list[Unit]
    layouts: dict[Tensor, Strides]
    plan: MemoryPlan
    private: frozenset[int]


def place(
    sources: Sequence[Node],
    steps: Iterable[Step | FusedStep],
    outputs: Sequence[Tensor],
    facts: Mapping[Tensor, Strides],
) -> Placing:
    """Plan a program.

    Arguments:
        sources: the nodes that stand for what is passed in.
        steps: how it runs without an arena.
        facts: layouts of results of references, where earlier runs have shown that they are not what was
            assumed.
    """
    flat = [part for step in steps for part in _parts(step)]
    nodes = [*sources, *[node for part in flat for node in _nodes(part)]]
    planner = _Planner(nodes, outputs, facts)
    for node in sources:
        planner.source(node)
    for part in flat:
        planner.part(part)
    private = planner.give_outputs(outputs)
    plan = plan_liveness(planner.live, naive_bytes=planner.naive, beside_bytes=planner.beside)
    return Placing(planner.units, planner.layouts, plan, private)


def _parts(step: Step | FusedStep) -> list[Step | FusedStep]:
    if isinstance(step, Step):
        return [step]
    return [*step.first, step]


def _nodes(part: Step | FusedStep) -> list[Node]:
    if isinstance(part, Step):
        return [part.node]
    return [step.node for step in (*part.looped, *([part.last] if part.last else []))]


@dataclass(slots=True)
class _Planner:
    """Goes through a program in its order, and decides of each unit how it runs and where its results go."""

    order: Sequence[Node]
    outputs: Sequence[Tensor]
    facts: Mapping[Tensor, Strides]
    live: Liveness = field(init=False)
    layouts: dict[Tensor, Strides] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    position: int = 0
    naive: int = 0
    beside: int = 0
    behind: dict[Tensor, tuple[int, ...]] = field(default_factory=dict)
    last_use: dict[Tensor, int] = field(init=False)

    def __post_init__(self) -> None:
        self.live = Liveness(tuple(self.order))
        self.last_use = last_uses(self.order, self.outputs)

    # Storages

    def source(self, node: Node) -> None:
        """What is passed in, in row-major order."""
        for tensor in node.outputs:
            if _has_place(tensor):
                self._new(tensor, "argument", row_major(shape_of(tensor), tensor.dtype.numpy.itemsize))
        self.position += 1

    def _new(self, tensor: Tensor, kind: str, layout: Strides) -> None:
        at, size = self.position, bytes_of(tensor)
        self.live.storages.append(Storage(kind, size, at, at + 1, [], tensor.node))
        if kind == "temporary":
            self.naive += -(-size // ALIGNMENT) * ALIGNMENT
        self._join(tensor, len(self.live.storages) - 1, layout)

    def _join(self, tensor: Tensor, index: int, layout: Strides) -> None:
        """Let a storage hold a tensor too, until that is read last."""
        storage = self.live.storages[index]
        storage.tensors.append(tensor)
        self.live.of[tensor] = index
        self.layouts[tensor] = layout
        reader = self.last_use.get(tensor, self.position)
        if reader + 1 > storage.last:
            storage.last = reader + 1
            storage.last_reader = self.order[reader] if reader < len(self.order) else None

    def _workspaces(self, sizes: Sequence[int], node: Node, count: int = 1) -> tuple[int, ...]:
        made = []
        for size in sizes:
            made.append(len(self.live.storages))
            at = self.position
            self.live.storages.append(Storage("temporary", size, at, at + count, [], node, node))
            self.naive += -(-size // ALIGNMENT) * ALIGNMENT
        return tuple(made)

    def _target(
        self, candidates: Iterable[Tensor], result: Tensor, layout: Strides, at: int, reads: Sequence[Tensor]
    ) -> Tensor | None:
        """The operand over which a result can be written, if there is one."""
        node, of = result.node, self.live.of
        if not all([tensor in of for tensor in (*node.inputs, *reads)]):
            return None
        for tensor in candidates:
            alone_in = all([given is tensor for given in reads if of[given] == of[tensor]])
            if alone_in and self.layouts[tensor] == layout and not obstacle(self.live, node, tensor, at):
                return tensor
        return None

    def give_outputs(self, outputs: Sequence[Tensor]) -> frozenset[int]:
        """Each output is returned in memory of its own: what holds it if that is all its own, or a copy."""
        private = []
        for number, tensor in enumerate(outputs):
            index = self.live.of.get(tensor)
            storage = None if index is None else self.live.storages[index]
            if storage is not None and storage.kind == "temporary" and self._is_whole(storage, tensor):
                storage.kind = "output"
                private.append(number)
            elif _has_place(tensor):
                self.live.copied_bytes += bytes_of(tensor)
        return frozenset(private)

    def _is_whole(self, storage: Storage, tensor: Tensor) -> bool:
        return storage.size == bytes_of(tensor) and all(
            [_in_rows(one, self.layouts[one]) for one in storage.tensors]
        )

    # Units

    def part(self, part: Step | FusedStep) -> None:
        """The unit or units of a step, or of a loop."""
        if isinstance(part, Step):
            self._step(part)
            return
        if self._loop(part):
            return
        for step in (*part.looped, *([part.last] if part.last else [])):
            self._step(step)

    def _step(self, step: Step) -> None:
        node = step.node
        if node.op.name == "constant" and _has_place(node.output):
            self._new(node.output, "constant", np.asarray(node.attrs.value).strides)
            self._add(Unit(step, "constant", self.position, self.position, (node.output,)))
        elif step.needs or not all([self._may_lie_inside(tensor) for tensor in node.outputs]):
            self._keep_for(node)
            self._add(Unit(step, "outside", self.position, self.position, ()))
        elif not (self._view(step) or self._by_itself(step)):
            self._computed(step)

    def _may_lie_inside(self, tensor: Tensor) -> bool:
        """Whether a result can have a place, which has no gaps."""
        known = self.facts.get(tensor)
        return _has_place(tensor) and (
            known is None or is_dense(shape_of(tensor), known, tensor.dtype.numpy.itemsize)
        )

    def _keep_for(self, node: Node) -> None:
        """Keep what a node outside reads for as long as its results live, which may be views of it."""
        held = {self.live.of[tensor]: None for tensor in node.inputs if tensor in self.live.of}
        for tensor in node.inputs:
            held.update(dict.fromkeys(self.behind.get(tensor, ())))
        for tensor in node.outputs:
            self.behind[tensor] = tuple(held)
            for index in held:
                storage = self.live.storages[index]
                storage.last = max(storage.last, self.last_use.get(tensor, self.position) + 1)

    def _add(self, unit: Unit) -> None:
        self.units.append(unit)
        self.position = unit.last + 1

    def _view(self, step: Step) -> bool:
        """The unit of a node whose results share the memory of its input; False if they do not."""
        node = step.node
        source = node.inputs[0] if node.inputs else None
        if source is None or source not in self.live.of:
            return False
        found = view_layouts(node, self.layouts[source])
        if found is None:
            return False
        for tensor, layout in zip(node.outputs, found):
            self._join(tensor, self.live.of[source], layout)
            if not _in_rows(tensor, layout):
                self.live.strided.add(tensor)
        self._add(Unit(step, "view", self.position, self.position, node.outputs))
        return True

    def _by_itself(self, step: Step) -> bool:
        """A single elementwise node as a loop over blocks, where it has no kernel and that is worth it."""
        if "elementwise" not in step.node.op.traits or kernel_of(step.node) or len(step.node.outputs) != 1:
            return False
        loop = alone(step)
        return loop is not None and self._loop(loop)

    def _computed(self, step: Step) -> None:
        """The unit of a node with a kernel, or by its reference."""
        node, at = step.node, self.position
        layouts = self._results(node)
        whole = self._kernel(node, layouts)
        over = None
        if len(node.outputs) == 1:
            over = self._target(write_targets(node), node.output, layouts[0], at, node.inputs)
        spaces = self._workspaces(whole.workspaces, node) if whole is not None else ()
        for tensor, layout in zip(node.outputs, layouts):
            if over is None:
                self._new(tensor, "temporary", layout)
            else:
                self._overwrite(tensor, over, layout)
        if whole is None:
            made = sum([bytes_of(tensor) for tensor in node.outputs])
            self.beside = max(self.beside, made + scratch_bytes(node))
        kind = "reference" if whole is None else "kernel"
        self._add(Unit(step, kind, at, at, node.outputs, whole, spaces, over))

    def _overwrite(self, tensor: Tensor, over: Tensor, layout: Strides) -> None:
        self.live.in_place.append(tensor.node)
        self.naive += -(-bytes_of(tensor) // ALIGNMENT) * ALIGNMENT
        self._join(tensor, self.live.of[over], layout)

    def _results(self, node: Node) -> list[Strides]:
        """How the results of a node lie, as far as that can be told."""
        plain = [row_major(shape_of(one), one.dtype.numpy.itemsize) for one in node.outputs]
        known = [self.layouts.get(tensor) for tensor in node.inputs]
        found = None
        if all([layout is not None for layout in known]):
            given = [layout for layout in known if layout is not None]
            if not all([_in_rows(tensor, layout) for tensor, layout in zip(node.inputs, given)]):
                found = predicted(node, given)
        return [self.facts.get(one, own) for one, own in zip(node.outputs, found or plain)]

    def _kernel(self, node: Node, layouts: Sequence[Strides]) -> Whole | None:
        if len(node.outputs) != 1 or not all([tensor in self.layouts for tensor in node.inputs]):
            return None
        kernel = kernel_of(node)
        if kernel is not None:
            return Whole(kernel)
        given = [self.layouts[tensor] for tensor in node.inputs]
        whole = whole_kernel(node, given)
        if whole is None and node.op.name == "reshape":
            whole = _moving(node)
        if whole is not None and whole.in_rows and not _in_rows(node.output, layouts[0]):
            return None
        return whole

    def _loop(self, part: FusedStep) -> bool:
        """The units of a loop that runs in blocks and of the reduction behind it; False if it does not."""
        steps = part.looped
        operands = part.tensors
        if part.loop is None or not all([tensor in self.live.of for tensor in operands]):
            return False
        layouts = tuple([(shape_of(tensor), self.layouts[tensor]) for tensor in operands])
        shape = np.broadcast_shapes(*[shape for shape, _ in layouts])
        blocks, rows = part.cut_for(shape, layouts)
        done = part.last if rows and part.last is not None else steps[-1]
        result = done.node.output
        if blocks is None or not _has_place(result):
            return False
        first, last = self.position, self.position + len(steps) - (0 if done is part.last else 1)
        for tensor in operands:
            storage = self.live.storage(tensor)
            storage.last = max(storage.last, last + 1)
        layout = row_major(shape_of(result), result.dtype.numpy.itemsize)
        same = [tensor for tensor in operands if tensor.type is result.type]
        trusted = not any([isinstance(step.node.op, CustomOp) for step in steps])
        over = self._target(same if trusted and not rows else (), result, layout, last, operands)
        spaces = self._workspaces([part.loop.scratch_bytes(blocks)], result.node, last - first + 1)
        if over is None:
            self._new(result, "temporary", layout)
        else:
            self._overwrite(result, over, layout)
        self._add(Unit(part, "loop", first, last, (result,), None, spaces, over))
        if part.last is not None and done is not part.last:
            self._step(part.last)
        return True


def _moving(node: Node) -> Whole:
    """A reshape that has to move elements."""
    shape = shape_of(node.inputs[0])

    def run(x: np.ndarray, out: np.ndarray) -> None:
        np.copyto(out.reshape(shape), x)

    return Whole(run, in_rows=True)


def _has_place(tensor: Tensor) -> bool:
    """Whether a tensor can lie in an arena: of a known size that is not 0, and not of text."""
    if not tensor.type.is_static:
        return False
    dtype = tensor.dtype.numpy
    return dtype.kind not in "OTUS" and math.prod(shape_of(tensor)) > 0


def _in_rows(tensor: Tensor, layout: Strides) -> bool:
    return is_row_major(shape_of(tensor), layout, tensor.dtype.numpy.itemsize)
