"""Batching of reading and writing at positions: the number of the example is one more index.

Where only the tensor, or only the indices, are batched, the operator itself serves.
"""

from __future__ import annotations

from typing import Any

from graphflow.ir.dtypes import int64
from graphflow.ir.node import Node, Tensor
from graphflow.ops.scattering import gather_nd, positions_along
from graphflow.vectorize.rule import Batch, Operand, batching


def _vectors(batch: Batch, indices: Tensor) -> Tensor:
    """Index vectors [n, .., k] with the number of the example in front of each."""
    builder = batch.builder
    if indices.dtype.kind == "uint" and indices.dtype.itemsize == 8:
        indices = builder.minimum(indices, 2**63 - 1)  # what is larger is out of range on every axis
    own = positions_along(builder, (*indices.shape[:-1], 1), 0)
    return builder.concat(own, builder.astype(indices, dtype=int64), axis=-1)


def _grouped(batch: Batch, tensor: Tensor, first: int, count: int, target: int) -> Tensor:
    """The tensor with `count` neighbouring axes, from `first` on, moved so that they start at `target`."""
    block = list(range(first, first + count))
    axes = [axis for axis in range(tensor.ndim) if axis not in block]
    axes[target:target] = block
    return tensor if axes == sorted(axes) else batch.builder.permute_dims(tensor, axes=tuple(axes))


@batching("take")
def _(batch: Batch, node: Node, x: Operand, indices: Operand) -> Any:
    axis, builder = node.attrs["axis"], batch.builder
    if not indices.batched:
        return batch.again(node, x.tensor, indices.tensor, axis=axis + 1)
    if not x.batched:
        return batch.moved(batch.again(node, x.tensor, indices.tensor), axis, 0)
    places = builder.expand_dims(indices.tensor, axis=-1)
    found = gather_nd(batch.moved(x.tensor, axis + 1, 1), places, batch_dims=1)
    return _grouped(batch, found, 1, indices.tensor.ndim - 1, axis + 1)


@batching("index_add")
def _(batch: Batch, node: Node, x: Operand, indices: Operand, updates: Operand) -> Any:
    axis, builder = node.attrs["axis"], batch.builder
    into, added = batch.front(x), batch.front(updates)
    if not indices.batched:
        return batch.again(node, into, indices.tensor, added, axis=axis + 1)
    into = batch.moved(into, axis + 1, 1)
    added = _grouped(batch, added, axis + 1, indices.tensor.ndim - 1, 1)
    vectors = _vectors(batch, builder.expand_dims(indices.tensor, axis=-1))
    return batch.moved(builder.scatter_nd_add(into, vectors, added), 1, axis + 1)


@batching("take_along_axis", "add_along_axis")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    return batch.again(node, *[batch.front(one) for one in operands], axis=node.attrs["axis"] + 1)


@batching("gather_nd")
def _(batch: Batch, node: Node, x: Operand, indices: Operand) -> Any:
    if not x.batched:
        return batch.again(node, x.tensor, indices.tensor)
    if indices.batched:
        return gather_nd(x.tensor, indices.tensor, batch_dims=1)
    depth: Any = indices.tensor.shape[-1]
    found = batch.again(node, batch.moved(x.tensor, 0, depth), indices.tensor)
    return batch.moved(found, indices.tensor.ndim - 1, 0)


@batching("scatter_nd", "scatter_nd_add")
def _(batch: Batch, node: Node, x: Operand, indices: Operand, updates: Operand) -> Any:
    vectors = _vectors(batch, batch.front(indices))
    return batch.again(node, batch.front(x), vectors, batch.front(updates))
