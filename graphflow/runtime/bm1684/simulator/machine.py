"""The simulator: runs commands of both engines on the memories, and checks what waits for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.bmodel import CommandGroup
from graphflow.runtime.bm1684.isa.parts import Tuple
from graphflow.runtime.bm1684.simulator import (
    arithmetic,
    convolution,
    matrix,
    pooling,
    special,
    transfer,
    winograd,
)
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.memory import Access, Memory
from graphflow.runtime.bm1684.simulator.order import check_races, ordered, overlap

_RUN: dict[type[isa.Command], Callable[[Memory, Any], None]] = {
    isa.Arithmetic: arithmetic.arithmetic,
    isa.AveragePool: pooling.average_pool,
    isa.Choose: arithmetic.choose,
    isa.Compare: arithmetic.compare,
    isa.ConvertTransfer: transfer.convert_transfer,
    isa.Convolution: convolution.convolution,
    isa.Copy: arithmetic.copy,
    isa.DepthwiseConvolution: convolution.depthwise,
    isa.Fill: transfer.fill,
    isa.Linear: special.linear,
    isa.LinearCopy: transfer.linear_copy,
    isa.MatrixMultiply: matrix.matrix_multiply,
    isa.MatrixTransfer: transfer.matrix_transfer,
    isa.MaximumPool: pooling.maximum_pool,
    isa.OuterCombine: matrix.outer_combine,
    isa.ScalarArithmetic: arithmetic.scalar_arithmetic,
    isa.Series: special.series,
    isa.SpecialFunction: special.special_function,
    isa.TableLookup: special.lookup,
    isa.TensorTransfer: transfer.tensor_transfer,
    isa.TransposeTransfer: transfer.transpose_transfer,
    isa.WinogradConvolution: winograd.winograd,
}

_IN_PLACE = (isa.Arithmetic, isa.Copy, isa.Choose, isa.Linear, isa.ScalarArithmetic, isa.SpecialFunction)
"""Kinds whose result may be exactly where an operand lies."""


_ESSENTIAL = {"enable": 1, "id_enable": 1, "lanes_low": 0xFFFF_FFFF, "lanes_high": 0xFFFF_FFFF}
"""Fields with which the simulator knows no other value."""

_STRIDED = (isa.Arithmetic, isa.Copy, isa.Choose)
"""Kinds that read stride codes other than 0 and 3 too, and the n, h and w strides of operand 1 always."""


def _check_fields(command: isa.Command) -> None:
    """Raises ChipFault for a field that has an effect on the chip and none here, and for empty tensors."""
    others = dict(command.others)
    strange = [name for name, usual in _ESSENTIAL.items() if others.get(name, usual) != usual]
    if isinstance(command, _STRIDED):
        strange += [name for name in others if name.startswith(("stride_code", "result_stride_code"))]
        strange += [name for name in ("stride1_n", "stride1_h", "stride1_w") if others.get(name) == 0]
    free: tuple[str, ...] = (
        ("left", "right", "result", "source", "value") if isinstance(command, _STRIDED) else ()
    )
    if isinstance(command, isa.Convolution):
        free = ("input", "weights")
    elif isinstance(command, isa.WinogradConvolution):
        free = ("input",)
    for name, _ in command.CODECS:
        if name not in free and getattr(getattr(command, name), "strides", None) is not None:
            raise ChipFault("unsupported", f"its {name} has strides", hint="this kind reads it as aligned")
    if strange:
        raise ChipFault(
            "unsupported",
            f"its field {strange[0]} is {others[strange[0]]:#x}",
            hint="leave it at its usual value; see docs/bm1684-commands.md",
        )
    for name, codec in command.CODECS:
        sized = name.endswith(("shape", "kernel", "step", "dilation")) and isinstance(codec, Tuple)
        if sized and 0 in getattr(command, name):
            raise ChipFault("geometry", f"its {name} has a size of 0", hint="leave the command out")


def execute(memory: Memory, command: isa.Command) -> list[Access]:
    """Run one command; what it read and wrote.

    Raises:
        ChipFault: if the chip must not be given the command.
    """
    memory.accesses = []
    run = _RUN.get(type(command))
    try:
        if run is None:
            raise ChipFault("unsupported", "this kind is not simulated", hint="see docs/bm1684.md")
        _check_fields(command)
        with np.errstate(all="ignore"):
            run(memory, command)
        _check_aliasing(command, memory.accesses)
    except ChipFault as fault:
        raise fault.of(isa.disassemble(command)) from None
    return memory.accesses


def _check_aliasing(command: isa.Command, accesses: Sequence[Access]) -> None:
    """Raises ChipFault if a result lies on an operand other than element upon element."""
    writes = [access for access in accesses if access.write]
    exact = {(access.start, access.sizes, access.strides) for access in writes}
    old = isinstance(command, _IN_PLACE) or getattr(command, "accumulate", False)
    for access in accesses:
        same = (access.start, access.sizes, access.strides) in exact
        if access.write or (same and old):
            continue
        for write in writes:
            if access.space == write.space and overlap(access, write):
                raise ChipFault(
                    "aliasing",
                    "its result lies on an operand",
                    hint="give the result a place of its own; only element upon element is safe, where "
                    "each element is computed from itself",
                )


class Simulator:
    """One chip: memories, and the two engines.

    Arguments:
        ddr_bytes: the size of DDR.

    >>> chip = Simulator()
    >>> chip.memory.set(0x1_0000_0000, np.arange(4, dtype=np.float32))
    >>> made = isa.LinearCopy(id=1, source=0x1_0000_0000, destination=0x1_0000_1000, length=4)
    >>> chip.run(CommandGroup(gdma=isa.encode(made)))
    >>> chip.memory.get(0x1_0000_1000, 16).view(np.float32).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(self, ddr_bytes: int = 1 << 24) -> None:
        self.memory = Memory(ddr_bytes)

    def run(self, group: CommandGroup, order: str = "together", seed: int = 0) -> None:
        """Run the commands in the streams of a group, and check that no others could have come in between.

        Arguments:
            order: in which order of those that obey the ids; see `order.ordered`.
            seed: of the order "random".

        Raises:
            FileFormatError: if a stream holds what is no command.
            ChipFault: if the chip must not be given a command, or one of them must wait for another.
        """
        tiu = list(isa.decode_stream("tiu", group.tiu))
        gdma = list(isa.decode_stream("gdma", group.gdma))
        done: dict[str, list[tuple[isa.Command, Sequence[Access]]]] = {"tiu": [], "gdma": []}
        for command in ordered(tiu, gdma, order, seed):
            done[command.ENGINE].append((command, execute(self.memory, command)))
        check_races(done["tiu"], done["gdma"])
