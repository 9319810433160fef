"""Winograd F(2, 3): each 2 x 2 of the result from 4 x 4 of the input and 4 x 4 transformed weights."""

from __future__ import annotations

import numpy as np

from graphflow.runtime.bm1684.chip import ALIGNMENT, LANE_BYTES, LANES, LOCAL_BASE, place
from graphflow.runtime.bm1684.isa import Precision, Shape, Window, WinogradConvolution
from graphflow.runtime.bm1684.simulator.convolution import UNITS, check_types, finish
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import element_type, slots, split
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush
from graphflow.runtime.bm1684.simulator.windows import padded, read_input, under

_LONGEST = 2047
_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


def winograd(memory: Memory, command: WinogradConvolution) -> None:
    """Runs a WinogradConvolution command.

    Raises:
        ChipFault: as `convolution.convolution`.
    """
    check_types(command)
    shape = command.result_shape
    values = padded(read_input(memory, command), command.pads)
    # The kernel must fit as any other, and an odd result takes one row or column of zeros more.
    under(values, shape, Window(3, 3), Window())
    if max(values.shape[2:]) > _LONGEST:
        raise ChipFault(
            "geometry", f"{max(values.shape[2:])} padded rows or columns", hint=f"{_LONGEST} at most"
        )
    rows, columns = -(-shape.h // 2), -(-shape.w // 2)
    n, inputs, h, w = values.shape
    room = ((0, 0), (0, 0), (0, max(0, 2 * rows + 2 - h)), (0, max(0, 2 * columns + 2 - w)))
    tiles = under(np.pad(values, room), Shape(n, inputs, rows, columns), Window(4, 4), Window(2, 2))
    dtype = np.float32 if command.input.precision is Precision.FLOAT32 else np.float64
    weights = _weights(memory, command).astype(dtype)
    left, out = _INPUT.astype(dtype), _OUTPUT.astype(dtype)
    total = np.empty((n, shape.c, 2 * rows, 2 * columns), dtype)
    for item in range(n):
        given = tiles[item].transpose(3, 4, 0, 1, 2).reshape(rows * columns * inputs, 4, 4).astype(dtype)
        moved = (left @ given @ left.T).reshape(rows * columns, inputs, 16).transpose(2, 1, 0)
        product = (weights @ moved).transpose(1, 2, 0).reshape(-1, 4, 4)
        made = (out @ product @ out.T).reshape(shape.c, rows, columns, 2, 2)
        total[item] = made.transpose(0, 1, 3, 2, 4).reshape(shape.c, 2 * rows, 2 * columns)
    finish(memory, command, total[:, :, : shape.h, : shape.w])


def _weights(memory: Memory, command: WinogradConvolution) -> np.ndarray:
    """The transformed weights as (16, output channels, input channels)."""
    operand, dtype = command.weights, element_type(command.weights)
    address = getattr(operand, "address", 0)
    offset, outputs, inputs = split(address)[1], command.result_shape.c, command.input_shape.c
    if offset % ALIGNMENT:
        raise ChipFault("alignment", f"weights at {place(address)}", hint=f"a multiple of {ALIGNMENT}")
    group = 1 if operand.precision is Precision.FLOAT32 else UNITS[Precision.INT8]
    groups = -(-outputs // LANES)
    width = dtype.itemsize
    made = np.empty((outputs, inputs, 16), dtype)
    for channel in range(group):
        count = len(range(channel, inputs, group))
        for lane, slot, part in slots(address, outputs):
            begin = offset + slot * 16 * group * width + channel * width
            start = LOCAL_BASE + lane * LANE_BYTES + begin
            steps = (LANE_BYTES, groups * 16 * group * width, group * width)
            if count:
                sizes = (part.stop - part.start, count, 16)
                made[part, channel::group] = memory.read(start, sizes, steps, dtype)
    return (flush(made) if dtype == np.float32 else made).transpose(2, 0, 1)
