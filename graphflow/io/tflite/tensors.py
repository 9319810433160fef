"""Element types of TensorFlow Lite, and buffers as arrays."""

from __future__ import annotations

import math

import numpy as np

from graphflow.errors import DTypeError, FileFormatError
from graphflow.io.tflite.reading import AGAIN, File, TensorInfo
from graphflow.ir import dtypes
from graphflow.ir.dtypes import DType

INT4 = 17

DTYPES: dict[int, DType] = {
    0: dtypes.float32, 1: dtypes.float16, 2: dtypes.int32, 3: dtypes.uint8, 4: dtypes.int64,
    6: dtypes.bool_, 7: dtypes.int16, 8: dtypes.complex64, 9: dtypes.int8, 10: dtypes.float64,
    11: dtypes.complex128, 12: dtypes.uint64, 15: dtypes.uint32, 16: dtypes.uint16, INT4: dtypes.int4,
    18: dtypes.bfloat16,
}  # fmt: skip
"""Our dtypes by the numbers that the format has for them."""

_OTHERS = {5: "text", 13: "a resource", 14: "a variant"}
QUANTIZED = frozenset({3, 7, 9, INT4})
"""The types of numbers that quantize activations and weights; int32 and int64 do so for biases."""


def dtype_of(number: int) -> DType:
    """The dtype that the format gives this number.

    Raises:
        DTypeError: for one that is not supported.

    >>> dtype_of(9)
    int8
    """
    if number not in DTYPES:
        raise DTypeError(
            f"tensors of type {number} ({_OTHERS.get(number, 'unknown')}) are not supported",
            hint="numbers and booleans are",
        )
    return DTYPES[number]


def array_of(file: File, info: TensorInfo) -> np.ndarray | None:
    """The constant that a tensor is, as a read-only view of the file; None if it is no constant.

    Raises:
        FileFormatError: if the bytes are not what the type and the sizes say.
    """
    if info.buffer >= len(file.buffers):
        raise FileFormatError(
            f"the tensor {info.name!r:.80} has buffer {info.buffer} of {len(file.buffers)}",
            hint=AGAIN,
        )
    data = file.buffers[info.buffer]
    if not data.size:
        return None
    if info.is_sparse:
        raise FileFormatError(
            f"the tensor {info.name!r:.80} leaves out its zeros", hint="convert the model without sparsity"
        )
    dtype, count = dtype_of(info.kind), math.prod(info.shape)
    needed = -(-count // 2) if info.kind == INT4 else count * dtype.numpy.itemsize
    if any(size < 0 for size in info.shape) or needed != data.size:
        raise FileFormatError(
            f"the tensor {info.name!r:.80} has {data.size} bytes, but {dtype.name}{list(info.shape)} takes "
            f"{needed}",
            hint=AGAIN,
        )
    made = _unpacked(data, count) if info.kind == INT4 else data.view(dtype.numpy)
    if not made.flags.aligned:
        made = made.copy()
    made = made.reshape(info.shape)
    made.setflags(write=False)
    return made


def _unpacked(data: np.ndarray, count: int) -> np.ndarray:
    """Numbers of four bits, the first of each byte in its lower half."""
    halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(dtypes.int4.numpy)
