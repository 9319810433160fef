"""Layouts: in which order of its axes NumPy stores a result, known before it is computed.

NumPy gives results of transposed operands the order of their axes, and adds up in the order in which
elements lie. So what is written into memory that was planned has to lie there as NumPy would have put it,
or sums would round differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphflow.ir.data import as_result
from graphflow.ir.node import Node, Tensor
from graphflow.ops.custom import CustomOp

Shape = tuple[int, ...]
Strides = tuple[int, ...]


def row_major(shape: Shape, itemsize: int) -> Strides:
    """The strides of an array in the order of its axes.

    >>> row_major((2, 3, 4), 4)
    (48, 16, 4)
    """
    return dense(shape, range(len(shape)), itemsize)


def dense(shape: Shape, order: Sequence[int], itemsize: int) -> Strides:
    """The strides of an array without gaps, in which `order` lists the axes from the slowest on.

    >>> dense((2, 3), (1, 0), 4)
    (4, 8)
    """
    strides = [0] * len(shape)
    step = itemsize
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def alike(shape: Shape, one: Strides, other: Strides) -> bool:
    """Whether two arrays of a shape lie in memory alike; the stride of an axis of size 1 says nothing."""
    return one == other or all([a == b or size == 1 for size, a, b in zip(shape, one, other)])


def is_row_major(shape: Shape, strides: Strides, itemsize: int) -> bool:
    """Whether the elements lie without gaps in the order of the axes."""
    return alike(shape, strides, row_major(shape, itemsize))


def axis_order(shape: Shape, strides: Strides) -> list[int]:
    """The axes from the slowest on; those of size 1, which lie anywhere, keep their places."""
    moving = [axis for axis, size in enumerate(shape) if size != 1]
    chosen = iter(sorted(moving, key=lambda axis: -abs(strides[axis])))
    return [axis if shape[axis] == 1 else next(chosen) for axis in range(len(shape))]


def is_dense(shape: Shape, strides: Strides, itemsize: int) -> bool:
    """Whether the elements fill their memory without gaps, in any order of the axes."""
    return alike(shape, strides, dense(shape, axis_order(shape, strides), itemsize))


def span(shape: Shape, strides: Strides, itemsize: int) -> tuple[int, int]:
    """(how far before its first element an array begins, all bytes from its beginning to its end)."""
    reaches = [stride * (size - 1) for size, stride in zip(shape, strides)]
    before = -sum([reach for reach in reaches if reach < 0])
    return before, before + sum([reach for reach in reaches if reach > 0]) + itemsize


def shadow(shape: Shape, strides: Strides, dtype: np.dtype) -> np.ndarray:
    """An array with this layout and no values, for trying views; its memory is not touched."""
    before, size = span(shape, strides, dtype.itemsize)
    return np.ndarray(shape, dtype, np.empty(size, np.uint8), before, strides)


def predicted(node: Node, layouts: Sequence[Strides]) -> list[Strides] | None:
    """The layouts of a node's results, tried out on few elements; None where that does not tell.

    The order of axes depends on that of the operands, not on how long axes are, so that two elements along
    each do. What has sizes among its attributes does not run on these, and a user's operator is not tried.
    """
    if isinstance(node.op, CustomOp) or node.op.family == "control":
        return None
    few = [_few(tensor, strides) for tensor, strides in zip(node.inputs, layouts)]
    try:
        with np.errstate(all="ignore"):
            made = node.op.reference(*few, **node.attrs)
    except Exception:
        return None  # whatever it is, the node says it better when it runs
    results = made if isinstance(made, tuple) else (made,)
    found = []
    for tensor, value in zip(node.outputs, results):
        array, shape = as_result(value), shape_of(tensor)
        if array.shape != tuple([min(size, 2) for size in shape]):
            return None
        if not is_dense(array.shape, array.strides, array.dtype.itemsize):
            return None
        order = axis_order(array.shape, array.strides)
        found.append(dense(shape, order, tensor.dtype.numpy.itemsize))
    return found if len(found) == len(node.outputs) else None


def _few(tensor: Tensor, strides: Strides) -> np.ndarray:
    """Ones of at most two elements an axis, which lie in the order in which the tensor does."""
    shape = tuple([min(size, 2) for size in shape_of(tensor)])
    kept = [size if stride else 1 for size, stride in zip(shape, strides)]
    order = axis_order(shape, strides)
    made = np.ones([kept[axis] for axis in order], tensor.dtype.numpy)
    back = made.transpose(np.argsort(order))
    flipped = tuple([slice(None, None, -1 if stride < 0 else 1) for stride in strides])
    return np.broadcast_to(back[flipped], shape)


def shape_of(tensor: Tensor) -> Shape:
    """The shape of a tensor whose sizes are known."""
    return tuple([int(size) for size in tensor.shape])


def bytes_of(tensor: Tensor) -> int:
    """What its array takes: NumPy gives every element whole bytes."""
    return math.prod(shape_of(tensor)) * tensor.dtype.numpy.itemsize
