"""JAX lowerings of normalization, with statistics in float32 for 16-bit floats."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from graphflow.runtime.jax.lowering import lowering


def _wide(*arrays: Any) -> list[Any]:
    return [array.astype(jnp.float32) if array.dtype.itemsize == 2 else array for array in arrays]


@lowering("batch_normalization")
def _batch_normalization(
    x: Any, mean: Any, variance: Any, scale: Any, offset: Any, epsilon: float, axis: int
) -> Any:
    dtype, shape = x.dtype, [-1 if position == axis else 1 for position in range(x.ndim)]
    x, mean, variance, scale, offset = _wide(x, mean, variance, scale, offset)
    factor = scale * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    y = (x - mean.reshape(shape)) * factor.reshape(shape) + offset.reshape(shape)
    return y.astype(dtype)


@lowering("layer_normalization")
def _layer_normalization(x: Any, scale: Any, offset: Any, axis: int, epsilon: float) -> Any:
    dtype, axes = x.dtype, tuple(range(axis, x.ndim))
    x, scale, offset = _wide(x, scale, offset)
    centered = x - jnp.mean(x, axis=axes, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=axes, keepdims=True)
    y = centered * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype)) * scale + offset
    return y.astype(dtype)
