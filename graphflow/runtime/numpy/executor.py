"""NumpyExecutable: a program as a flat list of steps over slots, in an arena or freeing as it goes along.

Results are arrays of their own: what a reference returns may be an argument, a constant or a view
of either, and such a value is copied before it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphflow.errors import BackendError
from graphflow.ir import dims
from graphflow.ir.found_sizes import found_in
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.plan import MemoryPlan
from graphflow.optimizer.program import Program
from graphflow.runtime.numpy.arena import Arenas
from graphflow.runtime.numpy.fused import BLOCK_BYTES, FusedStep, fused_step, in_regions
from graphflow.runtime.numpy.layouts import Strides
from graphflow.runtime.numpy.placing import Placing, place
from graphflow.runtime.numpy.steps import Step

_OUTSIDE = ("placeholder", "variable", "session_key")


class NumpyExecutable:
    """A program that runs by the references of its operators, and by kernels in the loops of its regions.

    Arguments:
        program: what to run; the pass `fuse` finds its regions.
        block_bytes: the size of a block of those loops.
        in_arena: whether it runs inside of one planned allocation, which is kept from run to run; as the
            program says (`Program.in_arena`) by default.

    Attributes:
        program: what it runs.
        updated, kept: names of the variables it updates, and of those it only reads.
        uses_key: whether random operators need the session's key.
        poison: a byte that fills the memory of dead values, so that a wrong plan shows; None for none.
    """

    poison: int | None = None

    def __init__(
        self, program: Program, block_bytes: int = BLOCK_BYTES, in_arena: bool | None = None
    ) -> None:
        order = program.order()
        self.program = program
        self.updated = tuple(program.updated)
        read = {node.name: node.output for node in order if node.op.name == "variable"}
        self.kept = tuple(name for name in read if name not in set(self.updated))
        keys = [node.output for node in order if node.op.name == "session_key"]
        self.uses_key = bool(keys)
        _check_sources(program, order)
        self._slots: dict[Tensor, int] = {}
        slot = self._slot
        self._feeds = [slot(tensor) for tensor in program.feeds]
        self._updated = [slot(read[name]) if name in read else None for name in self.updated]
        self._kept = [slot(read[name]) for name in self.kept]
        self._keys = [slot(tensor) for tensor in keys]
        self._steps = self._plan(order, block_bytes)
        self._outputs = [slot(tensor) for tensor in program.outputs]
        sources = [node for node in order if node.op.name in _OUTSIDE]
        wanted = program.in_arena if in_arena is None else in_arena
        self._arenas = Arenas(partial(self._place, sources), self._slots) if wanted else None

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Run once: (values of `updated`, of `kept`, feeds in program order, the session's key) ->
        (fetches, new values of `updated`), arrays that alias neither the arguments nor one another.

        Raises:
            BackendError: if an operator fails, naming the node and the user's line.
        """
        arguments = [
            (slot, np.asarray(value))
            for slot, value in (
                *zip(self._feeds, feeds, strict=True),
                *zip(self._updated, updated, strict=True),
                *zip(self._kept, kept, strict=True),
                *((slot, key) for slot in self._keys),
            )
            if slot is not None
        ]
        taken = {id(value) for _, value in arguments}
        private: frozenset[int] = frozenset()
        with np.errstate(all="ignore"):
            if self._arenas is not None and all([value.flags.c_contiguous for _, value in arguments]):
                values, private = self._arenas.run(arguments, self.poison)
            else:
                values = self._run_plainly(arguments)
        for number in private:
            own = values[self._outputs[number]]
            taken.update((id(own), id(own.base)))
        results = [
            values[slot] if number in private else _owned(values[slot], taken)
            for number, slot in enumerate(self._outputs)
        ]
        count = self.program.fetch_count
        return results[:count], results[count:]

    def memory(self) -> dict[str, int]:
        """The bytes of the arena, and of what operators need beside it; {} without one."""
        plan = self.plan
        return {} if plan is None else {"arena": plan.arena_bytes, "beside it": plan.beside_bytes}

    @property
    def plan(self) -> MemoryPlan | None:
        """The plan of the arena that it runs in; None without one."""
        return None if self._arenas is None else self._arenas.placing.plan

    def _run_plainly(self, arguments: list[tuple[int, np.ndarray]]) -> list[Any]:
        """The values after a run in which each is freed after its last use."""
        values: list[Any] = [None] * len(self._slots)
        for slot, value in arguments:
            values[slot] = value
        found: dict[str, int] = {}
        for step in self._steps:
            step.run(values, found)
        return values

    def _place(self, sources: Sequence[Node], facts: Mapping[Tensor, Strides]) -> Placing:
        return place(sources, self._steps, self.program.outputs, facts)

    def _slot(self, tensor: Tensor) -> int:
        return self._slots.setdefault(tensor, len(self._slots))

    def _plan(self, order: Sequence[Node], block_bytes: int) -> list[Step | FusedStep]:
        nodes = _after_their_sizes([node for node in order if node.op.name not in _OUTSIDE])
        nodes, ends = in_regions(nodes, self.program.regions)
        last = {tensor: position for position, node in enumerate(nodes) for tensor in node.inputs}
        plain: list[Step] = []
        steps: list[Step | FusedStep] = []
        kept = set(self.program.outputs)
        for position, node in enumerate(nodes):
            reads = tuple([self._slot(tensor) for tensor in node.inputs])
            writes = tuple([self._slot(tensor) for tensor in node.outputs])
            done = {tensor: None for tensor in node.inputs if last[tensor] == position}
            done.update((tensor, None) for tensor in node.outputs if tensor not in last)
            frees = tuple([self._slot(tensor) for tensor in done if tensor not in kept])
            plain.append(Step(node, reads, writes, frees, _needed_sizes(node)))
            steps.append(plain[-1])
            region = ends.get(node)
            if region is not None:
                count = len(region.nodes)
                steps[-count:] = [fused_step(region, plain[-count:], self._slots, block_bytes)]
        return steps


def _needed_sizes(node: Node) -> tuple[str, ...]:
    """The found sizes in the attributes of a node, but for those that it finds itself."""
    size = node.attrs["size"] if node.op.finds_size else ()
    own = dims.symbols_of(size if isinstance(size, tuple) else (size,))
    return tuple(dict.fromkeys(name for name in found_in(node) if name not in own))


def _after_their_sizes(nodes: list[Node]) -> list[Node]:
    """The nodes, those that need a found size put off until it is found."""
    if not any(_needed_sizes(node) for node in nodes):
        return nodes
    made: list[Node] = []
    found: set[str] = set()
    known = {tensor for node in nodes for tensor in node.outputs}
    waiting = nodes
    while waiting:
        later: list[Node] = []
        for node in waiting:
            ready = found.issuperset(_needed_sizes(node)) and not known.intersection(node.inputs)
            (made if ready else later).append(node)
            if ready:
                known.difference_update(node.outputs)
                found.update(found_in(node))
        if len(later) == len(waiting):
            raise BackendError(
                f"nothing finds the size {_needed_sizes(later[0])[:1]} of {later[0].name!r}",
                hint="fetch it together with what finds it",
                origin=later[0].origin,
            )
        waiting = later
    return made


def _check_sources(program: Program, order: Sequence[Node]) -> None:
    """Raise if the program reads a value from outside that no call passes in."""
    fed = {tensor.node for tensor in program.feeds}
    for node in order:
        outside = "nullary_input" in node.op.traits
        if outside and node not in fed and node.op.name not in ("variable", "session_key"):
            raise BackendError(
                f"the program needs {node.op.name} {node.name!r}, which is not among its feeds",
                hint="feed it",
                origin=node.origin,
            )


def _owned(value: np.ndarray, taken: set[int]) -> np.ndarray:
    """The array itself if it is fresh, whole and writeable and not given away yet, else a copy."""
    if value.flags.owndata and value.flags.writeable and id(value) not in taken:
        taken.add(id(value))
        return value
    return np.array(value, order="C", copy=True)
