"""`plan_program`: an order, and an offset for every intermediate value of a program with static shapes.

What is passed in (feeds, variables), constants, and what is returned have memory of their own and
are counted beside the arena, which holds only what lives and dies inside a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphflow.errors import MemoryPlanError
from graphflow.ir.node import Node
from graphflow.optimizer.memory.allocate import allocate
from graphflow.optimizer.memory.buffers import LARGEST, Allocation, Arena, Buffer
from graphflow.optimizer.memory.liveness import Liveness, Storage, analyse, byte_size
from graphflow.optimizer.memory.picture import MOST_DRAWN, memory_svg
from graphflow.optimizer.program import Program

ALIGNMENT = 64  # a cache line, and what vector units and XLA ask for


@dataclass(frozen=True)
class MemoryPlan:
    """Where the intermediate values of a program lie.

    Attributes:
        offsets: for each tensor in the arena, by name (`node:0`), its offset; views and results
            written in place have the offset of what they share.
        arena_bytes: the size of the arena.
        lower_bound_bytes: the largest sum of live bytes in this order; no offsets can do better.
        order: the nodes as they run.
        naive_bytes: the arena if every value had memory of its own for the whole run.
        argument_bytes, constant_bytes, output_bytes: what is passed in, built in, and returned.
        in_place: names of the nodes that write over their input.
        peak: the position in `order` at which most is live.
        liveness: the storages behind the offsets.
        beside_bytes: the most that one node needs outside of the arena while it runs, such as a result that
            is made elsewhere and copied to its place.
        storage_offsets: the offsets by the positions of the storages.
        alignment: of every offset.
    """

    offsets: dict[str, int] = field(repr=False)
    arena_bytes: int
    lower_bound_bytes: int
    order: tuple[Node, ...] = field(repr=False)
    naive_bytes: int
    argument_bytes: int
    constant_bytes: int
    output_bytes: int
    in_place: tuple[str, ...] = field(repr=False)
    peak: int
    liveness: Liveness = field(repr=False)
    beside_bytes: int = 0
    storage_offsets: Mapping[int, int] = field(default_factory=dict, repr=False)
    alignment: int = ALIGNMENT

    @property
    def gap(self) -> float:
        """How far the arena is above the bound, as a fraction of the bound."""
        return self.arena_bytes / self.lower_bound_bytes - 1 if self.lower_bound_bytes else 0.0

    @property
    def total_bytes(self) -> int:
        """All memory of a run: arguments, constants, outputs, the arena, and what is needed beside it."""
        kept = self.argument_bytes + self.constant_bytes + self.output_bytes
        return kept + self.arena_bytes + self.beside_bytes

    def placed(self) -> dict[str, tuple[Storage, int]]:
        """What lies in the arena and at which offset, by the name of its first value."""
        found: dict[str, tuple[Storage, int]] = {}
        times: dict[str, int] = {}
        for index, offset in self.storage_offsets.items():
            storage = self.liveness.storages[index]
            times[storage.name] = times.get(storage.name, 0) + 1
            again = f" ({times[storage.name]})" if times[storage.name] > 1 else ""
            found[storage.name + again] = storage, offset
        return found

    def buffers(self) -> list[Buffer]:
        """What lies in the arena, as `allocate` takes it."""
        return [
            Buffer(name, storage.first, storage.last, storage.size, self.alignment)
            for name, (storage, _) in self.placed().items()
        ]

    def allocation(self) -> Allocation:
        """Where the `buffers` lie, as `certify` takes it."""
        bound = self.lower_bound_bytes
        offsets = {name: offset for name, (_, offset) in self.placed().items()}
        arenas = {"main": Arena(self.arena_bytes, bound, self.peak, bound)} if offsets else {}
        return Allocation(offsets, self.arena_bytes, bound, arenas)

    def _repr_svg_(self) -> str:
        """The picture, where a notebook shows the plan."""
        return memory_svg(self.buffers(), self.allocation(), most=MOST_DRAWN)

    def live_at_peak(self) -> list[Storage]:
        """The temporaries that are live at the peak, largest first."""
        live = [
            storage
            for storage in self.liveness.storages
            if storage.kind == "temporary" and storage.size and storage.first <= self.peak < storage.last
        ]
        return sorted(live, key=lambda storage: (-storage.size, storage.first))


def plan_program(
    program: Program,
    order: Sequence[Node] | None = None,
    *,
    in_place: bool = True,
    alignment: int = ALIGNMENT,
    capacity: int | None = None,
    seconds: float | None = None,
    states: int | None = None,
) -> MemoryPlan:
    """Plan the memory of a program.

    Arguments:
        program: with static shapes.
        order: the nodes in the order in which they run; that of `program.order()` by default.
        in_place: let operators that can write over a dying input do so.
        alignment: of every offset.
        capacity, seconds, states: see `allocate`.

    Raises:
        MemoryPlanError: for symbolic sizes, or if the arena cannot be kept within the capacity.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = gf.placeholder("x", (1000,))
    >>> y = gf.exp(x)
    >>> plan = plan_program(extract([gf.add(y, gf.exp(y))], feeds=[x]))
    >>> plan.arena_bytes, plan.output_bytes, plan.in_place
    (4000, 4000, ('add',))
    """
    nodes = tuple(program.order() if order is None else order)
    liveness = analyse(nodes, program.outputs, in_place)
    return plan_liveness(liveness, alignment, capacity, seconds, states=states)


def plan_liveness(
    liveness: Liveness,
    alignment: int = ALIGNMENT,
    capacity: int | None = None,
    seconds: float | None = None,
    *,
    naive_bytes: int | None = None,
    beside_bytes: int = 0,
    states: int | None = None,
) -> MemoryPlan:
    """The plan for storages whose lifetimes are known.

    Arguments:
        alignment, capacity, seconds, states: see `plan_program`.
        naive_bytes, beside_bytes: see `MemoryPlan`; the former is counted from the storages by default.
    """
    _check_total(liveness)
    buffers = [
        Buffer(index, storage.first, storage.last, storage.size, alignment)
        for index, storage in enumerate(liveness.storages)
        if storage.kind == "temporary"
    ]
    allocation = allocate(buffers, capacity, seconds, states=states)
    offsets = {
        tensor.name: offset
        for index, offset in sorted(allocation.offsets.items())
        for tensor in liveness.storages[index].tensors
    }
    arena = allocation.arenas.get("main")
    return MemoryPlan(
        offsets,
        allocation.arena_bytes,
        allocation.lower_bound_bytes,
        liveness.order,
        _naive_bytes(liveness, alignment) if naive_bytes is None else naive_bytes,
        _sum(liveness, "argument"),
        _sum(liveness, "constant"),
        _sum(liveness, "output") + liveness.copied_bytes,
        tuple(node.name for node in liveness.in_place),
        arena.peak_instant if arena else 0,
        liveness,
        beside_bytes,
        allocation.offsets,
        alignment,
    )


def _check_total(liveness: Liveness) -> None:
    """Raise if the sizes add up to more than the planner counts, naming the largest."""
    storages = [storage for storage in liveness.storages if storage.kind == "temporary"]
    if sum(storage.size for storage in storages) > LARGEST:
        largest = max(storages, key=lambda storage: storage.size)
        raise MemoryPlanError(
            f"intermediate values add up to more than 2**60 bytes; {largest.name} alone has {largest.size}",
            hint="no machine has that much: make its sizes smaller",
            origin=largest.maker.origin,
        )


def _sum(liveness: Liveness, kind: str) -> int:
    return sum(storage.size for storage in liveness.storages if storage.kind == kind)


def _naive_bytes(liveness: Liveness, alignment: int) -> int:
    """Memory for every temporary value, views not counted, nothing reused."""
    total = 0
    for storage in liveness.storages:
        if storage.kind == "temporary":
            if not storage.tensors:
                total += -(-storage.size // alignment) * alignment
            for tensor in storage.tensors:
                if "view" not in tensor.node.op.traits or tensor is storage.tensors[0]:
                    total += -(-byte_size(tensor) // alignment) * alignment
    return total
