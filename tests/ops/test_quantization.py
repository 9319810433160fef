"""Quantization: against the formula in exact arithmetic, onnx's reference, on both backends, and refusals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.narrow import integer_range
from tests.bad_input.refusal import refused

BACKENDS = ["numpy", "jax"]
ROWS, SQUARE = np.ones((2, 3), np.int8), np.ones((3, 3), np.int8)


def run(tensors: Any, feeds: dict[gf.Tensor, Any] | None = None, backend: str = "numpy") -> Any:
    with gf.Session(backend=backend) as sess:
        return sess.run(tensors, feeds)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int4", "uint4", "int2", "uint2"])
def test_quotients_are_rounded_to_the_nearest_even(
    dtype: str, backend: str, rng: np.random.Generator
) -> None:
    """As float32 division says, not a multiplication by the inverse, which is off by one at ties."""
    scale = np.float32(0.1)
    steps = rng.integers(-600, 600, 4000) / 2
    x = (steps * float(scale)).astype(np.float32)
    low, high = integer_range(gf.as_dtype(dtype))
    zero = np.array(high // 2)
    p = gf.placeholder("p", x.shape)
    made = run(gf.quantize_linear(p, scale, gf.constant(zero, dtype)), {p: x}, backend)
    quotients = x / scale
    expected = [min(max(round(Fraction(float(q))) + int(zero), low), high) for q in quotients]
    assert made.astype(np.int64).tolist() == expected
    assert np.any(quotients % 1 == 0.5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_of_which_the_last_is_shorter(backend: str) -> None:
    x = np.arange(10, dtype=np.float32).reshape(2, 5)
    scale = np.float32([[1, 2, 4], [0.5, 1, 8]])
    p = gf.placeholder("p", (2, 5))
    q = gf.quantize_linear(p, scale, axis=-1, block_size=2, dtype=gf.int8)
    back = gf.dequantize_linear(q, scale, axis=1, block_size=2)
    wide = np.repeat(scale, 2, axis=1)[:, :5]
    first, second = run([q, back], {p: x}, backend)
    assert np.array_equal(first, np.rint(x / wide).astype(np.int8))
    assert np.array_equal(second, first * wide)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_that_are_not_finite(backend: str) -> None:
    p = gf.placeholder("p", (4,))
    given = {p: np.float32([np.nan, np.inf, -np.inf, 1e38])}
    q = gf.quantize_linear(p, 0.5, gf.constant(3, gf.int8))
    f = gf.quantize_linear(p, 0.5, dtype=gf.float8_e4m3fn)
    integers, floats = run([q, f], given, backend)
    assert integers.tolist() == [3, 127, -128, 127]
    np.testing.assert_array_equal(floats.astype(np.float32), [np.nan, 448, -448, 448])


def test_a_float8_keeps_the_sign_of_zero_and_adds_a_zero_point() -> None:
    x = gf.constant([-0.0, 1.0])
    plain = run(gf.quantize_linear(x, 1.0, dtype=gf.float8_e5m2))
    shifted = run(gf.quantize_linear(x, 1.0, gf.constant(2.0, gf.float8_e5m2)))
    assert np.signbit(plain.astype(np.float32)).tolist() == [True, False]
    assert shifted.astype(np.float32).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float64"])
def test_precision_is_that_of_the_division(precision: str, backend: str, rng: np.random.Generator) -> None:
    x = (rng.normal(size=3000) * 30).astype(np.float32)
    p = gf.placeholder("p", x.shape)
    kind = gf.as_dtype(precision).numpy
    made = run(gf.quantize_linear(p, 0.3, dtype=gf.int8, precision=precision), {p: x}, backend)
    expected = np.clip(np.rint((x.astype(kind) / np.float32(0.3).astype(kind)).astype(np.float64)), -128, 127)
    assert np.array_equal(made, expected.astype(np.int8))
    plain = run(gf.quantize_linear(p, 0.3, dtype=gf.int8), {p: x}, backend)
    assert precision == "float64" or not np.array_equal(made, plain)


def test_symbolic_sizes_meet_their_scales() -> None:
    x = gf.placeholder("x", ("n", 6))
    per_row = gf.placeholder("per_row", ("n",))
    blocks = gf.placeholder("blocks", ("n", 3))
    q = gf.quantize_linear(x, per_row, axis=0)
    b = gf.quantize_linear(x, blocks, axis=1, block_size=2)
    assert str(q.type) == "uint8[n, 6]"
    feeds = {x: np.ones((2, 6)), per_row: [1.0, 0.5], blocks: np.full((2, 3), 0.25)}
    first, second = run([q, b], feeds)
    assert first[:, 0].tolist() == [1, 2] and (second == 4).all()


def test_learned_scales_have_gradients() -> None:
    """Quantization-aware training: straight through for x, by the formula for the scale."""
    x, scale = gf.placeholder("x", (2, 3)), gf.placeholder("scale", (2,))
    q = gf.quantize_linear(x, gf.stop_gradient(scale), axis=0, dtype=gf.int8)
    y = gf.dequantize_linear(q, scale, axis=0)
    given = {x: np.float32([[1, 2, 3], [4, 5, 6]]), scale: np.float32([1.0, 0.5])}
    by_x, by_scale = run(gf.gradients(y, [x, scale]), given)
    assert not by_x.any() and by_scale.tolist() == [6.0, 30.0]
    through = gf.straight_through(
        lambda t: gf.dequantize_linear(gf.quantize_linear(t, 0.5, dtype=gf.int8), 0.5)
    )
    slope = run(gf.gradients(gf.square(through(x)), [x]), {x: given[x]})[0]
    assert np.array_equal(slope, 2 * given[x])


@pytest.mark.parametrize(
    ("call", "kind", "fact"),
    [
        (lambda x: gf.quantize_linear(x, [1.0, 2.0]), gf.ShapeError, "needs a scale of shape [3]"),
        (lambda x: gf.quantize_linear(x, [[1.0], [2.0]], block_size=2), gf.ShapeError, "[2, 2] for blocks"),
        (lambda x: gf.quantize_linear(x, 1.0, block_size=2), gf.ShapeError, "blocks of 2"),
        (lambda x: gf.quantize_linear(x, 1.0, [1, 2]), gf.DTypeError, "cannot be int32"),
        (lambda x: gf.quantize_linear(x, 1.0, dtype="int32"), gf.DTypeError, "cannot be int32"),
        (lambda x: gf.quantize_linear(x, 1.0, np.int8(1), dtype="uint8"), gf.DTypeError, "dtype=uint8"),
        (lambda x: gf.quantize_linear(x, 1.0, dtype="float8_e8m0fnu"), gf.DTypeError, "cannot be float8"),
        (lambda x: gf.quantize_linear(x, 1.0, precision="int8"), gf.DTypeError, "precision"),
        (lambda x: gf.quantize_linear(x, np.int8(1)), gf.DTypeError, "the scale of quantize_linear"),
        (lambda x: gf.quantize_linear(x, [1.0] * 3, axis=2), gf.AttributeValueError, "axis 2"),
        (lambda x: gf.quantize_linear(x, 1.0, block_size=-1), gf.AttributeValueError, "block_size"),
        (lambda x: gf.quantize_linear(gf.equal(x, x), 1.0), gf.DTypeError, "cannot be bool"),
        (lambda x: gf.dequantize_linear(x, 1.0), gf.DTypeError, "cannot be float32"),
        (lambda x: gf.dequantize_linear(np.int8([1]), 1.0, np.uint8(1)), gf.DTypeError, "cannot be uint8"),
        (lambda x: gf.dequantize_linear(np.int8([1]), 1.0, dtype="int8"), gf.DTypeError, "precision"),
        (lambda x: gf.matmul_integer(x, x), gf.DTypeError, "has dtype float32"),
        (lambda x: gf.matmul_integer(ROWS, ROWS), gf.ShapeError, "3 != 2"),
        (lambda x: gf.matmul_integer(ROWS, SQUARE, np.int8([1, 2, 3])), gf.ShapeError, "rows of [2, 3]"),
        (lambda x: gf.matmul_integer(ROWS, SQUARE, np.uint8(1)), gf.DTypeError, "of int8 is uint8"),
        (lambda x: gf.conv_integer(x, x), gf.DTypeError, "operand x of conv_integer"),
        (lambda x: gf.dynamic_quantize_linear(np.int8([1])), gf.DTypeError, "int8"),
    ],
)  # fmt: skip
def test_refusals(call: Any, kind: type[gf.GraphFlowError], fact: str) -> None:
    x = gf.placeholder("x", (2, 3))
    with refused(kind, fact):
        call(x)


# Products


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_of_bytes_are_exact(backend: str, rng: np.random.Generator) -> None:
    """At the extremes, where an 8-bit product would saturate and a float32 sum would round."""
    a = np.full((3, 3000), 255, np.uint8)
    b = np.full((3000, 2), -128, np.int8)
    a[1], b[:, 1] = rng.integers(0, 256, 3000), rng.integers(-128, 128, 3000)
    p, q = gf.placeholder("p", a.shape, gf.uint8), gf.placeholder("q", b.shape, gf.int8)
    zeros = np.uint8([0, 17, 255]), np.int8([127, -128])
    made = run(gf.matmul_integer(p, q, *zeros), {p: a, q: b}, backend)
    exact = (a.astype(np.int64) - zeros[0][:, None]) @ (b.astype(np.int64) - zeros[1])
    assert made.dtype == np.int32 and np.array_equal(made, exact)


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution_of_bytes(backend: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (1, 4, 6, 6)).astype(np.uint8)
    w = rng.integers(-128, 128, (6, 2, 3, 3)).astype(np.int8)
    w_zero = rng.integers(-128, 128, 6).astype(np.int8)
    options: dict[str, Any] = {"strides": 2, "padding": 1, "groups": 2}
    p = gf.placeholder("p", x.shape, gf.uint8)
    made = gf.conv_integer(p, w, np.uint8(100), w_zero, **options)
    wide = gf.nn.conv(
        x.astype(np.float64) - 100, w.astype(np.float64) - w_zero[:, None, None, None], **options
    )
    found, expected = run([made, wide], {p: x}, backend)
    assert found.dtype == np.int32 and np.array_equal(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_quantized_layer_follows_the_float_layer(backend: str, rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(5, 16)).astype(np.float32), rng.normal(size=(16, 4)).astype(np.float32)
    p = gf.placeholder("p", x.shape)
    q, scale, zero = gf.dynamic_quantize_linear(p)
    w_scale = (abs(w).max(0) / 127).astype(np.float32)
    w_zero = np.zeros(4, np.int8)
    weights = gf.quantize_linear(w, w_scale, axis=1, dtype=gf.int8)
    y_scale, y_zero = np.float32(0.1), np.uint8(128)
    made = gf.qlinear_matmul(q, scale, zero, weights, w_scale, w_zero, y_scale, y_zero)
    back = gf.dequantize_linear(made, y_scale, y_zero)
    assert abs(run(back, {p: x}, backend) - np.clip(x @ w, -12.8, 12.7)).max() < 0.25


def test_a_range_of_zeros_has_a_scale() -> None:
    y, scale, zero = run(list(gf.dynamic_quantize_linear(gf.zeros((2, 2)))))
    assert not y.any() and scale == np.float32(1 / 255) and zero == 0


def test_quantized_constants_keep_their_bits_when_folded() -> None:
    q = gf.quantize_linear(gf.constant([1.0, -0.6, 9.9]), 0.25, dtype=ml_dtypes.int4)
    with gf.Session(backend="jax", level="O2") as sess:
        assert sess.run(gf.identity(q)).tolist() == [4, -2, 7]
