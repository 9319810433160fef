"""Exponentials, logarithms, roots and the error function, element by element (family elementwise)."""

from __future__ import annotations

import math

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ops import special
from graphflow.ops.inference import broadcast_type, only, same_type
from graphflow.ops.precision import wide

_UNARY = "elementwise in_place"
_BINARY = "elementwise broadcasting in_place commutative"


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def exp(x, /):
    """The exponential, element by element: y = e^x.

    Array API `exp`; ONNX Exp-13.

    >>> import graphflow as gf
    >>> gf.exp(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.exp(x)


@exp.gradient
def _(b, node, g):
    return [b.multiply(g, node.output)]


@op("elementwise", infer=only("float", same_type, "expm1"), promotion="float", traits=_UNARY)
@wide
def expm1(x, /):
    """The exponential less one, accurate near 0: y = e^x - 1.

    Array API `expm1`.

    >>> import graphflow as gf
    >>> gf.expm1(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.expm1(x)


@expm1.gradient
def _(b, node, g):
    return [b.multiply(g, b.add(node.output, 1))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def log(x, /):
    """The natural logarithm, element by element: y = ln x; -inf for 0, NaN below.

    Array API `log`; ONNX Log-13.

    >>> import graphflow as gf
    >>> gf.log(gf.constant([0.5, 1.0])).type
    float32[2]
    """
    return np.log(x)


@log.gradient
def _(b, node, g):
    return [b.divide(g, node.inputs[0])]


@op("elementwise", infer=only("float", same_type, "log1p"), promotion="float", traits=_UNARY)
@wide
def log1p(x, /):
    """The logarithm of one more, accurate near 0: y = ln(1 + x).

    Array API `log1p`.

    >>> import graphflow as gf
    >>> gf.log1p(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.log1p(x)


@log1p.gradient
def _(b, node, g):
    return [b.divide(g, b.add(node.inputs[0], 1))]


@op("elementwise", infer=only("float", same_type, "log2"), promotion="float", traits=_UNARY)
@wide
def log2(x, /):
    """The logarithm to base 2: y = ln x / ln 2.

    Array API `log2`.

    >>> import graphflow as gf
    >>> gf.log2(gf.constant([0.5, 1.0])).type
    float32[2]
    """
    return np.log2(x)


@log2.gradient
def _(b, node, g):
    return [b.divide(g, b.multiply(node.inputs[0], math.log(2)))]


@op("elementwise", infer=only("float", same_type, "log10"), promotion="float", traits=_UNARY)
@wide
def log10(x, /):
    """The logarithm to base 10: y = ln x / ln 10.

    Array API `log10`.

    >>> import graphflow as gf
    >>> gf.log10(gf.constant([0.5, 1.0])).type
    float32[2]
    """
    return np.log10(x)


@log10.gradient
def _(b, node, g):
    return [b.divide(g, b.multiply(node.inputs[0], math.log(10)))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def sqrt(x, /):
    """The square root, element by element: y = x^(1/2); NaN below 0.

    Array API `sqrt`; ONNX Sqrt-13.

    >>> import graphflow as gf
    >>> gf.sqrt(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.sqrt(x)


@sqrt.gradient
def _(b, node, g):
    return [b.divide(b.multiply(g, 0.5), node.output)]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def rsqrt(x, /):
    """The inverse of the square root: y = x^(-1/2); inf for 0, NaN below.

    `jax.lax.rsqrt`.

    >>> import graphflow as gf
    >>> gf.rsqrt(gf.constant([0.5, 1.0])).type
    float32[2]
    """
    return 1 / np.sqrt(x)


@rsqrt.gradient
def _(b, node, g):
    return [b.multiply(g, b.multiply(b.divide(node.output, node.inputs[0]), -0.5))]


@op("elementwise", infer=only("float", same_type, "erf"), promotion="float", traits=_UNARY)
@wide
def erf(x, /):
    """The error function: y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.

    ONNX Erf-13; computed as in `special.py`.

    >>> import graphflow as gf
    >>> gf.erf(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return special.erf(x)


@erf.gradient
def _(b, node, g):
    bell = b.exp(b.negative(b.square(node.inputs[0])))
    return [b.multiply(g, b.multiply(bell, 2 / math.sqrt(math.pi)))]


@op(
    "elementwise",
    infer=only("float", broadcast_type, "logaddexp"),
    promotion="float",
    traits=_BINARY + " associative",
)
@wide
def logaddexp(x, y, /):
    """The logarithm of a sum of exponentials, without overflow: z = ln(e^x + e^y).

    Array API `logaddexp`.

    >>> import graphflow as gf
    >>> gf.logaddexp(gf.constant([0.0, 1000.0]), 1.0).type
    float32[2]
    """
    return np.logaddexp(x, y)


@logaddexp.gradient
def _(b, node, g):
    return [b.multiply(g, _share(b, operand, node.output)) for operand in node.inputs]


def _share(b, operand, total):
    """e^(operand - total), which is 1 where both are the same infinity."""
    same = b.equal(operand, total)
    return b.exp(b.where(same, 0, b.subtract(operand, total)))


@op("elementwise", infer=only("float", broadcast_type, "hypot"), promotion="float", traits=_BINARY)
@wide
def hypot(x, y, /):
    """The length of a vector with two components, without overflow: z = (x^2 + y^2)^(1/2).

    It is inf if either is infinite, NaN or not; the derivative at (0, 0) is taken to be 0.
    Array API `hypot`.

    >>> import graphflow as gf
    >>> gf.hypot(gf.constant([3.0, 5.0]), gf.constant([4.0, 12.0])).type
    float32[2]
    """
    return np.hypot(x, y)


@hypot.gradient
def _(b, node, g):
    length = b.where(b.equal(node.output, 0), 1, node.output)
    return [b.multiply(g, b.divide(operand, length)) for operand in node.inputs]
