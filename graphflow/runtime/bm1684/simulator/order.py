"""What may run when: the ids for which commands wait, orders that obey them, and races that they allow.

Each engine runs its commands in order. A command starts when the command of the other engine whose id it
names is complete; nothing else keeps the engines apart.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.runtime.bm1684.chip import LANE_BYTES, place
from graphflow.runtime.bm1684.isa import Command, disassemble
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.memory import Access

ORDERS = ("together", "tiu first", "gdma first", "random")
"""Orders in which a group can be replayed; all obey the ids."""


def check_ids(commands: Sequence[Command], others: int) -> None:
    """Raises ChipFault unless ids count 1, 2, 3, ..., and none waits for what does not come."""
    for number, command in enumerate(commands, 1):
        if command.id != number:
            raise ChipFault(
                "order", f"a command has the id {command.id}", hint=f"it is number {number} of its engine"
            ).of(disassemble(command))
        if command.wait > others:
            raise ChipFault(
                "order",
                f"it waits for command {command.wait} of an engine that runs {others}",
                hint="wait for a command of the same group",
            ).of(disassemble(command))


def ordered(
    tiu: Sequence[Command], gdma: Sequence[Command], order: str = "together", seed: int = 0
) -> Iterator[Command]:
    """The commands of both engines in an order that obeys the ids.

    Arguments:
        order: "together" alternates as far as it can; "tiu first" and "gdma first" let one engine run
            ahead as far as it may; "random" draws.
        seed: of what is drawn.

    Raises:
        ChipFault: if each engine waits for the other, or an id is out of turn.
        AttributeValueError: if there is no such order.
    """
    if order not in ORDERS:
        raise AttributeValueError(f"there is no order {order!r}", hint=f"one of {', '.join(ORDERS)}")
    check_ids(tiu, len(gdma))
    check_ids(gdma, len(tiu))
    streams, done, turn = (tiu, gdma), [0, 0], 0
    draw = random.Random(seed)
    while done[0] < len(tiu) or done[1] < len(gdma):
        ready = [
            engine
            for engine in (0, 1)
            if done[engine] < len(streams[engine]) and streams[engine][done[engine]].wait <= done[1 - engine]
        ]
        if not ready:
            stuck = [disassemble(stream[at]) for stream, at in zip(streams, done) if at < len(stream)]
            raise ChipFault(
                "order", f"the engines wait for each other: {'; '.join(stuck)}", hint="break the circle"
            )
        wanted = {"together": 1 - turn, "tiu first": 0, "gdma first": 1}.get(order)
        turn = draw.choice(ready) if wanted is None else wanted if wanted in ready else ready[0]
        yield streams[turn][done[turn]]
        done[turn] += 1


Executed = Sequence[tuple[Command, Sequence[Access]]]


def check_races(tiu: Executed, gdma: Executed) -> None:
    """Raises ChipFault if two commands that may run at the same time touch what one of them writes."""
    waits = list(accumulate((command.wait for command, _ in gdma), max))
    known = 0
    for command, accesses in tiu:
        known = max(known, command.wait)
        for other, others in gdma[known : bisect_left(waits, command.id)]:
            met = meeting(accesses, others)
            if met is None:
                continue
            verb = "writes" if met[0].write else "reads"
            raise ChipFault(
                "order",
                f"tiu {command.id} {verb} {_where(met[0])} and gdma {other.id} "
                f"{'writes' if met[1].write else 'reads'} it, and neither waits for the other",
                hint=f"let one wait: tiu {command.id} for gdma {other.id}, or the other way round",
            ).of(f"{disassemble(command)}, with {disassemble(other)}")


def meeting(left: Sequence[Access], right: Sequence[Access]) -> tuple[Access, Access] | None:
    """A pair of accesses that share a byte and of which one writes."""
    for one in left:
        for two in right:
            if (one.write or two.write) and one.space == two.space and overlap(one, two):
                return one, two
    return None


def _box(access: Access) -> tuple[range, int, int]:
    """The lanes of an access, and its first byte in each and the one behind its last."""
    if access.space != "local":
        return range(1), access.start, access.end
    lane, start = divmod(access.start, LANE_BYTES)
    lanes, reach = 1, access.width
    for size, stride in zip(access.sizes, access.strides):
        if stride == LANE_BYTES:
            lanes = size
        else:
            reach += (size - 1) * stride
    return range(lane, lane + lanes), start, start + reach


def overlap(one: Access, two: Access) -> bool:
    """Whether two accesses of one memory share a byte."""
    (lanes, low, high), (others, start, end) = _box(one), _box(two)
    if max(low, start) >= min(high, end) or max(lanes[0], others[0]) > min(lanes[-1], others[-1]):
        return False
    if _dense(one, high - low) and _dense(two, end - start):
        return True
    return bool(np.intersect1d(_in_lane(one), _in_lane(two)).size)


def _dense(access: Access, reach: int) -> bool:
    """Whether an access touches every byte between its first and last in a lane."""
    count = access.width
    for size, stride in zip(access.sizes, access.strides):
        if stride and not (access.space == "local" and stride == LANE_BYTES):
            count *= size
    return count == reach


def _in_lane(access: Access) -> np.ndarray:
    """The offsets of all bytes that are touched in the first lane."""
    sizes, strides = access.sizes, access.strides
    start = access.start
    if access.space == "local":
        start %= LANE_BYTES
        kept = [index for index, stride in enumerate(strides) if stride != LANE_BYTES]
        sizes, strides = tuple(sizes[i] for i in kept), tuple(strides[i] for i in kept)
    return access._replace(start=start, sizes=sizes, strides=strides).cells()


def _where(access: Access) -> str:
    bases = {"local": 0x0800_0000, "l2": 0x1000_0000, "ddr": 0x1_0000_0000}
    return place(bases[access.space] + access.start)
