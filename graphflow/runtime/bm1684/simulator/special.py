"""Functions of one element: tables, series, roots, conversion, and a scale and bias by channel."""

from __future__ import annotations

import numpy as np

from graphflow.runtime.bm1684.chip import L2_BASE, LANE_BYTES, LANES, LOCAL_BASE, place
from graphflow.runtime.bm1684.isa import (
    Constant,
    Linear,
    Operand,
    Operation,
    Precision,
    Series,
    Shape,
    SpecialFunction,
    TableLookup,
)
from graphflow.runtime.bm1684.simulator.arithmetic import float_value
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import (
    aligned,
    element_type,
    read,
    read_words,
    slots,
    split,
    write_words,
)
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush, reciprocal_square_root, to_integer

_BLOCK = 32
"""Entries of a table that one block counts."""


def special_function(memory: Memory, command: SpecialFunction) -> None:
    """Runs a SpecialFunction command.

    Raises:
        ChipFault: as `layout.read`, and for functions whose results were never measured.
    """
    source = float_value(memory, command.source, command.shape)
    if command.operation is Operation.RECIPROCAL_SQUARE_ROOT:
        # Its first guess comes from the bits, also from those of denormals.
        made = reciprocal_square_root(read_words(memory, command.source, command.shape))
    elif command.operation is Operation.TO_INTEGER:
        if command.result.precision is not Precision.INT32:
            raise ChipFault("unsupported", "the integer is no int32", hint="make it int32")
        made = to_integer(source)
    else:
        raise ChipFault(
            "unsupported",
            f"{command.operation.name} is not simulated: what the chip computes for all values is unknown",
            hint="use shifts of the bits",
        )
    write_words(memory, command.result, made)


def _table(memory: Memory, offset: int, count: int, dtype: type) -> np.ndarray:
    if offset + 4 * count > 4 << 20:
        raise ChipFault(
            "range", f"a table at {offset:#x} of L2", hint="a table's address is its offset in L2"
        )
    return memory.read(L2_BASE + offset, (count,), (4,), dtype)


def series(memory: Memory, command: Series) -> None:
    """Runs a Series command.

    Raises:
        ChipFault: as `layout.read`.
    """
    source = float_value(memory, command.source, command.shape)
    coefficients = flush(_table(memory, command.table, command.terms, np.float32))
    total = np.zeros(command.shape, np.float32)
    for coefficient in coefficients[::-1]:
        total = flush(flush(total + coefficient) * source)
    write_words(memory, command.result, total)


def lookup(memory: Memory, command: TableLookup) -> None:
    """Runs a TableLookup command.

    Raises:
        ChipFault: as `layout.read`, and if an index is beyond the table.
    """
    shape, width = command.shape, element_type(command.index).itemsize
    if width not in (1, 4) or command.index.precision is Precision.INT32:
        raise ChipFault(
            "unsupported", f"its index is {command.index.precision.name}", hint="say fp32 for words, or int8"
        )
    strides = command.index.strides or aligned(command.index.address, shape, width)
    index = read(memory, command.index.address, shape, strides, np.dtype(f"u{width}")) & 0xFF
    most = int(index.max(initial=0))
    if most >= _BLOCK * command.blocks:
        raise ChipFault(
            "range",
            f"index {most} is beyond a table of {_BLOCK * command.blocks} entries",
            hint="256 entries are 8 blocks",
        )
    table = _table(memory, command.table, most + 1, np.uint32)
    write_words(memory, Operand(command.result.address, Precision.INT32), table[index])


def channel_vector(
    memory: Memory, operand: Operand | Constant, like: int, channels: int, dtype: np.dtype
) -> np.ndarray:
    """One element a channel, as (1, c, 1, 1): compact, in the lanes of a tensor that begins at `like`.

    Raises:
        ChipFault: as `layout.read`, and if it begins in another lane than the tensor.
    """
    if isinstance(operand, Constant):
        single = np.frombuffer(operand.bits.to_bytes(4, "little")[: dtype.itemsize], dtype)
        return np.broadcast_to(single[0], (1, channels, 1, 1))
    same_lane(operand.address, like, "the vector")
    made = np.empty((1, channels, 1, 1), dtype)
    offset, width = split(operand.address)[1], dtype.itemsize
    if offset % width:
        raise ChipFault("alignment", f"a vector at {place(operand.address)}", hint=f"a multiple of {width}")
    for lane, slot, part in slots(like, channels):
        start = LOCAL_BASE + lane * LANE_BYTES + offset + slot * width
        made[0, part, 0, 0] = memory.read(start, (part.stop - part.start,), (LANE_BYTES,), dtype)
    return made


def same_lane(address: int, like: int, what: str) -> None:
    """Raises ChipFault unless two addresses are of the same lane."""
    if split(address)[0] != split(like)[0]:
        raise ChipFault(
            "alignment",
            f"{what} begins in lane {split(address)[0]} and the tensor in lane {split(like)[0]}",
            hint=f"add the lane to the address of {what}; there are {LANES}",
        )


def linear(memory: Memory, command: Linear) -> None:
    """Runs a Linear command.

    Raises:
        ChipFault: as `layout.read`.
    """
    shape, where = Shape(*command.shape), command.source.address
    float32 = np.dtype(np.float32)
    source = float_value(memory, command.source, shape)
    bias = flush(channel_vector(memory, command.bias, where, shape.c, float32))
    if command.operation is Operation.MULTIPLY_ACCUMULATE:
        scale = flush(channel_vector(memory, command.scale, where, shape.c, float32))
        made = flush(flush(source * scale) + bias)
    else:
        sign = 1 if command.operation is Operation.SQUARED_SUM else -1
        total = flush(source + np.float32(sign) * bias)
        made = flush(total * total)
    write_words(memory, command.result, made)
