"""JAX lowerings of the family `state`: values that are known when a program is compiled."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.ir.dtypes import DType
from graphflow.runtime.jax.lowering import lowering


@lowering("constant")
def _(*, value: np.ndarray) -> jax.Array:
    return jnp.asarray(value)


@lowering("dimension")
def _(*, size: int, dtype: DType) -> jax.Array:
    return jnp.asarray(int(size), dtype=dtype.numpy)
