"""Tensors in local memory: element (n, c, h, w) lies in lane (start + c) mod 64, slot (start + c) div 64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphflow.runtime.bm1684.chip import ALIGNMENT, LANE_BYTES, LANES, LOCAL_BASE, LOCAL_END, place
from graphflow.runtime.bm1684.isa import Operand, Precision, Shape
from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.memory import Memory

TYPES: dict[tuple[Precision, bool], np.dtype] = {
    (Precision.INT8, True): np.dtype(np.int8),
    (Precision.INT8, False): np.dtype(np.uint8),
    (Precision.INT16, True): np.dtype(np.int16),
    (Precision.INT16, False): np.dtype(np.uint16),
    (Precision.INT32, True): np.dtype(np.int32),
    (Precision.INT32, False): np.dtype(np.uint32),
    (Precision.FLOAT32, True): np.dtype(np.float32),
    (Precision.FLOAT32, False): np.dtype(np.float32),
}
WORD = 4
"""Bytes of a word, in which int8 holds 4 items of the batch and int16 holds 2."""


def element_type(operand: Any) -> np.dtype:
    """The numpy type of an operand's elements.

    Raises:
        ChipFault: if the chip has no path for it.
    """
    if (operand.precision, operand.signed) not in TYPES:
        raise ChipFault(
            "unsupported", f"it works on {operand.precision.name}", hint="use fp32, int8, int16 or int32"
        )
    return TYPES[operand.precision, operand.signed]


def split(address: int) -> tuple[int, int]:
    """The lane and offset of an address in local memory.

    Raises:
        ChipFault: if it lies elsewhere.
    """
    if not LOCAL_BASE <= address < LOCAL_END:
        raise ChipFault(
            "range", f"{address:#x} is not in local memory", hint="the tensor unit works on local memory only"
        )
    return divmod(address - LOCAL_BASE, LANE_BYTES)


def aligned(address: int, shape: Shape, width: int) -> Shape:
    """The strides, in elements of so many bytes, of a tensor whose channels begin at multiples of 128 bytes.

    Raises:
        ChipFault: if the address is no multiple.
    """
    lane, offset = split(address)
    if offset % ALIGNMENT:
        raise ChipFault(
            "alignment",
            f"a tensor at {place(address)} is to lie aligned",
            hint=f"place it at a multiple of {ALIGNMENT} bytes, or give explicit strides",
        )
    channel = -(-shape.h * shape.w * width // ALIGNMENT) * ALIGNMENT // width
    return Shape(-(-(lane + shape.c) // LANES) * channel, channel, shape.w, 1)


def compact(address: int, shape: Shape) -> Shape:
    """The strides, in elements, of a tensor whose channels follow one another without gaps."""
    channel = shape.h * shape.w
    return Shape(-(-(split(address)[0] + shape.c) // LANES) * channel, channel, shape.w, 1)


def slots(address: int, channels: int) -> Iterator[tuple[int, int, slice]]:
    """The groups of channels that lie in one slot each: lane of the first, slot, channels.

    Channels that fill all 64 lanes of several slots come together; `slot` is then that of the first.
    """
    lane, _ = split(address)
    done = 0
    while done < channels:
        slot, first = divmod(lane + done, LANES)
        count = min(LANES - first, channels - done)
        yield first, slot, slice(done, done + count)
        done += count


def _check(address: int, shape: Shape, strides: Shape, width: int) -> None:
    lane, offset = split(address)
    if offset % width:
        raise ChipFault(
            "alignment", f"{width}-byte elements at {place(address)}", hint=f"a multiple of {width}"
        )
    slot = (lane + shape.c - 1) // LANES
    sizes = (shape.n, slot + 1, shape.h, shape.w)
    reach = sum((size - 1) * stride for size, stride in zip(sizes, strides)) * width + width
    if offset + reach > LANE_BYTES:
        raise ChipFault(
            "range",
            f"a tensor at {place(address)} reaches {offset + reach} bytes into lanes of {LANE_BYTES}",
            hint="make the tile smaller, or move it down",
        )


def read(memory: Memory, address: int, shape: Shape, strides: Shape, dtype: np.dtype) -> np.ndarray:
    """A tensor whose strides count its elements.

    Raises:
        ChipFault: for alignment, range, or bytes that were never written.
    """
    width = dtype.itemsize
    _check(address, shape, strides, width)
    offset = split(address)[1]
    values = np.empty(shape, dtype)
    steps = (strides.n * width, LANE_BYTES, strides.h * width, strides.w * width)
    for lane, slot, channels in slots(address, shape.c):
        start = LOCAL_BASE + lane * LANE_BYTES + offset + slot * strides.c * width
        sizes = (shape.n, channels.stop - channels.start, shape.h, shape.w)
        values[:, channels] = memory.read(start, sizes, steps, dtype)
    return values


def write(memory: Memory, address: int, strides: Shape, values: np.ndarray) -> None:
    """Put a tensor, with strides that count its elements.

    Raises:
        ChipFault: for alignment or range.
    """
    width = values.dtype.itemsize
    shape = Shape(*values.shape)
    _check(address, shape, strides, width)
    offset = split(address)[1]
    steps = (strides.n * width, LANE_BYTES, strides.h * width, strides.w * width)
    for lane, slot, channels in slots(address, shape.c):
        start = LOCAL_BASE + lane * LANE_BYTES + offset + slot * strides.c * width
        memory.write(start, steps, values[:, channels])


# Operands of the tensor unit: words that hold 1, 2 or 4 items of the batch


def word_strides(operand: Operand, shape: Shape) -> Shape:
    """The strides of an operand in words."""
    return aligned(operand.address, shape, WORD) if operand.strides is None else operand.strides


def read_words(memory: Memory, operand: Operand, shape: Shape) -> np.ndarray:
    """An operand in words: fp32 and int32 one item each, int16 pairs and int8 fours of the batch.

    Raises:
        ChipFault: as `read`.
    """
    dtype, strides = element_type(operand), word_strides(operand, shape)
    pack = WORD // dtype.itemsize
    if pack == 1:
        return read(memory, operand.address, shape, strides, dtype)
    values = np.empty(shape, dtype)
    _check(operand.address, shape, strides, WORD)
    for item in range(min(pack, shape.n)):
        part = values[item::pack]
        address = operand.address + item * dtype.itemsize
        scaled = Shape(*[stride * pack for stride in strides])
        part[...] = read(memory, address, Shape(*part.shape), scaled, dtype)
    return values


def write_words(memory: Memory, operand: Operand, values: np.ndarray) -> None:
    """Put a result in words, as `read_words` reads them.

    Raises:
        ChipFault: as `write`.
    """
    shape, width = Shape(*values.shape), values.dtype.itemsize
    strides, pack = word_strides(operand, shape), WORD // width
    if pack == 1:
        write(memory, operand.address, strides, values)
        return
    _check(operand.address, shape, strides, WORD)
    scaled = Shape(*[stride * pack for stride in strides])
    for item in range(min(pack, shape.n)):
        write(memory, operand.address + item * width, scaled, values[item::pack])
