"""Batching of what works along axes: the axes move up by one."""

from __future__ import annotations

from typing import Any

from graphflow.ir import dims
from graphflow.ir.node import Node
from graphflow.vectorize.fallback import loop
from graphflow.vectorize.rule import Batch, Operand, batching
from graphflow.vectorize.walk import expanded


def shifted(axis: Any) -> Any:
    """An axis, or axes, of one example as those of the batch.

    >>> shifted(0), shifted((0, 2))
    (1, (1, 3))
    """
    return tuple([place + 1 for place in axis]) if isinstance(axis, tuple) else axis + 1


@batching(
    "sum", "mean", "max", "min", "prod", "all", "any", "logsumexp",
    "cumulative_sum", "cumulative_prod", "softmax", "log_softmax", "sort", "argsort", "top_k",
    "complex_dft", "real_dft", "inverse_real_dft", "split", "expand_dims", "squeeze", "one_hot",
)  # fmt: skip
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor, axis=shifted(node.attrs["axis"]))


@batching("batch_normalization", "layer_normalization")
def _(batch: Batch, node: Node, x: Operand, *others: Operand) -> Any:
    if any(operand.batched for operand in others):
        return expanded(batch, node, x, *others)
    return batch.again(
        node, x.tensor, *[operand.tensor for operand in others], axis=shifted(node.attrs["axis"])
    )


@batching("argmax", "argmin")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    if node.attrs["axis"] is not None:
        return batch.again(node, x.tensor, axis=node.attrs["axis"] + 1)
    flat = batch.builder.reshape(x.tensor, shape=(batch.size, dims.product(node.inputs[0].shape)))
    made = batch.again(node, flat, axis=1, keepdims=False)
    return batch.builder.reshape(made, shape=(batch.size, *node.outputs[0].shape))


@batching("quantize_linear", "dequantize_linear")
def _(batch: Batch, node: Node, x: Operand, scale: Operand, zero_point: Operand) -> Any:
    """Scales of one example each become scales along an axis of all."""
    axis, shape, builder = node.attrs["axis"], node.inputs[0].shape, batch.builder
    if node.attrs["block_size"]:
        return batch.again(node, *[batch.front(one) for one in (x, scale, zero_point)], axis=axis + 1)
    if not scale.batched and not zero_point.batched:
        return batch.again(node, x.tensor, scale.tensor, zero_point.tensor, axis=min(axis + 1, len(shape)))
    count = dims.product(node.inputs[1].shape)
    several = not isinstance(count, int) or count != 1
    moved = batch.moved(batch.front(x), axis + 1, 1) if several else batch.front(x)
    rest = moved.shape[2:] if several else moved.shape[1:]
    flat = builder.reshape(moved, shape=(batch.size * count, *rest))
    steps = [builder.reshape(batch.front(one), shape=(batch.size * count,)) for one in (scale, zero_point)]
    made = builder.reshape(batch.again(node, flat, *steps, axis=0), shape=moved.shape)
    return batch.moved(made, 1, axis + 1) if several else made


@batching("searchsorted")
def _(batch: Batch, node: Node, vector: Operand, values: Operand) -> Any:
    if vector.batched:
        return loop(batch, node, vector, values)
    return batch.again(node, vector.tensor, values.tensor)
