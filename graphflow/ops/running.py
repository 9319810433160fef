"""Running sums and products along an axis (family reduction)."""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.dtypes import int64, uint64
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import normalize_axis
from graphflow.ops.precision import wide


def _running_type(types, attrs):
    dtype = types[0].dtype
    if not dtype.is_differentiable:
        dtype = uint64 if dtype.kind == "uint" else int64
    return (TensorType(dtype, types[0].shape),)


def _running_attrs(operation):
    def normalize(types, attrs):
        axis, rank = attrs["axis"], types[0].rank
        if axis is None and rank != 1:
            raise AttributeValueError(
                f"{operation} needs an axis, as its operand has rank {rank}",
                hint=f"pass axis=0 to {rank - 1}"
                if rank
                else "a scalar has no axes; gf.expand_dims adds one",
            )
        axis = normalize_axis(0 if axis is None else axis, rank, operation)
        return {"axis": axis, "exclusive": bool(attrs["exclusive"]), "reverse": bool(attrs["reverse"])}

    return normalize


def _accumulated(ufunc, x, axis, exclusive, reverse):
    if reverse:
        x = np.flip(x, axis)
    result = np.moveaxis(ufunc.accumulate(x, axis=axis, dtype=_running_dtype(x.dtype)), axis, 0)
    if exclusive:
        first = np.full_like(result[:1], ufunc.identity)
        result = np.concatenate([first, result[:-1]])
    result = np.moveaxis(result, 0, axis)
    return np.flip(result, axis) if reverse else result


def _running_dtype(dtype):
    return {"b": np.int64, "i": np.int64, "u": np.uint64}.get(dtype.kind)


@op("reduction", infer=_running_type, normalize=_running_attrs("cumulative_sum"))
@wide
def cumulative_sum(x, /, axis=None, exclusive=False, reverse=False):
    """The sums of the first elements along `axis`: y_i = sum_(j <= i) x_j.

    Arguments:
        axis: an int; None only for vectors.
        exclusive: leave out element i itself, so that y_0 = 0.
        reverse: add up from the end: y_i = sum_(j >= i) x_j.

    Array API `cumulative_sum`; ONNX CumSum-14.

    >>> import graphflow as gf
    >>> gf.cumulative_sum(gf.constant([1, 2, 3])).type
    int64[3]
    """
    return _accumulated(np.add, x, axis, exclusive, reverse)


@cumulative_sum.gradient
def _(b, node, g):
    turned = not node.attrs["reverse"]
    return [b.cumulative_sum(g, axis=node.attrs["axis"], exclusive=node.attrs["exclusive"], reverse=turned)]


@op("reduction", infer=_running_type, normalize=_running_attrs("cumulative_prod"))
@wide
def cumulative_prod(x, /, axis=None, exclusive=False, reverse=False):
    """The products of the first elements along `axis`: y_i = prod_(j <= i) x_j.

    The gradient is right at zeros too; it takes n^2 products for an axis of size n.

    Arguments:
        axis: an int; None only for vectors.
        exclusive: leave out element i itself, so that y_0 = 1.
        reverse: multiply from the end: y_i = prod_(j >= i) x_j.

    Array API `cumulative_prod`; ONNX CumProd-26.

    >>> import graphflow as gf
    >>> gf.cumulative_prod(gf.constant([1.0, 2.0, 3.0])).type
    float32[3]
    """
    return _accumulated(np.multiply, x, axis, exclusive, reverse)


@cumulative_prod.gradient
def _(b, node, g):
    """dx_k = sum_i g_i prod_j x_j over the i that x_k is part of, and their j other than k.

    The axis k is new and stands before the axis i (and j).
    """
    x, axis, n = node.inputs[0], node.attrs["axis"], node.inputs[0].shape[node.attrs["axis"]]
    shape = (*x.shape[:axis], n, *x.shape[axis:])
    places = b.iota(size=n, dtype=int64)
    tail = (1,) * (x.ndim - axis - 1)
    row, column = (b.reshape(places, shape=(*s, *tail)) for s in ((n, 1), (1, n)))
    others = b.where(b.equal(row, column), 1, b.broadcast_to(b.expand_dims(x, axis=axis), shape=shape))
    products = b.cumulative_prod(others, **{**node.attrs, "axis": axis + 1})
    before, after = (column, row) if node.attrs["reverse"] else (row, column)
    is_part = b.less(before, after) if node.attrs["exclusive"] else b.less_equal(before, after)
    slopes = b.where(is_part, b.multiply(b.expand_dims(g, axis=axis), products), 0)
    return [b.sum(slopes, axis=axis + 1)]
