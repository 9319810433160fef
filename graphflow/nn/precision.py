"""In which dtypes functions of gf.nn compute: integers as float32, 16-bit floats in float32, rounded back."""

from __future__ import annotations

from graphflow.errors import DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, float32
from graphflow.ir.node import Tensor


def floating(b: Builder, x: Tensor) -> Tensor:
    """x, in float32 unless it has floats."""
    if x.dtype.kind == "complex":
        raise DTypeError(f"{x.name} has dtype {x.dtype}", hint="pass real numbers: gf.real(x), or gf.abs(x)")
    return x if x.dtype.is_floating else b.astype(x, dtype=float32)


def wide(b: Builder, x: Tensor) -> Tensor:
    """x in float32, unless it is float32 or wider."""
    x = floating(b, x)
    return b.astype(x, dtype=float32) if x.dtype.itemsize <= 2 else x


def back(b: Builder, x: Tensor, dtype: DType) -> Tensor:
    """x in the floating dtype; of integers there is no way back."""
    return x if x.dtype is dtype or not dtype.is_floating else b.astype(x, dtype=dtype)
