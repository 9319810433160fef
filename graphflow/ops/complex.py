"""Complex numbers, element by element: their parts, conjugates and angles, and how they are put together.

Gradients pass through complex tensors by the bilinear convention: where y = f(x) changes by
dy = J dx, the cotangent g of y becomes g J, and nothing is conjugated. A real result L of
x = u + i v so has the gradient dL/du - i dL/dv, whose conjugate points uphill.

Source: the convention is that of `jax.vjp`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, complex64, complex128, float32, float64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import broadcast_shapes, only, same_type

_NUMBERS = "int uint float complex"
_PARTS = {complex64: float32, complex128: float64}
_WHOLE = {float32: complex64, float64: complex128}


def real_dtype(dtype: DType) -> DType:
    """The dtype of the parts of complex numbers; that of real numbers is their own.

    >>> real_dtype(complex64), real_dtype(float64)
    (float32, float64)
    """
    return _PARTS.get(dtype, dtype)


def complex_dtype(dtype: DType) -> DType:
    """The dtype of complex numbers whose parts have this dtype, float32 or float64, or are of it already.

    >>> complex_dtype(float32), complex_dtype(complex128)
    (complex64, complex128)
    """
    made = _WHOLE.get(dtype, dtype)
    if made.kind != "complex":
        raise DTypeError(
            f"there are no complex numbers with parts of {dtype}", hint="convert to float32 with gf.astype"
        )
    return made


def conjugate(b: Builder, x: Tensor) -> Tensor:
    """The conjugate of x, which is x itself, without a node, for real numbers."""
    return b.conj(x) if x.dtype.kind == "complex" else x


def _part_type(types, attrs):
    return (TensorType(real_dtype(types[0].dtype), types[0].shape),)


@op("complex", infer=only(_NUMBERS, _part_type, "real"), traits="elementwise")
def real(x, /):
    """The real part, element by element: y = u of x = u + i v; a real number is its own.

    Array API `real`.

    >>> import graphflow as gf
    >>> gf.real(gf.constant([1 + 2j])).type
    float32[1]
    """
    return np.real(x)


@real.gradient
def _(b, node, g):
    return [b.astype(g, dtype=node.inputs[0].dtype)]


@op("complex", infer=only(_NUMBERS, _part_type, "imag"), traits="elementwise")
def imag(x, /):
    """The imaginary part, element by element: y = v of x = u + i v; that of a real number is 0.

    Array API `imag`.

    >>> import graphflow as gf
    >>> gf.imag(gf.constant([1 + 2j])).type
    float32[1]
    """
    return np.imag(x)


@imag.gradient
def _(b, node, g):
    if node.inputs[0].dtype.kind != "complex":
        return [None]
    return [lambda: b.complex(b.full_like(0, g), b.negative(g))]


@op("complex", infer=only(_NUMBERS, same_type, "conj"), traits="elementwise")
def conj(x, /):
    """The complex conjugate, element by element: y = u - i v of x = u + i v; a real number is its own.

    Array API `conj`.

    >>> import graphflow as gf
    >>> gf.conj(gf.constant([1 + 2j])).type
    complex64[1]
    """
    return np.conj(x)


@conj.gradient
def _(b, node, g):
    return [conjugate(b, g)]


def _complex_type(types, attrs):
    first = types[0]
    dtype = complex_dtype(first.dtype)
    return (TensorType(dtype, broadcast_shapes(*[type.shape for type in types])),)


@op(
    "complex",
    infer=only("float", _complex_type, "complex"),
    promotion="float64",
    traits="elementwise broadcasting",
)
def complex_(x, y, /):
    """The complex number of a real and an imaginary part, element by element: z = x + i y.

    Unlike x + 1j * y, it keeps infinite and NaN parts apart from one another.

    Arguments:
        x, y: float32 (giving complex64) or float64 (complex128); integers are converted to float64.

    >>> import graphflow as gf
    >>> gf.complex(gf.zeros((2, 1)), gf.zeros(3)).type
    complex64[2, 3]
    """
    result = np.empty(np.broadcast_shapes(x.shape, y.shape), np.result_type(x.dtype, np.complex64))
    result.real, result.imag = x, y
    return result


@complex_.gradient
def _(b, node, g):
    return [lambda: b.real(g), lambda: b.negative(b.imag(g))]


@composite
def angle(x: Any) -> Tensor:
    """The angle in radians, element by element: y = atan2(v, u) of x = u + i v, from -pi to pi.

    That of a positive number and of 0 is 0, that of a negative one pi.

    >>> import graphflow as gf
    >>> gf.angle(gf.constant([1 + 2j, -1j])).type
    float32[2]
    """
    b, x = with_tensor(x)
    return b.atan2(b.imag(x), b.real(x))
