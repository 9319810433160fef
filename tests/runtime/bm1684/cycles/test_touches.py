"""The ranges that commands touch are those that the simulator notes when it runs them."""

from __future__ import annotations

import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.cycles import bank_conflicts, shared_bank_seconds, timeline, touches
from graphflow.runtime.bm1684.cycles.touches import hull
from graphflow.runtime.bm1684.simulator import ChipFault
from graphflow.runtime.bm1684.simulator.machine import execute
from graphflow.runtime.bm1684.simulator.memory import Access
from graphflow.runtime.bm1684.simulator.order import _box
from tests.runtime.bm1684.cycles.program import program
from tests.runtime.bm1684.record_vectors import FAMILIES
from tests.runtime.bm1684.scene import scatter
from tests.runtime.bm1684.test_vectors import memory, recorded

SLACK = 128
"""Bytes by which a range may reach further, where the last part of a word or unit is not used."""


def noted(accesses: list[Access], write: bool) -> tuple[int, int] | None:
    boxes = [_box(access) for access in accesses if access.space == "local" and access.write is write]
    return (min(box[1] for box in boxes), max(box[2] for box in boxes)) if boxes else None


@pytest.mark.parametrize("family", FAMILIES)
def test_ranges_are_those_of_the_simulator(family: str) -> None:
    chip, seen = memory(), 0
    for name, scene in recorded(family).items():
        scatter(scene.before, chip.local.data, chip.l2.data, chip.ddr.data)
        scatter(scene.written.astype("u1"), chip.local.written, chip.l2.written, chip.ddr.written)
        for command in scene.commands:
            accesses = execute(chip, command)
            for write in (False, True):
                theirs, ours = noted(accesses, write), hull(touches(command), write)
                told = f"{name}: {isa.disassemble(command)}"
                assert (theirs is None) == (ours is None), told
                if theirs is not None and ours is not None:
                    assert ours[0] == theirs[0], told
                    assert theirs[1] <= ours[1] < theirs[1] + SLACK, told
                    seen += 1
    assert seen or family == "transfer_fills"


def test_what_is_not_aligned_is_refused() -> None:
    where = isa.Operand(0x0800_0004)
    command = isa.SpecialFunction(
        operation=isa.Operation.TO_INTEGER, source=where, result=where, shape=isa.Shape()
    )
    with pytest.raises(ChipFault, match="aligned"):
        touches(command)


def test_buffers_in_banks_of_their_own_do_not_meet() -> None:
    made = timeline([program(4)])
    assert bank_conflicts(made) == [0.0] * 8 and shared_bank_seconds(made) == 0.0


def test_engines_that_meet_in_a_bank_are_timed() -> None:
    shape = isa.Shape(1, 64, 32, 32)
    where = isa.Operand(0x0800_0000)
    add = isa.Operation.ADD
    computed = isa.Arithmetic(id=1, operation=add, shape=shape, left=where, right=where, result=where)
    beside = isa.TensorTransfer(
        id=1,
        direction=isa.Direction.LOAD,
        source=1 << 32,
        destination=0x0800_0000 + 0xF000,  # ends where the next bank begins
        source_shape=shape,
        destination_shape=shape,
    )
    from graphflow.runtime.bm1684.cycles import Stream

    made = timeline([Stream([computed], [beside])])
    shorter = min(span.seconds for span in made.spans)
    assert bank_conflicts(made) == [shorter] + [0.0] * 7
    assert shared_bank_seconds(made) == shorter
