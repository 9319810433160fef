"""Writing at computed positions: elements replaced, multiplied, or kept as the smallest or largest.

Indices follow the one rule of `indexing.py`: negative ones count from the end, those out of range are
clamped. Where several updates meet at one position, the last one in row-major order replaces, on every
target; products and extremes take in all of them. (Family indexing.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.indexing import gathered_shape, nd_index, require_indices, require_updates
from graphflow.ops.inference import normalize_axis, show, whole_number

COMBINED_BY = {"mul": np.multiply, "min": np.minimum, "max": np.maximum}
REDUCTIONS = ("none", "add", *COMBINED_BY)
_COMPUTING = ("int", "uint", "float")


def _known_reduction(reduction: Any) -> str:
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise AttributeValueError(
            f"scatter_nd has no reduction {reduction!r:.80}", hint="use one of " + ", ".join(REDUCTIONS)
        )
    return reduction


def _scatter_attrs(types, attrs):
    if _known_reduction(attrs["reduction"]) == "add":
        raise AttributeValueError(
            "this operator does not add", hint="gf.scatter_nd does, by way of scatter_nd_add"
        )
    return attrs


def _scatter_type(types, attrs):
    x, indices, updates = types
    reduction = attrs["reduction"]
    require_updates(x, updates, gathered_shape(x, indices, "scatter_nd"), "scatter_nd")
    if reduction != "none" and (x.dtype.kind not in _COMPUTING or x.dtype.is_storage):
        raise DTypeError(
            f"scatter_nd with the reduction {reduction!r} does not take {x.dtype}",
            hint=f"it takes {', '.join(_COMPUTING)}; convert with gf.astype",
        )
    return (x,)


@op("indexing", infer=_scatter_type, normalize=_scatter_attrs, traits="in_place any_dtype", name="scatter_nd")
def scatter_nd_op(x, indices, updates, /, reduction="none"):
    """x with slices written at index vectors: y[indices[i]] = updates[i], or combined with what is there.

    Arguments:
        x: a tensor; real numbers for a reduction.
        indices: integers [..., k], as in `gather_nd`.
        updates: of the dtype of x and the shape of `gather_nd(x, indices)`.
        reduction: "none" (the last update at a position replaces), "mul", "min" or "max" (of the element
            and all its updates; NaN if one is).

    The gradient of a tie between smallest or largest is split evenly; that of a product is right at zeros.
    ONNX ScatterND-18, except for the reduction "add".

    >>> import graphflow as gf
    >>> gf.scatter_nd(gf.zeros((3, 4)), gf.constant([[0, 1]]), gf.constant([1.0])).type
    float32[3, 4]
    """
    if not indices.shape[-1]:
        whole = np.zeros((*indices.shape[:-1], 1), np.int64)
        return scatter_nd_op.reference(x[None], whole, updates, reduction)[0]
    result = np.array(x)
    if 0 in x.shape[: indices.shape[-1]]:
        return result
    index = nd_index(indices, x.shape)
    if reduction == "none":
        result[index] = updates
    else:
        COMBINED_BY[reduction].at(result, index, updates)
    return result


@scatter_nd_op.gradient
def _(b, node, g):
    reduction = node.attrs["reduction"]
    if reduction == "none":
        return _replaced_gradient(b, node, g)
    return _product_gradient(b, node, g) if reduction == "mul" else _extreme_gradient(b, node, g)


def _replaced_gradient(b, node, g):
    """What was replaced gets nothing, and of several updates at a position only the one that was kept."""
    x, indices, updates = node.inputs
    shape = indices.shape[:-1]

    def of_updates():
        ordinals = b.reshape(b.iota(size=dims.product(shape), dtype=int64), shape=shape)
        lead = x.shape[: indices.shape[-1]]
        none = b.like(-1, ordinals)
        kept = b.scatter_nd(b.broadcast_to(none, shape=lead) if lead else none, indices, ordinals)
        won = b.equal(b.gather_nd(kept, indices), ordinals)
        won = b.reshape(won, shape=(*shape, *(1,) * (updates.ndim - len(shape))))
        return b.where(won, b.gather_nd(g, indices), 0)

    return [lambda: b.scatter_nd(g, indices, b.full_like(0, updates)), None, of_updates]


def _product_gradient(b, node, g):
    """For each factor the product of the others: of those that are not 0, unless one of them is."""
    x, indices, updates = node.inputs

    def split(factor):
        return b.equal(factor, 0), b.where(b.equal(factor, 0), 1, factor)

    (x_zero, x_rest), (zero, rest) = split(x), split(updates)
    products = b.scatter_nd(x_rest, indices, rest, reduction="mul")
    zeros = b.scatter_nd_add(b.astype(x_zero, dtype=int64), indices, b.astype(zero, dtype=int64))
    slopes = b.multiply(g, products)

    def without(is_zero, factor, slopes, zeros):
        others = b.subtract(zeros, b.astype(is_zero, dtype=int64))
        return b.where(b.equal(others, 0), b.divide(slopes, factor), 0)

    return [
        lambda: without(x_zero, x_rest, slopes, zeros),
        None,
        lambda: without(zero, rest, b.gather_nd(slopes, indices), b.gather_nd(zeros, indices)),
    ]


def _extreme_gradient(b, node, g):
    """The elements and updates that are the extreme share its cotangent equally."""
    x, indices, updates = node.inputs
    from_x = b.equal(x, node.output)
    from_updates = b.equal(updates, b.gather_nd(node.output, indices))
    sharing = b.scatter_nd_add(
        b.astype(from_x, dtype=x.dtype), indices, b.astype(from_updates, dtype=x.dtype)
    )
    share = b.divide(g, b.maximum(sharing, 1))
    return [
        lambda: b.where(from_x, share, 0),
        None,
        lambda: b.where(from_updates, b.gather_nd(share, indices), 0),
    ]


@composite
def scatter_nd(
    x: Any, indices: Any, updates: Any, reduction: str = "none", name: str | None = None
) -> Tensor:
    """x with slices written at index vectors: y[indices[i]] = updates[i], or combined with what is there.

    Arguments:
        x: a tensor; numbers for a reduction, real ones for other reductions than "add".
        indices: integers [..., k]; the last axis holds an index for each of the first k axes of x.
        updates: of the dtype of x and the shape of `gf.gather_nd(x, indices)`.
        reduction: "none" (the last update at a position replaces), "add", "mul", "min" or "max" (of the
            element and all its updates).

    Raises:
        ShapeError, DTypeError: if the updates do not fit what the indices select.

    The gradient of a tie between smallest or largest is split evenly; that of a product is right at zeros.
    ONNX ScatterND-18.

    >>> import graphflow as gf
    >>> x, i = gf.placeholder("x", ("n", 4)), gf.constant([[2], [0]])
    >>> gf.scatter_nd(x, i, gf.ones((2, 4)), reduction="max").type
    float32[n, 4]
    """
    b, (x, indices, updates) = with_tensors(x, indices, updates)
    if _known_reduction(reduction) == "add":
        return b.scatter_nd_add(x, indices, updates, name=name)
    return b.scatter_nd(x, indices, updates, reduction=reduction, name=name)


# Index vectors from indices along one axis, and from those inside each batch


def positions_along(b: Builder, shape: Any, axis: int) -> Tensor:
    """For each element of a tensor of the given shape its position along an axis, as int64."""
    column = b.reshape(
        b.iota(size=shape[axis], dtype=int64),
        shape=tuple(size if place == axis else 1 for place, size in enumerate(shape)),
    )
    return b.broadcast_to(column, shape=shape)


def as_vectors(b: Builder, coordinates: list[Tensor]) -> Tensor:
    """Index vectors [..., k] from one tensor of int64 positions for each of k axes."""
    return b.concat(*[b.expand_dims(one, axis=-1) for one in coordinates], axis=-1)


def _signed(b: Builder, indices: Tensor) -> Tensor:
    if indices.dtype.kind == "uint" and indices.dtype.itemsize == 8:
        indices = b.minimum(indices, 2**63 - 1)  # what is larger is out of range on every axis
    return b.astype(indices, dtype=int64)


def _require_room(x: Tensor, indices: Tensor, axis: int) -> None:
    fits = x.ndim == indices.ndim
    for place in range(x.ndim) if fits else ():
        size, count = x.shape[place], indices.shape[place]
        smaller = isinstance(size, int) and isinstance(count, int) and count <= size
        fits = fits and (place == axis or smaller or dims.unify(size, count) is not None)
    if not fits:
        raise ShapeError(
            f"put_along_axis along axis {axis} got x of shape {show(x.shape)} and indices of shape "
            f"{show(indices.shape)}",
            hint="give the indices the rank of x, and no larger sizes than x but along the axis",
        )


@composite
def put_along_axis(x: Any, indices: Any, values: Any, axis: int = -1, reduction: str = "none") -> Tensor:
    """x with one element written a position: y[i, indices[i, j]] = values[i, j] for axis 1.

    Arguments:
        x: a tensor; numbers for a reduction.
        indices: integers of the rank of x; along other axes than `axis` no longer than x, of which
            they mean the beginning.
        values: of the shape of the indices, or numbers that broadcast to it.
        axis: the axis of x that is indexed.
        reduction: "none" (the last value at a position replaces), "add", "mul", "min" or "max"; see
            `gf.scatter_nd`.

    Raises:
        ShapeError, DTypeError: if the indices do not fit x, or the values not the indices.

    ONNX ScatterElements-18, whose axis is 0 by default; NumPy `put_along_axis` without its broadcasting.

    >>> import graphflow as gf
    >>> gf.put_along_axis(gf.zeros((3, 5)), gf.constant([[4], [0], [1]]), 1.0).type
    float32[3, 5]
    """
    b, (x, values) = with_tensors(x, values)
    indices = b.tensor(indices)
    require_indices(indices.type, "put_along_axis")
    axis = normalize_axis(axis, x.ndim, "put_along_axis")
    _known_reduction(reduction)
    _require_room(x, indices, axis)
    if values.shape != indices.shape:
        values = b.broadcast_to(values, shape=indices.shape)
    if reduction == "add" and x.shape[:axis] + x.shape[axis + 1 :] == (
        indices.shape[:axis] + indices.shape[axis + 1 :]
    ):
        return b.add_along_axis(x, indices, values, axis=axis)
    coordinates = [positions_along(b, indices.shape, place) for place in range(x.ndim)]
    coordinates[axis] = _signed(b, indices)
    return scatter_nd(x, as_vectors(b, coordinates), values, reduction)


@composite
def gather_nd(x: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Tensor:
    """The slices of x at index vectors: y[i] = x[indices[i, 0], indices[i, 1], ...].

    Arguments:
        x: a tensor of any dtype.
        indices: integers [..., k]; the last axis holds an index for each of k axes of x.
        batch_dims: how many leading axes x and the indices have in common; the vectors index the axes
            after those: y[n, i] = x[n, indices[n, i, 0], ...] for one of them.

    Raises:
        ShapeError, AttributeValueError: if the common axes differ, or there are fewer.

    ONNX GatherND-13.

    >>> import graphflow as gf
    >>> x, i = gf.placeholder("x", ("batch", 4, 5)), gf.placeholder("i", ("batch", 2, 1), gf.int32)
    >>> gf.gather_nd(x, i, batch_dims=1).type
    float32[batch, 2, 5]
    """
    b, x = with_tensor(x)
    indices = b.tensor(indices)
    common = whole_number(batch_dims, "batch_dims of gather_nd", 0)
    if not common:
        return b.gather_nd(x, indices, name=name)
    require_indices(indices.type, "gather_nd")
    if common >= indices.ndim or common > x.ndim:
        raise AttributeValueError(
            f"gather_nd got batch_dims {common}, x of shape {show(x.shape)} and indices of shape "
            f"{show(indices.shape)}",
            hint="the common axes come before the axis of the index vectors",
        )
    for size, count in zip(x.shape[:common], indices.shape[:common]):
        if dims.unify(size, count) is None:
            raise ShapeError(
                f"gather_nd with batch_dims {common} got x of shape {show(x.shape)} and indices of shape "
                f"{show(indices.shape)}",
                hint=f"make the first {common} sizes equal",
            )
    outer = [positions_along(b, indices.shape[:-1], place) for place in range(common)]
    vectors = b.concat(as_vectors(b, outer), _signed(b, indices), axis=-1)
    return b.gather_nd(x, vectors, name=name)
