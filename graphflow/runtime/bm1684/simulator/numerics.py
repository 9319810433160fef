"""How the chip computes single elements: flushed fp32, its quotients and roots, rounding, saturation."""

from __future__ import annotations

import numpy as np

from graphflow.runtime.bm1684.isa import Precision

_TINY = np.finfo(np.float32).tiny
_MAGIC = np.int64(0x5F37_59DF)
_STEPS = 3


def flush(values: np.ndarray) -> np.ndarray:
    """fp32 with denormals as zeros of their sign."""
    return np.where(np.abs(values) < _TINY, np.copysign(np.float32(0), values), values)


def reciprocal_square_root(values: np.ndarray) -> np.ndarray:
    """1 / sqrt(x) as the chip does it: halve the exponent, then three steps of Newton."""
    half = flush(values * np.float32(0.5))
    guess = flush((_MAGIC - (values.view(np.int32) >> 1)).astype(np.uint32).view(np.float32))
    for _ in range(_STEPS):
        step = flush(flush(half * guess) * guess)
        guess = flush(guess * (np.float32(1.5) - step))
    return guess


def divide(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left / right as left * (1 / sqrt(|right|)) ** 2, up to 3.4e-7 off the quotient."""
    root = reciprocal_square_root(np.ascontiguousarray(np.abs(right)))
    return flush(left * np.copysign(flush(root * root), right))


def to_integer(values: np.ndarray) -> np.ndarray:
    """int32, towards zero, saturated; NaN is the largest."""
    clipped = np.clip(
        np.nan_to_num(np.trunc(values).astype(np.float64), nan=2.0**31), -(2.0**31), 2.0**31 - 1
    )
    return clipped.astype(np.int32)


def shifted(values: np.ndarray, amount: int) -> np.ndarray:
    """Integers shifted right, rounding half up."""
    return values if not amount else (values + (1 << (amount - 1))) >> amount


def saturated(values: np.ndarray, precision: Precision, unsigned: bool) -> np.ndarray:
    """int64 as the nearest int8 or int16."""
    width = 8 if precision is Precision.INT8 else 16
    dtype = np.dtype(f"{'u' if unsigned else ''}int{width}")
    limits = np.iinfo(dtype)
    return np.clip(values, limits.min, limits.max).astype(dtype)
