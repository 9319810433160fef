"""JAX lowerings of reductions and running sums (the family reduction)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from graphflow.ir.node import Node
from graphflow.optimizer.rules.totals import is_partial_sum
from graphflow.runtime.jax.lowering import LOWERINGS, LOWERINGS_BY_NODE, Lowering, lowering


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


def _sum_for_node(node: Node) -> Lowering:
    """How a sum of sums stays one: XLA would add up all elements again, and store them to read them twice."""
    inner = node.inputs[0].node
    while inner.op.name == "reshape":
        inner = inner.inputs[0].node
    if inner.op is not node.op or not is_partial_sum(inner):
        return _sum
    return lambda x, **attrs: _sum(lax.optimization_barrier(x), **attrs)


LOWERINGS_BY_NODE["sum"] = _sum_for_node


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


# Running sums and products

_IN_ORDER = 16
"""Up to so many elements XLA joins them in the order of the definition, as NumPy does."""

Join = Callable[[Array, Array], Array]


def _running(window: Callable[..., Array], join: Join, identity: int) -> Callable[..., Array]:
    def lowered(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
        dtype = _accumulator(x.dtype) or x.dtype
        wide = jnp.float32 if dtype in (jnp.float16, jnp.bfloat16) else dtype
        if _is_slow_in_order(x.shape[axis]):
            result = _by_halves(join, x.astype(wide), axis, reverse).astype(dtype)
        else:
            result = window(x.astype(wide), axis=axis, reverse=reverse).astype(dtype)
        if not exclusive or not x.shape[axis]:
            return result
        edge = jnp.full_like(lax.slice_in_dim(result, 0, 1, axis=axis), identity)
        if reverse:
            return jnp.concatenate([lax.slice_in_dim(result, 1, None, axis=axis), edge], axis)
        return jnp.concatenate([edge, lax.slice_in_dim(result, 0, -1, axis=axis)], axis)

    return lowered


def _is_slow_in_order(size: Any) -> bool:
    """Whether XLA:CPU is slower here than a scan by halves; a symbolic size says nothing."""
    return isinstance(size, int) and size > _IN_ORDER and jax.default_backend() == "cpu"


def _by_halves(join: Join, x: Array, axis: int, reverse: bool) -> Array:
    """The scan of pairs is every other element; those between take one step more: 2 n steps together.

    XLA:CPU joins windows of 16 for each element, which takes up to six times as long. (G. E. Blelloch,
    "Prefix sums and their applications", 1990; `lax.associative_scan` also adds 0, which unmakes -0.)
    """
    n = x.shape[axis]
    if n < 2:
        return x
    pairs, first = n // 2, n % 2 if reverse else 0
    ends = [lax.slice_in_dim(x, first + side, first + side + 2 * pairs - 1, 2, axis) for side in (0, 1)]
    scanned = _by_halves(join, join(*ends), axis, reverse)
    if reverse:
        start = 1 - first
        steps = lax.slice_in_dim(x, start, n - 1, 2, axis)
        known = join(steps, lax.slice_in_dim(scanned, start, pairs, 1, axis))
        between = jnp.concatenate([known, lax.slice_in_dim(x, n - 1, n, 1, axis)], axis)
        return _woven(between, scanned, axis) if first else _woven(scanned, between, axis)
    known = join(lax.slice_in_dim(scanned, 0, (n - 1) // 2, 1, axis), lax.slice_in_dim(x, 2, n, 2, axis))
    return _woven(jnp.concatenate([lax.slice_in_dim(x, 0, 1, 1, axis), known], axis), scanned, axis)


def _woven(first: Array, second: Array, axis: int) -> Array:
    """The elements of two arrays in turn; the first may have one more."""
    n = second.shape[axis]
    pairs = jnp.stack([lax.slice_in_dim(first, 0, n, 1, axis), second], axis + 1)
    woven = pairs.reshape(*second.shape[:axis], 2 * n, *second.shape[axis + 1 :])
    if first.shape[axis] == n:
        return woven
    return jnp.concatenate([woven, lax.slice_in_dim(first, n, n + 1, 1, axis)], axis)


LOWERINGS["cumulative_sum"] = _running(lax.cumsum, lax.add, 0)
LOWERINGS["cumulative_prod"] = _running(lax.cumprod, lax.mul, 1)
