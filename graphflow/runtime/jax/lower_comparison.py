"""JAX lowerings of comparison, logic and choice (the family comparison)."""

from __future__ import annotations

import jax.numpy as jnp

from graphflow.runtime.jax.lowering import LOWERINGS

LOWERINGS.update(
    {
        "equal": jnp.equal,
        "not_equal": jnp.not_equal,
        "less": jnp.less,
        "less_equal": jnp.less_equal,
        "greater": jnp.greater,
        "greater_equal": jnp.greater_equal,
        "logical_and": jnp.logical_and,
        "logical_or": jnp.logical_or,
        "logical_xor": jnp.logical_xor,
        "logical_not": jnp.logical_not,
        "where": jnp.where,
        "bitwise_and": jnp.bitwise_and,
        "bitwise_or": jnp.bitwise_or,
        "bitwise_xor": jnp.bitwise_xor,
        "bitwise_invert": jnp.invert,
        "bitwise_left_shift": jnp.left_shift,
        "bitwise_right_shift": jnp.right_shift,
    }
)
