"""Global pooling: one number for each channel, from all its places."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import require


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
