"""JAX lowerings of the random family; words and uniform numbers equal the references bit by bit."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.extend.random import threefry2x32_p

from graphflow.ir.dtypes import DType
from graphflow.ops import threefry
from graphflow.runtime.jax.lowering import lowering


def _encrypt(key: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """Threefry-2x32-20 of counters; the primitive's CPU and GPU forms are XLA's own loops."""
    first, second = (jnp.broadcast_to(key[place], high.shape) for place in (0, 1))
    left, right = threefry2x32_p.bind(first, second, high, low)
    return left, right


def _fold_in(key: Any, high: Any, low: Any) -> Any:
    return jnp.stack(_encrypt(key, jnp.asarray(high, jnp.uint32), jnp.asarray(low, jnp.uint32)))


def _word_halves(key: Any, count: int) -> tuple[Any, Any]:
    """The left and the right halves of `count` encrypted counters."""
    low = lax.iota(jnp.uint32, count)
    high = lax.full((count,), 0, jnp.uint32)
    if count > 2**32:
        wide = lax.iota(jnp.uint64, count)
        high, low = (wide >> jnp.uint64(32)).astype(jnp.uint32), wide.astype(jnp.uint32)
    return _encrypt(key, high, low)


def _words(key: Any, count: int) -> Any:
    return jnp.concatenate(_word_halves(key, (count + 1) // 2))[:count]


@lowering("random_key")
def _random_key(session_key: Any, stream: str) -> Any:
    number = threefry.stream_number(stream)
    at_step = _fold_in(session_key[:2], session_key[2], session_key[3])
    return _fold_in(at_step, number >> 32, number & 0xFFFFFFFF)


@lowering("random_bits")
def _random_bits(key: Any, shape: tuple[int, ...]) -> Any:
    return _words(key, math.prod(shape)).reshape(shape)


def _to_uniform(bits: Any, dtype: DType) -> Any:
    if dtype.itemsize == 8:
        upper, lower = jnp.split(bits, 2)
        high, low = (upper >> jnp.uint32(5)).astype(jnp.float64), (lower >> jnp.uint32(6)).astype(jnp.float64)
        return (high * 2.0**26 + low) * 2.0**-53
    kept = threefry.UNIFORM_BITS[dtype.name]
    scaled = (bits >> jnp.uint32(32 - kept)).astype(jnp.float32) * jnp.float32(2.0**-kept)
    return scaled.astype(dtype.numpy)


@lowering("random_uniform")
def _random_uniform(key: Any, shape: tuple[int, ...], dtype: DType) -> Any:
    count = math.prod(shape) * threefry.words_per_uniform(dtype)
    return _to_uniform(_words(key, count), dtype).reshape(shape)


@lowering("random_normal")
def _random_normal(key: Any, shape: tuple[int, ...], dtype: DType) -> Any:
    count = math.prod(shape)
    pairs = (count + 1) // 2
    first, second = _word_halves(key, pairs * threefry.words_per_normal_pair(dtype) // 2)
    if dtype.itemsize == 8:
        radial, angular = 1.0 - _to_uniform(first, dtype), _to_uniform(second, dtype) - 0.5
    else:
        radial = (first.astype(jnp.float32) + jnp.float32(1)) * jnp.float32(2.0**-32)
        signed = lax.bitcast_convert_type(second, jnp.int32) >> jnp.int32(8)
        angular = signed.astype(jnp.float32) * jnp.float32(2.0**-24)
    radius = jnp.sqrt(-2 * jnp.log(radial))
    angle = jnp.asarray(2 * math.pi, radius.dtype) * angular
    drawn = jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)])[:count]
    return drawn.astype(dtype.numpy).reshape(shape)


@lowering("random_permutation")
def _random_permutation(key: Any, size: int) -> Any:
    return jnp.argsort(_words(key, size), stable=True).astype(jnp.int64)
