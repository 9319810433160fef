"""Samples of the quantization family."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.samples import sample

rng = np.random.default_rng(11)
X = (rng.normal(size=(3, 4)) * 40).astype(np.float32)
ODD = np.array([np.nan, np.inf, -np.inf, -0.0, 1e30, 2.5, 3.5, -2.5], np.float32)
HALF = np.float32(0.5)
FLOATS = (
    ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz,
    ml_dtypes.float4_e2m1fn,
)  # fmt: skip
INTEGERS = (ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2, np.int16, np.uint16)


def zero(dtype: type, value: float = 0) -> np.ndarray:
    return np.array(value).astype(dtype)


# A gradient of 0 cannot be told from differences across the jumps, so none is compared here.
sample("quantize_linear", X, np.float32(0.1), zero(np.int8, 3), gradient=False)
sample("quantize_linear", ODD, HALF, zero(np.uint8, 128), gradient=False)
sample("quantize_linear", X, np.float32([0.1, 1, 10]), np.uint8([0, 7, 255]), axis=0, gradient=False)
sample(
    "quantize_linear", X, np.ones((3, 2), np.float32), np.zeros((3, 2), np.int8), block_size=3, gradient=False
)
sample("quantize_linear", X, np.float32([2.0]), zero(np.int8)[None], axis=-1, gradient=False)
sample("quantize_linear", X.astype(np.float16), np.float32(0.3), zero(np.int8), gradient=False)
sample("quantize_linear", X, np.float32(0.3), zero(np.int8), precision="float16", gradient=False)
sample("quantize_linear", X, np.float32(0.3), zero(np.int8), precision="bfloat16", gradient=False)
sample("quantize_linear", X.astype(np.float64), np.float64(0.3), zero(np.int8), gradient=False)
sample("quantize_linear", np.int32([2**30, -7, 7]), np.int32(2), zero(np.int16), gradient=False)
sample("quantize_linear", np.zeros((0, 3), np.float32), HALF, zero(np.int8), gradient=False)
sample("quantize_linear", np.float32(7), zero(ml_dtypes.float8_e8m0fnu, 2), zero(np.int8), gradient=False)
for dtype in (*FLOATS, *INTEGERS):
    sample("quantize_linear", X, np.float32(0.7), zero(dtype), gradient=False)
    sample("quantize_linear", ODD, np.float32(0.7), zero(dtype), saturate=False, gradient=False)
    sample("dequantize_linear", np.arange(4).astype(dtype), np.float32(0.7), zero(dtype, 1), gradient=False)

Q = rng.integers(-128, 128, (3, 4)).astype(np.int8)
sample("dequantize_linear", Q, np.float32(0.1), zero(np.int8, 3))
sample("dequantize_linear", Q, np.float32([0.1]), np.int8([3]))
sample("dequantize_linear", Q, np.float32([0.1, 1, 10]), np.int8([0, 7, -5]), axis=0)
sample("dequantize_linear", Q, np.ones((3, 2), np.float32), np.zeros((3, 2), np.int8), block_size=3)
sample("dequantize_linear", Q, np.ones((2, 4), np.float32), np.ones((2, 4), np.int8), block_size=2, axis=0)
sample("dequantize_linear", Q, np.float16(0.1), zero(np.int8), gradient=False)
sample("dequantize_linear", Q, np.float32(0.1), zero(np.int8), dtype="bfloat16", gradient=False)
sample("dequantize_linear", np.int32([2**31 - 1, 5]), np.float32(0.1), np.int32(0), gradient=False)
sample("dequantize_linear", np.uint8([5]), zero(ml_dtypes.float8_e8m0fnu, 4), np.uint8(2), gradient=False)
sample("dequantize_linear", np.zeros((0, 3), np.uint8), np.float32(0.1), np.uint8(1))

for left in (np.int8, np.uint8):
    for right in (np.int8, np.uint8):
        a = rng.integers(0, 256, (2, 3, 5)).astype(np.uint8).view(left)
        b = rng.integers(0, 256, (5, 4)).astype(np.uint8).view(right)
        sample("matmul_integer", a, b, zero(left, 7), zero(right, 9))
A, B = rng.integers(0, 256, (3, 5)).astype(np.uint8), rng.integers(-128, 128, (5, 4)).astype(np.int8)
sample("matmul_integer", A, B, np.uint8([1, 2, 255]), np.int8([-128, 0, 7, 127]))
sample("matmul_integer", A[None], B, np.uint8([[[1], [2], [255]]]), np.int8([[-128, 0, 7, 127]]))
sample("matmul_integer", A[0], B, np.uint8(3), np.int8([1, 2, 3, 4]))
sample("matmul_integer", A, B[:, 0], np.uint8([1, 2, 3]), np.int8([5]))
sample("matmul_integer", A[0], B[:, 0], np.uint8([1]), np.int8(5))
sample("matmul_integer", A[:, :0], B[:0], np.uint8(3), np.int8(5))
sample("matmul_integer", np.zeros((2, 0, 5), np.uint8), B, np.uint8(3), np.int8(5))
