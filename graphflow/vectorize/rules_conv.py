"""Batching of convolutions: examples fold into the batch axis; those with own kernels into the channels.

With the examples side by side in the channels, a convolution in groups takes each with its own kernels.
The number of groups has to be fixed; for a symbolic number of examples, a product of matrices with what
each window holds does the same.
"""

from __future__ import annotations

from typing import Any

from graphflow.ir import dims
from graphflow.ir.node import Node, Tensor
from graphflow.ops.linalg import transposed
from graphflow.vectorize.rule import Batch, Operand, batching
from graphflow.vectorize.rules_windows import folded, unfolded


def _beside(batch: Batch, operand: Operand, axis: int, groups: int = 1) -> Tensor:
    """The examples side by side in an axis of channels: inside of each of the groups of it."""
    x, place = batch.front(operand), axis + 1
    shape = x.shape
    part = dims.floor_divide(shape[place], groups)
    split = batch.builder.reshape(x, shape=(*shape[:place], groups, part, *shape[place + 1 :]))
    near = batch.moved(split, 0, place)
    whole = (*shape[1:place], batch.size * shape[place], *shape[place + 1 :])
    return batch.builder.reshape(near, shape=whole)


def _apart(batch: Batch, x: Tensor, axis: int, count: Any, groups: int = 1) -> Tensor:
    """The opposite of `_beside`, for `count` channels an example."""
    shape, part = x.shape, dims.floor_divide(count, groups)
    split = batch.builder.reshape(x, shape=(*shape[:axis], groups, batch.size, part, *shape[axis + 1 :]))
    far = batch.moved(split, axis + 1, 0)
    return batch.builder.reshape(far, shape=(batch.size, *shape[:axis], count, *shape[axis + 1 :]))


def _in_groups(batch: Batch) -> bool:
    """Whether there can be a group for each example."""
    return isinstance(batch.size, int) and batch.size > 0


@batching("conv")
def _(batch: Batch, node: Node, x: Operand, w: Operand) -> Any:
    groups, outputs = node.attrs["groups"], node.outputs[0].shape[1]
    if not w.batched:
        made = batch.again(node, folded(batch, x), w.tensor)
        return unfolded(batch, made, node.outputs[0].shape[0])
    if not x.batched:
        return _apart(batch, batch.again(node, x.tensor, _beside(batch, w, 0, groups)), 1, outputs, groups)
    if not _in_groups(batch):
        return _conv_of_columns(batch, node, x, w)
    made = batch.again(node, _beside(batch, x, 1), _beside(batch, w, 0), groups=batch.size * groups)
    return _apart(batch, made, 1, outputs)


@batching("conv_input_gradient")
def _(batch: Batch, node: Node, g: Operand, w: Operand) -> Any:
    groups, (count, channels, *rest) = node.attrs["groups"], node.attrs["input_shape"]
    if not w.batched:
        shape = (batch.size * count, channels, *rest)
        return unfolded(batch, batch.again(node, folded(batch, g), w.tensor, input_shape=shape), count)
    wide = (count, batch.size * channels, *rest)
    if not g.batched:
        made = batch.again(node, g.tensor, _beside(batch, w, 1), input_shape=wide)
        return _apart(batch, made, 1, channels, groups)
    if not _in_groups(batch):
        return _input_gradient_of_columns(batch, node, g, w)
    made = batch.again(
        node, _beside(batch, g, 1), _beside(batch, w, 0), input_shape=wide, groups=batch.size * groups
    )
    return _apart(batch, made, 1, channels)


@batching("conv_weight_gradient")
def _(batch: Batch, node: Node, x: Operand, g: Operand) -> Any:
    groups, (outputs, inner, *kernel) = node.attrs["groups"], node.attrs["kernel_shape"]
    if not g.batched:
        shape = (outputs, batch.size * inner, *kernel)
        return _apart(
            batch, batch.again(node, _beside(batch, x, 1, groups), g.tensor, kernel_shape=shape), 1, inner
        )
    tall = (batch.size * outputs, inner, *kernel)
    if not x.batched:
        made = batch.again(node, x.tensor, _beside(batch, g, 1, groups), kernel_shape=tall)
        return _apart(batch, made, 0, outputs, groups)
    if not _in_groups(batch):
        return _weight_gradient_of_columns(batch, node, x, g)
    made = batch.again(
        node, _beside(batch, x, 1), _beside(batch, g, 1), kernel_shape=tall, groups=batch.size * groups
    )
    return _apart(batch, made, 0, outputs)


# Products with what each window holds: for kernels of each example, and a symbolic number of examples


def _geometry(node: Node) -> dict[str, Any]:
    return {name: node.attrs[name] for name in ("strides", "padding", "dilation")}


def _columns(batch: Batch, node: Node, x: Operand, kernel: Any) -> Tensor:
    """What each window of x holds, as [n, batch, groups, channels / groups * kernel, positions]."""
    groups = node.attrs["groups"]
    columns = batch.builder.im2col(folded(batch, x), window=kernel, **_geometry(node))
    rows = dims.floor_divide(columns.shape[1], groups)
    shape = (batch.size, x.tensor.shape[1], groups, rows, columns.shape[2])
    return batch.builder.reshape(columns, shape=shape)


def _kernels(batch: Batch, node: Node, w: Tensor) -> Tensor:
    """Kernels as [n, 1, groups, out channels / groups, channels / groups * kernel]."""
    groups, (_, outputs, *rest) = node.attrs["groups"], w.shape
    shape = (batch.size, 1, groups, dims.floor_divide(outputs, groups), dims.product(rest))
    return batch.builder.reshape(w, shape=shape)


def _cotangents(batch: Batch, node: Node, g: Tensor) -> Tensor:
    """Cotangents as [n, batch, groups, out channels / groups, positions]."""
    groups, (_, count, outputs, *positions) = node.attrs["groups"], g.shape
    shape = (batch.size, count, groups, dims.floor_divide(outputs, groups), dims.product(positions))
    return batch.builder.reshape(g, shape=shape)


def _conv_of_columns(batch: Batch, node: Node, x: Operand, w: Operand) -> Tensor:
    columns = _columns(batch, node, x, node.inputs[1].shape[2:])
    made = batch.builder.matmul(_kernels(batch, node, w.tensor), columns)
    return batch.builder.reshape(made, shape=(batch.size, *node.outputs[0].shape))


def _weight_gradient_of_columns(batch: Batch, node: Node, x: Operand, g: Operand) -> Tensor:
    kernel, builder = node.attrs["kernel_shape"], batch.builder
    columns = _columns(batch, node, x, kernel[2:])
    slopes = builder.matmul(_cotangents(batch, node, g.tensor), transposed(builder, columns))
    return builder.reshape(builder.sum(slopes, axis=1), shape=(batch.size, *kernel))


def _input_gradient_of_columns(batch: Batch, node: Node, g: Operand, w: Operand) -> Tensor:
    (count, channels, *sizes), builder = node.attrs["input_shape"], batch.builder
    kernel: Any = node.inputs[1].shape[2:]
    kernels = transposed(builder, _kernels(batch, node, w.tensor))
    columns = builder.matmul(kernels, _cotangents(batch, node, g.tensor))
    rows = (batch.size * count, channels * dims.product(kernel), columns.shape[-1])
    image = builder.col2im(
        builder.reshape(columns, shape=rows), image_shape=tuple(sizes), window=kernel, **_geometry(node)
    )
    return unfolded(batch, image, count)
