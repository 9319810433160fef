"""Import of operators that move elements or change shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import FileFormatError, ShapeError
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN
from graphflow.io.tflite.tensors import dtype_of
from graphflow.ir.node import Tensor
from graphflow.ops import arrange, casting, declare, padding, rearrange, rounding, slicing, standard
from graphflow.ops import shape as shape_ops


def _reshape(call: Call, x: Tensor, shape: Tensor | None = None) -> Tensor:
    if shape is not None:
        wanted = call.numbers(shape)
    else:
        wanted = call.options("NewShape") or call.output_info().shape
    return standard.reshape(x, tuple(wanted))


def _squeeze(call: Call, x: Tensor) -> Tensor:
    axes = call.options("SqueezeDims")
    given = axes or tuple(axis for axis, size in enumerate(x.shape) if isinstance(size, int) and size == 1)
    return shape_ops.squeeze(x, given) if given else rounding.identity(x)


def _expand_dims(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    return shape_ops.expand_dims(x, (call.number(axis),))


def _transpose(call: Call, x: Tensor, axes: Tensor) -> Tensor:
    return shape_ops.permute_dims(x, call.numbers(axes))


def _broadcast_to(call: Call, x: Tensor, shape: Tensor) -> Tensor:
    return shape_ops.broadcast_to(x, tuple(call.numbers(shape)))


def _tile(call: Call, x: Tensor, counts: Tensor) -> Tensor:
    return arrange.tile(x, call.numbers(counts))


def _shape(call: Call, x: Tensor) -> Tensor:
    return casting.astype(shape_ops.shape_of(x), dtype_of(call.output_info().kind))


def _rank(call: Call, x: Tensor) -> Tensor:
    return declare.constant(np.int32(x.ndim))


# Joining and cutting


def _concatenation(call: Call, *xs: Tensor) -> Tensor:
    return call.activated(standard.concat(*xs, axis=call.option("Axis")))


def _pack(call: Call, *xs: Tensor) -> Tensor:
    return rearrange.stack(list(xs), call.option("Axis"))


def _unpack(call: Call, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(rearrange.unstack(x, axis=call.option("Axis")))


def _split(call: Call, axis: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(arrange.split(x, call.option("NumSplits", len(call.operator.outputs)), call.number(axis)))


def _split_v(call: Call, x: Tensor, sizes: Tensor, axis: Tensor) -> tuple[Tensor, ...]:
    given, place = list(call.numbers(sizes)), call.axis(axis, x.ndim)
    if given.count(-1) == 1:
        rest = x.shape[place] - sum(size for size in given if size != -1)
        given[given.index(-1)] = rest
    return tuple(arrange.split(x, tuple(given), place))


# Slices


def _slice(call: Call, x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    starts, sizes = call.numbers(begin), call.numbers(size)
    stops = [
        None if isinstance(count, int) and count == -1 else start + count
        for start, count in zip(starts, sizes)
    ]
    return slicing.slice_(x, starts, tuple(stops))


def _strided_slice(call: Call, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor) -> Tensor:
    starts, stops, steps = call.numbers(begin), call.numbers(end), call.numbers(strides)
    if call.option("Offset", False):
        stops = tuple(start + stop for start, stop in zip(starts, stops))
    if not len(starts) == len(stops) == len(steps):
        raise ShapeError("begin, end and strides have different lengths", hint=AGAIN)
    index: list[Any] = []
    for place, (start, stop, step) in enumerate(zip(starts, stops, steps)):
        if _bit(call, "EllipsisMask", place):
            index.append(Ellipsis)
        elif _bit(call, "NewAxisMask", place):
            index.append(None)
        elif _bit(call, "ShrinkAxisMask", place):
            index.append(start)
        else:
            first = None if _bit(call, "BeginMask", place) else start
            last = None if _bit(call, "EndMask", place) else stop
            index.append(slice(first, last, step))
    return rounding.identity(x) if not index else x[tuple(index)]


def _bit(call: Call, mask: str, place: int) -> bool:
    return bool(call.option(mask) >> place & 1)


# Padding


def _pads(call: Call, x: Tensor, pads: Tensor) -> list[tuple[Any, Any]]:
    pairs = call.numbers(pads)
    if len(pairs) != x.ndim or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ShapeError(f"the padding {pairs!r:.80} is not one pair an axis", hint=AGAIN)
    return [(before, after) for before, after in pairs]


def _pad(call: Call, x: Tensor, pads: Tensor, value: Tensor | None = None) -> Tensor:
    pairs = _pads(call, x, pads)
    if value is not None:
        return padding.pad(x, pairs, "constant", standard.reshape(value, ()))
    how = call.quantization(0)
    zero = 0 if how is None or not x.dtype.is_integer else int(how.zero[0])
    return padding.pad(x, pairs, "constant", zero)


def _mirror_pad(call: Call, x: Tensor, pads: Tensor) -> Tensor:
    pairs = _pads(call, x, pads)
    if not call.option("Mode"):
        return padding.pad(x, pairs, "reflect")
    for axis, (before, after) in enumerate(pairs):
        parts = [x]
        if before != 0:
            parts.insert(0, rearrange.flip(slicing.slice_(x, (0,), (before,), None, (axis,)), axis))
        if after != 0:
            parts.append(rearrange.flip(slicing.slice_(x, (-after,), (None,), None, (axis,)), axis))
        x = standard.concat(*parts, axis=axis) if parts[1:] else x
    return x


# Blocks


def _block(call: Call) -> int:
    size = call.option("BlockSize")
    if size < 1:
        raise FileFormatError(f"{call.label} has blocks of size {size}", hint=AGAIN)
    return int(size)


def _depth_to_space(call: Call, x: Tensor) -> Tensor:
    block = _block(call)
    n, h, w, c = _image(x)
    parts = standard.reshape(x, (n, h, w, block, block, _part(c, block * block)))
    return standard.reshape(
        shape_ops.permute_dims(parts, (0, 1, 3, 2, 4, 5)), (n, h * block, w * block, _part(c, block * block))
    )


def _space_to_depth(call: Call, x: Tensor) -> Tensor:
    block = _block(call)
    n, h, w, c = _image(x)
    parts = standard.reshape(x, (n, _part(h, block), block, _part(w, block), block, c))
    return standard.reshape(
        shape_ops.permute_dims(parts, (0, 1, 3, 2, 4, 5)),
        (n, _part(h, block), _part(w, block), c * block * block),
    )


def _image(x: Tensor) -> tuple[Any, Any, Any, Any]:
    if x.ndim != 4:
        raise ShapeError(f"images have 4 axes, not {x.ndim}", hint=AGAIN)
    return x.shape[0], x.shape[1], x.shape[2], x.shape[3]


def _part(size: Any, count: int) -> Any:
    if count < 1 or (isinstance(size, int) and size % count):
        raise ShapeError(f"a size of {size} does not divide into {count}", hint=AGAIN)
    return size // count


def _space_to_batch(call: Call, x: Tensor, block: Tensor, pads: Tensor) -> Tensor:
    """Places whose numbers have the same remainders become images of their own."""
    sizes, pairs = call.numbers(block), call.numbers(pads)
    count = len(sizes)
    x = padding.pad(x, [tuple(pair) for pair in pairs], axes=tuple(range(1, count + 1)))
    inner = [size for axis, step in enumerate(sizes, start=1) for size in (_part(x.shape[axis], step), step)]
    parts = standard.reshape(x, (x.shape[0], *inner, *x.shape[count + 1 :]))
    order = (*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), *range(2 * count + 1, parts.ndim))
    batch = x.shape[0] * math.prod(sizes)
    return standard.reshape(shape_ops.permute_dims(parts, order), (batch, *inner[::2], *x.shape[count + 1 :]))


def _batch_to_space(call: Call, x: Tensor, block: Tensor, crops: Tensor) -> Tensor:
    """The inverse of `_space_to_batch`, which then takes places away."""
    sizes, pairs = call.numbers(block), call.numbers(crops)
    count, batch = len(sizes), _part(x.shape[0], math.prod(sizes))
    parts = standard.reshape(x, (*sizes, batch, *x.shape[1:]))
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    rest = range(2 * count + 1, parts.ndim)
    merged = [x.shape[axis + 1] * step for axis, step in enumerate(sizes)]
    made = standard.reshape(
        shape_ops.permute_dims(parts, (*order, *rest)), (batch, *merged, *x.shape[count + 1 :])
    )
    starts, stops = zip(*[(first, size - last) for (first, last), size in zip(pairs, merged)])
    return slicing.slice_(made, starts, stops, None, tuple(range(1, count + 1)))


TABLE: dict[str, Any] = {"SPACE_TO_BATCH_ND": _space_to_batch}

STORED: dict[str, Any] = {"RANK": _rank, "SHAPE": _shape}

MOVES: dict[str, Any] = {
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space,
    "EXPAND_DIMS": _expand_dims,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
