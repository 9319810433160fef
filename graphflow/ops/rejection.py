"""Samplers that draw again until a number fits: gamma, Poisson and binomial numbers on any target.

Each is written once, in the functions that NumPy and jax.numpy share, and handed what differs as a
`Target`. Round `r` of an element reads the words that the key, `r` and the element's place name, so
equal keys are accepted and refused alike everywhere, save where rounding decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphflow.ir.dtypes import DType, float32, float64
from graphflow.ops import threefry

ROUNDS = 64
"""After so many rounds an element keeps its default; each round leaves less than half of the elements."""

FEW = 10.0
"""Below this mean, counts are made by counting; from it on, by rejection."""


class Target(NamedTuple):
    """What a sampler needs of the library that runs it.

    Attributes:
        xp: the array functions: numpy or jax.numpy.
        fold_in: (key, number) -> key.
        uniform, normal: (key, shape, dtype) -> array.
        repeat: (step, state) -> state, step(number, *state) being applied for number = 0, 1, ...
            until the first array of the state, which is boolean, holds no True, at most `ROUNDS` times.
    """

    xp: Any
    fold_in: Callable[[Any, Any], Any]
    uniform: Callable[[Any, tuple[int, ...], DType], Any]
    normal: Callable[[Any, tuple[int, ...], DType], Any]
    repeat: Callable[[Callable[..., tuple], tuple], tuple]


def _repeat(step: Callable[..., tuple], state: tuple) -> tuple:
    number = 0
    while number < ROUNDS and state[0].any():
        state = step(number, *state)
        number += 1
    return state


NUMPY = Target(np, threefry.fold_in, threefry.uniform, threefry.normal, _repeat)


def precision(itemsize: int) -> DType:
    """The dtype that computes for elements of so many bytes."""
    return float64 if itemsize == 8 else float32


def gamma(target: Target, key: Any, concentration: Any, log: bool) -> Any:
    """Gamma numbers of rate 1, or their logarithms; NaN where the concentration is negative or NaN.

    d (1 + t)^3 with d = a - 1/3 and t normal / (9 d)^(1/2), accepted if ln u <= d (3 t^2 / 2 - t^3 +
    3 (ln(1 + t) - t)): the authors' condition without the terms that cancel. A concentration a below 1
    is raised by 1 and the number multiplied by u^(1/a).

    Source: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000.
    """
    xp, kind = target.xp, precision(concentration.dtype.itemsize)
    a = xp.asarray(concentration.astype(kind.numpy))
    depth = xp.where(a < 1, a + 1, a) - 1.0 / 3.0
    spread = 1.0 / (3.0 * xp.sqrt(depth))

    def step(number: Any, pending: Any, chosen: Any) -> tuple:
        t = spread * target.normal(target.fold_in(key, 2 * number + 1), a.shape, kind)
        u = target.uniform(target.fold_in(key, 2 * number + 2), a.shape, kind)
        height = depth * ((1.5 - t) * t * t + 3.0 * (xp.log1p(t) - t))
        fits = pending & (t > -1) & (xp.log1p(-u) <= height)
        return pending & ~fits, xp.where(fits, t, chosen)

    _, t = target.repeat(step, ((a > 0) & (a < math.inf), xp.zeros_like(a)))
    drawn = target.uniform(target.fold_in(key, 0), a.shape, kind)
    boost = xp.where(a < 1, xp.log1p(-drawn) / xp.where(a > 0, a, 1), 0)
    cubed = (1 + t) * (1 + t) * (1 + t)
    made = xp.log(depth) + 3.0 * xp.log1p(t) + boost if log else depth * cubed * xp.exp(boost)
    made = xp.where(a == 0, -math.inf if log else 0.0, xp.where(a == math.inf, math.inf, made))
    return xp.where(a >= 0, made, math.nan).astype(concentration.dtype)


# Counts, as floating numbers

_EXCESS = tuple(math.lgamma(k + 1) - (k * math.log(k) - k if k else 0.0) for k in range(10))


def _excess(xp: Any, k: Any) -> Any:
    """ln k! - k ln k + k: from a table below 10, by Stirling's series from there on."""
    table = xp.asarray(np.array(_EXCESS, k.dtype))
    n = xp.maximum(k, 10)
    series = (1 / 12 - (1 / 360 - 1 / (1260 * n * n)) / (n * n)) / n
    large = 0.5 * xp.log(2 * math.pi * n) + series
    return xp.where(k < 10, table[xp.clip(k, 0, 9).astype(np.int32)], large)


def _deviance(xp: Any, k: Any, mean: Any) -> Any:
    """k ln(k / mean) - k + mean, without cancellation; `mean` for k = 0."""
    t = (k - mean) / mean
    return mean * xp.where(k > 0, (1 + t) * xp.log1p(xp.where(k > 0, t, 0)) - t, 1)


def poisson(target: Target, key: Any, rate: Any) -> Any:
    """Poisson numbers; -1 where the rate is negative or NaN.

    Below a rate of 10 the number of uniform numbers whose product stays above e^(-rate).

    Source: Knuth, "The Art of Computer Programming" 2, 3.4.1; from 10 on `_by_rejection`.
    """
    xp, kind = target.xp, precision(rate.dtype.itemsize)
    mean = xp.asarray(rate.astype(kind.numpy))
    few, many = (mean >= 0) & (mean < FEW), (mean >= FEW) & (mean < math.inf)
    limit, below = xp.exp(-mean), target.fold_in(key, 0)

    def step(number: Any, pending: Any, product: Any, count: Any) -> tuple:
        product = product * target.uniform(target.fold_in(below, number), mean.shape, kind)
        pending = pending & (product > limit)
        return pending, product, xp.where(pending, count + 1, count)

    _, _, counted = target.repeat(step, (few, xp.ones_like(mean), xp.zeros_like(mean)))
    safe = xp.where(many, mean, FEW)
    found = _by_rejection(
        target, target.fold_in(key, 1), _poisson_hat(xp, safe), many, kind,
        lambda k: -_excess(xp, k) - _deviance(xp, k, safe),
    )  # fmt: skip
    made = xp.where(few, counted, xp.where(many, found, mean))
    return xp.where(mean >= 0, made, -1)


class _Hat(NamedTuple):
    """The curve above a distribution of counts, see `_by_rejection`; counts go from 0 to `most`."""

    tail: Any
    width: Any
    centre: Any
    scale: Any
    inside: Any
    most: Any


def _poisson_hat(xp: Any, mean: Any) -> _Hat:
    width = 0.931 + 2.53 * xp.sqrt(mean)
    tail = -0.059 + 0.02483 * width
    return _Hat(
        tail, width, mean + 0.43, 1.1239 + 1.1328 / (width - 3.4), 0.9277 - 3.6224 / (width - 2), math.inf
    )


def _by_rejection(
    target: Target, key: Any, hat: _Hat, pending: Any, kind: DType, log_chance: Callable[[Any], Any]
) -> Any:
    """Counts k = floor((2 a / s + b) u + c) with s = 1/2 - |u|, kept in proportion to their chance.

    Source: Hoermann, "The Transformed Rejection Method for Generating Poisson Random Variables",
    1993 (PTRS), and "The Generation of Binomial Random Variates", 1993 (BTRS).
    """
    xp = target.xp

    def step(number: Any, pending: Any, chosen: Any) -> tuple:
        u = target.uniform(target.fold_in(key, 2 * number), chosen.shape, kind) - 0.5
        v = target.uniform(target.fold_in(key, 2 * number + 1), chosen.shape, kind)
        s = xp.maximum(0.5 - abs(u), 2.0**-25)
        k = xp.floor((2 * hat.tail / s + hat.width) * u + hat.centre)
        possible = (k >= 0) & (k <= hat.most)
        k = xp.where(possible, k, 0)
        height = xp.log(v * hat.scale / (hat.tail / (s * s) + hat.width))
        surely = (s >= 0.07) & (v <= hat.inside)
        fits = pending & possible & (surely | (height <= log_chance(k)))
        return pending & ~fits, xp.where(fits, k, chosen)

    return target.repeat(step, (pending, xp.floor(hat.centre)))[1]


def binomial(target: Target, key: Any, count: Any, probability: Any) -> Any:
    """Binomial numbers; -1 where the count is negative or not finite, or the probability is not in [0, 1].

    A mean below 10 is made by jumping from success to success, the jumps being geometric numbers.

    Source: Devroye, "Non-Uniform Random Variate Generation", 1986, X.4.3; from 10 on `_by_rejection`.
    """
    xp, kind = target.xp, precision(probability.dtype.itemsize)
    n, p = xp.broadcast_arrays(xp.floor(count.astype(kind.numpy)), probability.astype(kind.numpy))
    allowed = (n >= 0) & (n < math.inf) & (p >= 0) & (p <= 1)
    n, p = xp.where(allowed, n, 0), xp.where(allowed, p, 0)
    rare = xp.minimum(p, 1 - p)
    few = n * rare < FEW
    counted = _by_jumps(target, target.fold_in(key, 0), n, rare, few & (rare > 0), kind)
    counts, chance = xp.where(few, 4 * FEW, n), xp.where(few, 0.5, rare)
    found = _by_rejection(
        target, target.fold_in(key, 1), _binomial_hat(xp, counts, chance), allowed & ~few, kind,
        lambda k: _binomial_chance(xp, k, counts, chance),
    )  # fmt: skip
    made = xp.where(few, counted, found)
    return xp.where(allowed, xp.where(p > 0.5, n - made, made), -1)


def _by_jumps(target: Target, key: Any, n: Any, p: Any, pending: Any, kind: DType) -> Any:
    xp = target.xp
    slope = xp.log1p(-xp.where(pending, p, 0.5))

    def step(number: Any, pending: Any, place: Any, count: Any) -> tuple:
        drawn = target.uniform(target.fold_in(key, number), n.shape, kind)
        place = place + xp.floor(xp.log1p(-drawn) / slope) + 1
        pending = pending & (place <= n)
        return pending, place, xp.where(pending, count + 1, count)

    return target.repeat(step, (pending, xp.zeros_like(n), xp.zeros_like(n)))[2]


def _binomial_hat(xp: Any, n: Any, p: Any) -> _Hat:
    deviation = xp.sqrt(n * p * (1 - p))
    width = 1.15 + 2.53 * deviation
    tail = -0.0873 + 0.0248 * width + 0.01 * p
    # Hoermann compares with f(k) / f(mode); the mode's chance is taken in here.
    mode = xp.floor((n + 1) * p)
    scale = (2.83 + 5.1 / width) * deviation * xp.exp(_binomial_chance(xp, mode, n, p))
    return _Hat(tail, width, n * p + 0.5, scale, 0.92 - 4.2 / width, n)


def _binomial_chance(xp: Any, k: Any, n: Any, p: Any) -> Any:
    """The logarithm of the chance of k.

    Source: Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000.
    """
    combinations = _excess(xp, n) - _excess(xp, k) - _excess(xp, n - k)
    return combinations - _deviance(xp, k, n * p) - _deviance(xp, n - k, n * (1 - p))
