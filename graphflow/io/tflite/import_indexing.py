"""Import of operators that read or write at indices, sort, and reverse."""

from __future__ import annotations

from typing import Any

from graphflow.io.tflite.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    comparison,
    creation,
    elementwise,
    indexing,
    rearrange,
    scattering,
    selection,
    sequences,
    sorting,
    standard,
)
from graphflow.ops import shape as shape_ops


def _gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """x[n, ..., indices[n, i], ...] for the common axes n."""
    common = call.axis(call.option("BatchDims"), indices.ndim + 1)
    axis = call.axis(call.option("Axis"), x.ndim)
    if not common:
        return indexing.take(x, indices, axis)
    moved = rearrange.moveaxis(x, axis, common) if axis != common else x
    made = scattering.gather_nd(moved, shape_ops.expand_dims(indices, (-1,)), common)
    between, width = axis - common, indices.ndim - common
    order = [
        *range(common),
        *range(common + width, common + width + between),
        *range(common, common + width),
        *range(common + width + between, made.ndim),
    ]
    return shape_ops.permute_dims(made, tuple(order)) if between else made


def _gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return scattering.gather_nd(x, indices)


def _embedding_lookup(call: Call, indices: Tensor, table: Tensor) -> Tensor:
    return indexing.take(table, indices, 0)


def _one_hot(call: Call, indices: Tensor, depth: Tensor, on: Tensor, off: Tensor) -> Tensor:
    axis = call.option("Axis", -1)
    chosen = indexing.one_hot(indices, call.number(depth), axis, dtypes.bool_)
    return comparison.where(chosen, on, off)


def _scatter_nd(call: Call, indices: Tensor, updates: Tensor, shape: Tensor) -> Tensor:
    empty = creation.zeros(tuple(call.numbers(shape)), updates.dtype)
    return scattering.scatter_nd(empty, indices, updates, "add")


def _sparse_to_dense(call: Call, indices: Tensor, shape: Tensor, values: Tensor, default: Tensor) -> Tensor:
    wanted = tuple(call.numbers(shape))
    filled = shape_ops.broadcast_to(standard.reshape(default, ()), wanted)
    if indices.ndim < 2:
        indices = standard.reshape(indices, (-1, 1) if len(wanted) == 1 else (1, len(wanted)))
    rows = shape_ops.broadcast_to(values, (indices.shape[0],))
    return scattering.scatter_nd(filled, indices, rows)


def _dynamic_update_slice(call: Call, x: Tensor, update: Tensor, starts: Tensor) -> Tensor:
    """The update is moved back to where it fits, and written at the index of each of its elements."""
    coordinates = []
    for axis, (size, width) in enumerate(zip(x.shape, update.shape)):
        first = elementwise.minimum(elementwise.maximum(starts[axis], 0), size - width)
        shape = [-1 if place == axis else 1 for place in range(x.ndim)]
        along = standard.reshape(creation.arange(width, dtype=starts.dtype), shape) + first
        coordinates.append(shape_ops.broadcast_to(along, update.shape))
    if not coordinates or any(isinstance(size, int) and size == 0 for size in update.shape):
        return x if coordinates else update
    return scattering.scatter_nd(x, rearrange.stack(coordinates, -1), update)


def _top_k(call: Call, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    values, indices = sorting.top_k(x, call.number(k))
    return values, indices


def _reverse(call: Call, x: Tensor, axes: Tensor) -> Tensor:
    return rearrange.flip(x, call.numbers(axes))


def _reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    time, batch = call.option("SeqDim"), call.option("BatchDim")
    return sequences.reverse_sequence(x, lengths, call.axis(time, x.ndim), call.axis(batch, x.ndim))


def _matrix_diag(call: Call, x: Tensor) -> Tensor:
    inside = creation.eye(x.shape[-1], dtype=dtypes.bool_)
    return comparison.where(inside, shape_ops.expand_dims(x, (-2,)), creation.zeros((), x.dtype))


def _matrix_set_diag(call: Call, x: Tensor, values: Tensor) -> Tensor:
    """Each column reads its own entry; those beyond the diagonal are not chosen."""
    rows, columns = x.shape[-2:]
    inside = creation.eye(rows, columns, dtype=dtypes.bool_)
    reachable = indexing.take(values, creation.arange(columns), -1)
    return comparison.where(inside, shape_ops.expand_dims(reachable, (-2,)), x)


def _where(call: Call, condition: Tensor) -> Tensor:
    return selection.argwhere(condition)


TABLE: dict[str, Any] = {
    "MATRIX_DIAG": _matrix_diag,
    "MATRIX_SET_DIAG": _matrix_set_diag,
    "SCATTER_ND": _scatter_nd,
    "SPARSE_TO_DENSE": _sparse_to_dense,
    "WHERE": _where,
}

MOVES: dict[str, Any] = {
    "DYNAMIC_UPDATE_SLICE": _dynamic_update_slice,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "ONE_HOT": _one_hot,
    "REVERSE_SEQUENCE": _reverse_sequence,
    "REVERSE_V2": _reverse,
    "TOPK_V2": _top_k,
}
