"""JAX lowerings of the linear algebra family."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from graphflow.runtime.jax.lowering import lowering


@lowering("matmul")
def _matmul(x: Any, y: Any) -> Any:
    return jnp.matmul(x, y)


@lowering("diagonal")
def _diagonal(x: Any, offset: int) -> Any:
    return jnp.diagonal(x, offset, -2, -1)


@lowering("diagonal_matrix")
def _diagonal_matrix(x: Any, rows: int, columns: int, offset: int) -> Any:
    place = jnp.arange(x.shape[-1])
    zeros = jnp.zeros((*x.shape[:-1], rows, columns), x.dtype)
    return zeros.at[..., place + max(-offset, 0), place + max(offset, 0)].set(x, unique_indices=True)
