"""Import of operators of onnxruntime whose weights have few bits, and a scale for each block of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    creation,
    declare,
    indexing,
    linalg,
    quantization,
    shape,
    standard,
)

_TWELFTHS = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
_NORMAL = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
    1.0,
)  # fmt: skip
CODES = (
    np.array([sign * one / 12 for sign in (1, -1) for one in _TWELFTHS], np.float32),
    np.array(_NORMAL, np.float32),
)
"""What four bits stand for: floats, or quantiles of the normal distribution (Dettmers et al., "QLoRA")."""


def unpacked(x: Tensor, width: int) -> Tensor:
    """The numbers of so many bits in bytes, the lowest first, along the last axis."""
    if width == 8:
        return x
    if width not in (2, 4):
        raise FileFormatError(f"numbers of {width} bits are not supported", hint="2, 4 and 8 bits are")
    each = 8 // width
    steps = declare.constant(np.arange(each, dtype=np.uint8) * np.uint8(width))
    shifted = comparison.bitwise_right_shift(shape.expand_dims(x, -1), steps)
    low = comparison.bitwise_and(shifted, declare.constant(np.uint8((1 << width) - 1)))
    return standard.reshape(low, (*x.shape[:-1], x.shape[-1] * each))


def of_blocks(x: Any, scales: Any, zeros: Any, width: int, block: Any) -> Tensor:
    """The floats that packed numbers stand for; zeros, packed like them, are in the middle by default.

    Arguments:
        x: bytes, [..., rows, n * width / 8].
        scales: [..., rows, n / block], or [..., rows] where block is 0, which is one for each row.
    """
    numbers = unpacked(x, width)
    if not block:
        scales, block = shape.expand_dims(scales, -1), numbers.shape[-1]
        if zeros is not None:
            zeros = shape.expand_dims(unpacked(zeros, width)[..., : scales.shape[-2]], -1)
    elif zeros is not None:
        zeros = unpacked(zeros, width)[..., : scales.shape[-1]]
    if zeros is None:
        zeros = creation.full(scales.shape, 1 << (width - 1), numbers.dtype)
    return quantization.dequantize_linear(numbers, scales, zeros, axis=numbers.ndim - 1, block_size=block)


def _matmul_bits(
    call: Call,
    a: Tensor,
    b: Tensor,
    scales: Tensor,
    zeros: Any = None,
    order: Any = None,
    bias: Any = None,
) -> Tensor:
    """A product with a matrix whose columns are numbers of few bits, a scale for each block of rows."""
    if order is not None or call.flag("weight_prepacked"):
        raise FileFormatError(
            f"{call.label} with rows in another order is not supported", hint="quantize without g_idx"
        )
    rows, columns = call.attr("K"), call.attr("N")
    width, block = call.attr("bits", 4), call.attr("block_size")
    blocks = -(-rows // block)
    whole = standard.reshape(unpacked(b, width), (columns, blocks, block))
    middle: Any = declare.constant(np.float32(1 << (width - 1)))
    if zeros is not None and zeros.dtype is dtypes.uint8:
        listed = standard.reshape(zeros, (columns, -(-blocks * width // 8)))
        middle = shape.expand_dims(unpacked(listed, width)[:, :blocks], 2)
    elif zeros is not None:
        middle = standard.reshape(zeros, (columns, blocks, 1))
    centred = casting.astype(whole, scales.dtype) - casting.astype(middle, scales.dtype)
    weights = standard.reshape(
        centred * standard.reshape(scales, (columns, blocks, 1)), (columns, blocks * block)
    )
    made = linalg.matmul(a, linalg.matrix_transpose(weights[:, :rows]))
    return made if bias is None else made + bias


def _matmul_codes(call: Call, a: Tensor, b: Tensor, largest: Tensor) -> Tensor:
    """A product with a matrix of four bits each, the high ones first, which name a number of a table."""
    inputs, outputs, block, table = (call.attr(name) for name in ("K", "N", "block_size", "quant_type"))
    if table not in (0, 1):
        raise FileFormatError(f"{call.label} has a quant_type {table}", hint="0 and 1 are supported")
    count = inputs * outputs
    pairs = standard.reshape(unpacked(b, 4), (-1, 2))
    codes = casting.astype(standard.reshape(pairs[:, ::-1], (-1,))[:count], dtypes.int32)
    scales = standard.repeat(largest, block, 0)[:count]
    found = indexing.take(declare.constant(CODES[table].astype(a.dtype.numpy)), codes, 0) * scales
    weights = standard.reshape(found, (outputs, inputs))
    return linalg.matmul(a, linalg.matrix_transpose(weights) if call.flag("transB", True) else weights)


def _gather(call: Call, data: Tensor, indices: Tensor, scales: Tensor, zeros: Any = None) -> Tensor:
    """Rows of a table in blocks of few bits; zeros for those that it does not have."""
    along, axis = (
        call.attr(f"{name}_axis", known) % data.ndim for name, known in (("gather", 0), ("quantize", 1))
    )
    is_packed = data.dtype is dtypes.uint8
    width, block = call.attr("bits", 4), call.attr("block_size", 128)
    size = data.shape[along]
    if along == axis or (is_packed and axis != data.ndim - 1):
        raise FileFormatError(
            f"{call.label} gathers along an axis with blocks, which is not supported",
            hint="quantize along the last axis, and gather along another",
        )
    known = comparison.logical_and(indices >= -size, indices < size)
    wrapped = comparison.where(indices < 0, indices + size, indices)
    found, steps, middles = (
        None if one is None else indexing.take(one, wrapped, along) for one in (data, scales, zeros)
    )
    if is_packed:
        made = of_blocks(found, steps, middles, width, block)
    else:
        place = axis + indices.ndim - 1 if axis > along else axis
        made = quantization.dequantize_linear(found, steps, middles, axis=place, block_size=block or size)
    apart = (1,) * (made.ndim - along - indices.ndim)
    there = standard.reshape(known, (*(1,) * along, *indices.shape, *apart))
    return comparison.where(there, made, creation.zeros((), made.dtype))


TABLE: dict[str, Any] = {
    "GatherBlockQuantized": _gather,
    "MatMulBnb4": _matmul_codes,
    "MatMulNBits": _matmul_bits,
}
