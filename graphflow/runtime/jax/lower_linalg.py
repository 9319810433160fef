"""JAX lowerings of the linear algebra family."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from graphflow.runtime.jax.lowering import lowering


@lowering("matmul")
def _matmul(x: Any, y: Any) -> Any:
    return jnp.matmul(x, y)


@lowering("matmul_transposed")
def _matmul_transposed(x: Any, w: Any) -> Any:
    """(w x^T)^T, as XLA:CPU is given a product with few rows to read w once, in the order it lies in.

    A product's right-hand matrix is brought into another order in every run, for few rows a pass through
    memory more than it takes; the left-hand one is not. XLA would exchange the operands back, but for the
    barrier. See `optimizer.rules.product_layout` for what that gains.
    """
    if 0 in (*x.shape, *w.shape):
        return jnp.matmul(x, w.T)
    rows = x.reshape(-1, x.shape[-1])
    return lax.optimization_barrier(jnp.matmul(w, rows.T)).T.reshape(*x.shape[:-1], w.shape[0])


@lowering("diagonal")
def _diagonal(x: Any, offset: int) -> Any:
    return jnp.diagonal(x, offset, -2, -1)


@lowering("diagonal_matrix")
def _diagonal_matrix(x: Any, rows: int, columns: int, offset: int) -> Any:
    place = jnp.arange(x.shape[-1])
    zeros = jnp.zeros((*x.shape[:-1], rows, columns), x.dtype)
    return zeros.at[..., place + max(-offset, 0), place + max(offset, 0)].set(x, unique_indices=True)
