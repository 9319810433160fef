"""JAX lowerings of reductions and running sums (the family reduction)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from graphflow.runtime.jax.lowering import LOWERINGS, lowering


def _accumulator(dtype: Any) -> Any:
    """The dtype of sums and products of integers; None lets JAX choose for floats.

    Naming float16 would make JAX add up in float16; left alone it adds in float32 and rounds once.
    """
    if jnp.issubdtype(dtype, jnp.inexact):
        return None
    return jnp.uint64 if jnp.issubdtype(dtype, jnp.unsignedinteger) else jnp.int64


@lowering("sum")
def _sum(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return jnp.sum(x, axis, _accumulator(x.dtype), keepdims=keepdims)


@lowering("prod")
def _prod(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return jnp.prod(x, axis, _accumulator(x.dtype), keepdims=keepdims)


@lowering("mean")
def _mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    dtype = None if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.float64
    return jnp.mean(x, axis, dtype, keepdims=keepdims)


@lowering("logsumexp")
def _logsumexp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    # With the axes kept its powers are, to XLA, those of the gradient, and are computed once.
    greatest = jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    bounded = jnp.isfinite(greatest)
    shift = jnp.where(bounded, greatest, 0)
    total = jnp.sum(jnp.exp(x - shift), axis, keepdims=True)
    # The difference may lack a rounding that the maximum has, of which exp makes inf or 0 beyond 1e9.
    count = math.prod(x.shape[place] for place in axis)
    y = jnp.log(jnp.where(bounded, jnp.clip(total, 1, count), total)) + shift
    return y if keepdims else lax.squeeze(y, axis)


LOWERINGS.update(
    {
        "max": jnp.max,
        "min": jnp.min,
        "all": lambda x, **attrs: jnp.all(x != 0, **attrs),  # of a complex x, JAX sees the real part alone
        "any": lambda x, **attrs: jnp.any(x != 0, **attrs),
        "argmax": jnp.argmax,
        "argmin": jnp.argmin,
    }
)


def _running(scan: Callable[..., Array], identity: int) -> Callable[..., Array]:
    def lowered(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
        dtype = _accumulator(x.dtype) or x.dtype
        wide = jnp.float32 if dtype in (jnp.float16, jnp.bfloat16) else dtype
        result = scan(x.astype(wide), axis=axis, reverse=reverse).astype(dtype)
        if not exclusive or not x.shape[axis]:
            return result
        edge = jnp.full_like(lax.slice_in_dim(result, 0, 1, axis=axis), identity)
        if reverse:
            return jnp.concatenate([lax.slice_in_dim(result, 1, None, axis=axis), edge], axis)
        return jnp.concatenate([edge, lax.slice_in_dim(result, 0, -1, axis=axis)], axis)

    return lowered


LOWERINGS["cumulative_sum"] = _running(lax.cumsum, 0)
LOWERINGS["cumulative_prod"] = _running(lax.cumprod, 1)
