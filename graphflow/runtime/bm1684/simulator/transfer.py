"""The data mover: tensors, matrices, fills, conversions and transpositions between the memories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from graphflow.runtime.bm1684.chip import LOCAL_BASE, LOCAL_END
from graphflow.runtime.bm1684.isa import (
    ConvertTransfer,
    Direction,
    Fill,
    Format,
    LinearCopy,
    MatrixTransfer,
    Shape,
    TensorTransfer,
    TransposeTransfer,
)
from graphflow.runtime.bm1684.simulator import layout
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush

_TYPES: dict[Format, np.dtype] = {
    Format.FLOAT32: np.dtype(np.float32),
    Format.INT16: np.dtype(np.int16),
    Format.UINT8: np.dtype(np.uint8),
    Format.INT8: np.dtype(np.int8),
}
_CONVERSIONS = {
    (Format.INT8, Format.FLOAT32),
    (Format.UINT8, Format.FLOAT32),
    (Format.FLOAT32, Format.INT8),
}
_LOCAL_SOURCES = (Direction.STORE, Direction.LOCAL)
_LOCAL_DESTINATIONS = (Direction.LOAD, Direction.LOCAL)


def _type(kind: Format) -> np.dtype:
    if kind not in _TYPES:
        raise ChipFault("unsupported", f"it moves {kind.name}", hint="use fp32, int16, int8 or uint8")
    return _TYPES[kind]


def _check_side(address: int, is_local: bool, width: int, what: str) -> None:
    if is_local != (LOCAL_BASE <= address < LOCAL_END):
        where = "local memory" if is_local else "DDR or L2"
        raise ChipFault("range", f"its {what} {address:#x} is not in {where}", hint="see its direction")
    if address % width:
        raise ChipFault("alignment", f"its {what} {address:#x}", hint=f"a multiple of {width}")


def _steps(strides: Shape, width: int) -> tuple[int, ...]:
    return tuple(stride * width for stride in strides)


def _dense(shape: Shape) -> Shape:
    return Shape(shape.c * shape.h * shape.w, shape.h * shape.w, shape.w, 1)


def _fetch(memory: Memory, command: Any, dtype: np.dtype) -> np.ndarray:
    """The elements of the source."""
    shape, explicit = command.source_shape, command.explicit_strides
    local = command.direction in _LOCAL_SOURCES
    _check_side(command.source, local, dtype.itemsize, "source")
    if not local:
        strides = command.source_strides if explicit else _dense(shape)
        return memory.read(command.source, shape, _steps(strides, dtype.itemsize), dtype)
    strides = command.source_strides if explicit else layout.aligned(command.source, shape, dtype.itemsize)
    return layout.read(memory, command.source, shape, strides, dtype)


def _place(memory: Memory, command: Any, values: np.ndarray) -> None:
    """Put elements at the destination."""
    shape, width = Shape(*values.shape), values.dtype.itemsize
    local = command.direction in _LOCAL_DESTINATIONS
    _check_side(command.destination, local, width, "destination")
    explicit = command.explicit_strides
    if local:
        strides = (
            command.destination_strides if explicit else layout.aligned(command.destination, shape, width)
        )
        layout.write(memory, command.destination, strides, values)
    else:
        strides = command.destination_strides if explicit else _dense(shape)
        memory.write(command.destination, _steps(strides, width), values)


def _reshaped(values: np.ndarray, shape: Shape) -> np.ndarray:
    if values.size != np.prod(shape, dtype=np.int64):
        raise ChipFault(
            "geometry",
            f"the source has {values.size} elements, and the destination is {tuple(shape)}",
            hint="both sides have the same number of elements",
        )
    return values.reshape(shape)


def _one_type(command: Any) -> np.dtype:
    if command.source_format is not command.destination_format:
        raise ChipFault(
            "unsupported", "its formats differ", hint="a ConvertTransfer converts; other kinds do not"
        )
    return _type(command.source_format)


def tensor_transfer(memory: Memory, command: TensorTransfer) -> None:
    """Runs a TensorTransfer command.

    Raises:
        ChipFault: as `layout.read`, and if the sides do not fit together.
    """
    dtype = _one_type(command)
    values = _reshaped(_fetch(memory, command, dtype), command.destination_shape)
    if command.accumulate:
        ways = {Direction.LOAD: Direction.STORE, Direction.STORE: Direction.LOAD}
        if dtype != np.float32 or command.direction not in ways:
            raise ChipFault(
                "unsupported",
                "it accumulates integers, or within one memory",
                hint="accumulate fp32 in a load or store",
            )
        back = replace(
            command,
            source=command.destination,
            source_shape=command.destination_shape,
            source_strides=command.destination_strides,
            direction=ways[command.direction],
        )
        values = flush(flush(values) + flush(_fetch(memory, back, dtype)))
    _place(memory, command, values)


def convert_transfer(memory: Memory, command: ConvertTransfer) -> None:
    """Runs a ConvertTransfer command.

    Raises:
        ChipFault: as `tensor_transfer`, and for formats that are not converted.
    """
    pair = command.source_format, command.destination_format
    if pair not in _CONVERSIONS:
        said = " to ".join(kind.name for kind in pair)
        raise ChipFault("unsupported", f"it converts {said}", hint="int8 or uint8 to fp32, or fp32 to int8")
    values, target = _fetch(memory, command, _type(pair[0])), _type(pair[1])
    if target != np.float32:
        limits = np.iinfo(target)
        values = np.clip(np.rint(np.nan_to_num(values.astype(np.float64))), limits.min, limits.max)
    _place(memory, command, _reshaped(values.astype(target), command.destination_shape))


def transpose_transfer(memory: Memory, command: TransposeTransfer) -> None:
    """Runs a TransposeTransfer command.

    Raises:
        ChipFault: as `tensor_transfer`, and for what the chip leaves undone.
    """
    n, c, h, w = command.source_shape
    if command.function == 1:
        axes, expected = (1, 0, 2, 3), Shape(c, n, h, w)
        if command.direction not in (Direction.LOAD, Direction.STORE):
            raise ChipFault("unsupported", "n and c within one memory", hint="permute the strides instead")
    else:
        axes, expected = (0, 3, 2, 1), Shape(n, w, h, c)
        if command.direction is not Direction.LOCAL or n > 1 or h > 1:
            raise ChipFault(
                "unsupported", "c and w other than in local memory with n = h = 1", hint="one h at a time"
            )
        if not command.explicit_strides and max(c, w) > 64:
            raise ChipFault(
                "geometry", "more than 64 of c or w without strides", hint="give explicit strides"
            )
    if command.destination_shape != expected:
        raise ChipFault(
            "geometry",
            f"the destination is {tuple(command.destination_shape)}",
            hint=f"it is {tuple(expected)} after the exchange",
        )
    _place(memory, command, _fetch(memory, command, _one_type(command)).transpose(axes))


def fill(memory: Memory, command: Fill) -> None:
    """Runs a Fill command.

    Raises:
        ChipFault: as `tensor_transfer`.
    """
    dtype = _one_type(command)
    if command.direction is Direction.SYSTEM and not command.explicit_strides:
        raise ChipFault("unsupported", "a fill of DDR or L2 without strides", hint="give explicit strides")
    single = np.frombuffer(command.value.to_bytes(4, "little")[: dtype.itemsize], dtype)[0]
    _place(memory, command, np.full(command.destination_shape, single, dtype))


def linear_copy(memory: Memory, command: LinearCopy) -> None:
    """Runs a LinearCopy command.

    Raises:
        ChipFault: as `tensor_transfer`.
    """
    dtype = _one_type(command)
    if command.direction is not Direction.SYSTEM:
        raise ChipFault("unsupported", "a linear copy of local memory", hint="use a TensorTransfer")
    for what, address in (("source", command.source), ("destination", command.destination)):
        _check_side(address, False, dtype.itemsize, what)
    values = memory.read(command.source, (command.length,), (dtype.itemsize,), dtype)
    memory.write(command.destination, (dtype.itemsize,), values.copy())


def matrix_transfer(memory: Memory, command: MatrixTransfer) -> None:
    """Runs a MatrixTransfer command.

    Raises:
        ChipFault: as `tensor_transfer`, and for strides that the chip would take otherwise.
    """
    dtype, loads = _one_type(command), command.direction is Direction.LOAD
    if command.direction not in (Direction.LOAD, Direction.STORE):
        raise ChipFault("unsupported", "a matrix within one memory", hint="load or store it")
    system, lanes = command.source_shape, command.destination_shape
    system_strides, strides = command.source_strides, command.destination_strides
    address, local = command.source, command.destination
    if not loads:
        system, lanes, system_strides, strides = lanes, system, strides, system_strides
        address, local = local, address
    rows, columns = (system.w, system.h) if command.transposed else (system.h, system.w)
    shape = Shape(rows, -(-columns // lanes.w), 1, lanes.w)
    if command.explicit_strides and strides.w != 1:
        raise ChipFault("geometry", f"a w stride of {strides.w}", hint="give 1 on the local side of a matrix")
    step = system_strides.h if command.explicit_strides else system.w
    if not command.explicit_strides:
        strides = layout.aligned(local, shape, dtype.itemsize)
    _check_side(address, False, dtype.itemsize, "system side")
    _check_side(local, True, dtype.itemsize, "local side")
    steps = (step * dtype.itemsize, dtype.itemsize)
    if loads:
        values = memory.read(address, (system.h, system.w), steps, dtype)
        write_matrix(memory, local, shape, strides, values.T if command.transposed else values)
    else:
        values = read_matrix(memory, local, shape, strides, columns, dtype)
        memory.write(address, steps, values.T if command.transposed else values)


def _pieces(shape: Shape, columns: int) -> list[tuple[int, Shape, slice]]:
    """The whole slices of a matrix, and the last one if it is narrower: its first channel, shape, columns."""
    whole, rest = divmod(columns, shape.w)
    made = [(0, Shape(shape.n, whole, 1, shape.w), slice(0, whole * shape.w))] if whole else []
    return made + ([(whole, Shape(shape.n, 1, 1, rest), slice(whole * shape.w, columns))] if rest else [])


def channel_address(address: int, channel: int, strides: Shape, width: int) -> int:
    """Where a channel of a tensor in local memory begins."""
    lane, offset = layout.split(address)
    slot, at = divmod(lane + channel, layout.LANES)
    return LOCAL_BASE + at * layout.LANE_BYTES + offset + slot * strides.c * width


def write_matrix(memory: Memory, address: int, shape: Shape, strides: Shape, values: np.ndarray) -> None:
    """Put a matrix, its columns in slices over c and w.

    Raises:
        ChipFault: as `layout.write`.
    """
    for first, piece, columns in _pieces(shape, values.shape[1]):
        at = channel_address(address, first, strides, values.itemsize)
        layout.write(memory, at, strides, np.ascontiguousarray(values[:, columns]).reshape(piece))


def read_matrix(
    memory: Memory, address: int, shape: Shape, strides: Shape, columns: int, dtype: np.dtype
) -> np.ndarray:
    """A matrix whose columns lie in slices over c and w.

    Raises:
        ChipFault: as `layout.read`.
    """
    values = np.empty((shape.n, columns), dtype)
    for first, piece, part in _pieces(shape, columns):
        at = channel_address(address, first, strides, dtype.itemsize)
        values[:, part] = layout.read(memory, at, piece, strides, dtype).reshape(shape.n, -1)
    return values
