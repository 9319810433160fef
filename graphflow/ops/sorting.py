"""Order along an axis: sorting, the largest elements, and search in sorted vectors.

One order holds for all of them, on every target: NaN is the largest and all NaN are equal, -0.0
equals 0.0, and elements that are equal keep the order in which they stand. Descending order turns
the elements round, but not the equal ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.atoms import bounds
from graphflow.ir.dtypes import float64, int64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import normalize_axis, only, same_type, show

REALS = "bool int uint float"
SIDES = ("left", "right")


def ascending_order(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """The positions of the elements in ascending order.

    >>> ascending_order(np.array([np.nan, 2.0, -0.0, 0.0]))
    array([2, 3, 1, 0])
    """
    return np.argsort(_comparable(x), axis=axis, kind="stable").astype(np.int64)


def _comparable(x):
    """NumPy sorts the NaN of bfloat16, which is not its own type, anywhere."""
    return x.astype(np.float32) if x.dtype.name == "bfloat16" else x


def _order(x, axis, descending):
    if not descending:
        return ascending_order(x, axis)
    last = x.shape[axis] - 1
    return last - np.flip(ascending_order(np.flip(x, axis), axis), axis)


def _axis_attrs(operation):
    def normalize(types, attrs):
        return {**attrs, "axis": normalize_axis(attrs["axis"], types[0].rank, operation)}

    return normalize


@op("sorting", infer=only(REALS, same_type, "sort"), normalize=_axis_attrs("sort"))
def sort(x, /, axis=-1, descending=False):
    """The elements along `axis` in ascending or descending order: y_1 <= y_2 <= ..., NaN as the largest.

    Arguments:
        x: real numbers or booleans.
        axis: the axis along which to sort.
        descending: the largest first instead of the smallest.

    Raises:
        DTypeError: for complex numbers, which have no order.

    Array API `sort`, stable.

    >>> import graphflow as gf
    >>> gf.sort(gf.placeholder("x", ("batch", 10)), descending=True).type
    float32[batch, 10]
    """
    return np.take_along_axis(x, _order(x, axis, descending), axis)


@sort.gradient
def _(b, node, g):
    x = node.inputs[0]
    order = b.argsort(x, **node.attrs)
    return [b.add_along_axis(b.full_like(0, x), order, g, axis=node.attrs["axis"])]


def _indices_type(types, attrs):
    return (TensorType(int64, types[0].shape),)


@op("sorting", infer=only(REALS, _indices_type, "argsort"), normalize=_axis_attrs("argsort"))
def argsort(x, /, axis=-1, descending=False):
    """The indices along `axis` that sort x, as int64: take_along_axis(x, y, axis) = sort(x, axis).

    Of equal elements the one with the lower index comes first, in descending order too.

    Arguments:
        x: real numbers or booleans.
        axis: the axis along which to sort.
        descending: the largest first instead of the smallest.

    Raises:
        DTypeError: for complex numbers, which have no order.

    Array API `argsort`, stable.

    >>> import graphflow as gf
    >>> gf.argsort(gf.placeholder("x", ("batch", 10)), axis=0).type
    int64[batch, 10]
    """
    return _order(x, axis, descending)


argsort.not_differentiable("its results are indices", zero=True)


# The first of the order


def _top_k_attrs(types, attrs):
    return {**_axis_attrs("top_k")(types, attrs), "k": dims.as_size(attrs["k"])}


def require_enough(k: Any, size: Any) -> None:
    """Raise a ShapeError if an axis of this size cannot have k largest elements."""
    if isinstance(k, int) and k < 0:
        raise ShapeError(
            f"top_k needs a k of at least 0, not {k}", hint="pass the number of elements to keep"
        )
    most = bounds(size - k)[1]
    if most is not None and most < 0:
        raise ShapeError(
            f"top_k cannot find {k} elements along an axis of size {size}", hint=f"use a k of at most {size}"
        )


def _top_k_type(types, attrs):
    x, axis, k = types[0], attrs["axis"], attrs["k"]
    require_enough(k, x.shape[axis])
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return TensorType(x.dtype, shape), TensorType(int64, shape)


@op("sorting", infer=only(REALS, _top_k_type, "top_k"), normalize=_top_k_attrs)
def top_k(x, /, k, axis=-1, largest=True):
    """The k largest (or smallest) elements along `axis`, best first, and their indices, as int64.

    NaN counts as the largest. Of equal elements the one with the lower index comes first.

    Arguments:
        x: real numbers or booleans.
        k: how many; no more than the axis has, which is checked when the size is known.
        axis: the axis along which to look.
        largest: whether to find the largest or the smallest.

    Returns:
        values, of the dtype of x, and indices.

    ONNX TopK-24, sorted.

    >>> import graphflow as gf
    >>> [y.type for y in gf.top_k(gf.placeholder("scores", ("batch", 10)), 3)]
    [float32[batch, 3], int64[batch, 3]]
    """
    require_enough(k, x.shape[axis])
    order = np.take(_order(x, axis, descending=largest), np.arange(k), axis)
    return np.take_along_axis(x, order, axis), order


@top_k.gradient
def _(b, node, g, _):
    if g is None:
        return [None]
    x = node.inputs[0]
    return [b.add_along_axis(b.full_like(0, x), node.outputs[1], g, axis=node.attrs["axis"])]


# Search


def _side(types, attrs):
    side = attrs["side"]
    if not isinstance(side, str) or side not in SIDES:
        raise AttributeValueError(f"searchsorted has no side {side!r:.80}", hint='use "left" or "right"')
    return attrs


def _searchsorted_type(types, attrs):
    x1, x2 = types
    if x1.rank != 1:
        raise ShapeError(
            f"searchsorted needs a sorted vector, not a tensor of shape {show(x1.shape)}",
            hint="gf.reshape(x1, (-1,)) makes it one",
        )
    return (TensorType(int64, x2.shape),)


@op(
    "sorting",
    infer=only(REALS, _searchsorted_type, "searchsorted"),
    normalize=_side,
    promotion="same",
)
def searchsorted(x1, x2, /, side="left"):
    """Where elements belong in a sorted vector, as int64: x1[y - 1] < x2 <= x1[y] for side "left".

    For side "right", x1[y - 1] <= x2 < x1[y]. Elements below all belong at 0, those above all at the end.

    Arguments:
        x1: a vector in the order of `sort`, which is not checked.
        x2: elements of any shape.
        side: whether to go before or behind elements that are equal.

    Array API `searchsorted`.

    >>> import graphflow as gf
    >>> gf.searchsorted(gf.constant([1.0, 2.0, 4.0]), gf.placeholder("x", ("batch",))).type
    int64[batch]
    """
    return np.searchsorted(_comparable(x1), _comparable(x2), side=side).astype(np.int64)


searchsorted.not_differentiable("its results are indices", zero=True)


@composite
def isin(x1: Any, x2: Any, invert: bool = False) -> Tensor:
    """Whether each element of x1 equals some element of x2, by search in x2 sorted; NaN equals none.

    Arguments:
        x1: real numbers or booleans of any shape, that of the result.
        x2: the elements to look for, of any shape.
        invert: tell which elements of x1 are not in x2.

    Array API `isin`.

    >>> import graphflow as gf
    >>> gf.isin(gf.placeholder("word", ("batch",), gf.int32), [3, 7]).type
    bool[batch]
    """
    b, (left, right) = with_tensors(x1, x2)
    ordered = b.sort(b.reshape(right, shape=(dims.product(right.shape),)))
    before, behind = b.searchsorted(ordered, left), b.searchsorted(ordered, left, side="right")
    found = b.logical_and(b.less(before, behind), b.equal(left, left))
    return b.logical_not(found) if invert else found


@composite
def median(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The middle of the elements along `axis` in order; of an even number, the mean of the two in the middle.

    NaN if any element is NaN.

    Arguments:
        x: real numbers; integers and booleans are taken as float64.
        axis: an int, or None for all elements.
        keepdims: keep the reduced axes, with size 1.

    Raises:
        ShapeError: if there are no elements; along a symbolic axis that turns out empty it is 0.

    >>> import graphflow as gf
    >>> gf.median(gf.placeholder("x", ("batch", 10)), axis=0).type
    float32[10]
    """
    b, x = with_tensor(x)
    shape = x.shape
    place = None if axis is None else normalize_axis(axis, x.ndim, "median")
    if place is None:
        x = b.reshape(x, shape=(dims.product(shape),))
    size = x.shape[place or 0]
    if size == 0:
        raise ShapeError(f"median has no elements in shape {show(shape)}", hint="leave out empty tensors")
    ordered = b.sort(x, axis=place or 0)
    if not x.dtype.is_floating:
        ordered = b.astype(ordered, dtype=float64)
    low, high, last = (
        b.take(ordered, b.tensor(at), axis=place or 0)
        for at in (dims.floor_divide(size - 1, 2), dims.floor_divide(size, 2), size - 1)
    )
    # Halves do not overflow where the sum would, but they would round the smallest numbers away.
    middle = b.where(b.equal(low, high), low, b.add(b.multiply(low, 0.5), b.multiply(high, 0.5)))
    result = b.where(b.is_nan(last), last, middle)
    if not keepdims:
        return result
    kept = tuple(1 if place in (None, at) else length for at, length in enumerate(shape))
    return b.reshape(result, shape=kept)
