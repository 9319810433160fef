"""Trigonometric and hyperbolic functions and their inverses, element by element (family elementwise)."""

from __future__ import annotations

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ops.inference import broadcast_type, only, same_type
from graphflow.ops.precision import wide

_UNARY = "elementwise in_place"


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def sin(x, /):
    """The sine of an angle in radians: y = sin x.

    Array API `sin`; ONNX Sin-22.

    >>> import graphflow as gf
    >>> gf.sin(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.sin(x)


@sin.gradient
def _(b, node, g):
    return [b.multiply(g, b.cos(node.inputs[0]))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def cos(x, /):
    """The cosine of an angle in radians: y = cos x.

    Array API `cos`; ONNX Cos-22.

    >>> import graphflow as gf
    >>> gf.cos(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.cos(x)


@cos.gradient
def _(b, node, g):
    return [b.negative(b.multiply(g, b.sin(node.inputs[0])))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def tan(x, /):
    """The tangent of an angle in radians: y = sin x / cos x.

    Array API `tan`; ONNX Tan-22.

    >>> import graphflow as gf
    >>> gf.tan(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.tan(x)


@tan.gradient
def _(b, node, g):
    return [b.multiply(g, b.add(b.square(node.output), 1))]


@op("elementwise", infer=only("float", same_type, "asin"), promotion="float", traits=_UNARY)
@wide
def asin(x, /):
    """The angle in [-pi/2, pi/2] with a given sine: sin y = x; NaN beyond 1.

    Array API `asin`; ONNX Asin-22.

    >>> import graphflow as gf
    >>> gf.asin(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.arcsin(x)


@asin.gradient
def _(b, node, g):
    return [b.multiply(g, b.rsqrt(_one_less_square(b, node.inputs[0])))]


@op("elementwise", infer=only("float", same_type, "acos"), promotion="float", traits=_UNARY)
@wide
def acos(x, /):
    """The angle in [0, pi] with a given cosine: cos y = x; NaN beyond 1.

    Array API `acos`; ONNX Acos-22.

    >>> import graphflow as gf
    >>> gf.acos(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.arccos(x)


@acos.gradient
def _(b, node, g):
    return [b.negative(b.multiply(g, b.rsqrt(_one_less_square(b, node.inputs[0]))))]


@op("elementwise", infer=only("float", same_type, "atan"), promotion="float", traits=_UNARY)
@wide
def atan(x, /):
    """The angle in [-pi/2, pi/2] with a given tangent: tan y = x.

    Array API `atan`; ONNX Atan-22.

    >>> import graphflow as gf
    >>> gf.atan(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.arctan(x)


@atan.gradient
def _(b, node, g):
    return [b.divide(g, b.add(b.square(node.inputs[0]), 1))]


@op(
    "elementwise",
    infer=only("float", broadcast_type, "atan2"),
    promotion="float",
    traits="elementwise broadcasting in_place",
)
@wide
def atan2(y, x, /):
    """The angle in [-pi, pi] of the point (x, y), seen from the origin: tan z = y / x, in its quadrant.

    Array API `atan2`; signed zeros and infinities as in C.

    >>> import graphflow as gf
    >>> gf.atan2(gf.constant([1.0, -1.0]), -1.0).type
    float32[2]
    """
    return np.arctan2(y, x)


@atan2.gradient
def _(b, node, g):
    y, x = node.inputs
    pull = b.divide(g, b.add(b.square(x), b.square(y)))
    return [b.multiply(pull, x), b.negative(b.multiply(pull, y))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def sinh(x, /):
    """The hyperbolic sine: y = (e^x - e^(-x)) / 2.

    Array API `sinh`; ONNX Sinh-22.

    >>> import graphflow as gf
    >>> gf.sinh(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.sinh(x)


@sinh.gradient
def _(b, node, g):
    return [b.multiply(g, b.cosh(node.inputs[0]))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def cosh(x, /):
    """The hyperbolic cosine: y = (e^x + e^(-x)) / 2.

    Array API `cosh`; ONNX Cosh-22.

    >>> import graphflow as gf
    >>> gf.cosh(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.cosh(x)


@cosh.gradient
def _(b, node, g):
    return [b.multiply(g, b.sinh(node.inputs[0]))]


@op("elementwise", infer=same_type, promotion="float", traits=_UNARY)
@wide
def tanh(x, /):
    """The hyperbolic tangent: y = (e^x - e^(-x)) / (e^x + e^(-x)).

    Array API `tanh`; ONNX Tanh-13.

    >>> import graphflow as gf
    >>> gf.tanh(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.tanh(x)


@tanh.gradient
def _(b, node, g):
    return [b.multiply(g, b.subtract(1, b.square(node.output)))]


@op("elementwise", infer=only("float", same_type, "asinh"), promotion="float", traits=_UNARY)
@wide
def asinh(x, /):
    """The inverse of the hyperbolic sine: y = ln(x + (x^2 + 1)^(1/2)).

    Array API `asinh`; ONNX Asinh-22.

    >>> import graphflow as gf
    >>> gf.asinh(gf.constant([0.0, 1.0])).type
    float32[2]
    """
    return np.arcsinh(x)


@asinh.gradient
def _(b, node, g):
    return [b.multiply(g, b.rsqrt(b.add(b.square(node.inputs[0]), 1)))]


@op("elementwise", infer=only("float", same_type, "acosh"), promotion="float", traits=_UNARY)
@wide
def acosh(x, /):
    """The inverse of the hyperbolic cosine: y = ln(x + (x^2 - 1)^(1/2)); NaN below 1.

    Array API `acosh`; ONNX Acosh-22.

    >>> import graphflow as gf
    >>> gf.acosh(gf.constant([1.5, 3.0])).type
    float32[2]
    """
    return np.arccosh(x)


@acosh.gradient
def _(b, node, g):
    return [b.multiply(g, b.rsqrt(b.negative(_one_less_square(b, node.inputs[0]))))]


@op("elementwise", infer=only("float", same_type, "atanh"), promotion="float", traits=_UNARY)
@wide
def atanh(x, /):
    """The inverse of the hyperbolic tangent: y = ln((1 + x) / (1 - x)) / 2; NaN beyond 1.

    Array API `atanh`; ONNX Atanh-22.

    >>> import graphflow as gf
    >>> gf.atanh(gf.constant([0.5, -0.5])).type
    float32[2]
    """
    return np.arctanh(x)


@atanh.gradient
def _(b, node, g):
    return [b.divide(g, _one_less_square(b, node.inputs[0]))]


def _one_less_square(b, x):
    """1 - x^2, as a product that is accurate near 1 and -1."""
    return b.multiply(b.subtract(1, x), b.add(x, 1))
