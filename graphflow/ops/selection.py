"""Selections whose number depends on the values: nonzero positions, unique values, masked slices.

Each takes `size`, the most elements there can be: what is left over holds a fill value, and what does
not fit is left out. Without one it gives as many as there are, a found size (`ir.found_sizes`), which
only targets that run node by node can do. (Family sorting.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import DType, bool_, int64
from graphflow.ir.found_sizes import found_size
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import normalize_axis, only, show, whole_number
from graphflow.ops.rearrange import unstack
from graphflow.ops.sorting import REALS, ascending_order


def _fixed_size(size: Any, operation: str) -> Size:
    """The size as an int or Dim, if one was given."""
    if size is None:
        raise AttributeValueError(f"{operation} needs a size", hint="pass size=, the most there can be")
    fixed = dims.as_size(size)
    if isinstance(fixed, int) and fixed < 0:
        raise AttributeValueError(f"{operation} needs a size of at least 0, not {fixed}")
    return fixed


def storable(value: Any, dtype: DType, operation: str) -> Any:
    """The number as the dtype stores it; only floats may round."""
    plain = value.item() if isinstance(value, np.generic) else value
    stored = None
    if isinstance(plain, (bool, int, float)):
        try:
            with np.errstate(all="ignore"):
                stored = np.array(plain).astype(dtype.numpy).item()
        except (ValueError, OverflowError):
            stored = None
    if stored is None or (stored != plain and not dtype.is_differentiable):
        raise AttributeValueError(
            f"{operation} cannot fill a tensor of dtype {dtype} with {value!r:.80}",
            hint="pass a number that the dtype holds as fill_value",
        )
    return stored


# Positions


def _argwhere_attrs(types, attrs):
    return {
        "size": _fixed_size(attrs["size"], "nonzero"),
        "fill_value": storable(
            whole_number(attrs["fill_value"], "the fill_value of nonzero"), int64, "nonzero"
        ),
    }


def _argwhere_type(types, attrs):
    rank = types[0].rank
    if not rank:
        raise ShapeError("nonzero has no positions in a scalar", hint="gf.not_equal(x, 0) tells if it is 0")
    return (TensorType(int64, (attrs["size"], rank)),)


@op("sorting", infer=_argwhere_type, normalize=_argwhere_attrs, traits="finds_size")
def argwhere(x, /, size=None, fill_value=0):
    """The positions of the elements that are not 0 (NaN counts), in row-major order: int64 [size, rank].

    Arguments:
        x: a tensor of any dtype and of rank 1 or more.
        size: the most positions there can be, symbolic too; more are left out. None for all there are,
            on the numpy backend.
        fill_value: the entries of the rows that are left over.

    Raises:
        BackendError: on jax without `size`, as the number of positions depends on the values.

    ONNX NonZero-13, transposed; NumPy `argwhere`.

    >>> import graphflow as gf
    >>> gf.argwhere(gf.placeholder("mask", ("n", 4), gf.bool), size=10).type
    int64[10, 2]
    """
    if isinstance(size, Dim):
        return np.argwhere(x != 0)
    found = np.argwhere(x != 0)[:size]
    result = np.full((size, x.ndim), fill_value, np.int64)
    result[: len(found)] = found
    return result


argwhere.not_differentiable("its results are indices", zero=True)


@composite
def nonzero(x: Any, size: Any = None, fill_value: int = 0) -> tuple[Tensor, ...]:
    """The positions of the elements that are not 0: one int64 vector [size] for each axis, as indices.

    Arguments:
        x: a tensor of any dtype and of rank 1 or more.
        size: the most positions there can be, symbolic too; more are left out. None for all there are,
            on the numpy backend.
        fill_value: the entries that are left over.

    Raises:
        BackendError: on jax without `size`, as the number of positions depends on the values.

    Array API `nonzero`; numpy finds all, jax needs a size.

    >>> import graphflow as gf
    >>> rows, columns = gf.nonzero(gf.placeholder("mask", ("n", 4), gf.bool), size=10)
    >>> rows.type
    int64[10]
    """
    b, x = with_tensor(x)
    return tuple(unstack(b.argwhere(x, size=size, fill_value=fill_value), axis=1))


def _used(b: Builder, size: Size, count: Tensor) -> Tensor:
    """Which of `size` entries are among the first `count`."""
    ordinals = b.cumulative_sum(b.broadcast_to(b.like(1, count), shape=(size,)))
    return b.less_equal(ordinals, count)


def _lengthened(b: Builder, condition: Tensor, size: Size) -> Tensor:
    """A vector that is known to be too short, with nothing chosen beyond it."""
    count = condition.shape[0] if condition.ndim == 1 else size
    if not (isinstance(count, int) and isinstance(size, int) and count < size):
        return condition
    return b.pad(condition, pads=((0, size - count),))


@composite
def compress(
    condition: Any, x: Any, axis: int | None = None, size: Any = None, fill_value: float = 0
) -> Tensor:
    """The slices of x along `axis` where a condition holds, in order.

    Arguments:
        condition: a vector, true where it is not 0, as long as the axis or shorter.
        x: a tensor of any dtype.
        axis: an int, or None for the elements of x in row-major order.
        size: the most slices there can be, symbolic too; more are left out. None for all there are, on
            the numpy backend.
        fill_value: the elements of the slices that are left over.

    Raises:
        BackendError: on jax without `size`, as the number of slices depends on the values.
        ShapeError: if the condition is longer than the axis.

    ONNX Compress-28 with a fixed size.

    >>> import graphflow as gf
    >>> scores = gf.placeholder("scores", (10,))
    >>> gf.compress(scores > 0.5, scores, size=4).type
    float32[4]
    """
    b, (condition, x) = with_tensors(condition, x)
    exact = size is None
    size = found_size(b.graph, "compress") if exact else _fixed_size(size, "compress")
    fill = storable(fill_value, x.dtype, "compress")
    if axis is None:
        x = b.reshape(x, shape=(dims.product(x.shape),))
    place = 0 if axis is None else normalize_axis(axis, x.ndim, "compress")
    condition = _lengthened(b, condition, x.shape[place])
    if condition.ndim != 1 or dims.unify(condition.shape[0], x.shape[place]) is None:
        raise ShapeError(
            f"compress needs a condition of shape [{x.shape[place]}], not {show(condition.shape)}",
            hint="with one entry for each slice of x along the axis",
        )
    if x.shape[place] == 0:
        return b.broadcast_to(b.like(fill, x), shape=(*x.shape[:place], size, *x.shape[place + 1 :]))
    chosen = b.squeeze(b.argwhere(condition, size=size), axis=1)
    if exact:
        return b.take(x, chosen, axis=place)
    used = _used(b, size, b.sum(b.astype(condition, dtype=bool_)))
    used = b.reshape(used, shape=(size, *(1,) * (x.ndim - place - 1)))
    return b.where(used, b.take(x, chosen, axis=place), b.like(fill, x))


# Unique values


def _unique_attrs(types, attrs):
    return {
        "size": _fixed_size(attrs["size"], "unique"),
        "fill_value": storable(attrs["fill_value"], types[0].dtype, "unique"),
    }


def _unique_type(types, attrs):
    x, size = types[0], attrs["size"]
    vector = TensorType(int64, (size,))
    return TensorType(x.dtype, (size,)), vector, TensorType(int64, x.shape), vector


@op("sorting", infer=only(REALS, _unique_type, "unique"), normalize=_unique_attrs, traits="finds_size")
def unique_all(x, /, size=None, fill_value=0):
    """The different values in x, ascending, with where they stand and how often.

    -0.0 equals 0.0, and the first in x is kept; each NaN differs from all others and comes last.

    Arguments:
        x: real numbers or booleans of any shape.
        size: the most values there can be, symbolic too; more are left out, from the largest down. None
            for all there are, on the numpy backend.
        fill_value: the values that are left over; their counts and indices are 0.

    Returns:
        values [size]; indices [size] of their first occurrence in row-major order; inverse indices of
        the shape of x, the place of each element among the values (`size` or more if left out); and
        counts [size]. All but the values are int64.

    Raises:
        BackendError: on jax without `size`, as the number of values depends on them.
        DTypeError: for complex numbers.

    Array API `unique_all`, ONNX Unique-11 without axis.

    >>> import graphflow as gf
    >>> [y.type for y in gf.unique_all(gf.placeholder("x", ("n", 2)), size=8)]
    [float32[8], int64[8], int64[n, 2], int64[8]]
    """
    flat = x.reshape(-1)
    order = ascending_order(flat)
    ordered = flat[order]
    first = np.ones(flat.shape, bool)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.append(np.flatnonzero(first), flat.size)
    inverse = np.empty(flat.shape, np.int64)
    inverse[order] = np.cumsum(first) - 1
    size = len(starts) - 1 if isinstance(size, Dim) else size
    values, indices, counts = np.full(size, fill_value, x.dtype), *np.zeros((2, size), np.int64)
    kept = min(size, len(starts) - 1)
    indices[:kept] = order[starts[:kept]]
    values[:kept] = flat[indices[:kept]]
    counts[:kept] = np.diff(starts)[:kept]
    return values, indices, inverse.reshape(x.shape), counts


@unique_all.gradient
def _(b, node, g, *others):
    if g is None:
        return [None]
    x, (_, indices, _, counts) = node.inputs[0], node.outputs
    count = dims.product(x.shape)
    if count == 0:
        return [None]
    kept = b.where(b.greater(counts, 0), g, b.like(0, g))
    flat = b.broadcast_to(b.like(0, x), shape=(count,))
    return [b.reshape(b.index_add(flat, indices, kept), shape=x.shape)]


@composite
def unique_values(x: Any, size: Any = None, fill_value: float = 0) -> Tensor:
    """The different values in x, ascending: the first result of `gf.unique_all`, with its arguments.

    Array API `unique_values` with a fixed size.

    >>> import graphflow as gf
    >>> gf.unique_values(gf.constant([3, 1, 3]), size=3).type
    int32[3]
    """
    b, x = with_tensor(x)
    return b.unique_all(x, size=size, fill_value=fill_value)[0]


@composite
def unique_counts(x: Any, size: Any = None, fill_value: float = 0) -> tuple[Tensor, Tensor]:
    """The different values in x, ascending, and how often each occurs; see `gf.unique_all`.

    Array API `unique_counts` with a fixed size.

    >>> import graphflow as gf
    >>> [y.type for y in gf.unique_counts(gf.constant([3, 1, 3]), size=3)]
    [int32[3], int64[3]]
    """
    b, x = with_tensor(x)
    values, _, _, counts = b.unique_all(x, size=size, fill_value=fill_value)
    return values, counts


@composite
def unique_inverse(x: Any, size: Any = None, fill_value: float = 0) -> tuple[Tensor, Tensor]:
    """The different values in x, ascending, and for each element of x its place among them.

    Array API `unique_inverse` with a fixed size; see `gf.unique_all`.

    >>> import graphflow as gf
    >>> [y.type for y in gf.unique_inverse(gf.constant([[3, 1]]), size=3)]
    [int32[3], int64[1, 2]]
    """
    b, x = with_tensor(x)
    values, _, inverse, _ = b.unique_all(x, size=size, fill_value=fill_value)
    return values, inverse
