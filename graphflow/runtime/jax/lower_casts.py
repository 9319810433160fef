"""JAX lowerings of the conversions between dtypes, to the same bits as the references'."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from graphflow.ir.dtypes import DType, as_dtype
from graphflow.ir.narrow import narrowed, widened
from graphflow.runtime.jax.lowering import lowering


@lowering("astype")
@lowering("astype_float8")
def _astype(x: Array, dtype: DType, saturate: bool = True, round_mode: str = "up") -> Array:
    source = as_dtype(x.dtype)
    if source is dtype:
        return x
    x = widened(x, source)
    if dtype.kind == "bool":
        return x != 0
    if source.kind == "complex" and dtype.kind != "complex":
        x = x.real
    if dtype.is_narrow:
        return narrowed(x, dtype, saturate, round_mode, xp=jnp)
    return lax.convert_element_type(x, dtype.numpy)


@lowering("bitcast")
def _bitcast(x: Array, dtype: DType) -> Array:
    source = as_dtype(x.dtype)
    if source is dtype:
        return x
    if source.kind == "bool":
        x = x.astype(np.uint8)
    if source.name == "complex64":  # XLA reads no bits of complex numbers
        real, imaginary = (lax.bitcast_convert_type(part, jnp.uint32) for part in (x.real, x.imag))
        x = real.astype(jnp.uint64) | imaginary.astype(jnp.uint64) << 32
    if dtype.kind == "bool":
        return lax.bitcast_convert_type(x, jnp.uint8) != 0
    if dtype.name == "complex64":
        pair = lax.bitcast_convert_type(x, jnp.float32)
        return lax.complex(pair[..., 0], pair[..., 1])
    return lax.bitcast_convert_type(x, dtype.numpy)
