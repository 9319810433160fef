"""JAX lowerings of the fourier family, with the arrays around each transform kept in rows.

XLA:CPU transforms row-major arrays only, but takes over the layout of what is beside them: behind a
transform whose result a factorization reads by columns it fails ("RET_CHECK failure, fft_thunk.cc").
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.experimental.layout import Layout, with_layout_constraint

from graphflow.runtime.jax.lowering import lowering


def _in_rows(x: Array) -> Array:
    held: Array = with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))
    return held


def _along(x: Array, axis: int, transform: Callable[[Array], Array]) -> Array:
    """A transform of the last axis, applied to another."""
    made = _in_rows(transform(_in_rows(jnp.moveaxis(x, axis, -1))))
    return jnp.moveaxis(made, -1, axis)


@lowering("complex_dft")
def _complex_dft(x: Array, axis: int, inverse: bool) -> Array:
    if inverse:
        return _along(x, axis, lambda rows: jnp.fft.ifft(rows, norm="forward"))
    return _along(x, axis, jnp.fft.fft)


@lowering("real_dft")
def _real_dft(x: Array, axis: int) -> Array:
    return _along(x, axis, jnp.fft.rfft)


@lowering("inverse_real_dft")
def _inverse_real_dft(x: Array, length: int, axis: int) -> Array:
    return _along(x, axis, lambda rows: jnp.fft.irfft(rows, length, norm="forward"))
