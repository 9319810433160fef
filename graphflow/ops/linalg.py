"""Linear algebra: matrix products, diagonals, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.complex import conjugate
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import (
    broadcast_shapes,
    entries,
    normalize_axes,
    normalize_axis,
    require,
    show,
    whole_number,
)
from graphflow.ops.precision import wide
from graphflow.ops.shape import sum_to

# matmul


def _matmul_type(types, attrs):
    x, y = (type.shape for type in types)
    if types[0].dtype.kind == "bool":
        raise DTypeError("matmul does not take bool", hint="convert with gf.astype")
    if not x or not y:
        raise ShapeError(f"matmul cannot multiply shapes {show(x)} and {show(y)}", hint="x * y takes scalars")
    inner = y[-2] if len(y) > 1 else y[0]
    if dims.unify(x[-1], inner) is None:
        what = "second-to-last" if len(y) > 1 else "only"
        raise ShapeError(
            f"matmul needs the last axis of x to equal the {what} axis of y, but {x[-1]} != {inner}",
            hint="gf.matrix_transpose turns a matrix that is stored the other way round",
        )
    batch = broadcast_shapes(x[:-2], y[:-2])
    rows = x[-2:-1]
    columns = y[-1:] if len(y) > 1 else ()
    return (TensorType(types[0].dtype, (*batch, *rows, *columns)),)


@op("linalg", infer=_matmul_type, promotion="same", traits="contraction")
@wide
def matmul(x, y, /):
    """The matrix product of the last two axes: z_ij = sum_k x_ik y_kj; leading axes broadcast.

    A vector on the left is a row, one on the right a column, and its axis is absent from the result.

    Arguments:
        x: numbers [..., n, k] or [k].
        y: numbers [..., k, m] or [k].

    Raises:
        ShapeError: if the contracted sizes differ, or an operand is a scalar.

    Array API `matmul`; ONNX MatMul-13.

    >>> import graphflow as gf
    >>> gf.matmul(gf.placeholder("x", ("batch", 64)), gf.zeros((64, 10))).type
    float32[batch, 10]
    """
    return np.matmul(x, y)


@matmul.gradient
def _(b, node, g):
    x, y = node.inputs
    if x.ndim > 2 and y.ndim == 2:
        # one product over all rows; a product for each matrix of x and a sum would be several times slower
        rows, slopes = rows_of(b, x), rows_of(b, g)
        return [
            lambda: b.matmul(g, transposed(b, y)),
            lambda: b.matmul(transposed(b, rows), slopes),
        ]
    left = b.expand_dims(x, axis=0) if x.ndim == 1 else x
    right = b.expand_dims(y, axis=1) if y.ndim == 1 else y
    added = ([-2] if x.ndim == 1 else []) + ([-1] if y.ndim == 1 else [])
    g = b.expand_dims(g, axis=tuple(added)) if added else g
    return [
        lambda: _unbroadcast(b, b.matmul(g, transposed(b, right)), left, x),
        lambda: _unbroadcast(b, b.matmul(transposed(b, left), g), right, y),
    ]


def rows_of(b: Builder, x: Tensor) -> Tensor:
    """All rows of a stack of matrices below one another."""
    made: Tensor = b.reshape(x, shape=(dims.product(x.shape[:-1]), x.shape[-1]))
    return made


def _unbroadcast(b, cotangent, matrix, operand):
    """Sum over broadcast batch axes, and drop the axis that a vector operand was given."""
    summed = sum_to(b, cotangent, matrix.shape)
    return summed if matrix is operand else b.reshape(summed, shape=operand.shape)


def transposed(b: Builder, x: Tensor) -> Tensor:
    """x with its last two axes exchanged."""
    return b.permute_dims(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


# Diagonals


def _diagonal_type(types, attrs):
    shape, offset = types[0].shape, whole_number(attrs["offset"], "the offset of diagonal")
    if len(shape) < 2:
        raise ShapeError(f"diagonal needs matrices, but got shape {show(shape)}")
    rows, columns = shape[-2] - max(-offset, 0), shape[-1] - max(offset, 0)
    return (TensorType(types[0].dtype, (*shape[:-2], dims.maximum(dims.minimum(rows, columns), 0))),)


@op("linalg", infer=_diagonal_type, traits="injective")
def diagonal(x, /, offset=0):
    """The diagonals of the matrices in the last two axes: y_i = x_(i, i + offset).

    Arguments:
        x: a tensor [..., n, m] of any dtype.
        offset: which diagonal: offset > 0 lies above the main one.

    Array API `linalg.diagonal`.

    >>> import graphflow as gf
    >>> gf.diagonal(gf.zeros((3, 5)), offset=1).type
    float32[3]
    """
    return np.diagonal(x, max(-x.shape[-2], min(offset, x.shape[-1])), -2, -1)


@diagonal.gradient
def _(b, node, g):
    shape, offset = node.inputs[0].shape, node.attrs["offset"]
    return [b.diagonal_matrix(g, rows=shape[-2], columns=shape[-1], offset=offset)]


def _diagonal_matrix_attrs(types, attrs):
    sizes = {name: dims.as_size(attrs[name]) for name in ("rows", "columns")}
    for name, size in sizes.items():
        if isinstance(size, int) and size < 0:
            raise ShapeError(f"diagonal_matrix cannot have {size} {name}", hint="sizes are 0 or more")
    return {**attrs, **sizes}


def _diagonal_matrix_type(types, attrs):
    shape = (*types[0].shape[:-1], attrs["rows"], attrs["columns"])
    require(types[0].rank > 0, "diagonal_matrix needs vectors, but got a scalar")
    (wanted,) = _diagonal_type((TensorType(types[0].dtype, shape),), attrs)
    if dims.unify(types[0].shape[-1], wanted.shape[-1]) is None:
        raise ShapeError(
            f"diagonal {attrs['offset']} of a matrix {show(shape[-2:])} has {wanted.shape[-1]} elements, "
            f"not {types[0].shape[-1]}"
        )
    return (TensorType(types[0].dtype, shape),)


@op("linalg", infer=_diagonal_matrix_type, normalize=_diagonal_matrix_attrs)
def diagonal_matrix(x, /, rows, columns, offset=0):
    """Matrices with x on a diagonal and zeros elsewhere; the transpose of `diagonal`.

    Arguments:
        x: a tensor [..., k].
        rows, columns: the sizes of the matrices.
        offset: which diagonal.

    >>> import graphflow as gf
    >>> gf.diagonal_matrix(gf.constant([1.0, 2.0]), 2, 2).type
    float32[2, 2]
    """
    result = np.zeros((*x.shape[:-1], rows, columns), x.dtype)
    if x.shape[-1]:
        place = np.arange(x.shape[-1])
        result[..., place + max(-offset, 0), place + max(offset, 0)] = x
    return result


@diagonal_matrix.gradient
def _(b, node, g):
    return [b.diagonal(g, offset=node.attrs["offset"])]


# Composites


@composite
def matrix_transpose(x: Any) -> Tensor:
    """The last two axes exchanged. Array API `matrix_transpose`.

    >>> import graphflow as gf
    >>> gf.matrix_transpose(gf.zeros((5, 2, 3))).type
    float32[5, 3, 2]
    """
    b, x = with_tensor(x)
    require(x.ndim >= 2, f"matrix_transpose needs matrices, but got shape {show(x.shape)}")
    return transposed(b, x)


@composite
def vecdot(x: Any, y: Any, axis: int = -1) -> Tensor:
    """The dot products of the vectors along an axis: z = sum_i conj(x_i) y_i. Array API `vecdot`.

    The other axes broadcast.

    >>> import graphflow as gf
    >>> gf.vecdot(gf.zeros((5, 3)), gf.zeros(3)).type
    float32[5]
    """
    b, (x, y) = with_tensors(x, y)
    require(min(x.ndim, y.ndim) > 0, f"vecdot needs vectors, not shapes {show(x.shape)} and {show(y.shape)}")
    if x.ndim != y.ndim and not (isinstance(axis, int) and axis < 0):
        raise AttributeValueError(f"vecdot of ranks {x.ndim}, {y.ndim} needs a negative axis, not {axis!r}")
    last = [_last(b, tensor, normalize_axis(axis, tensor.ndim, "vecdot")) for tensor in (x, y)]
    product = b.matmul(b.expand_dims(conjugate(b, last[0]), axis=-2), b.expand_dims(last[1], axis=-1))
    return b.squeeze(product, axis=(-2, -1))


def _last(b: Builder, x: Tensor, axis: int) -> Tensor:
    if axis == x.ndim - 1:
        return x
    return b.permute_dims(x, axes=(*[place for place in range(x.ndim) if place != axis], axis))


@composite
def outer(x: Any, y: Any) -> Tensor:
    """The outer product of two vectors: z_ij = x_i y_j. Array API `linalg.outer`.

    >>> import graphflow as gf
    >>> gf.outer(gf.zeros(2), gf.zeros(3)).type
    float32[2, 3]
    """
    b, (x, y) = with_tensors(x, y)
    require(x.ndim == y.ndim == 1, f"outer needs vectors, not shapes {show(x.shape)} and {show(y.shape)}")
    return b.multiply(b.expand_dims(x, axis=1), b.expand_dims(y, axis=0))


@composite
def tensordot(x: Any, y: Any, axes: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """The product summed over several axes of each operand. Array API `tensordot`.

    Arguments:
        axes: a number n, for the last n axes of x with the first n of y; or the axes of x and those of
            y, in matching order.

    Returns:
        A tensor with the remaining axes of x, then those of y.

    >>> import graphflow as gf
    >>> gf.tensordot(gf.zeros((2, 3, 4)), gf.zeros((4, 3, 5)), axes=((1, 2), (1, 0))).type
    float32[2, 5]
    """
    b, (x, y) = with_tensors(x, y)
    if isinstance(axes, int):
        possible = 0 <= axes <= min(x.ndim, y.ndim)
        require(possible, f"tensordot cannot contract {axes} axes of ranks {x.ndim} and {y.ndim}")
        axes = (range(x.ndim - axes, x.ndim), range(axes))
    if len(entries(axes)) != 2:
        raise AttributeValueError(f"tensordot needs a number, or the axes of x and those of y, not {axes!r}")
    of_x = [normalize_axis(axis, x.ndim, "tensordot") for axis in entries(axes[0])]
    of_y = [normalize_axis(axis, y.ndim, "tensordot") for axis in entries(axes[1])]
    if len(of_x) != len(of_y) or len(set(of_x)) < len(of_x) or len(set(of_y)) < len(of_y):
        raise AttributeValueError(f"tensordot got the axes {of_x} of x for the axes {of_y} of y")
    for first, second in zip(of_x, of_y):
        if dims.unify(x.shape[first], y.shape[second]) is None:
            raise ShapeError(
                f"tensordot needs equal sizes, but axis {first} of {show(x.shape)} meets axis {second} of "
                f"{show(y.shape)}"
            )
    free_x = [axis for axis in range(x.ndim) if axis not in of_x]
    free_y = [axis for axis in range(y.ndim) if axis not in of_y]
    rows, inner = ([x.shape[axis] for axis in group] for group in (free_x, of_x))
    columns = [y.shape[axis] for axis in free_y]
    count = dims.product(inner)
    left = b.reshape(b.permute_dims(x, axes=(*free_x, *of_x)), shape=(dims.product(rows), count))
    right = b.reshape(b.permute_dims(y, axes=(*of_y, *free_y)), shape=(count, dims.product(columns)))
    return b.reshape(b.matmul(left, right), shape=(*rows, *columns))


@composite
def trace(x: Any, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of a diagonal of the matrices in the last two axes. Array API `linalg.trace`.

    Arguments:
        x: numbers [..., n, m].
        offset: which diagonal: offset > 0 lies above the main one.
        dtype: that of the result; by default as of `sum`, which widens integers.

    >>> import graphflow as gf
    >>> gf.linalg.trace(gf.eye(3)).type
    float32[]
    """
    b, x = with_tensor(x)
    chosen = b.diagonal(x, offset=offset)
    if dtype is None:
        return b.sum(chosen, axis=-1)
    return b.astype(b.sum(b.astype(chosen, dtype=dtype), axis=-1), dtype=dtype)


@composite
def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of the vectors along axes: (sum |x_i|^p)^(1/p), a real number. Array API `linalg.vector_norm`.

    Arguments:
        x: a tensor; integers are converted to floats.
        axis: the axis, or axes, of the vectors; all by default.
        keepdims: keep those axes, with size 1.
        ord: p: a number other than 0; inf (the largest |x_i|), -inf (the smallest), or 0 (how many x_i are
            not 0).

    The derivative of a norm at zero, where there is none, is taken to be zero.

    >>> import graphflow as gf
    >>> gf.vector_norm(gf.constant([[3.0, 4.0]]), axis=1).type
    float32[1]
    """
    b, x = with_tensor(x)
    if isinstance(ord, bool) or not isinstance(ord, (int, float)) or ord != ord:
        raise AttributeValueError(f"vector_norm needs a number as ord, not {ord!r:.80}")
    options = {"axis": normalize_axes(axis, x.ndim, "vector_norm"), "keepdims": keepdims}
    size = b.abs(x) if x.dtype.is_differentiable else b.abs(b.astype(x, dtype="float32"))
    if ord in (float("inf"), -float("inf")):
        return b.max(size, **options) if ord > 0 else b.min(size, **options)
    if ord == 0:
        return b.sum(b.astype(b.not_equal(size, 0), dtype=size.dtype), **options)
    if ord == 1:
        return b.sum(size, **options)
    total = b.sum(b.square(size) if ord == 2 else b.pow(size, float(ord)), **options)
    vanishes = b.equal(total, b.like(0, total))
    safe = b.where(vanishes, b.like(1, total), total)
    root = b.sqrt(safe) if ord == 2 else b.pow(safe, 1.0 / ord)
    return b.where(vanishes, b.like(0, total), root)
