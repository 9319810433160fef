"""Distributions of gf.random whose parameters are tensors: gamma, beta, Dirichlet, Poisson, Laplace ...

Where a distribution is differentiable in a parameter, gradients pass through it: by the equation that
makes the numbers, or, for gamma numbers and what is made of them, with their quantiles kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import as_dtype, float32, int32, int64, promote
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape, as_shape
from graphflow.ops import threefry
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import broadcast_shapes, show
from graphflow.ops.streams import fresh_key

_NUMBERS = (int, float, np.integer, np.floating)


def _require_at_least_zero(value: Any, what: str) -> None:
    """Refuse a bad number while the graph is built; what is wrong in a tensor gives NaN, or -1, later."""
    if isinstance(value, _NUMBERS) and not value >= 0:
        raise AttributeValueError(f"{what} must be at least 0, not {value}")


def affine(b: Builder, x: Tensor, scale: Any, shift: Any) -> Tensor:
    """x * scale + shift, less what does nothing."""
    scaled = x if isinstance(scale, (int, float)) and scale == 1 else b.multiply(x, scale)
    return scaled if isinstance(shift, (int, float)) and shift == 0 else b.add(scaled, shift)


def gumbel_noise(b: Builder, uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones, always finite: -ln(-ln u)."""
    least = {"float16": 2.0**-14, "bfloat16": 2.0**-30}.get(uniform.dtype.name, 2.0**-30)
    return b.negative(b.log(b.negative(b.log(b.maximum(uniform, least)))))


def _floats(b: Builder, x: Tensor) -> Tensor:
    """x as a tensor of floats; whole numbers become float32."""
    if x.dtype.kind == "complex":
        raise DTypeError(f"a distribution has no parameters of dtype {x.dtype}", hint="pass real numbers")
    return x if x.dtype.is_floating else b.astype(x, dtype=float32)


def _shape_for(shape: Any, *parameters: Tensor) -> Shape:
    """The shape of numbers with these parameters: their common one, or a larger one that is asked for."""
    common = broadcast_shapes(*[parameter.shape for parameter in parameters])
    if shape is None:
        return common
    wanted = as_shape(shape)
    if broadcast_shapes(common, wanted) != wanted:
        raise ShapeError(
            f"parameters of shape {show(common)} cannot give numbers of shape {show(wanted)}",
            hint="the parameters have to broadcast to the shape",
        )
    return wanted


def _spread(b: Builder, x: Tensor, shape: Shape) -> Tensor:
    return x if x.shape == shape else b.broadcast_to(x, shape=shape)


@composite
def gamma(
    concentration: Any, rate: Any = 1.0, shape: Any = None, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Gamma numbers: density r^a x^(a - 1) e^(-r x) / Gamma(a), of mean a / r.

    Arguments:
        concentration: a, numbers or tensors; 0 gives 0, and what is negative NaN.
        rate: r; broadcasts with `concentration`.
        shape: sizes, which may be symbolic; those of the parameters by default.
        name: names the stream and the node.
        stream: the name of a stream to share, see `gf.random`.

    Gradients reach both parameters: that by a keeps the quantile of each number (implicit
    reparameterization), so its mean is the derivative of the mean.

    Sources: see `random_gamma`; `jax.random.gamma`.

    >>> import graphflow as gf
    >>> gf.random.gamma(gf.placeholder("a", ("batch", 3)), rate=2.0).type
    float32[batch, 3]
    """
    _require_at_least_zero(concentration, "the concentration of gamma")
    _require_at_least_zero(rate, "the rate of gamma")
    b, (a, r) = with_tensors(concentration, rate)
    a = _spread(b, _floats(b, a), _shape_for(shape, a, r))
    drawn = b.random_gamma(fresh_key(b, name, stream), a, name=name)
    return drawn if isinstance(rate, _NUMBERS) and rate == 1 else b.divide(drawn, _floats(b, r))


@composite
def beta(a: Any, b: Any, shape: Any = None, name: str | None = None, stream: str | None = None) -> Tensor:
    """Beta numbers in [0, 1]: density proportional to x^(a - 1) (1 - x)^(b - 1).

    x = g / (g + h) with g and h gamma numbers of concentrations a and b, computed from their
    logarithms, so that small concentrations do no harm; gradients reach both.

    Arguments:
        a, b: positive numbers or tensors, which broadcast.
        shape, name, stream: as for `gamma`.

    >>> import graphflow as gf
    >>> gf.random.beta(0.5, 0.5, shape=("batch",)).type
    float32[batch]
    """
    _require_at_least_zero(a, "the first parameter of beta")
    _require_at_least_zero(b, "the second parameter of beta")
    builder, parts = with_tensors(a, b)
    wanted = _shape_for(shape, *parts)
    pair = [builder.expand_dims(_spread(builder, _floats(builder, part), wanted), axis=0) for part in parts]
    drawn = builder.random_gamma(fresh_key(builder, name, stream), builder.concat(*pair, axis=0), log=True)
    first, second = (builder.squeeze(part, axis=0) for part in builder.split(drawn, sections=2, axis=0))
    return builder.sigmoid(builder.subtract(first, second), name=name or "beta")


@composite
def dirichlet(
    concentration: Any, shape: Any = None, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Probabilities of k classes: density proportional to the product of p_i^(a_i - 1), sum_i p_i = 1.

    Gamma numbers of concentrations a_i divided by their sum, computed as the softmax of their
    logarithms; gradients reach the concentrations.

    Arguments:
        concentration: a, positive numbers [..., k].
        shape: sizes of the result, k included, which may be symbolic; those of a by default.
        name, stream: as for `gamma`.

    Raises:
        ShapeError: if `concentration` is a scalar.

    >>> import graphflow as gf
    >>> gf.random.dirichlet([0.5, 1.0, 2.0], shape=("batch", 3)).type
    float32[batch, 3]
    """
    b, a = with_tensor(concentration)
    if not a.ndim:
        raise ShapeError("dirichlet needs a concentration for each class, but got a scalar", hint="gf.full")
    a = _spread(b, _floats(b, a), _shape_for(shape, a))
    drawn = b.random_gamma(fresh_key(b, name, stream), a, log=True)
    return b.softmax(drawn, axis=-1, name=name or "dirichlet")


def _counted(b: Builder, drawn: Tensor, dtype: Any, operation: str, name: str | None) -> Tensor:
    kind = as_dtype(dtype)
    if kind.kind not in ("int", "float"):
        raise DTypeError(
            f"{operation} cannot give {kind}", hint="use a signed integer, whose -1 marks wrong parameters"
        )
    return b.astype(drawn, dtype=kind, name=name or operation)


@composite
def poisson(
    rate: Any, shape: Any = None, dtype: Any = int32, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Poisson numbers: the probability of k is r^k e^-r / k!; -1 where a rate in a tensor is not >= 0.

    Arguments:
        rate: r, numbers or tensors; above 2^24 the counts of a float32 rate are as coarse as float32.
        shape: sizes, which may be symbolic; those of the rate by default.
        dtype: a signed integer type, or a floating one; counts that do not fit become the largest.
        name, stream: as for `gamma`.

    Sources: see `random_poisson`; `jax.random.poisson`.

    >>> import graphflow as gf
    >>> gf.random.poisson(4.0, shape=("batch", 3)).type
    int32[batch, 3]
    """
    _require_at_least_zero(rate, "the rate of poisson")
    b, r = with_tensor(rate)
    r = _spread(b, _floats(b, r), _shape_for(shape, r))
    return _counted(b, b.random_poisson(fresh_key(b, name, stream), r), dtype, "poisson", name)


@composite
def binomial(
    count: Any,
    probability: Any,
    shape: Any = None,
    dtype: Any = int32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """How many of n trials succeed, each with probability p; -1 where n < 0, or p is not in [0, 1].

    Arguments:
        count, probability: n and p, numbers or tensors, which broadcast.
        shape: sizes, which may be symbolic; those of the parameters by default.
        dtype: a signed integer type, or a floating one.
        name, stream: as for `gamma`.

    Sources: see `random_binomial`; `jax.random.binomial`.

    >>> import graphflow as gf
    >>> gf.random.binomial(10, 0.5, shape=("batch",)).type
    int32[batch]
    """
    _require_at_least_zero(count, "the count of binomial")
    if isinstance(probability, _NUMBERS) and not 0 <= probability <= 1:
        raise AttributeValueError(f"binomial needs a probability from 0 to 1, not {probability}")
    b, (n, p) = with_tensors(count, probability)
    wanted, n, p = _shape_for(shape, n, p), _floats(b, n), _floats(b, p)
    common = promote(n.dtype, p.dtype)
    n = _spread(b, b.tensor(n, common), wanted)
    drawn = b.random_binomial(fresh_key(b, name, stream), n, b.tensor(p, common))
    return _counted(b, drawn, dtype, "binomial", name)


@composite
def laplace(
    shape: Any = (),
    location: Any = 0.0,
    scale: Any = 1.0,
    dtype: Any = float32,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Laplace numbers, always finite: location - scale sign(u) ln(1 - |u|), u uniform in (-1, 1).

    Arguments:
        shape: sizes, which may be symbolic.
        location, scale: numbers, or tensors that broadcast to the shape; gradients pass through them.
        dtype: a floating type.
        name, stream: as for `gamma`.

    >>> import graphflow as gf
    >>> gf.random.laplace((2, 3), scale=0.5).type
    float32[2, 3]
    """
    _require_at_least_zero(scale, "the scale of laplace")
    b = builder_for([location, scale])
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=dtype, name=name)
    # Half a step above its multiples of the step: never -1 or 1, and as often below 0 as above.
    step = 2.0 ** -threefry.UNIFORM_BITS.get(drawn.dtype.name, 53)
    u = b.add(b.subtract(b.multiply(drawn, 2.0), 1.0), step)
    made = b.negative(b.multiply(b.sign(u), b.log1p(b.negative(b.abs(u)))))
    return affine(b, made, scale, location)


@composite
def multinomial(
    logits: Any, sample_size: Any, dtype: Any = int64, name: str | None = None, stream: str | None = None
) -> Tensor:
    """`sample_size` class numbers a row, drawn with the probabilities softmax(logits) and put back.

    By the Gumbel-max method, as `categorical`. A class with logit -inf is never drawn.

    Arguments:
        logits: real numbers [..., classes]: logarithms of probabilities, which need not sum to 1.
        sample_size: how many, symbolic too.
        dtype: an integer type.
        name: names the stream and the node.
        stream: the name of a stream to share, see `gf.random`.

    Returns:
        integers [..., sample_size].

    ONNX Multinomial-22.

    >>> import graphflow as gf
    >>> gf.random.multinomial(gf.placeholder("logits", ("batch", 10)), 4).type
    int64[batch, 4]
    """
    kind = as_dtype(dtype)
    if not kind.is_integer:
        raise DTypeError(f"multinomial gives class numbers, not {kind}", hint="use gf.int64")
    b, scores = with_tensor(logits)
    if not scores.ndim:
        raise ShapeError("multinomial needs an axis of classes, but got a scalar", hint="pass [..., classes]")
    scores = _floats(b, scores)
    (count,) = as_shape((sample_size,))
    shape = (*scores.shape[:-1], count, scores.shape[-1])
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=shape, dtype=scores.dtype, name=name)
    noisy = b.add(b.expand_dims(scores, axis=-2), gumbel_noise(b, drawn))
    return b.astype(b.argmax(noisy, axis=-1), dtype=kind, name=name or "multinomial")
