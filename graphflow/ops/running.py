"""Running sums and products along an axis, and the differences that undo sums (family reduction)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.dtypes import bool_, int64, uint64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import normalize_axis, whole_number
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

    The gradient is right at zeros too; it takes some 4 n products for an axis of size n, n^2 if n is
    unknown when it is built.

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
    """dx_k = P_k S_k: the product P_k before k, and what follows, S_k = g_k + x_(k+1) S_(k+1)."""
    x, axis, n = node.inputs[0], node.attrs["axis"], node.inputs[0].shape[node.attrs["axis"]]
    if not isinstance(n, int):
        return [_slope_by_pairs(b, node, g)]
    back = node.attrs["reverse"]
    if n < 2:
        return [b.full_like(0, g) if node.attrs["exclusive"] else g]
    if node.attrs["exclusive"]:
        edge = b.full_like(0, _part(b, g, axis, 0, 1))
        g = _joined(b, axis, back, _shifted(b, g, axis, back, 1), edge)
    before = b.cumulative_prod(x, axis=axis, exclusive=True, reverse=back)
    return [b.multiply(before, _following(b, _shifted(b, x, axis, back, 1), g, axis, back, n))]


def _following(b, factors, g, axis, back, n):
    """S_k = g_k + a_k S_(k+1) for n elements and n - 1 factors, by halves: the work is a multiple of n.

    S_(2j) = (g_2j + a_2j g_(2j+1)) + a_2j a_(2j+1) S_(2j+2) is the same for every other element, and with it
    the elements between are known. (G. E. Blelloch, "Prefix sums and their applications", 1990.)
    """
    if n == 1:
        return g
    half, odd = divmod(n, 2)
    links = half - 1 + odd  # pairs behind which there is something
    even, between = (_every_other(b, g, axis, back, first, half) for first in (0, 1))
    factor = _every_other(b, factors, axis, back, 0, half)
    pairs = b.add(even, b.multiply(factor, between))
    if not links:
        return _joined(b, axis, back, pairs, between)
    last = _shifted(b, g, axis, back, n - 1)
    link = _every_other(b, factors, axis, back, 1, links)
    onward = b.multiply(_shifted(b, factor, axis, not back, half - links), link)
    sums = _following(
        b, onward, _joined(b, axis, back, pairs, last) if odd else pairs, axis, back, half + odd
    )
    known = _shifted(b, between, axis, not back, half - links)
    known = b.add(known, b.multiply(link, _shifted(b, sums, axis, back, 1)))
    if odd:
        woven = _woven(b, axis, back, _shifted(b, sums, axis, not back, 1), known)
        return _joined(b, axis, back, woven, _shifted(b, sums, axis, back, half))
    return _woven(b, axis, back, sums, _joined(b, axis, back, known, last))


def _every_other(b, x, axis, back, first, count):
    """`count` elements, from `first` on every other one, counted from the end if `back`."""
    start = x.shape[axis] - 1 - first - 2 * (count - 1) if back else first
    return b.slice(x, starts=(start,), stops=(start + 2 * count - 1,), steps=(2,), axes=(axis,))


def _woven(b, axis, back, first, second):
    """The elements of two tensors in turn."""
    apart = [b.expand_dims(x, axis=axis + 1) for x in ((second, first) if back else (first, second))]
    shape = (*first.shape[:axis], 2 * first.shape[axis], *first.shape[axis + 1 :])
    return b.reshape(b.concat(*apart, axis=axis + 1), shape=shape)


def _part(b, x, axis, start, stop):
    """The elements [start, stop) along an axis."""
    return b.slice(x, starts=(start,), stops=(stop,), steps=(1,), axes=(axis,))


def _shifted(b, x, axis, back, count):
    """x without its first elements; without its last ones if `back`."""
    n = x.shape[axis]
    if not count:
        return x
    return _part(b, x, axis, 0, n - count) if back else _part(b, x, axis, count, n)


def _joined(b, axis, back, first, last):
    return b.concat(*((last, first) if back else (first, last)), axis=axis)


def _slope_by_pairs(b, node, g):
    """dx_k = sum_i g_i prod_j x_j over the i that x_k is part of, and their j other than k, for any size.

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
    return b.sum(slopes, axis=axis + 1)


# Differences

MOST_DIFFERENCES = 1000
"""Each adds nodes to the graph, and none is exact after some fifty."""


@composite
def diff(x: Any, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours along `axis`: y_i = x_(i + 1) - x_i, taken n times in turn.

    Of booleans: whether the neighbours differ.

    Arguments:
        x: numbers or booleans.
        n: how often; 0 gives x, and each time the axis is shorter by one, down to none.
        prepend, append: tensors to join before and after x along the axis; a scalar stands for one element.

    Array API `diff`.

    >>> import graphflow as gf
    >>> gf.diff(gf.constant([1.0, 4.0, 9.0])).type
    float32[2]
    """
    given = [value for value in (prepend, append) if value is not None]
    b, (x, *others) = with_tensors(x, *given)
    place, times = normalize_axis(axis, x.ndim, "diff"), whole_number(n, "the n of diff", 0)
    if times > MOST_DIFFERENCES:
        raise AttributeValueError(
            f"diff cannot be taken {times} times", hint=f"take it at most {MOST_DIFFERENCES} times"
        )
    if times and others:
        one = (*x.shape[:place], 1, *x.shape[place + 1 :])
        others = [other if other.ndim else b.broadcast_to(other, shape=one) for other in others]
        before = len(others) if append is None else len(others) - 1
        x = b.concat(*others[:before], x, *others[before:], axis=place)
    change = b.not_equal if x.dtype is bool_ else b.subtract
    for _ in range(times):
        later = b.slice(x, starts=(1,), stops=(None,), axes=(place,))
        x = change(later, b.slice(x, starts=(None,), stops=(-1,), axes=(place,)))
    return x
