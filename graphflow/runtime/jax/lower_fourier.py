"""JAX lowerings of the fourier family."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from graphflow.runtime.jax.lowering import lowering


@lowering("complex_dft")
def _complex_dft(x: Array, axis: int, inverse: bool) -> Array:
    return jnp.fft.ifft(x, axis=axis, norm="forward") if inverse else jnp.fft.fft(x, axis=axis)


@lowering("real_dft")
def _real_dft(x: Array, axis: int) -> Array:
    return jnp.fft.rfft(x, axis=axis)


@lowering("inverse_real_dft")
def _inverse_real_dft(x: Array, length: int, axis: int) -> Array:
    return jnp.fft.irfft(x, length, axis=axis, norm="forward")
