"""Conversions on both backends, to the bit, and what is done with text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.dtypes import DTYPES, NARROW, DType
from graphflow.ir.narrow import widened
from tests.bad_input.refusal import refused

ON_XLA = [dtype for dtype in NARROW if "float6" not in dtype.name]


def every_value(dtype: DType) -> np.ndarray:
    """All values of a narrow dtype."""
    return np.arange(2**dtype.bits).astype(np.uint8).view(dtype.numpy)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether arrays are equal to the bit, all NaN taken for one."""
    assert left.dtype == right.dtype and left.shape == right.shape
    with np.errstate(all="ignore"):
        wide = [one.astype(np.complex128) for one in (left, right)]
    nan = [np.isnan(one) for one in wide]
    kept = [one[~nan[0]] for one in (left, right)]
    return np.array_equal(*nan) and kept[0].tobytes() == kept[1].tobytes()


@pytest.mark.parametrize("source", ON_XLA, ids=str)
def test_backends_agree_on_every_value_of_a_narrow_dtype(source: DType) -> None:
    values = every_value(source)
    x = gf.placeholder("x", (len(values),), source)
    made = [gf.astype(x, target) for target in (*DTYPES, *ON_XLA)]
    with gf.Session(backend="jax") as jax, gf.Session(backend="numpy") as numpy:
        for tensor, *pair in zip(made, jax.run(made, {x: values}), numpy.run(made, {x: values})):
            assert same_bits(*pair), tensor.type


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_narrow_values_survive_wider_dtypes(dtype: DType) -> None:
    values = every_value(dtype)
    x = gf.constant(values, allow_nan=True)
    there = gf.float32 if dtype.kind == "narrow_float" else gf.int8
    back = gf.astype(gf.astype(x, there), dtype, saturate=False)
    with gf.Session(backend="numpy", level="O0") as sess:
        assert same_bits(widened(sess.run(back), dtype), widened(values, dtype))


@pytest.mark.parametrize("level", ["O0", "O2", "O3"])
def test_optimizing_keeps_the_rules_of_rounding(level: str) -> None:
    """Through float32 and back, and moved copies: no rewrite may forget `saturate`."""
    x = gf.placeholder("x", (3,), gf.int32)
    given = np.array([500, -500, 3], np.int32)
    chain = gf.astype(gf.astype(x, gf.float64), gf.float8_e4m3fn, saturate=False)
    copies = gf.astype(
        gf.broadcast_to(gf.astype(x[:1], gf.float32), (4,)), gf.float8_e5m2fnuz, saturate=False
    )
    with gf.Session(backend="numpy", level=level) as sess:
        first, second = sess.run([chain, copies], {x: given * 1000})
    assert np.isnan(first.astype(np.float32)).tolist() == [True, True, True]
    assert np.isnan(second.astype(np.float32)).all()


def test_a_gradient_stops_at_a_narrow_dtype_unless_it_passes_straight_through() -> None:
    x = gf.placeholder("x", (2,))

    def rounded(t: gf.Tensor) -> gf.Tensor:
        return gf.astype(gf.astype(t, gf.float8_e4m3fn), gf.float32)

    plain = gf.gradients(rounded(x) * x, [x])
    straight = gf.gradients(gf.straight_through(rounded)(x) * x, [x])
    with gf.Session(backend="numpy") as sess:
        given = np.float32([0.3, 100.0])
        values = sess.run([plain, straight], {x: given})
    kept = given.astype(gf.float8_e4m3fn.numpy).astype(np.float32)
    np.testing.assert_array_equal(values[0][0], kept)
    np.testing.assert_array_equal(values[1][0], kept + given)


# Text


@pytest.mark.parametrize(
    ("dtype", "texts", "numbers"),
    [
        ("float32", ["1.5", "-3e2", "INF", "+inf", " 7 "], [1.5, -300, np.inf, np.inf, 7]),
        ("float32", ["-Inf", "NaN"], [-np.inf, np.nan]),
        ("float64", ["0.1", "1E8"], [0.1, 1e8]),
        ("int32", ["100.5", "-7", "3000000000", "1e3"], [100, -7, 3000000000 - 2**32, 1000]),
        ("int64", ["9223372036854775807", "-0", "NaN"], [2**63 - 1, 0, 0]),
        ("int64", ["1e30", "-INF", "9223372036854775808"], [2**63 - 1, -(2**63), -(2**63)]),
        ("uint8", ["255", "256", "-1"], [255, 0, 255]),
        ("bool", ["True", "false", "0", "2", "0.0"], [True, False, False, True, False]),
        ("float16", ["65504", "1e9"], [65504, np.inf]),
        ("float8_e4m3fn", ["0.3", "500"], [0.3125, 448]),
        ("int4", ["7", "9"], [7, -7]),
    ],
)  # fmt: skip
def test_text_is_read_as_numbers(dtype: str, texts: list[str], numbers: list[float]) -> None:
    tensor = gf.astype(gf.constant(texts), dtype)
    with gf.Session(backend="numpy", level="O0") as sess:
        made = sess.run(tensor)
    assert made.dtype == gf.as_dtype(dtype).numpy
    assert widened(made, gf.as_dtype(dtype)).tolist() == pytest.approx(numbers, rel=1e-7, abs=0, nan_ok=True)


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        (
            np.float32([0.1, 3, 1e20, 1e-7, -0.0]),
            ["0.1", "3.0", "100000000000000000000.0", "0.0000001", "-0.0"],
        ),
        (np.float64([1 / 3]), ["0.3333333333333333"]),
        (np.float32([np.nan, np.inf, -np.inf]), ["NaN", "INF", "-INF"]),
        (np.float16([0.1]), ["0.1"]),
        (np.array([2**63], np.uint64), ["9223372036854775808"]),
        (np.array([True, False]), ["True", "False"]),
        (np.float32([0.3, 448]).astype(gf.float8_e4m3fn.numpy), ["0.3125", "448.0"]),
        (np.int8([-8]).astype(gf.int4.numpy), ["-8"]),
        (np.float32([0.3]).astype(gf.bfloat16.numpy), ["0.30078125"]),
    ],
)
def test_numbers_are_printed_without_exponents(numbers: np.ndarray, texts: list[str]) -> None:
    tensor = gf.astype(gf.constant(numbers, allow_nan=True), str)
    assert tensor.dtype is gf.string
    with gf.Session(backend="numpy", level="O0") as sess:
        assert sess.run(tensor).tolist() == texts


def test_printed_floats_read_back_as_they_were(rng: np.random.Generator) -> None:
    given = rng.integers(0, 2**32, 500, np.uint32).view(np.float32)
    again = gf.astype(gf.astype(gf.constant(given, allow_nan=True), str), gf.float32)
    with gf.Session(backend="numpy") as sess:
        assert same_bits(sess.run(again), given)


@pytest.mark.parametrize("text", ["", "Hello", "1_000", "0x10", "1,5", "--1"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    x = gf.placeholder("x", (1,), str)
    tensor = gf.astype(x, gf.int32)
    with gf.Session(backend="numpy") as sess, pytest.raises(gf.DTypeError, match="is no number"):
        sess.run(tensor, {x: [text]})


# Refusals


def test_options_that_are_wrong() -> None:
    x = gf.placeholder("x", (2,))
    with refused(gf.AttributeValueError, "no round_mode 'sideways'", "'nearest'"):
        gf.astype(x, gf.float8_e8m0fnu, round_mode="sideways")
    with refused(gf.AttributeValueError, "no round_mode 7"):
        gf.astype(x, gf.float32, round_mode=7)
    with refused(gf.AttributeValueError, "True or False as saturate"):
        gf.astype(x, gf.float8_e5m2, saturate="maybe")
    with refused(gf.DTypeError, "complex64 is not converted to string"):
        gf.astype(gf.placeholder("c", (), gf.complex64), str)
    with refused(gf.DTypeError, "cannot read the 32 bits of float32 as int16"):
        gf.bitcast(x, gf.int16)
    with refused(gf.DTypeError, "cannot read the 4 bits of int4 as int8"):
        gf.bitcast(gf.placeholder("q", (), gf.int4), gf.int8)
    with refused(gf.DTypeError, "bitcast does not take string"):
        gf.bitcast(gf.placeholder("s", (), str), gf.int8)


def test_bits_of_all_dtypes_of_a_width() -> None:
    """Reading bits twice gives back what was there."""
    pairs = [
        (left, right) for left, right in itertools.permutations((*DTYPES, *ON_XLA), 2)
        if left.bits == right.bits and "bool" not in (left.name, right.name)
    ]  # fmt: skip
    assert len(pairs) > 60
    tensors, feeds = [], {}
    for left, right in pairs:
        raw = np.arange(4 * left.itemsize) * 37 % 2 ** min(left.bits, 8)
        x = gf.placeholder(f"{left}_{right}", (4,), left)
        feeds[x] = raw.astype(np.uint8).view(left.numpy)
        tensors.append(gf.bitcast(gf.bitcast(x, right), left))
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend, level="O0") as sess:
            for made, given in zip(sess.run(tensors, feeds), feeds.values()):
                assert made.tobytes() == given.tobytes()
