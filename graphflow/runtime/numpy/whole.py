"""Kernels over whole arrays that write into memory they are given: products, reductions, norms, indexing.

Each gives the bits of its operator's reference, which it repeats with `out`. What the reference would
allocate on the way is a workspace: memory that is planned too, and passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.ops.indexing import positions
from graphflow.runtime.numpy.conv_kernels import CONVOLUTIONS
from graphflow.runtime.numpy.layouts import Strides, bytes_of, shape_of
from graphflow.runtime.numpy.pool_kernels import max_pool_kernel
from graphflow.runtime.numpy.workspace import Whole, typed

Layouts = Sequence[Strides]


def whole_kernel(node: Node, layouts: Layouts) -> Whole | None:
    """The kernel of a node, or None where there is none for its operator or its dtypes.

    Arguments:
        layouts: the strides of its inputs.

    >>> import graphflow as gf
    >>> x = gf.constant([[1.0, 2.0]])
    >>> whole_kernel(gf.exp(x).node, [(8, 4)]), whole_kernel(gf.nn.log_softmax(x).node, [(8, 4)]).workspaces
    (None, (8,))
    """
    make = _MAKERS.get(node.op.name)
    if make is None or not all([_is_plain(tensor.dtype.numpy) for tensor in (*node.inputs, *node.outputs)]):
        return None
    return make(node, layouts)


def _is_plain(dtype: np.dtype) -> bool:
    """Whether NumPy itself computes with it, and references do so without conversion."""
    return dtype.kind in "biuc" or (dtype.kind == "f" and dtype.itemsize >= 4)


def _matmul(node: Node, layouts: Layouts) -> Whole | None:
    return Whole(np.matmul)


def _where(node: Node, layouts: Layouts) -> Whole | None:
    def run(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        if np.may_share_memory(out, x):
            np.copyto(out, y, where=~condition)
        else:
            np.copyto(out, y)
            np.copyto(out, x, where=condition)

    return Whole(run) if node.inputs[0].dtype.numpy.kind == "b" else None


def _astype(node: Node, layouts: Layouts) -> Whole | None:
    def run(x: np.ndarray, out: np.ndarray) -> None:
        np.copyto(out, x, casting="unsafe")

    source, target = node.inputs[0].dtype.numpy, node.output.dtype.numpy
    return Whole(run) if source.kind in "biuf" and target.kind == "f" and source != target else None


# Reductions


@dataclass(frozen=True, slots=True)
class _Reduction:
    """A reduction of NumPy with `out`, for operands of the dtype of its result."""

    function: Callable[..., Any]

    def __call__(self, node: Node, layouts: Layouts) -> Whole | None:
        axis, keepdims, function = node.attrs["axis"], node.attrs["keepdims"], self.function

        def run(x: np.ndarray, out: np.ndarray) -> None:
            function(x, axis=axis, keepdims=keepdims, out=out)

        kind = node.inputs[0].dtype
        return Whole(run) if kind is node.output.dtype and kind.numpy.kind in "fc" else None


def _mean(node: Node, layouts: Layouts) -> Whole | None:
    axis, keepdims, dtype = node.attrs["axis"], node.attrs["keepdims"], node.output.dtype.numpy

    def run(x: np.ndarray, out: np.ndarray) -> None:
        count = np.prod([x.shape[place] for place in axis], dtype=np.int64)
        np.sum(x, axis=axis, keepdims=keepdims, out=out)
        np.divide(out, count.astype(dtype), out)

    return Whole(run) if node.inputs[0].dtype is node.output.dtype and dtype.kind in "fc" else None


# Rows


def _softmax(node: Node, layouts: Layouts) -> Whole | None:
    axis = node.attrs["axis"]

    def run(x: np.ndarray, out: np.ndarray) -> None:
        np.subtract(x, np.max(x, axis=axis, keepdims=True, initial=-np.inf), out)
        np.exp(out, out)
        np.divide(out, np.sum(out, axis=axis, keepdims=True), out)

    return Whole(run)


def _log_softmax(node: Node, layouts: Layouts) -> Whole | None:
    axis = node.attrs["axis"]

    def run(x: np.ndarray, out: np.ndarray, space: np.ndarray) -> None:
        np.subtract(x, np.max(x, axis=axis, keepdims=True, initial=-np.inf), out)
        # The powers have to lie as `out` does, or their sum would be taken in another order.
        powers = np.ndarray(out.shape, out.dtype, space.data, 0, out.strides)
        np.exp(out, powers)
        np.subtract(out, np.log(np.sum(powers, axis=axis, keepdims=True)), out)

    return Whole(run, (bytes_of(node.output),))


def _batch_normalization(node: Node, layouts: Layouts) -> Whole | None:
    epsilon, place = node.attrs["epsilon"], node.attrs["axis"]

    def run(x: Any, mean: Any, variance: Any, scale: Any, offset: Any, out: np.ndarray) -> None:
        shape = [-1 if position == place else 1 for position in range(x.ndim)]
        factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
        np.subtract(x, mean.reshape(shape), out)
        np.multiply(out, factor.reshape(shape), out)
        np.add(out, offset.reshape(shape), out)

    return Whole(run)


def _layer_normalization(node: Node, layouts: Layouts) -> Whole | None:
    axis, epsilon, shape = node.attrs["axis"], node.attrs["epsilon"], shape_of(node.inputs[0])
    matrix = (math.prod(shape[:axis]), math.prod(shape[axis:]))

    def run(x: Any, scale: Any, offset: Any, out: np.ndarray, space: np.ndarray) -> None:
        rows, centered = x.reshape(matrix), out.reshape(matrix)
        np.subtract(rows, np.mean(rows, axis=1, keepdims=True), centered)
        squares = typed(space, out.dtype, matrix)
        np.square(centered, squares)
        variance = np.mean(squares, axis=1, keepdims=True)
        np.divide(centered, np.sqrt(variance + x.dtype.type(epsilon)), centered)
        np.multiply(out, scale, out)
        np.add(out, offset, out)

    return Whole(run, (bytes_of(node.output),), in_rows=True)


# Moving elements


def _take(node: Node, layouts: Layouts) -> Whole | None:
    axis = node.attrs["axis"]

    def run(x: np.ndarray, indices: np.ndarray, out: np.ndarray) -> None:
        # The positions are inside already; to check them again, NumPy would fill a buffer first.
        np.take(x, positions(indices, x.shape[axis]), axis=axis, out=out, mode="clip")

    return Whole(run, in_rows=True)


def _index_add(node: Node, layouts: Layouts) -> Whole | None:
    axis = node.attrs["axis"]

    def run(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, out: np.ndarray) -> None:
        if not np.may_share_memory(x, out):
            np.copyto(out, x)
        result, count = np.moveaxis(out, axis, 0), indices.ndim
        moved = np.moveaxis(updates, range(axis, axis + count), range(count))
        np.add.at(result, positions(indices, result.shape[0]), moved)

    return Whole(run)


def _concat(node: Node, layouts: Layouts) -> Whole | None:
    axis = node.attrs["axis"]

    def run(*xs_and_out: np.ndarray) -> None:
        *xs, out = xs_and_out
        np.concatenate(xs, axis=axis, out=out)

    return Whole(run)


_MAKERS: dict[str, Callable[[Node, Layouts], Whole | None]] = {
    "matmul": _matmul,
    "where": _where,
    "astype": _astype,
    "sum": _Reduction(np.sum),
    "prod": _Reduction(np.prod),
    "max": _Reduction(np.max),
    "min": _Reduction(np.min),
    "mean": _mean,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "batch_normalization": _batch_normalization,
    "layer_normalization": _layer_normalization,
    "take": _take,
    "index_add": _index_add,
    "concat": _concat,
    "max_pool": max_pool_kernel,
    **CONVOLUTIONS,
}
