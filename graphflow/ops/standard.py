"""Operators under the full signatures of the array API, and its constants.

The operators themselves have only the arguments that mean something in a graph; here they get those
that the standard adds, which are done by other operators, or which make no difference.

Source: Python array API standard 2024.12.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import as_dtype, int64, uint64
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import entries, normalize_axis, whole_number

e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
newaxis = None  # x[newaxis] and x[None] are the same

# Arguments that make no difference here


@composite
def reshape(x: Any, shape: Any, copy: bool | None = None, name: str | None = None) -> Tensor:
    """The same elements, in row-major order, under another shape.

    Arguments:
        x: a tensor of any dtype.
        shape: sizes; symbolic ones are welcome, and one may be -1: what the others leave. Also a
            tensor whose value is known while building, or fed.
        copy: makes no difference, since tensors never change.

    Raises:
        ShapeError: if the numbers of elements differ.

    Array API `reshape`; ONNX Reshape-25.

    >>> import graphflow as gf
    >>> gf.reshape(gf.placeholder("x", ("batch", 4, 6)), (-1, 24)).type
    float32[batch, 24]
    """
    b, x = with_tensor(x)
    return b.reshape(x, shape=shape, name=name)


def _require_truth(value: Any, what: str) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise AttributeValueError(f"{what} has to be True or False, not {value!r:.80}")


@composite
def sort(
    x: Any, axis: int = -1, descending: bool = False, stable: bool = True, name: str | None = None
) -> Tensor:
    """The elements along `axis` in ascending or descending order: y_1 <= y_2 <= ..., NaN as the largest.

    Arguments:
        x: real numbers or booleans.
        axis: the axis along which to sort.
        descending: the largest first instead of the smallest.
        stable: makes no difference: elements that are equal always keep their order.

    Raises:
        DTypeError: for complex numbers, which have no order.

    Array API `sort`.

    >>> import graphflow as gf
    >>> gf.sort(gf.placeholder("x", ("batch", 10)), descending=True).type
    float32[batch, 10]
    """
    _require_truth(stable, "stable")
    b, x = with_tensor(x)
    return b.sort(x, axis=axis, descending=descending, name=name)


@composite
def argsort(
    x: Any, axis: int = -1, descending: bool = False, stable: bool = True, name: str | None = None
) -> Tensor:
    """The indices along `axis` that sort x, as int64: take_along_axis(x, y, axis) = sort(x, axis).

    Arguments:
        x, axis, descending, stable: as for `sort`.

    Array API `argsort`.

    >>> import graphflow as gf
    >>> gf.argsort(gf.placeholder("x", ("batch", 10)), axis=0).type
    int64[batch, 10]
    """
    _require_truth(stable, "stable")
    b, x = with_tensor(x)
    return b.argsort(x, axis=axis, descending=descending, name=name)


# Arguments that other operators do


@composite
def searchsorted(x1: Any, x2: Any, side: str = "left", sorter: Any = None, name: str | None = None) -> Tensor:
    """Where elements belong in a sorted vector, as int64: x1[y - 1] < x2 <= x1[y] for side "left".

    For side "right", x1[y - 1] <= x2 < x1[y].

    Arguments:
        x1: a vector in the order of `sort`, which is not checked.
        x2: elements of any shape.
        side: whether to go before or behind elements that are equal.
        sorter: the indices that sort x1, as from `argsort`, if it is not sorted.

    Array API `searchsorted`.

    >>> import graphflow as gf
    >>> gf.searchsorted(gf.constant([1.0, 2.0, 4.0]), gf.placeholder("x", ("batch",))).type
    int64[batch]
    """
    if sorter is None:
        b, (x1, x2) = with_tensors(x1, x2)
    else:
        b = builder_for([x1, x2, sorter])
        x1, x2 = b._convert([x1, x2])
        order = b.tensor(sorter)
        if x1.ndim != 1 or order.ndim != 1 or dims.unify(x1.shape[0], order.shape[0]) is None:
            raise ShapeError(
                f"searchsorted needs a vector and as many indices, not {x1.type} and {order.type}",
                hint="sorter=gf.argsort(x1)",
            )
        x1 = b.take(x1, order, axis=0)
    return b.searchsorted(x1, x2, side=side, name=name)


@composite
def concat(*xs: Any, axis: int | None = 0, name: str | None = None) -> Tensor:
    """Join tensors along an existing axis.

    Arguments:
        xs: tensors, or one list of them; equal in rank and in all sizes but that of `axis`.
        axis: where to join; None joins the elements of all of them in one vector.

    Raises:
        ShapeError: if the shapes do not fit together.

    Array API `concat`; ONNX Concat-13.

    >>> import graphflow as gf
    >>> gf.concat([gf.placeholder("x", ("n", 2)), gf.placeholder("y", ("m", 2))]).shape
    (m + n, 2)
    """
    if xs and isinstance(xs[0], (list, tuple)):
        if len(xs) > 2 or (len(xs) == 2 and axis != 0):
            raise AttributeValueError("concat takes one list of tensors", hint="gf.concat([x, y], axis=0)")
        axis = xs[1] if len(xs) == 2 else axis
        xs = tuple(xs[0])
    b, tensors = with_tensors(*xs)
    if axis is None:
        tensors, axis = [b.reshape(x, shape=(dims.product(x.shape),)) for x in tensors], 0
    return b.concat(*tensors, axis=axis, name=name)


@composite
def repeat(x: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Each element `repeats` times in a row.

    Arguments:
        x: a tensor of any dtype.
        repeats: how often: a number or symbolic size, or a list with a number for each element along
            the axis, which has to be known while building.
        axis: along which axis; None repeats the elements of the flattened tensor.

    Array API `repeat`.

    >>> import graphflow as gf
    >>> gf.repeat(gf.constant([1, 2]), 3).type, gf.repeat(gf.constant([1, 2]), [0, 4]).type
    (int32[6], int32[4])
    """
    b, x = with_tensor(x)
    counts = entries(repeats)
    if len(counts) == 1 and not isinstance(repeats, (list, tuple)):
        return b.repeat(x, repeats=counts[0], axis=axis, name=name)
    wanted = [whole_number(count, "each of the repeats", 0) for count in counts]
    if axis is None:
        x, axis = b.reshape(x, shape=(dims.product(x.shape),)), 0
    place = normalize_axis(axis, x.ndim, "repeat")
    if len(wanted) == 1:
        return b.repeat(x, repeats=wanted[0], axis=place, name=name)
    if dims.unify(x.shape[place], len(wanted)) is None:
        raise ShapeError(
            f"repeat got {len(wanted)} repeats for an axis of size {x.shape[place]}",
            hint="give one number for each element along the axis, or for all",
        )
    total = builtins.sum(wanted)
    if total > MOST_REPEATED:
        raise AttributeValueError(
            f"repeat would store {total} indices", hint=f"repeat at most {MOST_REPEATED} in all"
        )
    places = np.repeat(np.arange(len(wanted), dtype=np.int64), wanted)
    return b.take(x, b.constant(value=places), axis=place, name=name)


MOST_REPEATED = 1 << 24


def _as_asked(b: Builder, x: Tensor, operation: str, dtype: Any, name: str | None, **attrs: Any) -> Tensor:
    """What an operator gives when it computes in a dtype that is asked for, or in its own."""
    apply = getattr(b, operation)
    if dtype is None:
        return apply(x, name=name, **attrs)
    wanted = as_dtype(dtype)
    given = x if x.dtype is wanted else b.astype(x, dtype=wanted)
    if wanted.is_differentiable or wanted in (int64, uint64):
        return apply(given, name=name, **attrs)
    return b.astype(apply(given, **attrs), dtype=wanted, name=name)  # integers are added in 64 bits


@composite
def sum(
    x: Any,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """The sum of the elements along `axis`: y = sum_i x_i; 0 for none.

    Arguments:
        x: numbers or booleans.
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.
        dtype: that of the result, to which x is converted first; by default that of x, integers being
            widened to 64 bits.

    Array API `sum`; ONNX ReduceSum-13.

    >>> import graphflow as gf
    >>> gf.sum(gf.placeholder("x", ("batch", 10)), axis=1).type
    float32[batch]
    """
    b, x = with_tensor(x)
    return _as_asked(b, x, "sum", dtype, name, axis=axis, keepdims=keepdims)


@composite
def prod(
    x: Any,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """The product of the elements along `axis`: y = prod_i x_i; 1 for none.

    Arguments:
        x, axis, keepdims, dtype: as for `sum`.

    Array API `prod`; ONNX ReduceProd-18.

    >>> import graphflow as gf
    >>> gf.prod(gf.placeholder("x", ("batch", 10)), axis=1).type
    float32[batch]
    """
    b, x = with_tensor(x)
    return _as_asked(b, x, "prod", dtype, name, axis=axis, keepdims=keepdims)


@composite
def cumulative_sum(
    x: Any,
    axis: int | None = None,
    exclusive: bool = False,
    reverse: bool = False,
    dtype: Any = None,
    include_initial: bool = False,
    name: str | None = None,
) -> Tensor:
    """The sums of the first elements along `axis`: y_i = sum_(j <= i) x_j.

    Arguments:
        x: numbers or booleans.
        axis: an int; None only for vectors.
        exclusive: leave out element i itself, so that y_0 = 0.
        reverse: add up from the end: y_i = sum_(j >= i) x_j.
        dtype: as for `sum`.
        include_initial: let the sum of no element, 0, be the first of the results (the last of
            reversed ones), which are then one more than the elements.

    Array API `cumulative_sum`; ONNX CumSum-14.

    >>> import graphflow as gf
    >>> gf.cumulative_sum(gf.constant([1, 2, 3]), include_initial=True).type
    int64[4]
    """
    return _running(x, "cumulative_sum", 0, axis, exclusive, reverse, dtype, include_initial, name)


@composite
def cumulative_prod(
    x: Any,
    axis: int | None = None,
    exclusive: bool = False,
    reverse: bool = False,
    dtype: Any = None,
    include_initial: bool = False,
    name: str | None = None,
) -> Tensor:
    """The products of the first elements along `axis`: y_i = prod_(j <= i) x_j.

    Arguments:
        x, axis, exclusive, reverse, dtype, include_initial: as for `cumulative_sum`, with 1 for 0.

    Array API `cumulative_prod`; ONNX CumProd-26.

    >>> import graphflow as gf
    >>> gf.cumulative_prod(gf.constant([1.0, 2.0, 3.0])).type
    float32[3]
    """
    return _running(x, "cumulative_prod", 1, axis, exclusive, reverse, dtype, include_initial, name)


def _running(
    x: Any,
    operation: str,
    initial: int,
    axis: int | None,
    exclusive: bool,
    reverse: bool,
    dtype: Any,
    include_initial: bool,
    name: str | None,
) -> Tensor:
    _require_truth(include_initial, "include_initial")
    b, x = with_tensor(x)
    options = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
    if not include_initial:
        return _as_asked(b, x, operation, dtype, name, **options)
    if exclusive:
        raise AttributeValueError(
            f"{operation} cannot be exclusive and include the initial value",
            hint="exclusive leaves out the last total, include_initial keeps all",
        )
    made = _as_asked(b, x, operation, dtype, None, **options)
    place = normalize_axis(0 if axis is None else axis, made.ndim, operation)
    edge = b.broadcast_to(b.like(initial, made), shape=(*made.shape[:place], 1, *made.shape[place + 1 :]))
    return b.concat(*((made, edge) if reverse else (edge, made)), axis=place, name=name)
