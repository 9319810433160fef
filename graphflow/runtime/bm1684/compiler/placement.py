"""Offsets: of buffers in local memory over the steps of a schedule, and of values and coefficients in DDR.

Both are problems for the memory planner. Where a schedule loads so far ahead that its buffers cannot be
placed, another one with less memory for loads ahead takes its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import Banks, allocate
from graphflow.optimizer.memory.buffers import Buffer as Planned
from graphflow.runtime.bm1684.chip import ALIGNMENT, BANK_BYTES, COEFFICIENT_BASE, LANE_BYTES
from graphflow.runtime.bm1684.compiler.banks import between_engines, meetings, settle, within_steps
from graphflow.runtime.bm1684.compiler.errors import TooLarge
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient
from graphflow.runtime.bm1684.compiler.schedule import Costs, Schedule, buffers_of, demand, schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer, Step
from graphflow.runtime.bm1684.compiler.tensors import Value, round_up

PAGE = 4096
"""Blocks of DDR begin at multiples of so many bytes."""

_SHARES = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 1.0)
"""Shares of local memory that loads ahead may fill."""

_ALIKE = 1e-4
"""Schedules whose times differ by less than this part are alike: that with more free memory comes first."""

_STATES = 48_000
"""How long the planner searches before less is loaded ahead: a second or two for hundreds of buffers."""

_STATES_APART = 500
"""How long it searches for places where what meets lies apart; where there are such they are found soon."""


def place_locally(steps: Sequence[Step], costs: Costs) -> tuple[Schedule, dict[Buffer, int]]:
    """A schedule whose buffers fit into local memory, and their offsets.

    Raises:
        TooLarge: naming the step whose buffers do not fit even if nothing is loaded ahead.
    """
    needed = demand(steps)
    if len(needed) and needed.max() > LANE_BYTES:
        worst = int(needed.argmax())
        raise TooLarge(steps[worst].layer, int(needed[worst]))
    for made in _schedules(steps, costs):
        offsets = _offsets(steps, made)
        if offsets is not None:
            return made, offsets
    raise TooLarge(steps[int(needed.argmax())].layer, int(needed.max()))


def _schedules(steps: Sequence[Step], costs: Costs) -> list[Schedule]:
    """Schedules with more or less memory for loads ahead: the fastest first, of alike ones the smallest."""
    made = [schedule(steps, costs, int(LANE_BYTES * share)) for share in _SHARES]
    alike = _ALIKE * min([one.seconds for one in made]) or 1.0  # nothing to do takes no time
    return sorted(made, key=lambda one: round(one.seconds / alike))


def _offsets(steps: Sequence[Step], made: Schedule) -> dict[Buffer, int] | None:
    """Places that fit: such where what meets lies apart if there are some, else the best of a search."""
    buffers = buffers_of(steps)
    plain = _fitting(buffers, made, ())
    if plain is None:
        return None
    found = meetings(made)
    pairs = between_engines(found)
    for apart in (pairs + within_steps(steps), pairs):
        offsets = _fitting(buffers, made, apart, _STATES_APART)
        if offsets is not None:
            return offsets
    return settle(made, plain, found)


def _fitting(
    buffers: Sequence[Buffer],
    made: Schedule,
    apart: Sequence[tuple[Buffer, Buffer]],
    states: int = _STATES,
) -> dict[Buffer, int] | None:
    """Places within local memory, where certain pairs of buffers have no bank in common."""
    numbers = {buffer: number for number, buffer in enumerate(buffers)}
    planned = [
        Planned(number, first, last + 1, buffer.bytes, alignment=ALIGNMENT)
        for buffer, number in numbers.items()
        for first, last in [made.lives[buffer]]
    ]
    pairs = [(numbers[one], numbers[other]) for one, other in apart]
    banks = Banks(BANK_BYTES, within=False, apart=pairs) if pairs else None
    try:
        found = allocate(planned, LANE_BYTES, states=states, banks=banks)
    except MemoryPlanError:
        return None
    return {buffer: found.offsets[number] for buffer, number in numbers.items()}


class Constants:
    """The data of coefficients and constant values, each stored once; stages share it.

    Attributes:
        coefficients, values: where each begins.
        data: the bytes from `COEFFICIENT_BASE` on.
    """

    def __init__(self) -> None:
        self.coefficients: dict[Coefficient, int] = {}
        self.values: dict[Value, int] = {}
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, steps: Sequence[Step], outputs: Sequence[Value]) -> None:
        """Place what a stage needs and what has no place yet."""
        for buffer in buffers_of(steps):
            if buffer.load is not None and isinstance(buffer.load.source, Coefficient):
                if buffer.load.source not in self.coefficients:
                    self.coefficients[buffer.load.source] = self._put(buffer.load.source.data)
        for value in [*[one for step in steps for one in _in_ddr(step)], *[one.root for one in outputs]]:
            if value.data is not None and value not in self.values:
                self.values[value] = self._put(value.data)

    def _put(self, data: np.ndarray) -> int:
        raw = np.ascontiguousarray(data, np.float32).tobytes()
        digest = hashlib.sha256(raw).digest()
        if digest not in self._known:
            self._known[digest] = COEFFICIENT_BASE + len(self.data)
            self.data += raw + bytes(-len(raw) % ALIGNMENT)
        return self._known[digest]


@dataclass(slots=True)
class Ddr:
    """Where everything lies in DDR.

    Attributes:
        values: addresses of values by their roots.
        coefficients: addresses of coefficients.
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


def place_in_ddr(
    steps: Sequence[Step], inputs: Sequence[Value], outputs: Sequence[Value], constants: Constants
) -> Ddr:
    """Addresses for all that lies in DDR: behind the constants the context, which the planner packs.

    Inputs and outputs keep their place from the first step to the last.
    """
    made = Ddr(dict(constants.values), constants.coefficients, bytes(constants.data))
    made.context = round_up(COEFFICIENT_BASE + len(constants.data), PAGE)
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
