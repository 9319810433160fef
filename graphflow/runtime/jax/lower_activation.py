"""JAX lowerings of activation functions and softmax (the family activation)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from graphflow.runtime.jax.lowering import LOWERINGS, lowering

LOWERINGS.update(
    {
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        "selu": jax.nn.selu,
        "mish": jax.nn.mish,
        "softsign": jax.nn.soft_sign,
    }
)


@lowering("relu")
def _relu(x: Array) -> Array:
    return jnp.maximum(x, 0)


@lowering("gelu")
def _gelu(x: Array, approximate: bool) -> Array:
    if not approximate:
        return jax.nn.gelu(x, approximate=False)
    # (1 + tanh u) / 2 = sigmoid(2 u), which keeps its digits where tanh u is nearly -1
    return x * jax.nn.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


@lowering("elu")
def _elu(x: Array, alpha: float) -> Array:
    return jax.nn.elu(x, alpha)


@lowering("leaky_relu")
def _leaky_relu(x: Array, alpha: float) -> Array:
    return jax.nn.leaky_relu(x, alpha)


@lowering("hard_sigmoid")
def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return jnp.clip(alpha * x + beta, 0, 1)


@lowering("hard_swish")
def _hard_swish(x: Array) -> Array:
    return x * jnp.clip(x / 6 + 0.5, 0, 1)


@lowering("softmax")
def _softmax(x: Array, axis: int) -> Array:
    return jax.nn.softmax(x, axis=axis)


@lowering("log_softmax")
def _log_softmax(x: Array, axis: int) -> Array:
    return jax.nn.log_softmax(x, axis=axis)
