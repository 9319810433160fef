"""Element by element: arithmetic, copies, choices, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.runtime.bm1684.isa import (
    Arithmetic,
    Choose,
    Compare,
    Constant,
    Copy,
    Operand,
    Operation,
    Precision,
    ScalarArithmetic,
    Shape,
)
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import element_type, read_words, write_words
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import divide, flush, saturated, shifted

_INTEGERS = (Precision.INT8, Precision.INT16)

_WHOLE: dict[Operation, Callable[[Any, Any], Any]] = {
    Operation.ADD: lambda a, b: a + b,
    Operation.SUBTRACT: lambda a, b: a - b,
    Operation.MULTIPLY: lambda a, b: a * b,
    Operation.MAXIMUM: lambda a, b: np.where(a > b, a, b),
    Operation.MINIMUM: lambda a, b: np.where(a <= b, a, b),
}
_BITWISE: dict[Operation, Callable[[Any, Any], Any]] = {
    Operation.AND: np.bitwise_and,
    Operation.OR: np.bitwise_or,
    Operation.XOR: np.bitwise_xor,
}


def value(memory: Memory, operand: Operand | Constant, shape: Shape) -> np.ndarray:
    """An operand's elements; those of a constant are all its value.

    Raises:
        ChipFault: as `layout.read`.
    """
    if isinstance(operand, Operand):
        return read_words(memory, operand, shape)
    dtype = element_type(operand)
    single = np.frombuffer(operand.bits.to_bytes(4, "little")[: dtype.itemsize], dtype)
    return np.broadcast_to(single[0], shape)


def float_value(memory: Memory, operand: Operand | Constant, shape: Shape) -> np.ndarray:
    """An operand's fp32 elements, denormals flushed.

    Raises:
        ChipFault: as `value`, and if it is not fp32.
    """
    if operand.precision is not Precision.FLOAT32:
        raise ChipFault(
            "unsupported", f"it reads {operand.precision.name}", hint="this kind works on fp32 only"
        )
    return flush(value(memory, operand, shape))


def combine(operation: Operation, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left operation right in fp32, denormals flushed."""
    if operation is Operation.DIVIDE:
        return divide(left, right)
    return flush(_WHOLE[operation](left, right))


def arithmetic(memory: Memory, command: Arithmetic) -> None:
    """Runs an Arithmetic command.

    Raises:
        ChipFault: as `layout.read`, and for types that do not go together.
    """
    precisions = {command.left.precision, command.right.precision}
    if precisions in ({Precision.FLOAT32}, {Precision.INT32}) and command.result.precision not in precisions:
        precisions.add(command.result.precision)
    if precisions == {Precision.FLOAT32}:
        made = _floats(memory, command)
    elif precisions == {Precision.INT32}:
        made = _words(memory, command)
    elif precisions in ({Precision.INT8}, {Precision.INT16}) and command.result.precision in _INTEGERS:
        made = _integers(memory, command)
    else:
        said = ", ".join(sorted(precision.name for precision in {*precisions, command.result.precision}))
        raise ChipFault("unsupported", f"{said} meet", hint="operands are both fp32, int32, int16 or int8")
    write_words(memory, command.result, made)


def _floats(memory: Memory, command: Arithmetic) -> np.ndarray:
    left = float_value(memory, command.left, command.shape)
    right = float_value(memory, command.right, command.shape)
    if command.operation is Operation.MINIMUM:
        # The one operation that passes denormals on, though it compares them as zeros.
        kept = [value(memory, operand, command.shape) for operand in (command.left, command.right)]
        return np.where(left <= right, kept[0], kept[1])
    if command.operation is Operation.MULTIPLY_ACCUMULATE:
        return flush(float_value(memory, command.result, command.shape) + flush(left * right))
    if command.operation in _WHOLE or command.operation is Operation.DIVIDE:
        return combine(command.operation, left, right)
    raise ChipFault("unsupported", f"fp32 {command.operation.name}", hint="bits and shifts are for int32")


def _words(memory: Memory, command: Arithmetic) -> np.ndarray:
    left = value(memory, command.left, command.shape).view(np.uint32)
    right = value(memory, command.right, command.shape)
    if command.operation in _BITWISE:
        return np.asarray(_BITWISE[command.operation](left, right.view(np.uint32)))
    if command.operation is not Operation.SHIFT:
        raise ChipFault(
            "unsupported", f"int32 {command.operation.name}", hint="int32 knows bits and shifts only"
        )
    amount = right.astype(np.int64)
    wide = left.view(np.int32).astype(np.int64) if command.arithmetic_shift else left.astype(np.int64)
    moved = np.where(amount > 0, wide << np.clip(amount, 0, 31), wide >> np.clip(-amount, 0, 31))
    return (moved & 0xFFFF_FFFF).astype(np.uint32)


def _integers(memory: Memory, command: Arithmetic) -> np.ndarray:
    left = value(memory, command.left, command.shape).astype(np.int64)
    right = value(memory, command.right, command.shape).astype(np.int64)
    products = (Operation.MULTIPLY, Operation.MULTIPLY_ACCUMULATE)
    if command.operation in products and command.left.precision is Precision.INT16:
        raise ChipFault("unsupported", "it multiplies int16", hint="only int8 are multiplied")
    if command.operation is Operation.MULTIPLY_ACCUMULATE:
        old = Operand(
            command.result.address, Precision.INT16, command.accumulate_signed, command.result.strides
        )
        if command.result.precision is not Precision.INT16:
            raise ChipFault("unsupported", "it accumulates int8", hint="accumulate int16")
        before = read_words(memory, old, command.shape).astype(np.int64)
        total = (before << command.left_shift) + left * right
    elif command.operation in _WHOLE:
        total = np.asarray(_WHOLE[command.operation](left, right))
    else:
        raise ChipFault(
            "unsupported", f"integer {command.operation.name}", hint="int32 knows bits and shifts"
        )
    if command.operation in (Operation.MAXIMUM, Operation.MINIMUM) and (
        command.left.signed is not command.right.signed
    ):
        raise ChipFault("unsupported", "it compares signed with unsigned", hint="give both the same sign")
    unsigned = not (command.left.signed or command.right.signed)
    return saturated(shifted(total, command.right_shift), command.result.precision, unsigned)


def copy(memory: Memory, command: Copy) -> None:
    """Runs a Copy command.

    Raises:
        ChipFault: as `layout.read`.
    """
    precisions = {command.source.precision, command.result.precision}
    if len(precisions) > 1 or precisions & set(_INTEGERS):
        said = " to ".join(part.precision.name for part in (command.source, command.result))
        raise ChipFault("unsupported", f"it copies {said}", hint="copy words: fp32 or int32")
    write_words(memory, command.result, np.asarray(value(memory, command.source, command.shape)))


def choose(memory: Memory, command: Choose) -> None:
    """Runs a Choose command.

    Raises:
        ChipFault: as `layout.read`.
    """
    if not isinstance(command.value, Constant):
        raise ChipFault("unsupported", "its value is a tensor", hint="only a constant works; use Compare")
    if command.operation is Operation.SELECT_GREATER:
        met = float_value(memory, command.left, command.shape) > float_value(
            memory, command.right, command.shape
        )
    else:
        # Bits are compared, so that 0 and -0 differ.
        left, right = (value(memory, side, command.shape) for side in (command.left, command.right))
        met = np.ascontiguousarray(left).view(np.uint32) == np.ascontiguousarray(right).view(np.uint32)
    chosen = np.where(met, np.float32(command.value.value), np.float32(0))
    write_words(memory, command.result, chosen)


def scalar_arithmetic(memory: Memory, command: ScalarArithmetic) -> None:
    """Runs a ScalarArithmetic command.

    Raises:
        ChipFault: as `layout.read`.
    """
    left = float_value(memory, command.left, command.shape)
    right = float_value(memory, command.right, command.shape)
    made = combine(command.operation, left, right)
    if command.accumulate:
        made = flush(float_value(memory, command.result, command.shape) + made)
    write_words(memory, command.result, made)


def compare(memory: Memory, command: Compare) -> None:
    """Runs a Compare command.

    Raises:
        ChipFault: as `layout.read`, and if a result lies on an operand.
    """
    operands = (command.left, command.right, command.if_greater, command.otherwise)
    results = [command.larger.address, command.chosen]
    if command.operation is Operation.LARGER:
        results.pop()
    if command.operation is Operation.SELECT:
        results.pop(0)
    if any(isinstance(operand, Operand) and operand.address in results for operand in operands):
        raise ChipFault("aliasing", "a result lies on an operand", hint="give the result a place of its own")
    left, right = (float_value(memory, operand, command.shape) for operand in operands[:2])
    greater = left > right
    if command.operation is Operation.LARGER_AND_SELECT:
        left, right = (value(memory, operand, command.shape) for operand in operands[:2])
    if command.operation is not Operation.SELECT:
        write_words(memory, command.larger, np.where(greater, left, right))
    if command.operation is not Operation.LARGER:
        yes, no = (value(memory, operand, command.shape) for operand in operands[2:])
        write_words(memory, Operand(command.chosen), np.where(greater, yes, no))
