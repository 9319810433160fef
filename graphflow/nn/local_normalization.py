"""Normalization without parameters: by neighbouring channels, by a norm, by mean and variance."""

from __future__ import annotations

from typing import Any

from graphflow.ir import dims
from graphflow.ir.node import Tensor
from graphflow.nn.pooling import exponent, powers, root
from graphflow.nn.precision import back, floating, wide
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import normalize_axes, normalize_axis, real_number, require, whole_number


@composite
def local_response_norm(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """Divide by the power of the channels nearby: y[n, c] = x[n, c] / (bias + alpha / size * s[n, c])^beta.

    s[n, c] is the sum of x[n, i]^2 over the `size` channels from c - floor((size - 1) / 2) to
    c + ceil((size - 1) / 2), as far as there are some.

    Arguments:
        x: floats of shape [batch, channels, *spatial].
        size: the number of channels to sum over.
        alpha, beta, bias: numbers.

    Returns:
        a tensor of the type of x.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks" (2012); ONNX LRN-13.

    >>> import graphflow as gf
    >>> gf.nn.local_response_norm(gf.placeholder("x", ("batch", 16, 8, 8)), 5).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    require(x.ndim >= 2, f"local_response_norm needs batch and channels, not an input of rank {x.ndim}")
    size = whole_number(size, "size of local_response_norm", low=1)
    alpha, beta, bias = (
        real_number(value, f"{name} of local_response_norm")
        for name, value in (("alpha", alpha), ("beta", beta), ("bias", bias))
    )
    wider, (batch, channels, *rest) = wide(b, x), x.shape
    squares = b.reshape(b.square(wider), shape=(batch, 1, channels, dims.product(rest)))
    around = ((size - 1) // 2, size // 2)
    means = b.avg_pool(squares, window=(size, 1), strides=1, padding=(around, (0, 0)), count_include_pad=True)
    power = b.reshape(means, shape=x.shape)
    scale = b.pow(b.add(b.multiply(power, alpha), bias), beta)
    return back(b, b.divide(wider, scale), x.dtype)


@composite
def lp_normalize(x: Any, p: float = 2, axis: int = -1) -> Tensor:
    """Divide by the p-norm along an axis: y = x / (sum_i |x_i|^p)^(1/p), and 0 where all are 0.

    The gradient is 0 where the norm is.

    Arguments:
        x: floats.
        p: a number of at least 1.
        axis: the axis of the vectors.

    Returns:
        a tensor of the type of x.

    Source: ONNX LpNormalization-22.

    >>> import graphflow as gf
    >>> gf.nn.lp_normalize(gf.placeholder("x", ("batch", 16))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "lp_normalize")
    p = exponent(p, "lp_normalize")
    wider = wide(b, x)
    norm = root(b, b.sum(powers(b, wider, p), axis=axis, keepdims=True), p)
    nothing = b.equal(norm, b.like(0.0, norm))
    y = b.divide(wider, b.where(nothing, b.like(1.0, norm), norm))
    return back(b, b.where(nothing, b.like(0.0, y), y), x.dtype)


@composite
def mean_variance_norm(x: Any, axis: Any = None, epsilon: float = 1e-9) -> Tensor:
    """Subtract the mean and divide by the standard deviation: y = (x - mean) / (sqrt(variance) + epsilon).

    Arguments:
        x: floats.
        axis: the axes that mean and variance are taken over; all but axis 1, that of the channels, by
            default.
        epsilon: what keeps the divisor away from zero.

    Returns:
        a tensor of the type of x.

    Source: ONNX MeanVarianceNormalization-13.

    >>> import graphflow as gf
    >>> gf.nn.mean_variance_norm(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    if axis is None:
        axis = tuple(place for place in range(x.ndim) if place != 1)
    axes = normalize_axes(axis, x.ndim, "mean_variance_norm")
    epsilon = real_number(epsilon, "epsilon of mean_variance_norm", low=0)
    wider = wide(b, x)
    centered = b.subtract(wider, b.mean(wider, axis=axes, keepdims=True))
    variance = b.mean(b.square(centered), axis=axes, keepdims=True)
    return back(b, b.divide(centered, b.add(root(b, variance, 2), epsilon)), x.dtype)
