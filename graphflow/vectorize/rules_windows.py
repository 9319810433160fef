"""Batching of pooling, patches and resampling; the first two have a batch axis of their own to fold into."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Node, Tensor
from graphflow.vectorize.rule import Batch, Operand, batching
from graphflow.vectorize.rules_reduction import shifted


def folded(batch: Batch, operand: Operand) -> Tensor:
    """The examples below one another in the first axis."""
    tensor = batch.front(operand)
    return batch.builder.reshape(tensor, shape=(batch.size * tensor.shape[1], *tensor.shape[2:]))


def unfolded(batch: Batch, tensor: Tensor, count: Any) -> Tensor:
    """The opposite of `folded`, for `count` rows an example."""
    return batch.builder.reshape(tensor, shape=(batch.size, count, *tensor.shape[1:]))


@batching("max_pool", "avg_pool", "max_pool_gradient", "max_pool_select", "im2col", "col2im")
def _(batch: Batch, node: Node, *operands: Operand) -> Any:
    made = batch.again(node, *[folded(batch, one) for one in operands])
    return unfolded(batch, made, node.outputs[0].shape[0])


@batching("avg_pool_gradient")
def _(batch: Batch, node: Node, g: Operand) -> Any:
    count, *rest = node.attrs["input_shape"]
    made = batch.again(node, folded(batch, g), input_shape=(batch.size * count, *rest))
    return unfolded(batch, made, count)


@batching("resample")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, axes=shifted(node.attrs["axes"]))


@batching("resample_gradient")
def _(batch: Batch, node: Node, g: Operand) -> Any:
    shape = (batch.size, *node.attrs["input_shape"])
    return batch.again(node, g.tensor, axes=shifted(node.attrs["axes"]), input_shape=shape)
