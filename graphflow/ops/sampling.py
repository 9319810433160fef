"""Random numbers for users (gf.random): each call has its own stream, reproducible from the session's seed.

Numbers change from step to step; runs of one step repeat them. A call is told to share the stream of
others by `stream=`, the full name of a stream: calls of one function with one shape then draw the same
numbers, others numbers made from the same words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import as_dtype, float32, int32, uint64
from graphflow.ir.node import Tensor
from graphflow.ir.types import as_shape
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.distributions import (
    affine,
    beta,
    binomial,
    dirichlet,
    gamma,
    gumbel_noise,
    laplace,
    multinomial,
    poisson,
)
from graphflow.ops.inference import normalize_axis, require
from graphflow.ops.initializers import INVERSE_ERF, TRUNCATED_AT
from graphflow.ops.streams import fresh_key

__all__ = [
    "bernoulli",
    "beta",
    "binomial",
    "categorical",
    "dirichlet",
    "exponential",
    "gamma",
    "gumbel",
    "integers",
    "laplace",
    "multinomial",
    "normal",
    "permutation",
    "poisson",
    "shuffle",
    "truncated_normal",
    "uniform",
]


def __dir__() -> list[str]:
    return sorted(__all__)


@composite
def uniform(
    shape: Any = (),
    low: Any = 0.0,
    high: Any = 1.0,
    dtype: Any = float32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Uniform numbers in [low, high).

    Arguments:
        shape: sizes, which may be symbolic.
        low, high: numbers, or tensors that broadcast to the shape.
        dtype: a floating type.
        name: names the stream and the node.
        stream: the full name of a stream to share with other calls.

    >>> import graphflow as gf
    >>> gf.random.uniform(("batch", 3), -1.0, 1.0).type
    float32[batch, 3]
    """
    b = builder_for([low, high])
    numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
    spread = high - low if numbers else b.subtract(high, low)
    if numbers and not spread >= 0:
        raise AttributeValueError(f"uniform needs low <= high, but got {low} and {high}")
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    return affine(b, drawn, spread, low)


@composite
def normal(
    shape: Any = (),
    mean: Any = 0.0,
    std: Any = 1.0,
    dtype: Any = float32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Normal numbers.

    Arguments:
        shape: sizes, which may be symbolic.
        mean, std: numbers, or tensors that broadcast to the shape; gradients pass through them.
        dtype: a floating type.
        name: names the stream and the node.
        stream: as for `uniform`.

    >>> import graphflow as gf
    >>> gf.random.normal((2, 3), mean=1.0, std=0.1).type
    float32[2, 3]
    """
    b = builder_for([mean, std])
    _not_negative(std, "normal")
    drawn = b.random_normal(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    return affine(b, drawn, std, mean)


def _not_negative(std: Any, operation: str) -> None:
    if isinstance(std, (int, float)) and not std >= 0:
        raise AttributeValueError(f"{operation} needs std >= 0, not {std}")


@composite
def truncated_normal(
    shape: Any = (),
    mean: Any = 0.0,
    std: Any = 1.0,
    dtype: Any = float32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Normal numbers, those farther than two `std` from the mean left out.

    By inverting the distribution function: z = sqrt(2) erfinv(u), u uniform.

    Arguments:
        shape, mean, std, dtype, name, stream: as for `normal`.

    Source of erfinv: Giles, "Approximating the erfinv function", GPU Computing Gems, 2012.

    >>> import graphflow as gf
    >>> gf.random.truncated_normal((2, 3)).type
    float32[2, 3]
    """
    b = builder_for([mean, std])
    _not_negative(std, "truncated_normal")
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    inside = math.erf(TRUNCATED_AT / math.sqrt(2.0))
    spread = b.subtract(b.multiply(drawn, 2.0 * inside), inside)
    centred = b.subtract(b.negative(b.log1p(b.negative(b.square(spread)))), 2.5)
    series = b.full_like(INVERSE_ERF[0], centred)
    for coefficient in INVERSE_ERF[1:]:
        series = b.add(b.multiply(series, centred), coefficient)
    # Rounding may carry the outermost numbers an ulp past the border.
    number = b.multiply(b.multiply(spread, series), math.sqrt(2.0))
    bounded = b.minimum(b.maximum(number, -TRUNCATED_AT), TRUNCATED_AT)
    return affine(b, bounded, std, mean)


@composite
def exponential(
    shape: Any = (), rate: Any = 1.0, dtype: Any = float32, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Exponentially distributed numbers of mean 1 / rate: -ln(1 - u) / rate.

    >>> import graphflow as gf
    >>> gf.random.exponential((2, 3)).type
    float32[2, 3]
    """
    b = builder_for([rate])
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    made = b.negative(b.log1p(b.negative(drawn)))
    return made if isinstance(rate, (int, float)) and rate == 1 else b.divide(made, rate)


@composite
def gumbel(
    shape: Any = (), dtype: Any = float32, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Standard Gumbel numbers, always finite: -ln(-ln u).

    >>> import graphflow as gf
    >>> gf.random.gumbel((2, 3)).type
    float32[2, 3]
    """
    b = builder_for([])
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    return gumbel_noise(b, drawn)


@composite
def bernoulli(
    probability: Any = 0.5, shape: Any = None, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Booleans that are true with a given probability.

    Arguments:
        probability: a number, or a tensor.
        shape: sizes, which may be symbolic; the shape of `probability` by default.
        name: names the stream and the node.
        stream: as for `uniform`.

    >>> import graphflow as gf
    >>> gf.random.bernoulli(0.1, ("batch", 3)).type
    bool[batch, 3]
    """
    if isinstance(probability, (int, float)) and not 0 <= probability <= 1:
        raise AttributeValueError(f"bernoulli needs a probability from 0 to 1, not {probability}")
    b, chance = with_tensor(probability)
    if not chance.dtype.is_floating:
        chance = b.astype(chance, dtype=float32)
    sizes = chance.shape if shape is None else as_shape(shape)
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=sizes, dtype=chance.dtype)
    return b.less(drawn, chance, name=name or "bernoulli")


@composite
def integers(
    low: Any,
    high: Any = None,
    shape: Any = (),
    dtype: Any = int32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Integers from low up to, not including, high; integers(n) draws from 0 ... n - 1.

    Arguments:
        low, high: numbers or symbolic sizes, at most 2^32 apart.
        shape: sizes, which may be symbolic.
        dtype: an integer type.
        name: names the stream and the node.
        stream: as for `uniform`.

    A word w becomes low + floor(w (high - low) / 2^32), so that the probabilities of two numbers
    differ by at most 2^-32.

    >>> import graphflow as gf
    >>> gf.random.integers(1, 7, shape=(10,)).type
    int32[10]
    """
    low, high = (0, low) if high is None else (low, high)
    kind = as_dtype(dtype)
    if not kind.is_integer:
        raise DTypeError(f"integers makes integers, not {kind}", hint="use gf.random.uniform")
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, (int, np.integer, Dim)):
            raise AttributeValueError(f"integers needs whole numbers as bounds, not {bound!r}")
    count = high - low
    if not isinstance(count, Dim):
        limits = np.iinfo(kind.numpy)
        if not 0 < count <= 2**32:
            raise AttributeValueError(f"integers needs low < high, at most 2^32 apart, not {low} and {high}")
        if low < limits.min or high - 1 > limits.max:
            raise AttributeValueError(f"integers from {low} to {high - 1} do not fit {kind}")
    b = builder_for([])
    words = b.astype(b.random_bits(fresh_key(b, name, stream), shape=shape), dtype=uint64)
    scaled = b.bitwise_right_shift(b.multiply(words, _as_word(b, count)), b.like(32, words))
    drawn = b.astype(scaled, dtype=kind, name=name or "integers")
    return drawn if isinstance(low, int) and low == 0 else b.add(drawn, low)


def _as_word(b: Builder, count: Any) -> Tensor:
    return b.tensor(count, uint64) if isinstance(count, Dim) else b.constant(value=np.array(count, np.uint64))


@composite
def categorical(logits: Any, axis: int = -1, name: str | None = None, stream: str | None = None) -> Tensor:
    """Class numbers drawn with the probabilities softmax(logits) along an axis, which is removed.

    By the Gumbel-max method: argmax_k (logits_k + g_k). A class with logit -inf is never drawn.

    Arguments:
        logits: real numbers.
        axis: the axis of the classes.
        name: names the stream and the node.
        stream: as for `uniform`.

    Returns:
        int64 class numbers.

    >>> import graphflow as gf
    >>> gf.random.categorical(gf.placeholder("logits", ("batch", 10))).type
    int64[batch]
    """
    b, scores = with_tensor(logits)
    if not scores.dtype.is_floating:
        scores = b.astype(scores, dtype=float32)
    place = normalize_axis(axis, scores.ndim, "categorical")
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=scores.shape, dtype=scores.dtype, name=name)
    return b.argmax(b.add(scores, gumbel_noise(b, drawn)), axis=place)


@composite
def permutation(size: Any, name: str | None = None, stream: str | None = None) -> Tensor:
    """The numbers 0 ... size - 1 in random order, as int64.

    >>> import graphflow as gf
    >>> gf.random.permutation(gf.Dim("n")).type
    int64[n]
    """
    b = builder_for([])
    return b.random_permutation(fresh_key(b, name, stream), size=size, name=name)


@composite
def shuffle(x: Any, axis: int = 0, name: str | None = None, stream: str | None = None) -> Tensor:
    """The slices of x along an axis in random order.

    >>> import graphflow as gf
    >>> gf.random.shuffle(gf.placeholder("x", ("n", 3))).type
    float32[n, 3]
    """
    b, x = with_tensor(x)
    require(x.ndim > 0, "shuffle needs an axis, but got a scalar")
    place = normalize_axis(axis, x.ndim, "shuffle")
    order = b.random_permutation(fresh_key(b, name, stream), size=x.shape[place], name=name)
    return b.take(x, order, axis=place)
