"""Rounding to narrow dtypes: against ml_dtypes and the onnx package, and by definition where both are off."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from onnx.numpy_helper import to_float8e8m0

from graphflow.errors import DTypeError
from graphflow.ir import dtypes
from graphflow.ir.dtypes import NARROW, DType
from graphflow.ir.narrow import (
    ROUND_MODES,
    fitted,
    integer_range,
    largest,
    narrow_bytes,
    narrowed,
    require_narrow_bytes,
    widened,
)

FLOATS = [dtype for dtype in NARROW if dtype.kind == "narrow_float" and dtype is not dtypes.float8_e8m0fnu]
INTEGERS = [dtype for dtype in NARROW if dtype.kind != "narrow_float"]


def bits(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).view(np.uint8)


def spread_values(rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=3000) * 10.0 ** rng.integers(-7, 6, 3000)
    return np.concatenate([values, [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e300, 5e-324]])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_float32_rounds_as_ml_dtypes_does_where_nothing_saturates(
    dtype: DType, rng: np.random.Generator
) -> None:
    with np.errstate(all="ignore"):
        x = spread_values(rng).astype(np.float32)
        expected = x.astype(dtype.numpy)
    kept = ~np.isnan(x) | (dtype.bits == 8)  # the smaller ones have no NaN: it becomes 0
    made = bits(narrowed(x, dtype, saturate=False))
    assert np.array_equal(made[kept], bits(expected)[kept]) and not made[~kept].any()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_saturation_cuts_what_is_out_of_range(dtype: DType, rng: np.random.Generator) -> None:
    x = spread_values(rng)
    with np.errstate(all="ignore"):
        made = widened(narrowed(x, dtype), dtype)
    most = largest(dtype)
    assert made.dtype == np.float32
    assert (made[x > most] == most).all() and (made[x < -most] == -most).all()
    assert np.array_equal(np.isnan(made), np.isnan(x)) or dtype.bits < 8  # the smaller ones have no NaN


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_float64_is_rounded_once_to_the_nearest_even(dtype: DType, rng: np.random.Generator) -> None:
    """Exactly, in fractions: ml_dtypes rounds to float32 on the way."""
    patterns = np.arange(2**dtype.bits).astype(np.uint8).view(dtype.numpy).astype(np.float64)
    grid = np.unique(patterns[np.isfinite(patterns)])
    middles = (grid[1:] + grid[:-1]) / 2
    x = np.concatenate([np.nextafter(middles, -np.inf), middles, np.nextafter(middles, np.inf), grid])
    made = widened(narrowed(x, dtype), dtype).astype(np.float64)
    positions = np.searchsorted(grid, x)
    for value, found, above in zip(x, made, positions):
        low, high = grid[max(above - 1, 0)], grid[min(above, len(grid) - 1)]
        down, up = Fraction(value) - Fraction(low), Fraction(high) - Fraction(value)
        if down != up:
            assert found == (low if down < up else high), value
        else:
            even = narrow_bytes(narrowed(np.array([value]), dtype))[0] % 2 == 0
            assert found in (low, high) and (even or value in grid), value


@pytest.mark.parametrize("mode", ROUND_MODES)
def test_powers_of_two_agree_with_onnx(mode: str, rng: np.random.Generator) -> None:
    x = (np.abs(rng.normal(size=2000)) * 10.0 ** rng.integers(-30, 30, 2000)).astype(np.float32)
    expected = bits(to_float8e8m0(x, True, mode))
    for same in (x, x.astype(np.float64)):
        assert np.array_equal(bits(narrowed(same, dtypes.float8_e8m0fnu, round_mode=mode)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_edges_of_powers_of_two(dtype: type) -> None:
    """The rows of the table in ONNX Cast, and the smallest power, which is a subnormal float32."""
    x = np.array([0, 2.0**-130, 2.0**-127, 1.1 * 2.0**-127, 1.5 * 2.0**127, np.inf, np.nan, -1.0], dtype)
    expected = {
        ("up", True): [0, 0, 0, 1, 254, 254, 255, 255],
        ("down", True): [0, 0, 0, 0, 254, 254, 255, 255],
        ("nearest", True): [0, 0, 0, 0, 254, 254, 255, 255],
        ("nearest", False): [255, 255, 0, 0, 255, 255, 255, 255],
    }
    for (mode, saturate), wanted in expected.items():
        made = narrowed(x, dtypes.float8_e8m0fnu, saturate, mode)
        assert bits(made).tolist() == wanted, (mode, saturate)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_keep_their_lowest_bits(dtype: DType) -> None:
    x = np.array([0, 1, 7, 8, -1, -9, 255, 2**31 - 1, -(2**31)])
    low, high = integer_range(dtype)
    expected = [(int(value) - low) % (high - low + 1) + low for value in x]
    assert widened(narrowed(x, dtype), dtype).tolist() == expected
    floats = np.array([1.9, -1.9, np.nan, np.inf, -np.inf])
    assert widened(narrowed(floats, dtype), dtype).tolist() == [
        (value - low) % (high - low + 1) + low for value in (1, -1, 0, 2**31 - 1, -(2**31))
    ]


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_every_value_fits_its_own_type(dtype: DType) -> None:
    every = np.arange(2**dtype.bits).astype(np.uint8).view(dtype.numpy)
    wide = widened(every, dtype)
    again = fitted(wide, dtype)
    assert np.array_equal(wide, widened(again, dtype), equal_nan=dtype.kind == "narrow_float")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (449.0, dtypes.float8_e4m3fn), (np.inf, dtypes.float8_e4m3fn), (1e9, dtypes.float8_e5m2),
        (np.nan, dtypes.float4_e2m1fn), (6.5, dtypes.float4_e2m1fn), (0.0, dtypes.float8_e8m0fnu),
        (-1.0, dtypes.float8_e8m0fnu), (8, dtypes.int4), (-9, dtypes.int4), (-1, dtypes.uint4),
        (2, dtypes.int2), (1.5, dtypes.int4), (np.nan, dtypes.int4), (2**40, dtypes.uint4),
        (np.inf, dtypes.uint2),
    ],
)  # fmt: skip
def test_data_that_would_change_is_refused(value: float, dtype: DType) -> None:
    with pytest.raises(DTypeError, match=f"does not fit {dtype}"):
        fitted(np.array([1, value]), dtype)
    assert fitted(np.array([1]), dtype).dtype == dtype.numpy


def test_infinities_and_nan_fit_where_there_are_some() -> None:
    made = fitted(np.array([np.inf, -np.inf, np.nan]), dtypes.float8_e5m2).astype(np.float32)
    assert np.array_equal(made, [np.inf, -np.inf, np.nan], equal_nan=True)


def test_stored_bytes_have_no_spare_bits() -> None:
    odd = np.array([255, 253], np.uint8).view(ml_dtypes.int4)
    assert odd.tolist() == [-1, -3] and narrow_bytes(odd).tolist() == [15, 13]
    require_narrow_bytes(narrow_bytes(odd), dtypes.int4)
    with pytest.raises(ValueError, match="int4 has 4 bits"):
        require_narrow_bytes(np.array([16], np.uint8), dtypes.int4)
