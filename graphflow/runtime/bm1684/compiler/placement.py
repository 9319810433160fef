"""Offsets: of buffers in local memory over the steps of a schedule, and of values and coefficients in DDR.

Both are problems for the memory planner. Where a schedule loads so far ahead that its buffers cannot be placed,
it is made again with less memory for loads ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import allocate
from graphflow.optimizer.memory.buffers import Buffer as Planned
from graphflow.runtime.bm1684.chip import ALIGNMENT, BANK_BYTES, COEFFICIENT_BASE, LANE_BYTES
from graphflow.runtime.bm1684.compiler.errors import TooLarge
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient
from graphflow.runtime.bm1684.compiler.schedule import Costs, Schedule, buffers_of, demand, schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer, Step
from graphflow.runtime.bm1684.compiler.tensors import Value, round_up

PAGE = 4096
"""Blocks of DDR begin at multiples of so many bytes."""

_SHARES = (1.0, 0.97, 0.94, 0.9, 0.85, 0.8, 0.7, 0.5, 0.0)
"""Shares of local memory that loads ahead may fill, tried one after the other."""


def place_locally(steps: Sequence[Step], costs: Costs) -> tuple[Schedule, dict[Buffer, int]]:
    """A schedule whose buffers fit into local memory, and their offsets.

    Raises:
        TooLarge: naming the step whose buffers do not fit even if nothing is loaded ahead.
    """
    needed = demand(steps)
    if len(needed) and needed.max() > LANE_BYTES:
        worst = int(needed.argmax())
        raise TooLarge(steps[worst].layer, int(needed[worst]))
    for share in _SHARES:
        made = schedule(steps, costs, int(LANE_BYTES * share))
        offsets = _offsets(buffers_of(steps), made)
        if offsets is not None:
            return made, offsets
    raise TooLarge(steps[int(needed.argmax())].layer, int(needed.max()))


def _offsets(buffers: Sequence[Buffer], made: Schedule) -> dict[Buffer, int] | None:
    planned = []
    for index, buffer in enumerate(buffers):
        first, last = made.lives[buffer]
        planned.append(Planned(index, first, last + 1, buffer.bytes, alignment=ALIGNMENT))
    try:
        found = allocate(planned, LANE_BYTES)
    except MemoryPlanError:
        return None
    return {buffer: found.offsets[index] for index, buffer in enumerate(buffers)}


@dataclass(slots=True)
class Ddr:
    """Where everything lies in DDR.

    Attributes:
        values: addresses of values by their roots.
        coefficients: addresses of coefficients, and of values that are constant.
        data: the bytes from `COEFFICIENT_BASE` on.
        context, context_bytes: where what is computed begins, and its size.
        lower_bound: the smallest that the context could be.
    """

    values: dict[Value, int] = field(default_factory=dict)
    coefficients: dict[Coefficient, int] = field(default_factory=dict)
    data: bytes = b""
    context: int = COEFFICIENT_BASE
    context_bytes: int = 0
    lower_bound: int = 0

    def address(self, value: Value) -> int:
        """Where a value begins."""
        return self.values[value.root]


def place_in_ddr(steps: Sequence[Step], inputs: Sequence[Value], outputs: Sequence[Value]) -> Ddr:
    """Addresses for all that lies in DDR: constants, then the context, which the planner packs.

    Inputs and outputs keep their place from the first step to the last.
    """
    made = Ddr()
    _place_constants(made, steps, outputs)
    always = {value.root for value in (*inputs, *outputs)}
    lives = {value: (0, len(steps)) for value in always if value not in made.values}
    for number, step in enumerate(steps):
        for value in _in_ddr(step):
            if value not in made.values and value not in always:
                lives[value] = (lives.get(value, (number, 0))[0], number)
    planned = [
        Planned(index, first, last + 1, max(value.bytes, 1), alignment=PAGE)
        for index, (value, (first, last)) in enumerate(lives.items())
    ]
    found = allocate(planned)
    for index, value in enumerate(lives):
        made.values[value] = made.context + found.offsets[index]
    made.context_bytes = round_up(max(found.arena_bytes, 1), PAGE)
    made.lower_bound = found.lower_bound_bytes
    return made


def _in_ddr(step: Step) -> Iterable[Value]:
    """The values that a step loads, stores, or moves within DDR; loads ahead come later than their store."""
    for buffer in step.buffers():
        if buffer.load is not None and isinstance(buffer.load.source, Value):
            yield buffer.load.source.root
    for store in step.stores:
        yield store.value.root
    if step.work is None:
        yield from [value.root for value in (*step.layer.inputs, step.layer.output)]


def _place_constants(made: Ddr, steps: Sequence[Step], outputs: Sequence[Value]) -> None:
    parts: list[bytes] = []
    at = COEFFICIENT_BASE
    known: dict[bytes, int] = {}

    def put(data: np.ndarray) -> int:
        nonlocal at
        raw = np.ascontiguousarray(data, np.float32).tobytes()
        if raw not in known:
            known[raw] = at
            parts.append(raw + bytes(-len(raw) % ALIGNMENT))
            at += len(parts[-1])
        return known[raw]

    for buffer in buffers_of(steps):
        if buffer.load is not None and isinstance(buffer.load.source, Coefficient):
            made.coefficients.setdefault(buffer.load.source, 0)
    for coefficient in made.coefficients:
        made.coefficients[coefficient] = put(coefficient.data)
    constants = [value for step in steps for value in _in_ddr(step)] + [value.root for value in outputs]
    for value in dict.fromkeys(constants):
        if value.data is not None:
            made.values[value] = put(value.data)
    made.data = b"".join(parts)
    made.context = round_up(at, PAGE)


def banks(offset: int, size: int) -> range:
    """The banks that bytes of a lane lie in.

    >>> list(banks(60_000, 10_000))
    [0, 1]
    """
    return range(offset // BANK_BYTES, (offset + size - 1) // BANK_BYTES + 1)
