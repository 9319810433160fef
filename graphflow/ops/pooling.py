"""Pooling: one number for each window of the spatial axes, its largest or its mean.

The derivative of a mean is linear, so `avg_pool` and its gradient are each other's derivatives. A
maximum picks a place in each window; `max_pool_gradient` puts values there and `max_pool_select`
takes them from there, so these two are each other's derivatives.

Which place that is: the first of several equal maxima in row-major order; NaN counts as the largest
value, and padding never wins. All is done one axis after the other, the last one first: the first
maximum of each row, then the first of the rows.
"""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.axis_windows import canonical, parts, passes, pooled_shape, spread
from graphflow.ops.inference import only, real_number
from graphflow.ops.precision import wide
from graphflow.ops.windows import lowest, unify_shapes

_REAL = "int uint float"


def _normalizer(operation):
    def normalize(types, attrs):
        return canonical(attrs, types[0].shape, operation)

    return normalize


def _pooled(operation):
    def infer(types, attrs):
        return (TensorType(types[0].dtype, pooled_shape(types[0].shape, attrs, operation)),)

    return only(_REAL, infer, operation)


@op("pooling", infer=_pooled("max_pool"), normalize=_normalizer("max_pool"))
def max_pool(x, /, window, strides=None, padding=0, dilation=1, ceil_mode=False):
    """The largest element of each window: y[n, c, p] = max_k x[n, c, p * strides + k * dilation - before].

    NaN propagates. Padding never wins; the gradient goes to the first of several equal maxima.

    Arguments:
        x: real numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        window: the size of the windows; an int, or one per spatial axis.
        strides: by how much windows move; `window` by default, so that they tile the axes.
        padding: an int, ints or (before, after) pairs per spatial axis, "valid", "same" (the odd place
            at the end) or "same_lower" (at the beginning).
        dilation: the distance between the elements of a window.
        ceil_mode: one more window where places are left over, if it starts before the padding at the
            end; without effect for "valid" and the "same" paddings, which decide the number themselves.

    Returns:
        [batch, channels, *positions] of the dtype of x.

    Raises:
        ShapeError, AttributeValueError: if windows do not fit, or could lie in the padding alone.

    Source: ONNX MaxPool-22.

    >>> import graphflow as gf
    >>> gf.nn.max_pool(gf.placeholder("x", ("batch", 16, 8, 8)), 2).type
    float32[batch, 16, 4, 4]
    """
    for one in passes(window, strides, padding, dilation, ceil_mode):
        x = reduce(np.maximum, parts(x, one, lowest(x.dtype)))
    return np.array(x)


@max_pool.gradient
def _(b, node, g):
    return [b.max_pool_gradient(node.inputs[0], g, **node.attrs)]


def _winners(x, one):
    """The maxima of the windows along one axis, and the number of the place where each lies."""
    inside = one.inside(x.shape[one.axis])
    held = parts(x, one, lowest(x.dtype))
    best, found = next(held).copy(), one.along(inside[0], x.ndim)
    winner = np.zeros(best.shape, np.int32)
    for number, part in enumerate(held, 1):
        valid = one.along(inside[number], x.ndim)
        replace = valid & ~(found & ((best >= part) | (best != best)))
        np.copyto(best, part, where=replace)
        winner[replace] = number
        found = found | valid
    return best, winner


def _max_gradient_type(types, attrs):
    made = pooled_shape(types[0].shape, attrs, "max_pool_gradient")
    unify_shapes(types[1].shape, made, "max_pool_gradient: g has not the shape of the pooled x")
    return (TensorType(types[1].dtype, types[0].shape),)


@op(
    "pooling",
    infer=only(_REAL, _max_gradient_type, "max_pool_gradient"),
    normalize=_normalizer("max_pool_gradient"),
)
def max_pool_gradient(x, g, /, window, strides=None, padding=0, dilation=1, ceil_mode=False):
    """The gradient of `max_pool`: dx[i] = the sum of g over the windows whose maximum lies at i.

    Arguments:
        x: what was pooled, [batch, channels, *spatial].
        g: the cotangent of the result, [batch, channels, *positions].
        window, strides, padding, dilation, ceil_mode: those of the pooling.

    Returns:
        a tensor of the shape of x.

    Source: XLA SelectAndScatter.

    >>> import graphflow as gf
    >>> x, g = gf.placeholder("x", (1, 1, 4)), gf.placeholder("g", (1, 1, 2))
    >>> gf.ops.pooling.max_pool_gradient(x, g, window=2).type
    float32[1, 1, 4]
    """
    taken = []
    for one in passes(window, strides, padding, dilation, ceil_mode):
        shape = x.shape
        x, winner = _winners(x, one)
        taken.append((one, shape, winner))
    for one, shape, winner in reversed(taken):
        shares = (np.where(winner == place, g, np.zeros((), g.dtype)) for place in range(one.places))
        g = spread(shares, one, shape, g.dtype)
    return g


@max_pool_gradient.gradient
def _(b, node, u):
    return [None, b.max_pool_select(node.inputs[0], u, **node.attrs)]


def _take(u, winner, one):
    """What u holds at the places that `winner` numbers."""
    taken = np.zeros(winner.shape, u.dtype)
    for number, part in enumerate(parts(u, one, 0)):
        np.copyto(taken, part, where=winner == number)
    return taken


def _select_type(types, attrs):
    unify_shapes(types[1].shape, types[0].shape, "max_pool_select: u has not the shape of x")
    return (TensorType(types[1].dtype, pooled_shape(types[0].shape, attrs, "max_pool_select")),)


@op(
    "pooling",
    infer=only(_REAL, _select_type, "max_pool_select"),
    normalize=_normalizer("max_pool_select"),
)
def max_pool_select(x, u, /, window, strides=None, padding=0, dilation=1, ceil_mode=False):
    """The elements of u at the places where the windows of x have their maxima.

    It is the derivative of `max_pool` at x along u, and the transpose of `max_pool_gradient`.

    Arguments:
        x: what decides the places, [batch, channels, *spatial].
        u: what is taken from them, of the shape of x.
        window, strides, padding, dilation, ceil_mode: those of the pooling.

    Returns:
        [batch, channels, *positions].

    >>> import graphflow as gf
    >>> x, u = gf.placeholder("x", (1, 1, 4)), gf.placeholder("u", (1, 1, 4))
    >>> gf.ops.pooling.max_pool_select(x, u, window=2).type
    float32[1, 1, 2]
    """
    for one in passes(window, strides, padding, dilation, ceil_mode):
        x, winner = _winners(x, one)
        u = _take(u, winner, one)
    return u


@max_pool_select.gradient
def _(b, node, v):
    return [None, b.max_pool_gradient(node.inputs[0], v, **node.attrs)]


def divisors(sizes, window, strides, padding, dilation, count_include_pad, ceil_mode=False, divisor=None):
    """By what the sum of each window is divided: its size, or how much of it is not padding."""
    if divisor is not None:
        return np.asarray(divisor)
    if not ceil_mode and (count_include_pad or not any(map(any, padding))):
        return np.asarray(prod(window))
    counts = np.ones((), np.int64)
    for one, size in zip(reversed(passes(window, strides, padding, dilation, ceil_mode)), sizes):
        counts = np.multiply.outer(counts, one.inside(size, count_include_pad).sum(axis=0))
    return np.maximum(counts, 1)


def _average_attrs(attrs, shape, operation):
    attrs = canonical(attrs, shape, operation)
    if attrs["divisor"] is not None:
        attrs["divisor"] = real_number(attrs["divisor"], f"the divisor of {operation}")
        if not attrs["divisor"]:
            raise AttributeValueError(f"{operation} cannot divide by zero", hint="divisor=1 gives sums")
    return attrs


def _normalize_average(types, attrs):
    return _average_attrs(attrs, types[0].shape, "avg_pool")


@op("pooling", infer=_pooled("avg_pool"), normalize=_normalize_average, promotion="float")
@wide
def avg_pool(
    x,
    /,
    window,
    strides=None,
    padding=0,
    dilation=1,
    count_include_pad=False,
    ceil_mode=False,
    divisor=None,
):
    """The mean of each window: y[n, c, p] = sum_k x[n, c, p * strides + k * dilation - before] / count[p].

    Arguments:
        x: numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        window: the size of the windows; an int, or one per spatial axis.
        strides: by how much windows move; `window` by default, so that they tile the axes.
        padding: an int, ints or (before, after) pairs per spatial axis, "valid", "same" (the odd place
            at the end) or "same_lower" (at the beginning).
        dilation: the distance between the elements of a window.
        ceil_mode: one more window where places are left over, if it starts before the padding at the
            end; without effect for "valid" and the "same" paddings, which decide the number themselves.
        count_include_pad: divide by the size of the window also where it covers padding; what the last
            window of `ceil_mode` covers beyond the padding does not count.
        divisor: what sums are divided by instead of counts; 1 gives the sums themselves.

    Returns:
        [batch, channels, *positions]; integers give floats.

    Raises:
        ShapeError, AttributeValueError: if windows do not fit, or could lie in the padding alone.

    Source: ONNX AveragePool-22.

    >>> import graphflow as gf
    >>> gf.nn.avg_pool(gf.placeholder("x", ("batch", 16, 8, 8)), 3, strides=2, padding=1).type
    float32[batch, 16, 4, 4]
    """
    geometry = (window, strides, padding, dilation)
    count = divisors(x.shape[2:], *geometry, count_include_pad, ceil_mode, divisor)
    for one in passes(*geometry, ceil_mode):
        x = reduce(np.add, parts(x, one, 0))
    return x / count.astype(x.dtype)


@avg_pool.gradient
def _(b, node, g):
    return [b.avg_pool_gradient(g, input_shape=node.inputs[0].shape, **node.attrs)]


def _normalize_avg_gradient(types, attrs):
    attrs = {**attrs, "input_shape": as_shape(attrs["input_shape"])}
    return _average_attrs(attrs, attrs["input_shape"], "avg_pool_gradient")


def _avg_gradient_type(types, attrs):
    made = pooled_shape(attrs["input_shape"], attrs, "avg_pool_gradient")
    unify_shapes(types[0].shape, made, "avg_pool_gradient: g has not the shape of the pooled input")
    return (TensorType(types[0].dtype, attrs["input_shape"]),)


@op(
    "pooling",
    infer=only("float", _avg_gradient_type, "avg_pool_gradient"),
    normalize=_normalize_avg_gradient,
)
@wide
def avg_pool_gradient(
    g,
    /,
    input_shape,
    window,
    strides=None,
    padding=0,
    dilation=1,
    count_include_pad=False,
    ceil_mode=False,
    divisor=None,
):
    """The gradient of `avg_pool`: dx[i] = the sum of g / count over the windows that hold i.

    Arguments:
        g: the cotangent of the result, [batch, channels, *positions].
        input_shape: the shape of what was pooled, [batch, channels, *spatial].
        window, strides, padding, dilation, count_include_pad, ceil_mode, divisor: those of the pooling.

    Returns:
        a tensor of shape `input_shape`.

    >>> import graphflow as gf
    >>> g = gf.placeholder("g", (1, 1, 2))
    >>> gf.ops.pooling.avg_pool_gradient(g, input_shape=(1, 1, 4), window=2).type
    float32[1, 1, 4]
    """
    geometry = (window, strides, padding, dilation)
    count = divisors(input_shape[2:], *geometry, count_include_pad, ceil_mode, divisor)
    share = g / count.astype(g.dtype)
    for one in reversed(passes(*geometry, ceil_mode)):
        shape = (*share.shape[: one.axis], input_shape[one.axis], *share.shape[one.axis + 1 :])
        share = spread([share] * one.places, one, shape, g.dtype)
    return share


@avg_pool_gradient.gradient
def _(b, node, u):
    geometry = {name: value for name, value in node.attrs.items() if name != "input_shape"}
    return [b.avg_pool(u, **geometry)]
