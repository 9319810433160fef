"""Questions about element types: what a dtype holds, which kind it is, what it promotes to.

They are answered while the graph is built, and make no nodes. The types that nothing computes with,
of 8 bits and less, and strings, are of none of the standard's kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import promote_default
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType, as_dtype, complex64, float32, float64, promote, scalar_dtype
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating type, as Python numbers: `gf.finfo`."""

    dtype: DType
    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float


@dataclass(frozen=True)
class IntegerInfo:
    """The limits of an integer type: `gf.iinfo`."""

    dtype: DType
    bits: int
    max: int
    min: int


def _dtype_of(value: Any) -> DType:
    """The dtype that is meant by a tensor, an array or a dtype."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return as_dtype(value.dtype)
    return as_dtype(value)


@composite
def finfo(type: Any) -> FloatInfo:
    """The limits of a floating type, or of the parts of a complex one.

    Arguments:
        type: a dtype, or a tensor of it.

    Returns:
        a record with `bits`, `eps` (the step from 1 to the next number), `max`, `min`,
        `smallest_normal` and `dtype`.

    Raises:
        DTypeError: for other types.

    Array API `finfo`.

    >>> import graphflow as gf
    >>> gf.finfo(gf.float32).eps == 2.0**-23, gf.finfo(gf.bfloat16).bits
    (True, 16)
    """
    dtype = _dtype_of(type)
    if dtype.kind == "complex":
        dtype = float32 if dtype is complex64 else float64
    if dtype.kind == "narrow_float" or dtype.name == "bfloat16":
        import ml_dtypes

        limits: Any = ml_dtypes.finfo(dtype.numpy)
    elif dtype.is_floating:
        limits = np.finfo(dtype.numpy)
    else:
        raise DTypeError(f"{dtype} is no floating type", hint="gf.iinfo tells the limits of integers")
    numbers = (limits.eps, limits.max, limits.min, limits.smallest_normal)
    return FloatInfo(dtype, dtype.bits, *[float(number) for number in numbers])


@composite
def iinfo(type: Any) -> IntegerInfo:
    """The limits of an integer type.

    Arguments:
        type: a dtype, or a tensor of it.

    Returns:
        a record with `bits`, `max`, `min` and `dtype`.

    Raises:
        DTypeError: for other types.

    Array API `iinfo`.

    >>> import graphflow as gf
    >>> gf.iinfo(gf.int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in ("int", "uint", "narrow_int", "narrow_uint"):
        raise DTypeError(f"{dtype} is no integer type", hint="gf.finfo tells the limits of floats")
    if dtype.kind.endswith("uint"):
        return IntegerInfo(dtype, dtype.bits, 2**dtype.bits - 1, 0)
    return IntegerInfo(dtype, dtype.bits, 2 ** (dtype.bits - 1) - 1, -(2 ** (dtype.bits - 1)))


KINDS = {
    "bool": {"bool"},
    "signed integer": {"int"},
    "unsigned integer": {"uint"},
    "integral": {"int", "uint"},
    "real floating": {"float"},
    "complex floating": {"complex"},
    "numeric": {"int", "uint", "float", "complex"},
}


@composite
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Arguments:
        dtype: a dtype.
        kind: a dtype, a name ("bool", "signed integer", "unsigned integer", "integral", "real floating",
            "complex floating" or "numeric"), or a tuple of such, of which one has to fit.

    Array API `isdtype`.

    >>> import graphflow as gf
    >>> gf.isdtype(gf.int8, "integral"), gf.isdtype(gf.int8, (gf.bool, "real floating"))
    (True, False)
    """
    asked = as_dtype(dtype)
    fits = False
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, str) and one in KINDS:
            fits = fits or asked.kind in KINDS[one]
            continue
        try:
            fits = fits or asked is as_dtype(one)
        except DTypeError:
            raise AttributeValueError(
                f"{one!r:.80} is no kind of dtypes", hint="use a dtype, or one of " + ", ".join(KINDS)
            ) from None
    return fits


@composite
def can_cast(from_: Any, to: Any) -> bool:
    """Whether a dtype promotes to another: whether `to` holds all that `from_` does.

    Arguments:
        from_: a dtype, or a tensor of it.
        to: a dtype.

    Array API `can_cast`.

    >>> import graphflow as gf
    >>> gf.can_cast(gf.int16, gf.float32), gf.can_cast(gf.int32, gf.float32)
    (True, False)
    """
    source, target = _dtype_of(from_), as_dtype(to)
    return source is target or (
        not (source.is_storage or target.is_storage) and promote(source, target) is target
    )


@composite
def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype in which operands meet, as `gf.promote` gives it; Python scalars are weak.

    Arguments:
        arrays_and_dtypes: tensors, arrays, dtypes and Python scalars, at least one.

    Array API `result_type`.

    >>> import graphflow as gf
    >>> gf.result_type(gf.int8, gf.float16), gf.result_type(gf.zeros(3), 2), gf.result_type(gf.int8, 2.0)
    (float16, float32, float32)
    """
    scalars = [value for value in arrays_and_dtypes if _is_scalar(value)]
    others = [value for value in arrays_and_dtypes if not _is_scalar(value)]
    if not arrays_and_dtypes:
        raise AttributeValueError("result_type needs at least one tensor or dtype")
    common: DType | None = None
    for value in others:
        dtype = _dtype_of(value)
        common = dtype if common is None else promote(common, dtype)
    for scalar in scalars:
        dtype = scalar_dtype(0 if isinstance(scalar, Dim) else scalar, common if others else None)
        common = dtype if common is None else promote_default(common, dtype) if not others else dtype
    assert common is not None
    return common


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex, Dim)) and not isinstance(value, np.generic)
