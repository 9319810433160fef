"""JAX lowerings of the quantization family, to the same integers as the references'."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from graphflow.ops.quantization import dequantized, quantized
from graphflow.ops.quantized_products import per_row
from graphflow.runtime.jax.lowering import lowering

_SMALL_FLOATS = {"float16": (5, 10), "bfloat16": (8, 7)}
"""Bits of exponent and fraction of the floats in which XLA may keep more digits than they have."""


def _rounded(x: Array, precision: np.dtype) -> Array:
    """The elements rounded to a float dtype; in float32 where that is smaller."""
    bits = _SMALL_FLOATS.get(precision.name)
    return x.astype(precision) if bits is None else lax.reduce_precision(x.astype(jnp.float32), *bits)


def _divided(x: Array, scale: Array, precision: np.dtype) -> Array:
    """x / scale to the last bit: XLA would multiply by the inverse of a scale that it sees is repeated."""
    divisor = lax.optimization_barrier(jnp.broadcast_to(_rounded(scale, precision), x.shape))
    return _rounded(_rounded(x, precision) / divisor, precision)


@lowering("quantize_linear")
def _quantize_linear(x: Array, scale: Array, zero_point: Array, **attrs: Any) -> Array:
    return quantized(x, scale, zero_point, attrs, _divided, jnp)


@lowering("dequantize_linear")
def _dequantize_linear(x: Array, scale: Array, zero_point: Array, **attrs: Any) -> Array:
    return dequantized(x, scale, zero_point, attrs, jnp)


@lowering("matmul_integer")
def _matmul_integer(a: Array, b: Array, a_zero_point: Array, b_zero_point: Array) -> Array:
    """One product of int8, which XLA has fast kernels for, corrected for the zero points.

    sum (a - p)(b - q) = sum a b - p sum b - q sum a + k p q, and int32 wraps the same way in all of it.
    """
    left, row = _signed(a, per_row(a_zero_point))
    right, column = _signed(b, b_zero_point)
    product = jnp.matmul(left, right, preferred_element_type=jnp.int32)
    count = a.shape[-1]
    down = jnp.sum(right, axis=-2 if b.ndim > 1 else 0, keepdims=True, dtype=jnp.int32)
    along = jnp.sum(left, axis=-1, keepdims=True, dtype=jnp.int32)
    return product - _like(row * down, a, b) - _like(along * column, a, b) + _like(count * row * column, a, b)


def _like(correction: Array, a: Array, b: Array) -> Array:
    """Drop the axes that a product with vectors lacks."""
    if b.ndim == 1 and correction.ndim:
        correction = correction[..., 0]
    return correction[..., 0, :] if a.ndim == 1 and correction.ndim > 1 else correction


def _signed(x: Array, zero_point: Array) -> tuple[Array, Array]:
    """Bytes as int8 and their zero point as int32, both less by 128 if they were unsigned."""
    offset = 128 if x.dtype == jnp.uint8 else 0
    return (x.astype(jnp.int32) - offset).astype(jnp.int8), zero_point.astype(jnp.int32) - offset
