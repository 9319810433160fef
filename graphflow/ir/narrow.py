"""Rounding to the dtypes of 8 bits and less, to the same bits in NumPy and in libraries like it.

ml_dtypes rounds float64 twice on its way to 8 bits, and no library has all the modes of ONNX; so what
is done here is integer arithmetic on the bits, which leaves nothing to a library but the rounding of
float32 to the nearest. Functions take the module, `xp`, that their arrays belong to.

Source: ONNX Cast-25; OCP 8-bit floating point specification; OCP microscaling formats 1.0.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.dtypes import DType, as_dtype, float8_e8m0fnu, int8

ROUND_MODES = ("up", "down", "nearest")

_EXPONENTS = {4: (np.uint32, 23, 0), 8: (np.uint64, 52, 1023 - 127)}
"""By the size of a float: its bits as an integer, their number below the exponent, the excess of its bias."""


@cache
def largest(dtype: DType) -> float:
    """The largest number of a narrow float.

    >>> from graphflow.ir.dtypes import float8_e4m3fn, float8_e5m2
    >>> largest(float8_e4m3fn), largest(float8_e5m2)
    (448.0, 57344.0)
    """
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype.numpy).max)


@cache
def integer_range(dtype: DType) -> tuple[int, int]:
    """The smallest and the largest value of an integer type.

    >>> from graphflow.ir.dtypes import int4, uint8
    >>> integer_range(int4), integer_range(uint8)
    ((-8, 7), (0, 255))
    """
    if dtype.kind.endswith("uint"):
        return 0, 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1


def widened(x: Any, dtype: DType) -> Any:
    """The elements of a narrow dtype in one that is computed with: float32 or int8, exactly."""
    if not dtype.is_narrow:
        return x
    return x.astype(np.float32 if dtype.kind == "narrow_float" else int8.numpy)


def narrowed(x: Any, dtype: DType, saturate: bool = True, round_mode: str = "up", xp: ModuleType = np) -> Any:
    """Real numbers or booleans as a narrow dtype.

    Arguments:
        saturate: whether floats out of range, infinities too, become the largest of the type. Otherwise
            they become infinite where the type has infinities, or NaN; float4 and float6 have neither,
            and NaN becomes 0 there.
        round_mode: how to round to a power of two, for float8_e8m0fnu; all others round to the nearest,
            and of two to the even one.

    >>> from graphflow.ir.dtypes import float8_e4m3fn, int4
    >>> narrowed(np.float32([0.3, 500.0]), float8_e4m3fn).tolist(), narrowed(np.int32([7, 8]), int4).tolist()
    ([0.3125, 448.0], [7, -8])
    """
    integer = x.dtype.kind in "biu"
    if dtype.kind != "narrow_float":
        return (x if integer else _whole(x, xp)).astype(np.int32).astype(dtype.numpy)
    wide = x.dtype.itemsize == 8 or (integer and x.dtype.itemsize == 4)
    x = x.astype(np.float64 if wide else np.float32)
    if dtype is float8_e8m0fnu:
        return _exponents(x, saturate, round_mode, xp)
    if wide:
        x = _rounded_to_odd(x)
    if saturate or dtype.bits < 8:
        most = np.float32(largest(dtype))
        x = xp.where(x > most, most, xp.where(x < -most, -most, x))
    if dtype.bits < 8:
        x = xp.where(xp.isnan(x), np.float32(0), x)
    return x.astype(dtype.numpy)


def _whole(x: Any, xp: ModuleType) -> Any:
    """Floats as int32 by dropping the fraction; those out of range are the nearest, and NaN is 0."""
    x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    limit = x.dtype.type(2.0**31)
    made = xp.where((x > -limit) & (x < limit), x, x.dtype.type(0)).astype(np.int32)
    return xp.where(x >= limit, np.int32(2**31 - 1), xp.where(x <= -limit, np.int32(-(2**31)), made))


def _rounded_to_odd(x: Any) -> Any:
    """float64 as float32 whose last bit is set if anything was lost, so that rounding again is exact.

    Source: Boldo and Melquiond, "When double rounding is odd", IMACS 2005.
    """
    near = x.astype(np.float32)
    back = near.astype(np.float64)
    beyond, inexact = abs(back) > abs(x), back != x
    return ((near.view(np.uint32) - beyond.astype(np.uint32)) | inexact.astype(np.uint32)).view(np.float32)


def _exponents(x: Any, saturate: bool, round_mode: str, xp: ModuleType) -> Any:
    """Floats as powers of two, float8_e8m0fnu; numbers below 0 are NaN."""
    kind, below_point, excess = _EXPONENTS[x.dtype.itemsize]
    bits = x.view(kind)
    magnitude = (bits & kind(2 ** (8 * x.dtype.itemsize - 1) - 1)).astype(np.int64)
    one = 1 << below_point
    exponent, fraction = (magnitude >> below_point) - excess, magnitude & (one - 1)
    if not excess:  # the smallest power, 2^-127, is a subnormal float32: half of the smallest normal one
        fraction = xp.where(exponent == 0, 2 * fraction - one, fraction)
    small = (exponent < 0) | (fraction < 0)
    rounds_up = {"up": fraction > 0, "down": fraction < 0, "nearest": 2 * fraction >= one}[round_mode]
    power = exponent + (rounds_up & ~small).astype(np.int64)
    large = power > 254
    low, high = (0, 254) if saturate else (255, 255)
    power = xp.where(small, low, xp.where(large, high, power))
    refused = xp.isnan(x) | ((bits != magnitude.astype(kind)) & (magnitude != 0))
    return xp.where(refused, 255, power).astype(np.uint8).view(float8_e8m0fnu.numpy)


def fitted(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Data as a narrow dtype; floats may be rounded to it, but nothing may change otherwise.

    Raises:
        DTypeError: for numbers that are out of range, or whole numbers that have a fraction.
    """
    array = widened(array, as_dtype(array.dtype))
    numbers = array.astype(np.float64)
    with np.errstate(all="ignore"):
        made = narrowed(array, dtype, saturate=False, round_mode="nearest")
        back = widened(made, dtype).astype(np.float64)
        if dtype.kind == "narrow_float":
            finite = np.isfinite(numbers)
            good = np.where(finite, np.isfinite(back) & (abs(numbers) <= largest(dtype)), True)
            good &= finite | (numbers == back) | (np.isnan(numbers) & np.isnan(back))
        else:
            good = numbers == back
    if not good.all():
        raise DTypeError(
            f"the value {array[~good].reshape(-1)[0]} does not fit {dtype}",
            hint="scale or round it first; gf.astype(x, dtype) converts as ONNX Cast does",
        )
    return np.asarray(made)


def narrow_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of an array of a narrow dtype, with the bits cleared that mean nothing."""
    return array.view(np.uint8) & np.uint8(2 ** as_dtype(array.dtype).bits - 1)


def require_narrow_bytes(stored: np.ndarray, dtype: DType) -> None:
    """Raise a ValueError if stored bytes have bits set that a narrow dtype does not have."""
    if dtype.is_narrow and stored.size and int(stored.max()) >= 2**dtype.bits:
        raise ValueError(f"a byte is {stored.max()}, but {dtype} has {dtype.bits} bits")
