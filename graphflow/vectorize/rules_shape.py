"""Batching of what arranges elements: shapes and paddings get the batch axis in front, axes move up."""

from __future__ import annotations

from typing import Any

from graphflow.ir import dims
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Node
from graphflow.vectorize.rule import Batch, Operand, batching
from graphflow.vectorize.rules_reduction import shifted


@batching("reshape")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, shape=(batch.size, *node.attrs["shape"]))


@batching("broadcast_to")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    shape = node.attrs["shape"]
    return batch.again(node, batch.aligned(x, len(shape)), shape=(batch.size, *shape))


@batching("permute_dims")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, axes=(0, *shifted(node.attrs["axes"])))


@batching("concat")
def _(batch: Batch, node: Node, *xs: Operand) -> Any:
    return batch.again(node, *[batch.front(x) for x in xs], axis=node.attrs["axis"] + 1)


@batching("roll")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    if node.attrs["axis"] is not None:
        return batch.again(node, x.tensor, axis=shifted(node.attrs["axis"]))
    shape = node.outputs[0].shape
    flat = batch.builder.reshape(x.tensor, shape=(batch.size, dims.product(shape)))
    turned = batch.again(node, flat, axis=(1,), shift=(node.attrs["shift"],))
    return batch.builder.reshape(turned, shape=(batch.size, *shape))


@batching("tile")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    counts = node.attrs["repetitions"]
    return batch.again(node, batch.aligned(x, len(counts)), repetitions=(1, *counts))


@batching("repeat")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    axis = node.attrs["axis"]
    if axis is not None:
        return batch.again(node, x.tensor, axis=axis + 1)
    flat = batch.builder.reshape(x.tensor, shape=(batch.size, dims.product(node.inputs[0].shape)))
    return batch.again(node, flat, axis=1)


@batching("pad")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, pads=((0, 0), *node.attrs["pads"]))


@batching("slice")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, axes=None, **_whole_first(batch, node))


@batching("unslice")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, shape=(batch.size, *node.attrs["shape"]), **_whole_first(batch, node))


def _whole_first(batch: Batch, node: Node) -> dict[str, Any]:
    """Canonical bounds with the whole batch axis in front."""
    attrs = node.attrs
    return {
        "starts": (0, *attrs["starts"]),
        "stops": (batch.size, *attrs["stops"]),
        "steps": (1, *attrs["steps"]),
    }


@batching("shape_of")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    builder = batch.builder
    sizes = [builder.reshape(builder.tensor(size, int64), shape=(1,)) for size in node.inputs[0].shape]
    made = builder.concat(*sizes, axis=0) if sizes else builder.iota(size=0)
    return Operand(made, False)
