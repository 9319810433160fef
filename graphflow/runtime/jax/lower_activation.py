"""JAX lowerings of activation functions (the family activation); softmax has a file of its own."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from graphflow.runtime.jax.lowering import LOWERINGS, lowering

LOWERINGS.update(
    {
        "sigmoid": jax.nn.sigmoid,
        "silu": jax.nn.silu,
        "selu": jax.nn.selu,
        "mish": jax.nn.mish,
        "softsign": jax.nn.soft_sign,
    }
)


_LOG1P = (0.33333333670241, 0.1999985049542, 0.1429629797006, 0.1085157823936, 0.1161985877108)
"""p with 2 artanh(s) = 2 s (1 + s^2 p(s^2)), 0 <= s <= 1/3, to 4e-10; by least squares at Chebyshev nodes."""


@lowering("softplus")
def _softplus(x: Array) -> Array:
    """max(x, 0) + ln(1 + u), u = e^-|x|, with ln(1 + u) = 2 artanh(u / (2 + u)).

    XLA:CPU takes twice as long for its own log1p, which has to serve all u.
    """
    if x.dtype != jnp.float32:
        return jax.nn.softplus(x)
    u = jnp.exp(-jnp.abs(x))
    double = u / (1 + u * 0.5)
    square = double * double * 0.25
    series = jnp.full_like(x, _LOG1P[-1])
    for coefficient in _LOG1P[-2::-1]:
        series = series * square + coefficient
    return jnp.maximum(x, 0) + (double + double * (square * series))


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
