"""Random operators whose parameters are tensors: gamma, Poisson and binomial numbers (family random).

Their references and lowerings run the samplers of `rejection.py`; where rounding decides whether a
number fits, targets may differ.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops import rejection
from graphflow.ops.gamma_slope import log_gamma_slope
from graphflow.ops.inference import broadcast_shapes, broadcast_type, only
from graphflow.ops.random import require_key


def _require_floats(type, operation):
    if not type.dtype.is_floating:
        raise DTypeError(f"{operation} takes floats, not {type.dtype}", hint="convert with gf.astype")


def _gamma_type(types, attrs):
    require_key(types[0], 2, "random_gamma")
    _require_floats(types[1], "random_gamma")
    return (types[1],)


@op("random", infer=_gamma_type)
def random_gamma(key, concentration, /, log=False):
    """Gamma numbers of rate 1, one for each concentration a: density x^(a - 1) e^-x / Gamma(a).

    0 for a = 0, inf for a = inf, NaN below. The gradient moves each number so that its quantile stays.

    Arguments:
        key: uint32[2].
        concentration: floats.
        log: give the logarithms, which do not underflow for small concentrations.

    Sources: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000; for the
    gradient, Figurnov, Mohamed, Mnih, "Implicit Reparameterization Gradients", 2018.

    >>> import graphflow as gf
    >>> from graphflow.ops.parametric import random_gamma
    >>> random_gamma(gf.constant([0, 1], dtype=gf.uint32), gf.placeholder("a", ("batch",))).type
    float32[batch]
    """
    with np.errstate(all="ignore"):
        return rejection.gamma(rejection.NUMPY, key, concentration, log)


@random_gamma.gradient
def _(b, node, g):
    concentration, drawn = node.inputs[1], node.output
    if node.attrs["log"]:
        return [None, b.multiply(g, b.random_gamma_slope(concentration, drawn))]
    nothing = b.equal(drawn, 0)  # moves by less than can be told
    logarithm = b.log(b.where(nothing, 1, drawn))
    slope = b.multiply(drawn, b.random_gamma_slope(concentration, logarithm))
    return [None, b.multiply(g, b.where(nothing, 0, slope))]


@op(
    "random",
    infer=only("float", broadcast_type, "random_gamma_slope"),
    promotion="float",
    traits="elementwise broadcasting",
)
def random_gamma_slope(concentration, log_sample, /):
    """How the logarithms of gamma numbers move with the concentration, quantiles kept: d ln x / d a.

    Arguments:
        concentration: positive floats.
        log_sample: the logarithms of gamma numbers of rate 1.

    Source: Figurnov, Mohamed, Mnih, "Implicit Reparameterization Gradients", 2018; in
    `jax.lax.random_gamma_grad`, times x.

    >>> import graphflow as gf
    >>> from graphflow.ops.parametric import random_gamma_slope
    >>> random_gamma_slope(gf.constant([2.0]), gf.constant([0.5])).type
    float32[1]
    """
    return log_gamma_slope(concentration, log_sample).astype(concentration.dtype)


random_gamma_slope.not_differentiable("second derivatives of gamma numbers have no closed form here")


def _poisson_type(types, attrs):
    require_key(types[0], 2, "random_poisson")
    _require_floats(types[1], "random_poisson")
    return (TensorType(rejection.precision(types[1].dtype.itemsize), types[1].shape),)


_COUNTING = "counts jump as their parameters move"


@op("random", infer=_poisson_type)
def random_poisson(key, rate, /):
    """Poisson numbers, one for each rate r, as floats: probability of k r^k e^-r / k!; -1 if r is not >= 0.

    Arguments:
        key: uint32[2].
        rate: floats; the counts are float64 for float64, else float32.

    Sources: Knuth, "The Art of Computer Programming" 2, 3.4.1, for rates below 10; Hoermann, "The
    Transformed Rejection Method for Generating Poisson Random Variables", 1993.

    >>> import graphflow as gf
    >>> from graphflow.ops.parametric import random_poisson
    >>> random_poisson(gf.constant([0, 1], dtype=gf.uint32), gf.placeholder("rate", ("batch",))).type
    float32[batch]
    """
    with np.errstate(all="ignore"):
        return rejection.poisson(rejection.NUMPY, key, rate)


random_poisson.not_differentiable(_COUNTING, zero=True)


def _binomial_type(types, attrs):
    key, count, probability = types
    require_key(key, 2, "random_binomial")
    _require_floats(count, "random_binomial")
    _require_floats(probability, "random_binomial")
    if count.dtype is not probability.dtype:
        raise DTypeError(
            f"random_binomial needs one dtype for counts and probabilities, not {count.dtype} and "
            f"{probability.dtype}",
            hint="convert with gf.astype",
        )
    shape = broadcast_shapes(count.shape, probability.shape)
    return (TensorType(rejection.precision(probability.dtype.itemsize), shape),)


@op("random", infer=_binomial_type)
def random_binomial(key, count, probability, /):
    """How many of n trials succeed, as floats: probability of k n! / (k! (n - k)!) p^k (1 - p)^(n - k).

    -1 where n is negative or not finite, or p is not in [0, 1]; fractions of n are dropped.

    Arguments:
        key: uint32[2].
        count, probability: floats of one dtype, which broadcast; the result is float64 for float64,
            else float32.

    Sources: Devroye, "Non-Uniform Random Variate Generation", 1986, X.4.3, for means below 10;
    Hoermann, "The Generation of Binomial Random Variates", 1993.

    >>> import graphflow as gf
    >>> from graphflow.ops.parametric import random_binomial
    >>> random_binomial(gf.constant([0, 1], dtype=gf.uint32), gf.constant([10.0]), gf.constant(0.5)).type
    float32[1]
    """
    with np.errstate(all="ignore"):
        return rejection.binomial(rejection.NUMPY, key, count, probability)


random_binomial.not_differentiable(_COUNTING, zero=True)
