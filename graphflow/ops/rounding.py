"""Rounding, classification and conversion of numbers, element by element (family elementwise)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.dtypes import as_dtype, bool_
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import only, same_type
from graphflow.ops.precision import is_half, wide

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


@op("elementwise", infer=same_type, traits="elementwise view in_place injective idempotent")
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


@op("elementwise", infer=same_type, traits="elementwise view in_place injective idempotent")
def stop_gradient(x, /):
    """The argument itself, which differentiation takes for a constant: y = x, dy/dx = 0.

    >>> import graphflow as gf
    >>> gf.stop_gradient(gf.constant([1.0, 2.0])).type
    float32[2]
    """
    return x


stop_gradient.not_differentiable("it stops gradients on purpose", zero=True)


def _converted_type(types, attrs):
    return (TensorType(attrs["dtype"], types[0].shape),)


def _as_dtype_attribute(types, attrs):
    return {**attrs, "dtype": as_dtype(attrs["dtype"])}


@op("elementwise", infer=_converted_type, normalize=_as_dtype_attribute, traits="elementwise")
def astype(x, /, dtype):
    """The elements converted to another dtype: y = x, rounded to what `dtype` holds.

    Floats become integers by dropping the fraction; those out of range become the nearest integer
    there is, and NaN becomes 0. Integers wrap. To bool, all but 0 is true. A complex number that becomes
    real loses its imaginary part.

    Arguments:
        dtype: a GraphFlow dtype, its name, a NumPy dtype, or float, int or bool.

    Array API `astype`; ONNX Cast-25.

    >>> import graphflow as gf
    >>> gf.astype(gf.constant([1, 2]), "float16").type
    float16[2]
    """
    target = as_dtype(dtype)
    if x.dtype.kind == "c" and target.kind not in ("complex", "bool"):
        x = x.real
    if not target.is_integer or (x.dtype.kind != "f" and not is_half(x.dtype)):
        return x.astype(target.numpy)
    return _saturated(x.astype(np.float32) if is_half(x.dtype) else x, target.numpy)


def _saturated(x, dtype):
    limits = np.iinfo(dtype)
    low, above = x.dtype.type(limits.min), x.dtype.type(2.0 ** (limits.bits - (limits.min < 0)))
    inside = (x > low) & (x < above)
    converted = np.where(inside, x, 0).astype(dtype)
    converted = np.where(x <= low, dtype.type(limits.min), converted)
    return np.where(x >= above, dtype.type(limits.max), converted)


@astype.gradient
def _(b, node, g):
    source = node.inputs[0].dtype
    if not (source.is_differentiable and node.output.dtype.is_differentiable):
        return [None]
    return [b.astype(g, dtype=source)]
