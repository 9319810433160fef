"""JAX lowerings of the random family; words and uniform numbers equal the references bit by bit.

Gamma, Poisson and binomial numbers come from the samplers of `graphflow.ops.rejection`, as those of
the references do, with JAX's loop and functions in place of NumPy's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.random import threefry2x32_p
from jax.lax import random_gamma_grad
from jax.scipy.special import digamma

from graphflow.ir.dtypes import DType
from graphflow.ops import rejection, threefry
from graphflow.runtime.jax.lowering import lowering


def _encrypt(key: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """Threefry-2x32-20 of counters; the primitive's CPU and GPU forms are XLA's own loops."""
    first, second = (jnp.broadcast_to(key[place], high.shape) for place in (0, 1))
    left, right = threefry2x32_p.bind(first, second, high, low)
    return left, right


def _fold_in(key: Any, high: Any, low: Any) -> Any:
    return jnp.stack(_encrypt(key, jnp.asarray(high, jnp.uint32), jnp.asarray(low, jnp.uint32)))


def _for_each_key(draw: Callable[..., Any]) -> Callable[..., Any]:
    """What a function of one key gives for each of several, along the axes in which they lie."""

    @functools.wraps(draw)
    def drawn(key: Any, *settings: Any, **attrs: Any) -> Any:
        def made(one: Any) -> Any:
            return draw(one, *settings, **attrs)

        for _ in range(key.ndim - 1):
            made = jax.vmap(made)
        return made(key)

    return drawn


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


@lowering("random_fold_in")
def _random_fold_in(key: Any, data: Any) -> Any:
    wide = data.astype(jnp.uint64)
    lead = jnp.broadcast_shapes(key.shape[:-1], wide.shape)
    if not lead:
        return _fold_in(key, (wide >> jnp.uint64(32)).astype(jnp.uint32), wide.astype(jnp.uint32))
    keys = jnp.broadcast_to(key, (*lead, 2)).reshape(-1, 2)
    numbers = jnp.broadcast_to(wide, lead).reshape(-1)
    high, low = (numbers >> jnp.uint64(32)).astype(jnp.uint32), numbers.astype(jnp.uint32)
    return jax.vmap(_fold_in)(keys, high, low).reshape(*lead, 2)


@lowering("random_bits")
@_for_each_key
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
@_for_each_key
def _random_uniform(key: Any, shape: tuple[int, ...], dtype: DType) -> Any:
    count = math.prod(shape) * threefry.words_per_uniform(dtype)
    return _to_uniform(_words(key, count), dtype).reshape(shape)


@lowering("random_normal")
@_for_each_key
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
@_for_each_key
def _random_permutation(key: Any, size: int) -> Any:
    return jnp.argsort(_words(key, size), stable=True).astype(jnp.int64)


# Samplers that draw again


def _draw_again(step: Callable[..., tuple], state: tuple) -> tuple:
    def goes_on(carry: tuple) -> Any:
        return (carry[0] < rejection.ROUNDS) & jnp.any(carry[1])

    def once_more(carry: tuple) -> tuple:
        number, *before = carry
        return number + jnp.uint32(1), *step(number, *before)

    return lax.while_loop(goes_on, once_more, (jnp.uint32(0), *state))[1:]


def _fold_in_round(key: Any, number: Any) -> Any:
    return _fold_in(key, 0, number)


_TARGET = rejection.Target(jnp, _fold_in_round, _random_uniform, _random_normal, _draw_again)


@lowering("random_gamma")
def _random_gamma(key: Any, concentration: Any, log: bool) -> Any:
    return rejection.gamma(_TARGET, key, concentration, log)


@lowering("random_poisson")
def _random_poisson(key: Any, rate: Any) -> Any:
    return rejection.poisson(_TARGET, key, rate)


@lowering("random_binomial")
def _random_binomial(key: Any, count: Any, probability: Any) -> Any:
    return rejection.binomial(_TARGET, key, count, probability)


_SERIES_LIMIT = -600.0
"""Below this logarithm only the first term of the series counts, and the number itself may underflow."""


@lowering("random_gamma_slope")
def _random_gamma_slope(concentration: Any, log_sample: Any) -> Any:
    a, logarithm = (part.astype(jnp.float64) for part in jnp.broadcast_arrays(concentration, log_sample))
    tiny = logarithm < _SERIES_LIMIT
    x = jnp.exp(jnp.where(tiny, 0, logarithm))
    first_term = -(logarithm - digamma(a + 1)) / a
    slope = jnp.where(tiny, first_term, random_gamma_grad(a, x) / x)
    known = (a > 0) & jnp.isfinite(a) & jnp.isfinite(logarithm) & jnp.isfinite(x)
    return jnp.where(known, slope, jnp.nan).astype(concentration.dtype)
