"""Rounding, stepping and classification of numbers, element by element (family elementwise)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.dtypes import bool_
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import broadcast_type, only, require_dtype, same_type
from graphflow.ops.precision import wide

_ROUNDING: dict[str, Any] = {
    "infer": only("int uint float", same_type, "rounding"),
    "traits": "elementwise in_place idempotent",
}
_STEP = "it is constant between its jumps"


def _rounded(function, x):
    return x if x.dtype.kind in "iu" else function(x)


@op("elementwise", **_ROUNDING)
@wide
def ceil(x, /):
    """The smallest integer not below: y = ceil(x), of the dtype of x.

    Array API `ceil`; ONNX Ceil-13.

    >>> import graphflow as gf
    >>> gf.ceil(gf.constant([1.5, -2.5])).type
    float32[2]
    """
    return _rounded(np.ceil, x)


ceil.not_differentiable(_STEP, zero=True)


@op("elementwise", **_ROUNDING)
@wide
def floor(x, /):
    """The largest integer not above: y = floor(x), of the dtype of x.

    Array API `floor`; ONNX Floor-13.

    >>> import graphflow as gf
    >>> gf.floor(gf.constant([1.5, -2.5])).type
    float32[2]
    """
    return _rounded(np.floor, x)


floor.not_differentiable(_STEP, zero=True)


@op("elementwise", **_ROUNDING)
@wide
def round(x, /):
    """The nearest integer, of the dtype of x, and of two equally near ones the even: y = round(x).

    Array API `round`; ONNX Round-22.

    >>> import graphflow as gf
    >>> gf.round(gf.constant([1.5, -2.5])).type
    float32[2]
    """
    return _rounded(np.rint, x)


round.not_differentiable(_STEP, zero=True)


@op("elementwise", **_ROUNDING)
@wide
def trunc(x, /):
    """The integer part: y = sign(x) floor(|x|), of the dtype of x.

    Array API `trunc`.

    >>> import graphflow as gf
    >>> gf.trunc(gf.constant([1.5, -2.5])).type
    float32[2]
    """
    return _rounded(np.trunc, x)


trunc.not_differentiable(_STEP, zero=True)


def _question(types, attrs):
    return (TensorType(bool_, types[0].shape),)


_CLASSIFYING: dict[str, Any] = {
    "infer": only("int uint float complex", _question, "classification"),
    "traits": "elementwise",
}


@op("elementwise", **_CLASSIFYING)
def is_nan(x, /):
    """Whether each element is not a number: y = (x != x); integers never are.

    Array API `isnan`; ONNX IsNaN-20.

    >>> import graphflow as gf
    >>> gf.is_nan(gf.constant([1.0, 2.0])).type
    bool[2]
    """
    return np.isnan(x)


is_nan.not_differentiable("its result is boolean", zero=True)


@op("elementwise", **_CLASSIFYING)
def is_inf(x, /):
    """Whether each element is infinite: y = (|x| = inf); integers never are.

    Array API `isinf`; ONNX IsInf-20.

    >>> import graphflow as gf
    >>> gf.is_inf(gf.constant([1.0, 2.0])).type
    bool[2]
    """
    return np.isinf(x)


is_inf.not_differentiable("its result is boolean", zero=True)


@op("elementwise", **_CLASSIFYING)
def is_finite(x, /):
    """Whether each element is neither infinite nor NaN: y = (|x| < inf); integers always are.

    Array API `isfinite`.

    >>> import graphflow as gf
    >>> gf.is_finite(gf.constant([1.0, 2.0])).type
    bool[2]
    """
    return np.isfinite(x)


is_finite.not_differentiable("its result is boolean", zero=True)


isnan, isinf, isfinite = is_nan, is_inf, is_finite  # the array API standard's spelling


@op(
    "elementwise",
    infer=only("float", broadcast_type, "nextafter"),
    promotion="float",
    traits="elementwise broadcasting in_place",
)
def nextafter(x, y, /):
    """The nearest number that the dtype holds beside x, on the way to y: z = x + one step, and y if x = y.

    NaN if either is NaN. Array API `nextafter`.

    >>> import graphflow as gf
    >>> gf.nextafter(gf.constant([1.0, 2.0]), 0.0).type
    float32[2]
    """
    return np.nextafter(x, y)


nextafter.not_differentiable("it steps from one floating number to the next", zero=True)


@composite
def signbit(x: Any) -> Tensor:
    """Whether the sign bit is set: of negative numbers, of -0.0, and of NaN with it.

    Arguments:
        x: real numbers.

    Array API `signbit`.

    >>> import graphflow as gf
    >>> gf.signbit(gf.constant([-0.0, 0.0])).type
    bool[2]
    """
    b, x = with_tensor(x)
    require_dtype(x.type, "int uint float", "the operand of signbit")
    return b.less(b.copysign(b.like(1, x), x) if x.dtype.is_floating else x, 0)


@composite
def positive(x: Any) -> Tensor:
    """The numbers as they are: y = +x.

    Arguments:
        x: numbers.

    Array API `positive`.

    >>> import graphflow as gf
    >>> gf.positive(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    _, x = with_tensor(x)
    require_dtype(x.type, "int uint float complex", "the operand of positive")
    return x


@op("elementwise", infer=same_type, traits="elementwise view in_place injective idempotent any_dtype")
def identity(x, /):
    """The argument itself, under a name of its own: y = x.

    ONNX Identity-25.

    >>> import graphflow as gf
    >>> gf.identity(gf.constant([1, 2]), name="result").name
    'result:0'
    """
    return x


@identity.gradient
def _(b, node, g):
    return [g]


@op("elementwise", infer=same_type, traits="elementwise view in_place injective idempotent any_dtype")
def stop_gradient(x, /):
    """The argument itself, which differentiation takes for a constant: y = x, dy/dx = 0.

    >>> import graphflow as gf
    >>> gf.stop_gradient(gf.constant([1.0, 2.0])).type
    float32[2]
    """
    return x


stop_gradient.not_differentiable("it stops gradients on purpose", zero=True)
