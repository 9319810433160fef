"""Indexing by tensors: reading elements at computed positions, and adding at them.

One rule holds for all of them, on every target: a negative index counts from the end, and an index
out of range is clamped to the nearest element. Along an axis that turns out to be empty there is
nothing to read, which gives zeros, and nothing to add to.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import as_dtype, float32, int64
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import normalize_axis, show


def positions(indices: np.ndarray, size: int) -> np.ndarray:
    """The positions that indices mean on an axis: wrapped once if negative, then clamped.

    >>> positions(np.array([-1, 0, 7, -9]), 4)
    array([3, 0, 3, 0])
    """
    last = max(size - 1, 0)
    if indices.dtype.kind == "u":
        return np.minimum(indices.astype(np.uint64), np.uint64(last)).astype(np.int64)
    wide = indices.astype(np.int64)
    return np.clip(np.where(wide < 0, wide + size, wide), 0, last)


def require_indices(type, operation):
    """Raise a DTypeError unless the type is one of indices."""
    if not type.dtype.is_integer:
        what = "a boolean mask" if type.dtype.kind == "bool" else f"indices of dtype {type.dtype}"
        raise DTypeError(
            f"{operation} does not take {what}",
            hint="gf.where(mask, x, 0) keeps the shape; integer indices select"
            if type.dtype.kind == "bool"
            else "convert with gf.astype(indices, gf.int32)",
        )


def _require_elements(size, indices, operation, axis):
    count = indices.size
    if size == 0 and not (isinstance(count, int) and count == 0):
        raise ShapeError(f"{operation} cannot read from axis {axis}, which has size 0")


def require_updates(x, updates, wanted, operation):
    """Check that `updates` has the dtype of x and the shape of what the indices select."""
    if updates.dtype is not x.dtype:
        raise DTypeError(
            f"{operation} got updates of dtype {updates.dtype} for a tensor of dtype {x.dtype}",
            hint="convert with gf.astype",
        )
    shape = updates.shape
    if len(shape) != len(wanted) or any(dims.unify(a, b) is None for a, b in zip(shape, wanted)):
        raise ShapeError(f"{operation} needs updates of shape {show(wanted)}, not {show(shape)}")


def _axis_attrs(name):
    def normalize(types, attrs):
        return {**attrs, "axis": normalize_axis(attrs["axis"], types[0].rank, name)}

    return normalize


# Whole slices at positions along one axis


def _taken(x, indices, axis, operation):
    require_indices(indices, operation)
    _require_elements(x.shape[axis], indices, operation, axis)
    return (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _take_type(types, attrs):
    x, indices = types
    return (TensorType(x.dtype, _taken(x, indices, attrs["axis"], "take")),)


@op("indexing", infer=_take_type, normalize=_axis_attrs("take"), traits="injective any_dtype")
def take(x, indices, /, axis=0):
    """The slices of x at the given positions along an axis: y[..., i, ...] = x[..., indices[i], ...].

    Arguments:
        x: a tensor of any dtype.
        indices: integers of any shape, which replaces the axis in the result; negative ones count
            from the end, those out of range are clamped.
        axis: the axis of x that is indexed.

    Array API `take`; ONNX Gather-13.

    >>> import graphflow as gf
    >>> gf.take(gf.placeholder("table", (100, 8)), gf.placeholder("ids", ("batch", 5), gf.int32)).type
    float32[batch, 5, 8]
    """
    if not x.shape[axis]:
        return np.zeros((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    return np.take(x, positions(indices, x.shape[axis]), axis=axis)


@take.gradient
def _(b, node, g):
    x, indices = node.inputs
    return [b.index_add(b.full_like(0, x), indices, g, axis=node.attrs["axis"]), None]


def _index_add_type(types, attrs):
    x, indices, updates = types
    require_updates(x, updates, _taken(x, indices, attrs["axis"], "index_add"), "index_add")
    return (x,)


@op("indexing", infer=_index_add_type, normalize=_axis_attrs("index_add"), traits="in_place")
def index_add(x, indices, updates, /, axis=0):
    """x with slices added at positions along an axis; positions named several times add up.

    Arguments:
        x: a tensor.
        indices: integers of any shape, read as `take` reads them.
        updates: of the dtype of x and of the shape of `take(x, indices, axis)`.
        axis: the axis of x that is indexed.

    >>> import graphflow as gf
    >>> gf.index_add(gf.zeros((3,)), gf.constant([0, 0]), gf.constant([1.0, 2.0])).type
    float32[3]
    """
    result = np.moveaxis(np.array(x), axis, 0)
    if result.shape[0]:
        count = indices.ndim
        moved = np.moveaxis(updates, range(axis, axis + count), range(count))
        np.add.at(result, positions(indices, result.shape[0]), moved)
    return np.moveaxis(result, 0, axis)


@index_add.gradient
def _(b, node, g):
    return [g, None, b.take(g, node.inputs[1], axis=node.attrs["axis"])]


# Single elements along one axis


def _along_axis(x, indices, axis, operation):
    require_indices(indices, operation)
    fits = x.rank == indices.rank
    for place in range(x.rank) if fits else ():
        fits = fits and (place == axis or dims.unify(x.shape[place], indices.shape[place]) is not None)
    if not fits:
        raise ShapeError(
            f"{operation} along axis {axis} got x of shape {show(x.shape)} and indices of shape "
            f"{show(indices.shape)}",
            hint="all sizes but that of the axis must be equal; gf.broadcast_to stretches",
        )
    _require_elements(x.shape[axis], indices, operation, axis)


def _take_along_axis_type(types, attrs):
    x, indices = types
    _along_axis(x, indices, attrs["axis"], "take_along_axis")
    shape = list(x.shape)
    shape[attrs["axis"]] = indices.shape[attrs["axis"]]
    return (TensorType(x.dtype, tuple(shape)),)


def _along(indices, size, axis):
    """NumPy's index of the elements that indices along an axis mean."""
    grid = list(np.ogrid[tuple(slice(length) for length in indices.shape)])
    grid[axis] = positions(indices, size)
    return tuple(grid)


@op(
    "indexing",
    infer=_take_along_axis_type,
    normalize=_axis_attrs("take_along_axis"),
    traits="injective any_dtype",
)
def take_along_axis(x, indices, /, axis=-1):
    """One element a position: y[i, j] = x[i, indices[i, j]] for axis 1.

    Arguments:
        x: a tensor of any dtype.
        indices: integers of the rank of x, equal to it in all sizes but that of `axis`.
        axis: the axis of x that is indexed.

    Array API `take_along_axis`; ONNX GatherElements-13.

    >>> import graphflow as gf
    >>> gf.take_along_axis(gf.zeros((3, 5)), gf.constant([[4], [0], [1]])).type
    float32[3, 1]
    """
    if not x.shape[axis]:
        return np.zeros(indices.shape, x.dtype)
    return x[_along(indices, x.shape[axis], axis)]


def _selected(b, x, indices, g, axis):
    """g at the one position along the axis that each index means, 0 elsewhere: cheaper than a scatter."""
    size = x.shape[axis]
    wide = b.astype(indices, dtype=int64) if indices.dtype.itemsize < 4 else indices
    places = b.minimum(b.maximum(b.where(b.less(wide, 0), b.add(wide, size), wide), 0), size - 1)
    numbers = b.iota(size=size, dtype=wide.dtype)
    behind = (1,) * (x.ndim - 1 - axis)
    return b.where(b.equal(places, b.reshape(numbers, shape=(size, *behind))), g, 0)


@take_along_axis.gradient
def _(b, node, g):
    x, indices = node.inputs
    if indices.shape[node.attrs["axis"]] == 1:
        return [_selected(b, x, indices, g, node.attrs["axis"]), None]
    return [b.add_along_axis(b.full_like(0, x), indices, g, axis=node.attrs["axis"]), None]


def _add_along_axis_type(types, attrs):
    x, indices, updates = types
    _along_axis(x, indices, attrs["axis"], "add_along_axis")
    require_updates(x, updates, indices.shape, "add_along_axis")
    return (x,)


@op("indexing", infer=_add_along_axis_type, normalize=_axis_attrs("add_along_axis"), traits="in_place")
def add_along_axis(x, indices, updates, /, axis=-1):
    """x with one element added a position: y[i, indices[i, j]] += updates[i, j] for axis 1.

    Arguments:
        x: a tensor.
        indices: as in `take_along_axis`.
        updates: of the dtype of x and the shape of the indices.
        axis: the axis of x that is indexed.

    ONNX ScatterElements-18 with reduction "add".

    >>> import graphflow as gf
    >>> gf.add_along_axis(gf.zeros((1, 5)), gf.constant([[4]]), gf.constant([[1.0]])).type
    float32[1, 5]
    """
    result = np.array(x)
    if x.shape[axis]:
        np.add.at(result, _along(indices, x.shape[axis], axis), updates)
    return result


@add_along_axis.gradient
def _(b, node, g):
    return [g, None, b.take_along_axis(g, node.inputs[1], axis=node.attrs["axis"])]


# Slices at positions along the leading axes together


def gathered_shape(x, indices, operation):
    """The shape of what index vectors along the last axis of `indices` select of x."""
    require_indices(indices, operation)
    depth = indices.shape[-1] if indices.rank else None
    if not isinstance(depth, int) or depth > x.rank:
        raise ShapeError(
            f"{operation} got indices of shape {show(indices.shape)} for x of shape {show(x.shape)}",
            hint=f"the last axis of the indices must have a fixed size of at most {x.rank}: "
            "one index for each leading axis of x",
        )
    for axis in range(depth):
        _require_elements(x.shape[axis], indices, operation, axis)
    return (*indices.shape[:-1], *x.shape[depth:])


def _gather_nd_type(types, attrs):
    return (TensorType(types[0].dtype, gathered_shape(types[0], types[1], "gather_nd")),)


def nd_index(indices, shape):
    """NumPy's index for index vectors along the last axis."""
    return tuple([positions(indices[..., axis], shape[axis]) for axis in range(indices.shape[-1])])


@op("indexing", infer=_gather_nd_type, traits="injective any_dtype")
def gather_nd(x, indices, /):
    """The slices of x at index vectors: y[i] = x[indices[i, 0], indices[i, 1], ...].

    Arguments:
        x: a tensor of any dtype.
        indices: integers [..., k]; the last axis holds an index for each of the first k axes of x.

    ONNX GatherND-13 with batch_dims 0.

    >>> import graphflow as gf
    >>> gf.gather_nd(gf.zeros((3, 4, 5)), gf.constant([[0, 1], [2, 3]])).type
    float32[2, 5]
    """
    depth = indices.shape[-1]
    if 0 in x.shape[:depth]:
        return np.zeros((*indices.shape[:-1], *x.shape[depth:]), x.dtype)
    if not depth:
        return np.broadcast_to(x, (*indices.shape[:-1], *x.shape))
    return x[nd_index(indices, x.shape)]


@gather_nd.gradient
def _(b, node, g):
    x, indices = node.inputs
    return [b.scatter_nd_add(b.full_like(0, x), indices, g), None]


def _scatter_nd_add_type(types, attrs):
    x, indices, updates = types
    require_updates(x, updates, gathered_shape(x, indices, "scatter_nd_add"), "scatter_nd_add")
    return (x,)


@op("indexing", infer=_scatter_nd_add_type, traits="in_place")
def scatter_nd_add(x, indices, updates, /):
    """x with slices added at index vectors; positions named several times add up.

    Arguments:
        x: a tensor.
        indices: integers [..., k], as in `gather_nd`.
        updates: of the dtype of x and the shape of `gather_nd(x, indices)`.

    ONNX ScatterND-18 with reduction "add".

    >>> import graphflow as gf
    >>> gf.scatter_nd_add(gf.zeros((3, 4)), gf.constant([[0, 1]]), gf.constant([1.0])).type
    float32[3, 4]
    """
    result, depth = np.array(x), indices.shape[-1]
    if not depth:
        return (result + updates.sum(axis=tuple(range(indices.ndim - 1)), dtype=x.dtype)).astype(x.dtype)
    if 0 not in x.shape[:depth]:
        np.add.at(result, nd_index(indices, x.shape), updates)
    return result


@scatter_nd_add.gradient
def _(b, node, g):
    return [g, None, b.gather_nd(g, node.inputs[1])]


# one_hot


def _one_hot_attrs(types, attrs):
    return {
        "depth": dims.as_size(attrs["depth"]),
        "axis": normalize_axis(attrs["axis"], types[0].rank + 1, "one_hot"),
        "dtype": as_dtype(attrs["dtype"]),
    }


def _one_hot_type(types, attrs):
    (indices,), axis, depth = types, attrs["axis"], attrs["depth"]
    require_indices(indices, "one_hot")
    if isinstance(depth, int) and depth < 0:
        raise AttributeValueError(f"one_hot needs a depth of at least 0, not {depth}")
    return (TensorType(attrs["dtype"], (*indices.shape[:axis], depth, *indices.shape[axis:])),)


@op("indexing", infer=_one_hot_type, normalize=_one_hot_attrs)
def one_hot(indices, /, depth, axis=-1, dtype=float32):
    """1 at the position that each index names and 0 elsewhere: y[..., k] = [indices[...] = k].

    An index outside of 0 ... depth - 1 (a negative one too) gives zeros only.

    Arguments:
        indices: integers of any shape.
        depth: the size of the new axis.
        axis: where the new axis lies in the result.
        dtype: the dtype of the result.

    ONNX OneHot-11, except for negative indices.

    >>> import graphflow as gf
    >>> gf.one_hot(gf.placeholder("label", ("batch",), gf.int32), 10).type
    float32[batch, 10]
    """
    shape = [1] * (indices.ndim + 1)
    shape[axis] = depth
    classes = np.arange(depth).reshape(shape)
    return (np.expand_dims(indices, axis) == classes).astype(dtype.numpy)


one_hot.not_differentiable("integer indices have no derivative", zero=True)
