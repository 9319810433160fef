"""Export of reading and writing at indices.

Indices out of range are clamped here and an error in ONNX, so that they are clamped in the model too,
unless they are constants that lie within.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.io.onnx.export_shape import filled, ranged, reshaped, unsqueezed
from graphflow.io.onnx.export_writer import NoForm, Writer
from graphflow.ir import dtypes
from graphflow.ir.dims import Size
from graphflow.ir.node import Node


def _within(w: Writer, value: str, sizes: list[Size]) -> str:
    """The indices as int64, each at least -size and at most size - 1."""
    made = w.cast(value, dtypes.int64)
    array = w.shared.arrays.get(value)
    if array is not None and all(isinstance(size, int) for size in sizes):
        limits = np.array(sizes)
        if np.all((array >= -limits) & (array < limits)):
            return made
    limit = w.shape(sizes) if len(sizes) > 1 else w.scalar(sizes[0])
    last = w.emit("Sub", limit, w.like(1, limit))
    return str(w.emit("Max", w.emit("Min", made, last), w.emit("Neg", limit)))


def _is_empty(size: Size) -> bool:
    return isinstance(size, int) and size == 0


def _take(w: Writer, node: Node, x: str, index: str) -> Any:
    axis = node.attrs.axis
    size = node.inputs[0].shape[axis]
    if _is_empty(size):
        return filled(w, w.like(0, x), node.output.shape)
    return w.emit("Gather", x, _within(w, index, [size]), axis=axis)


def _index_add(w: Writer, node: Node, x: str, index: str, updates: str) -> Any:
    source, indices, added = node.inputs
    axis = node.attrs.axis
    if _is_empty(source.shape[axis]):
        return w.emit("Identity", x)
    where = _within(w, index, [source.shape[axis]])
    front = [axis, *(place for place in range(source.ndim) if place != axis)]
    moved = list(range(axis, axis + indices.ndim))
    rest = [place for place in range(added.ndim) if place not in moved]
    if axis:
        x, updates = w.emit("Transpose", x, perm=front), w.emit("Transpose", updates, perm=moved + rest)
    made = w.emit("ScatterND", x, unsqueezed(w, where, [-1]), updates, reduction="add")
    return w.emit("Transpose", made, perm=np.argsort(front).tolist()) if axis else made


def _take_along_axis(w: Writer, node: Node, x: str, index: str) -> Any:
    axis = node.attrs.axis
    size = node.inputs[0].shape[axis]
    if _is_empty(size):
        return filled(w, w.like(0, x), node.output.shape)
    return w.emit("GatherElements", x, _within(w, index, [size]), axis=axis)


def _add_along_axis(w: Writer, node: Node, x: str, index: str, updates: str) -> Any:
    axis = node.attrs.axis
    size = node.inputs[0].shape[axis]
    if _is_empty(size):
        return w.emit("Identity", x)
    where = _within(w, index, [size])
    return w.emit("ScatterElements", x, where, updates, axis=axis, reduction="add")


def _nd(w: Writer, node: Node, index: str) -> str:
    source, indices = node.inputs[:2]
    depth = indices.shape[-1]
    if not isinstance(depth, int) or depth == 0 or any(_is_empty(size) for size in source.shape[:depth]):
        raise NoForm("index vectors need a known length of 1 or more, and axes that are not empty")
    return _within(w, index, list(source.shape[:depth]))


def _gather_nd(w: Writer, node: Node, x: str, index: str) -> Any:
    return w.emit("GatherND", x, _nd(w, node, index))


def _scatter_nd(w: Writer, node: Node, x: str, index: str, updates: str) -> Any:
    reduction = node.attrs.get("reduction", "add")
    if reduction in ("min", "max") and w.opset < 18:
        raise NoForm(f"ScatterND of opset {w.opset} has no reduction {reduction!r}")
    return w.emit("ScatterND", x, _nd(w, node, index), updates, reduction=reduction)


def _one_hot(w: Writer, node: Node, index: str) -> str:
    attrs = node.attrs
    rank = node.output.ndim
    classes = reshaped(
        w, ranged(w, 0, attrs.depth), [attrs.depth if place == attrs.axis else 1 for place in range(rank)]
    )
    named = unsqueezed(w, w.cast(index, dtypes.int64), [attrs.axis])
    return w.cast(w.emit("Equal", named, classes), node.output.dtype)


def _reverse_sequence(w: Writer, node: Node, x: str, lengths: str) -> Any:
    attrs = node.attrs
    if {attrs.time_axis, attrs.batch_axis} != {0, 1}:
        raise NoForm("ReverseSequence is for axes 0 and 1")
    limit = w.scalar(node.inputs[0].shape[attrs.time_axis])
    lengths = w.emit("Max", w.emit("Min", w.cast(lengths, dtypes.int64), limit), w.scalar(0))
    return w.emit(
        "ReverseSequence", x, lengths, time_axis=attrs.time_axis,
        batch_axis=attrs.batch_axis,
    )  # fmt: skip


TABLE: dict[str, Any] = {
    "add_along_axis": _add_along_axis,
    "gather_nd": _gather_nd,
    "index_add": _index_add,
    "one_hot": _one_hot,
    "reverse_sequence": _reverse_sequence,
    "scatter_nd": _scatter_nd,
    "scatter_nd_add": _scatter_nd,
    "take": _take,
    "take_along_axis": _take_along_axis,
}
