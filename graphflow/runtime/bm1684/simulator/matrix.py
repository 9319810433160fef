"""Products of matrices whose columns lie in slices over c and w, and outer combinations of vectors."""

from __future__ import annotations

import numpy as np

from graphflow.runtime.bm1684.isa import Constant, MatrixMultiply, Operand, OuterCombine, Precision, Shape
from graphflow.runtime.bm1684.simulator.arithmetic import combine
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import TYPES, aligned, element_type
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush, saturated, shifted
from graphflow.runtime.bm1684.simulator.transfer import read_matrix, write_matrix


def _read(memory: Memory, operand: Operand, shape: Shape, columns: int) -> np.ndarray:
    dtype = element_type(operand)
    if operand.strides is not None:
        raise ChipFault("unsupported", "a matrix with strides", hint="matrices lie aligned")
    strides = aligned(operand.address, shape, dtype.itemsize)
    made = read_matrix(memory, operand.address, shape, strides, columns, dtype)
    return flush(made) if dtype == np.float32 else made


def _write(memory: Memory, operand: Operand, shape: Shape, values: np.ndarray) -> None:
    strides = aligned(operand.address, shape, values.itemsize)
    write_matrix(memory, operand.address, shape, strides, values)


def matrix_multiply(memory: Memory, command: MatrixMultiply) -> None:
    """Runs a MatrixMultiply command.

    Raises:
        ChipFault: as `layout.read`, and for types that do not go together.
    """
    left_shape, shape = command.left_shape, command.result_shape
    wide = (left_shape.c - 1) * left_shape.w + command.left_last_width
    left = _read(memory, command.left, Shape(left_shape.n, left_shape.c, 1, left_shape.w), wide)
    left = left.T if command.left_transposed else left
    rows, inner = left.shape
    columns = shape.c * shape.w
    lanes = Shape(inner, shape.c, 1, shape.w)
    right = _read(memory, command.right, lanes, columns)
    kinds = {left.dtype == np.float32, right.dtype == np.float32}
    if len(kinds) > 1:
        raise ChipFault("unsupported", "fp32 by integers", hint="multiply fp32 by fp32, or int8 by int8")
    result = Shape(rows, shape.c, 1, shape.w)
    bias = _bias(memory, command, Shape(1, shape.c, 1, shape.w), columns)
    if kinds == {True}:
        if command.result.precision is not Precision.FLOAT32:
            raise ChipFault("unsupported", "the product of fp32 is something else", hint="make it fp32")
        total = left @ right
        total = total if bias is None else total + bias
        if command.accumulate:
            total = total + _read(memory, command.result, result, columns)
        _write(memory, command.result, result, flush(total))
        return
    if command.result.precision not in (Precision.INT8, Precision.INT16):
        raise ChipFault("unsupported", "the product is no int8 or int16", hint="shift it into one of them")
    whole = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    whole = whole if bias is None else whole + bias
    if command.accumulate:
        dtype = TYPES[command.result.precision, command.accumulate_signed]
        strides = aligned(command.result.address, result, dtype.itemsize)
        old = read_matrix(memory, command.result.address, result, strides, columns, dtype)
        whole = whole + (old.astype(np.int64) << command.left_shift)
    made = saturated(shifted(whole, command.right_shift), command.result.precision, command.relu)
    _write(memory, command.result, result, made)


def _bias(memory: Memory, command: MatrixMultiply, shape: Shape, columns: int) -> np.ndarray | None:
    if command.bias is None:
        return None
    if isinstance(command.bias, Constant):
        raise ChipFault("unsupported", "a constant bias", hint="load the bias")
    precision = command.left.precision
    wanted = Precision.FLOAT32 if precision is Precision.FLOAT32 else Precision.INT16
    bias = Operand(command.bias.address, wanted, command.bias.signed)
    made = _read(memory, bias, shape, columns)
    return made if wanted is Precision.FLOAT32 else made.astype(np.int64)


def outer_combine(memory: Memory, command: OuterCombine) -> None:
    """Runs an OuterCombine command.

    Raises:
        ChipFault: as `matrix_multiply`.
    """
    if {command.left.precision, command.right.precision} != {Precision.FLOAT32}:
        raise ChipFault("unsupported", "vectors of integers", hint="combine fp32")
    left_shape, shape = command.left_shape, command.result_shape
    long = (left_shape.c - 1) * left_shape.w + command.left_last_width
    left = _read(memory, command.left, Shape(1, left_shape.c, 1, left_shape.w), long)[0]
    columns = shape.c * shape.w
    right = _read(memory, command.right, Shape(1, shape.c, 1, shape.w), columns)[0]
    made = combine(command.operation, left[:, None], np.broadcast_to(right, (long, columns)))
    _write(memory, command.result, Shape(long, shape.c, 1, shape.w), made)
