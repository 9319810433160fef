"""Reductions: sums, products, extremes and truth along axes, and running sums and products.

An axis may be an int, a sequence of ints, or None for all axes; nodes carry sorted non-negative
ones. Sums and products of integers are 64 bits wide and means of integers float64, as in NumPy.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import bool_, float16, float64, int64, uint64
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import normalize_axes, normalize_axis, only, show
from graphflow.ops.precision import wide

_ALL = "bool int uint float complex"
_REALS = "bool int uint float"


def _axes(operation):
    def normalize(types, attrs):
        axes = normalize_axes(attrs["axis"], types[0].rank, operation)
        return {**attrs, "axis": axes, "keepdims": bool(attrs["keepdims"])}

    return normalize


def _left(shape, axes, keepdims):
    """The shape that remains when `axes` are reduced."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduced(types, attrs, dtype):
    return (TensorType(dtype, _left(types[0].shape, attrs["axis"], attrs["keepdims"])),)


def _widened(dtype):
    """The dtype in which elements of `dtype` are added up and multiplied."""
    return dtype if dtype.is_differentiable else uint64 if dtype.kind == "uint" else int64


def _total_type(types, attrs):
    return _reduced(types, attrs, _widened(types[0].dtype))


def _mean_type(types, attrs):
    return _reduced(types, attrs, types[0].dtype if types[0].dtype.is_differentiable else float64)


def _extreme_type(types, attrs):
    _require_elements(types[0].shape, attrs["axis"])
    return _reduced(types, attrs, types[0].dtype)


def _truth_type(types, attrs):
    return _reduced(types, attrs, bool_)


def _require_elements(shape, axes):
    empty = [axis for axis in axes if shape[axis] == 0]
    if empty:
        raise ShapeError(
            f"nothing has no extreme: axis {empty[0]} of shape {show(shape)} is empty",
            hint="reduce other axes, or join the tensor with a default value first",
        )


def _spread(b, node, tensor):
    """A cotangent, or the result itself, with the shape of the operand."""
    shape = node.inputs[0].shape
    if not node.attrs["keepdims"]:
        tensor = b.reshape(tensor, shape=_left(shape, node.attrs["axis"], True))
    return b.broadcast_to(tensor, shape=shape)


def _count(b, node):
    """The number of elements that went into each result, as a scalar of the result's dtype."""
    shape, dtype = node.inputs[0].shape, node.output.dtype
    size = dims.product(shape[axis] for axis in node.attrs["axis"])
    return b.like(size, node.output) if isinstance(size, int) else b.dimension(size=size, dtype=dtype)


@op("reduction", infer=_total_type, normalize=_axes("sum"), traits="reduction")
@wide
def sum(x, /, axis=None, keepdims=False):
    """The sum of the elements along `axis`: y = sum_i x_i; 0 for none.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `sum`; ONNX ReduceSum-13.

    >>> import graphflow as gf
    >>> gf.sum(gf.placeholder("x", ("batch", 10)), axis=1).type
    float32[batch]
    """
    return np.sum(x, axis=axis, keepdims=keepdims)


@sum.gradient
def _(b, node, g):
    return [_spread(b, node, g)]


@op("reduction", infer=_mean_type, normalize=_axes("mean"), traits="reduction")
@wide
def mean(x, /, axis=None, keepdims=False):
    """The mean of the n elements along `axis`: y = (sum_i x_i) / n; NaN for none.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `mean`; ONNX ReduceMean-18.

    >>> import graphflow as gf
    >>> gf.mean(gf.placeholder("x", ("batch", 10)), axis=0, keepdims=True).type
    float32[1, 10]
    """
    count = np.prod([x.shape[i] for i in axis], dtype=np.int64)
    total = np.sum(x, axis=axis, keepdims=keepdims, dtype=None if x.dtype.kind in "fc" else np.float64)
    return np.divide(total, count.astype(total.dtype))


@mean.gradient
def _(b, node, g):
    return [_spread(b, node, b.divide(g, _count(b, node)))]


@mean.decomposition
def _(b, node):
    x = b.astype(node.inputs[0], dtype=node.output.dtype)
    return [b.divide(b.sum(x, **node.attrs), _count(b, node))]


def _extreme_gradient(b, node, g):
    """The extreme elements share the cotangent equally."""
    x = node.inputs[0]
    chosen = b.equal(x, _spread(b, node, node.output))
    ties = b.sum(b.astype(chosen, dtype=x.dtype), **node.attrs)
    return [b.where(chosen, _spread(b, node, b.divide(g, ties)), 0)]


@op(
    "reduction",
    infer=only(_REALS, _extreme_type, "max"),
    normalize=_axes("max"),
    traits="idempotent reduction",
)
def max(x, /, axis=None, keepdims=False):
    """The largest element along `axis`: y = max_i x_i; NaN if there is one.

    The gradient of a tie is split evenly.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes; none of them may be empty.
        keepdims: keep the reduced axes, with size 1.

    Array API `max`; ONNX ReduceMax-20.

    >>> import graphflow as gf
    >>> gf.max(gf.placeholder("x", ("batch", 10)), axis=-1).type
    float32[batch]
    """
    return np.max(x, axis=axis, keepdims=keepdims)


@max.gradient
def _(b, node, g):
    return _extreme_gradient(b, node, g)


@op(
    "reduction",
    infer=only(_REALS, _extreme_type, "min"),
    normalize=_axes("min"),
    traits="idempotent reduction",
)
def min(x, /, axis=None, keepdims=False):
    """The smallest element along `axis`: y = min_i x_i; NaN if there is one.

    The gradient of a tie is split evenly.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes; none of them may be empty.
        keepdims: keep the reduced axes, with size 1.

    Array API `min`; ONNX ReduceMin-20.

    >>> import graphflow as gf
    >>> gf.min(gf.placeholder("x", ("batch", 10)), axis=-1).type
    float32[batch]
    """
    return np.min(x, axis=axis, keepdims=keepdims)


@min.gradient
def _(b, node, g):
    return _extreme_gradient(b, node, g)


@op("reduction", infer=_total_type, normalize=_axes("prod"), traits="reduction")
@wide
def prod(x, /, axis=None, keepdims=False):
    """The product of the elements along `axis`: y = prod_i x_i; 1 for none.

    The gradient is right at zeros too: it multiplies the others instead of dividing y by x_i.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `prod`; ONNX ReduceProd-18.

    >>> import graphflow as gf
    >>> gf.prod(gf.placeholder("x", ("batch", 10)), axis=-1).type
    float32[batch]
    """
    return np.prod(x, axis=axis, keepdims=keepdims)


@prod.gradient
def _(b, node, g):
    partial, slope = node.inputs[0], _spread(b, node, g)
    for axis in node.attrs["axis"]:
        before = b.cumulative_prod(partial, axis=axis, exclusive=True)
        after = b.cumulative_prod(partial, axis=axis, exclusive=True, reverse=True)
        slope = b.multiply(slope, b.multiply(before, after))
        partial = b.prod(partial, axis=axis, keepdims=True)
    return [slope]


@op("reduction", infer=_truth_type, normalize=_axes("all"), traits="reduction")
def all(x, /, axis=None, keepdims=False):
    """Whether all elements along `axis` are true (not 0): y = x_1 and x_2 and ...; true for none.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `all`.

    >>> import graphflow as gf
    >>> gf.all(gf.constant([[True, False]]), axis=0).type
    bool[2]
    """
    return np.all(x != 0, axis=axis, keepdims=keepdims)


all.not_differentiable("its result is boolean", zero=True)


@op("reduction", infer=_truth_type, normalize=_axes("any"), traits="reduction")
def any(x, /, axis=None, keepdims=False):
    """Whether at least one element along `axis` is true (not 0): y = x_1 or x_2 or ...; false for none.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Array API `any`.

    >>> import graphflow as gf
    >>> gf.any(gf.constant([[True, False]]), axis=0).type
    bool[2]
    """
    return np.any(x != 0, axis=axis, keepdims=keepdims)


any.not_differentiable("its result is boolean", zero=True)


def _position_attrs(operation):
    def normalize(types, attrs):
        axis, rank = attrs["axis"], types[0].rank
        if axis is not None or rank == 1:
            axis = normalize_axis(0 if axis is None else axis, rank, operation)
        return {"axis": axis, "keepdims": bool(attrs["keepdims"])}

    return normalize


def _position_type(types, attrs):
    axis, rank = attrs["axis"], types[0].rank
    axes = tuple(range(rank)) if axis is None else (axis,)
    _require_elements(types[0].shape, axes)
    return (TensorType(int64, _left(types[0].shape, axes, attrs["keepdims"])),)


@op(
    "reduction",
    infer=only(_REALS, _position_type, "argmax"),
    normalize=_position_attrs("argmax"),
    traits="reduction",
)
def argmax(x, /, axis=None, keepdims=False):
    """The index of the largest element along `axis`: y = min {i : x_i = max_j x_j}, as int64.

    Of equal elements the first counts; NaN counts as the largest.

    Arguments:
        axis: an int, or None for the index into all elements in row-major order.
        keepdims: keep the reduced axes, with size 1.

    Array API `argmax`; ONNX ArgMax-13.

    >>> import graphflow as gf
    >>> gf.argmax(gf.placeholder("x", ("batch", 10)), axis=-1).type
    int64[batch]
    """
    return np.argmax(x, axis=axis, keepdims=keepdims)


argmax.not_differentiable("its result is an index", zero=True)


@op(
    "reduction",
    infer=only(_REALS, _position_type, "argmin"),
    normalize=_position_attrs("argmin"),
    traits="reduction",
)
def argmin(x, /, axis=None, keepdims=False):
    """The index of the smallest element along `axis`: y = min {i : x_i = min_j x_j}, as int64.

    Of equal elements the first counts; NaN counts as the smallest.

    Arguments:
        axis: an int, or None for the index into all elements in row-major order.
        keepdims: keep the reduced axes, with size 1.

    Array API `argmin`; ONNX ArgMin-13.

    >>> import graphflow as gf
    >>> gf.argmin(gf.placeholder("x", ("batch", 10)), axis=-1).type
    int64[batch]
    """
    return np.argmin(x, axis=axis, keepdims=keepdims)


argmin.not_differentiable("its result is an index", zero=True)


@op(
    "reduction",
    infer=only("float", _total_type, "logsumexp"),
    promotion="float",
    normalize=_axes("logsumexp"),
    traits="reduction",
)
@wide
def logsumexp(x, /, axis=None, keepdims=False):
    """The logarithm of the sum of exponentials, without overflow: y = ln(sum_i e^(x_i)); -inf for none.

    Arguments:
        axis: an int, a sequence of ints, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    ONNX ReduceLogSumExp-18.

    >>> import graphflow as gf
    >>> gf.logsumexp(gf.placeholder("x", ("batch", 10)), axis=-1).type
    float32[batch]
    """
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    total = np.sum(np.exp(x - shift), axis=axis, keepdims=True)
    return (np.log(total) + shift).reshape(_left(x.shape, axis, keepdims))


@logsumexp.gradient
def _(b, node, g):
    x, axis = node.inputs[0], node.attrs["axis"]
    maybe_empty = [place for place in axis if not isinstance(x.shape[place], int) or x.shape[place] == 0]
    if maybe_empty or x.dtype is float16:
        # What may be empty has no maximum, and a total of powers may be beyond float16.
        y = b.where(b.is_inf(node.output), 0, node.output)
        return [b.multiply(_spread(b, node, g), b.exp(b.subtract(x, _spread(b, node, y))))]
    # e^(x - max) / total rather than e^(x - y): y is rounded, and a compiler has these powers.
    largest = b.max(x, axis=axis, keepdims=True)
    powers = b.exp(b.subtract(x, b.where(b.is_finite(largest), largest, 0)))
    total = b.sum(powers, axis=axis, keepdims=True)
    rate = g if node.attrs["keepdims"] else b.reshape(g, shape=total.shape)
    return [b.multiply(b.divide(rate, b.where(b.equal(total, 0), 1, total)), powers)]
