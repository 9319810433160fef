"""Pooling made of operators: of whole channels, and of powers."""

from __future__ import annotations

from math import isinf
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.nn.precision import back, floating, wide
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import real_number, require


def _spatial_axes(x: Tensor, operation: str) -> tuple[int, ...]:
    require(
        x.ndim >= 3,
        f"{operation} needs an input of batch, channels and spatial axes, not of rank {x.ndim}",
    )
    return tuple(range(2, x.ndim))


@composite
def global_avg_pool(x: Any, keepdims: bool = False) -> Tensor:
    """The mean of each channel: y[n, c] = the mean of x[n, c, ...].

    Arguments:
        x: numbers of shape [batch, channels, *spatial].
        keepdims: keep the spatial axes, with size 1, as ONNX does.

    Returns:
        [batch, channels].

    Source: Lin, Chen and Yan, "Network in network" (2013); ONNX GlobalAveragePool-22.

    >>> import graphflow as gf
    >>> gf.nn.global_avg_pool(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    return b.mean(x, axis=_spatial_axes(x, "global_avg_pool"), keepdims=keepdims)


@composite
def global_max_pool(x: Any, keepdims: bool = False) -> Tensor:
    """The largest element of each channel: y[n, c] = max x[n, c, ...].

    Arguments:
        x: real numbers of shape [batch, channels, *spatial].
        keepdims: keep the spatial axes, with size 1, as ONNX does.

    Returns:
        [batch, channels].

    Source: ONNX GlobalMaxPool-22.

    >>> import graphflow as gf
    >>> gf.nn.global_max_pool(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    return b.max(x, axis=_spatial_axes(x, "global_max_pool"), keepdims=keepdims)


# Norms


def exponent(p: Any, operation: str) -> float:
    """p, a finite number of at least 1."""
    value = real_number(p, f"p of {operation}", low=1)
    if isinf(value):
        raise AttributeValueError(f"{operation} got p={p!r}", hint="the limit is the maximum of abs(x)")
    return value


def powers(b: Builder, x: Tensor, p: float) -> Tensor:
    """|x|^p."""
    if p == 1:
        return b.abs(x)
    return b.square(x) if p == 2 else b.pow(b.abs(x), p)


def root(b: Builder, total: Tensor, p: float) -> Tensor:
    """total^(1 / p), with the slope 0 at 0, where there is none."""
    if p == 1:
        return total
    nothing = b.equal(total, b.like(0.0, total))
    safe = b.where(nothing, b.like(1.0, total), total)
    made = b.sqrt(safe) if p == 2 else b.pow(safe, 1 / p)
    return b.where(nothing, b.like(0.0, total), made)


@composite
def lp_pool(
    x: Any,
    window: Any,
    p: float = 2,
    strides: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window: y[n, c, i] = (sum_k |x[n, c, i * strides + k * dilation - before]|^p)^(1/p).

    The gradient is 0 where a window holds zeros alone.

    Arguments:
        x: numbers of shape [batch, channels, *spatial], 1 to 3 spatial axes.
        window: the size of the windows; an int, or one per spatial axis.
        p: a number of at least 1.
        strides, padding, dilation, ceil_mode: see `gf.nn.max_pool`.

    Returns:
        [batch, channels, *positions].

    Raises:
        ShapeError, AttributeValueError: if windows do not fit, or could lie in the padding alone.

    Source: Gulcehre et al., "Learned-norm pooling" (2014); ONNX LpPool-22.

    >>> import graphflow as gf
    >>> gf.nn.lp_pool(gf.placeholder("x", ("batch", 16, 8, 8)), 2).type
    float32[batch, 16, 4, 4]
    """
    b, x = with_tensor(x)
    p = exponent(p, "lp_pool")
    total = b.avg_pool(
        powers(b, wide(b, x), p),
        window=window,
        strides=strides,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        divisor=1,
    )
    return back(b, root(b, total, p), x.dtype)


@composite
def global_lp_pool(x: Any, p: float = 2, keepdims: bool = False) -> Tensor:
    """The p-norm of each channel: y[n, c] = (sum of |x[n, c, ...]|^p)^(1/p).

    The gradient is 0 where a channel holds zeros alone.

    Arguments:
        x: numbers of shape [batch, channels, *spatial].
        p: a number of at least 1.
        keepdims: keep the spatial axes, with size 1, as ONNX does.

    Returns:
        [batch, channels].

    Source: ONNX GlobalLpPool-22.

    >>> import graphflow as gf
    >>> gf.nn.global_lp_pool(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    p = exponent(p, "global_lp_pool")
    axes = _spatial_axes(x, "global_lp_pool")
    total = b.sum(powers(b, wide(b, x), p), axis=axes, keepdims=keepdims)
    return back(b, root(b, total, p), floating(b, x).dtype)
