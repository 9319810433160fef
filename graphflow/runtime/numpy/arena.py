"""An arena: one allocation in which a program runs, its units bound to their places in it.

Arrays in the arena are made once and used in every run. What a reference gives is copied to its place; if it
does not lie as was assumed, it stays where it is and is remembered, and the rest of that run goes on without
the arena, since what follows might add up in another order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.numpy.fused import FusedStep, Place
from graphflow.runtime.numpy.layouts import Strides, alike, shape_of
from graphflow.runtime.numpy.placing import Placing, Unit
from graphflow.runtime.numpy.steps import Step, blame
from graphflow.runtime.numpy.workspace import aligned


class Bound(Protocol):
    """A unit with its arrays."""

    def run(self, values: list[Any], found: dict[str, int]) -> bool:
        """Compute it; False if a result does not lie as was assumed."""
        ...


class Target:
    """Where a result goes: an array in the arena, the operand it is written over, or one made in each run."""

    __slots__ = ("array", "dtype", "over", "shape")

    def __init__(self, tensor: Tensor, array: np.ndarray | None, over: int | None) -> None:
        self.array, self.over = array, over
        self.shape, self.dtype = shape_of(tensor), tensor.dtype.numpy

    @property
    def is_new(self) -> bool:
        """Whether each run makes an array."""
        return self.array is None and self.over is None

    def get(self, values: list[Any]) -> np.ndarray:
        """The array."""
        if self.array is not None:
            return self.array
        if self.over is not None:
            return values[self.over]
        return np.empty(self.shape, self.dtype)


@dataclass(slots=True)
class _Kernel:
    """A node whose kernel writes to its place."""

    node: Node
    compute: Callable[..., Any]
    reads: tuple[int, ...]
    write: int
    target: Target
    spaces: tuple[np.ndarray, ...]
    frees: tuple[int, ...]

    def run(self, values: list[Any], found: dict[str, int]) -> bool:
        operands = [values[slot] for slot in self.reads]
        out = self.target.get(values)
        try:
            self.compute(*operands, out, *self.spaces)
        except Exception as error:
            blame(self.node, operands, error)
        values[self.write] = out
        for slot in self.frees:
            values[slot] = None
        return True


@dataclass(slots=True)
class _Reference:
    """A node whose reference gives arrays, which are copied to their places."""

    step: Step
    targets: tuple[Target, ...]
    layouts: tuple[Strides, ...]
    facts: dict[Tensor, Strides]

    def run(self, values: list[Any], found: dict[str, int]) -> bool:
        step = self.step
        operands = [values[slot] for slot in step.reads]
        places = [None if target.is_new else target.get(values) for target in self.targets]
        step.run(values, found)
        expected = True
        for slot, tensor, place, layout in zip(step.writes, step.node.outputs, places, self.layouts):
            made = values[slot]
            if made is None:
                continue  # nobody reads it
            if place is None and _is_fresh(made, operands):
                place = made
            elif place is None:
                place = np.empty(made.shape, made.dtype)
            expected &= _put(values, slot, tensor, place, layout, self.facts)
        return expected


@dataclass(slots=True)
class _Loop:
    """A loop over blocks whose result goes to its place."""

    step: FusedStep
    tensor: Tensor
    write: int
    target: Target
    memory: np.ndarray
    layout: Strides
    over: bool
    facts: dict[Tensor, Strides]

    def run(self, values: list[Any], found: dict[str, int]) -> bool:
        place = Place(self.target.get(values), self.memory, self.over)
        self.step.run_loop(values, found, place, _to_end(self.step, self.tensor))
        if values[self.write] is place.result:
            return True
        return _put(values, self.write, self.tensor, place.result, self.layout, self.facts)


@dataclass(slots=True)
class _Plain:
    """What runs as it does without an arena: views of what is passed in, and what lies outside."""

    step: Step

    def run(self, values: list[Any], found: dict[str, int]) -> bool:
        self.step.run(values, found)
        return True


def _is_fresh(made: np.ndarray, operands: list[np.ndarray]) -> bool:
    """Whether a reference has made an array, rather than given back what it got."""
    return made.flags.owndata and made.flags.writeable and not any([made is one for one in operands])


def _to_end(step: FusedStep, result: Tensor) -> bool:
    """Whether the result of a loop is that of the reduction behind it."""
    return step.last is not None and result.node is step.last.node


def _put(
    values: list[Any],
    slot: int,
    tensor: Tensor,
    place: np.ndarray,
    layout: Strides,
    facts: dict[Tensor, Strides],
) -> bool:
    """Copy a result to its place, if it lies as was assumed."""
    made = values[slot]
    if not alike(place.shape, made.strides, layout):
        facts[tensor] = made.strides
        return False
    if made is not place:
        np.copyto(place, made)
        values[slot] = place
    return True


class Arena:
    """Memory for a run at a time.

    Arguments:
        placing: the units and the plan.
        slots: the positions of tensors in the list of values.

    Attributes:
        values: the values at the start of a run: what lies in the arena, and constants.
        memory: the bytes.
        facts: layouts that were not as assumed.
    """

    def __init__(self, placing: Placing, slots: Mapping[Tensor, int]) -> None:
        self.placing, self._slots = placing, slots
        self.memory = aligned(placing.plan.arena_bytes)
        self.values: list[Any] = [None] * len(slots)
        self.facts: dict[Tensor, Strides] = {}
        self._arrays: dict[Tensor, np.ndarray] = {}
        self._units = [(unit, bound) for unit in placing.units if (bound := self._bound(unit)) is not None]
        for tensor, array in self._arrays.items():
            self.values[slots[tensor]] = array

    def run(self, values: list[Any], found: dict[str, int], poison: int | None = None) -> bool:
        """Run all units; False if it ended without the arena.

        Arguments:
            values: a copy of `values`, with what is passed in.
            poison: a byte with which memory is filled as soon as nothing needs it, to find mistakes.
        """
        for unit, bound in self._units:
            if not bound.run(values, found):
                self._go_on_plainly(unit, values, found)
                return False
            if poison is not None:
                self._poison(unit, poison)
        return True

    def _go_on_plainly(self, done: Unit, values: list[Any], found: dict[str, int]) -> None:
        """Run what comes after a unit without the arena; views too, as they are of other memory."""
        units = iter(self.placing.units)
        while next(units) is not done:
            pass
        for unit in units:
            if isinstance(unit.plain, FusedStep):
                unit.plain.run_loop(values, found, None, _to_end(unit.plain, unit.results[0]))
            else:
                unit.plain.run(values, found)

    def _poison(self, unit: Unit, byte: int) -> None:
        plan = self.placing.plan
        for index, start in plan.storage_offsets.items():
            storage = plan.liveness.storages[index]
            if unit.first < storage.last <= unit.last + 1:
                self.memory[start : start + storage.size] = byte

    # Binding

    def _bytes(self, index: int) -> np.ndarray | None:
        """The memory of a storage, if it lies in the arena."""
        plan = self.placing.plan
        start = plan.storage_offsets.get(index)
        if start is None:
            return None
        return self.memory[start : start + plan.liveness.storages[index].size]

    def _target(self, unit: Unit, tensor: Tensor) -> Target:
        space = self._bytes(self.placing.plan.liveness.of[tensor])
        over = None if unit.over is None else self._slots[unit.over]
        if space is None:
            return Target(tensor, None, over)
        dtype, shape = tensor.dtype.numpy, shape_of(tensor)
        array = np.ndarray(shape, dtype, space.data, 0, self.placing.layouts[tensor])
        self._arrays[tensor] = array
        return Target(tensor, array, over)

    def _spaces(self, unit: Unit) -> tuple[np.ndarray, ...]:
        found = [self._bytes(index) for index in unit.spaces]
        return tuple([np.empty(0, np.uint8) if one is None else one for one in found])

    def _bound(self, unit: Unit) -> Bound | None:
        """A unit with its arrays; None if there is nothing to do in a run."""
        plain, layouts = unit.plain, self.placing.layouts
        targets = () if unit.kind in ("constant", "view", "outside") else self._targets(unit)
        if isinstance(plain, FusedStep):
            tensor = unit.results[0]
            (memory,) = self._spaces(unit)
            over = unit.over is not None
            write = self._slots[tensor]
            return _Loop(plain, tensor, write, targets[0], memory, layouts[tensor], over, self.facts)
        if unit.kind == "constant":
            self._arrays[unit.results[0]] = plain.node.attrs.value
            return None
        if unit.kind == "view" and self._views(plain.node):
            return None
        if unit.kind == "reference":
            lies = tuple([layouts[tensor] for tensor in unit.results])
            return _Reference(plain, targets, lies, self.facts)
        if unit.whole is None:
            return _Plain(plain)
        compute, write = unit.whole.run, plain.writes[0]
        outside = tuple([slot for slot, one in zip(plain.reads, plain.node.inputs) if self._ends(one, unit)])
        return _Kernel(
            plain.node, compute, plain.reads, write, targets[0], self._spaces(unit), tuple(outside)
        )

    def _targets(self, unit: Unit) -> tuple[Target, ...]:
        return tuple([self._target(unit, tensor) for tensor in unit.results])

    def _ends(self, tensor: Tensor, unit: Unit) -> bool:
        """Whether a tensor outside of the arena is read last by a unit, so that it can be let go."""
        return (
            tensor not in self._arrays
            and isinstance(unit.plain, Step)
            and self._slots[tensor] in unit.plain.frees
        )

    def _views(self, node: Node) -> bool:
        """Make the views of an array in the arena once and for all; False if it does not lie there."""
        source = self._arrays.get(node.inputs[0])
        if source is None:
            return False
        made = node.op.reference(source, **node.attrs)
        self._arrays.update(zip(node.outputs, made if isinstance(made, tuple) else (made,)))
        return True


class Arenas:
    """The arenas of a program: one that is kept, and more while several threads run it.

    Arguments:
        make: plans the program, given the layouts of results that are not as assumed.
        slots: the positions of tensors in the list of values.
    """

    def __init__(
        self, make: Callable[[Mapping[Tensor, Strides]], Placing], slots: Mapping[Tensor, int]
    ) -> None:
        self._make, self._slots = make, slots
        self._lock = threading.Lock()
        self._placing: Placing | None = None
        self._idle: Arena | None = None
        self._facts: dict[Tensor, Strides] = {}

    @property
    def placing(self) -> Placing:
        """The plan, made on first use."""
        with self._lock:
            if self._placing is None:
                self._placing = self._make(self._facts)
            return self._placing

    def run(
        self, arguments: list[tuple[int, np.ndarray]], poison: int | None
    ) -> tuple[list[Any], frozenset[int]]:
        """The values after a run, and which outputs have arrays of their own."""
        placing = self.placing
        with self._lock:
            arena, self._idle = self._idle, None
        if arena is None or arena.placing is not placing:
            arena = Arena(placing, self._slots)
        values = arena.values.copy()
        for slot, value in arguments:
            values[slot] = value
        expected = arena.run(values, {}, poison)
        with self._lock:
            if not expected:
                self._learn(arena)
            elif self._placing is placing:
                self._idle = arena
        return values, placing.private if expected else frozenset()

    def _learn(self, arena: Arena) -> None:
        """Plan anew with what a run has shown."""
        self._facts = {**self._facts, **arena.facts}
        self._placing = self._idle = None
