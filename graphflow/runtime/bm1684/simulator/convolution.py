"""Convolutions: full and by channel, in fp32 and in int8."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.runtime.bm1684.chip import LANE_BYTES, LANES, LOCAL_BASE, place
from graphflow.runtime.bm1684.isa import (
    Constant,
    Convolution,
    DepthwiseConvolution,
    Operand,
    Precision,
    Shape,
)
from graphflow.runtime.bm1684.simulator.arithmetic import float_value
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.layout import element_type, read, slots, split, write_words
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.numerics import flush, saturated, shifted
from graphflow.runtime.bm1684.simulator.special import channel_vector, same_lane
from graphflow.runtime.bm1684.simulator.windows import check_result, padded, plain, read_input, under

UNITS = {Precision.FLOAT32: 2, Precision.INT8: 4}
"""Input channels that lie side by side in the weights."""


def convolution(memory: Memory, command: Convolution) -> None:
    """Runs a Convolution command.

    Raises:
        ChipFault: as `layout.read`, and for geometry or types that do not fit together.
    """
    check_types(command)
    shape, kernel = command.result_shape, command.kernel
    values = padded(read_input(memory, command), command.pads, command.insert)
    views = under(values, shape, kernel, command.step, command.dilation)
    weights = _weights(memory, command)
    if command.rotate_kernel:
        weights = weights[:, :, ::-1, ::-1]
    finish(memory, command, products(weights, views, shape))


def check_types(command: Any) -> None:
    """Raises ChipFault unless input, weights and result go together."""
    if command.input.precision not in UNITS or command.weights.precision is not command.input.precision:
        raise ChipFault(
            "unsupported",
            f"{command.input.precision.name} by {command.weights.precision.name}",
            hint="convolve fp32 by fp32, or int8 by int8",
        )
    check_result(command, (command.input.precision,))
    if not isinstance(command.weights, Operand):
        raise ChipFault("unsupported", "its weights are a constant", hint="load weights")
    if isinstance(command.bias, Constant):
        raise ChipFault(
            "unsupported", "its bias is a constant, which the chip leaves out", hint="load a bias"
        )
    same_lane(command.weights.address, command.result.address, "the weights")


def products(weights: np.ndarray, views: np.ndarray, shape: Shape) -> np.ndarray:
    """Sums over channels and kernel: fp32 in fp32, int8 exactly (doubles hold the sums)."""
    n = len(views)
    dtype = np.float32 if weights.dtype == np.float32 else np.float64
    flat = weights.reshape(len(weights), -1).astype(dtype)
    made = np.empty((n, len(weights), shape.h * shape.w), dtype)
    for item in range(n):
        made[item] = flat @ views[item].astype(dtype).reshape(flat.shape[1], -1)
    return made.reshape(n, len(weights), shape.h, shape.w)


def finish(memory: Memory, command: Any, total: np.ndarray, accumulates: bool = True) -> None:
    """Add the bias and the old result, shift, saturate and store.

    Raises:
        ChipFault: as `layout.write`.
    """
    shape, where = command.result_shape, command.result.address
    accumulate = accumulates and command.accumulate
    if command.input.precision is Precision.FLOAT32:
        if command.bias is not None:
            total = total + flush(channel_vector(memory, command.bias, where, shape.c, np.dtype(np.float32)))
        if accumulate:
            total = total + float_value(memory, plain(command.result), shape)
        write_words(memory, plain(command.result), flush(total))
        return
    if accumulate:
        raise ChipFault(
            "unsupported", "it accumulates int8", hint="keep all input channels in local memory at once"
        )
    whole = total.astype(np.int64)
    if command.bias is not None:
        dtype = np.dtype(np.int16 if command.bias.signed else np.uint16)
        whole = whole + channel_vector(memory, command.bias, where, shape.c, dtype)
    made = saturated(shifted(whole, command.right_shift), Precision.INT8, command.relu)
    write_words(memory, plain(command.result), made)


def _weights(memory: Memory, command: Convolution) -> np.ndarray:
    """The weights as (output channels, input channels, kernel h, kernel w)."""
    operand, unit = command.weights, UNITS[command.weights.precision]
    outputs, inputs, kernel = command.result_shape.c, command.input_shape.c, command.kernel
    strides = operand.strides if isinstance(operand, Operand) else None
    if strides is None:
        strides = Shape(-(-outputs // LANES) * kernel.h * kernel.w, kernel.h * kernel.w, kernel.w, 1)
    dtype = element_type(operand)
    whole, rest = divmod(inputs, unit)
    made = np.empty((outputs, inputs, *kernel), dtype)
    for first, count, width in ((0, whole, unit), (whole, 1, rest)):
        if count and width:
            part = _units(memory, command, strides, (first, count, width), dtype)
            channels = slice(first * unit, first * unit + count * width)
            made[:, channels] = part.transpose(0, 1, 4, 2, 3).reshape(outputs, count * width, *kernel)
    return flush(made) if dtype == np.float32 else made


def _units(
    memory: Memory, command: Any, strides: Shape, units: tuple[int, int, int], dtype: np.dtype
) -> np.ndarray:
    """Some units of input channels, as (output channels, units, kernel h, kernel w, elements of a unit)."""
    first, count, width = units
    size = UNITS[command.weights.precision] * dtype.itemsize
    offset = split(command.weights.address)[1] + first * strides.n * size
    if offset % size:
        raise ChipFault(
            "alignment", f"weights at {place(command.weights.address)}", hint=f"a multiple of {size} bytes"
        )
    kernel, outputs = command.kernel, command.result_shape.c
    made = np.empty((outputs, count, *kernel, width), dtype)
    steps = (LANE_BYTES, strides.n * size, strides.h * size, strides.w * size, dtype.itemsize)
    for lane, slot, part in slots(command.weights.address, outputs):
        start = LOCAL_BASE + lane * LANE_BYTES + offset + slot * strides.c * size
        sizes = (part.stop - part.start, count, *kernel, width)
        made[part] = memory.read(start, sizes, steps, dtype)
    return made


def depthwise(memory: Memory, command: DepthwiseConvolution) -> None:
    """Runs a DepthwiseConvolution command.

    Raises:
        ChipFault: as `convolution`.
    """
    check_types(command)
    if isinstance(command.weights, Constant) or command.input.strides is not None:
        raise ChipFault("unsupported", "a strided input", hint="copy it to an aligned place first")
    shape, kernel = command.result_shape, command.kernel
    dtype = element_type(command.weights)
    size = kernel.h * kernel.w
    strides = Shape(size * -(-(split(command.weights.address)[0] + shape.c) // LANES), size, kernel.w, 1)
    weights = read(memory, command.weights.address, Shape(1, shape.c, *kernel), strides, dtype)[0]
    weights = flush(weights) if dtype == np.float32 else weights
    if command.rotate_kernel:
        weights = weights[:, ::-1, ::-1]
    values = padded(read_input(memory, command), command.pads, command.insert)
    views = under(values, shape, kernel, command.step, command.dilation)
    total = np.zeros(shape, np.float32 if dtype == np.float32 else np.int64)
    for row, column in np.ndindex(*kernel):
        total += views[:, :, row, column] * weights[None, :, row, column, None, None].astype(total.dtype)
    finish(memory, command, total, accumulates=False)
