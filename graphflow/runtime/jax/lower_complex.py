"""JAX lowerings of the complex family."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from graphflow.runtime.jax.lowering import LOWERINGS, lowering

LOWERINGS.update({"real": jnp.real, "imag": jnp.imag, "conj": jnp.conj})


@lowering("complex")
def _complex(x: Array, y: Array) -> Array:
    return lax.complex(*jnp.broadcast_arrays(x, y))
