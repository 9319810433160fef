"""Rules of quantization: exact for every value of every dtype, and declining where floats have no room."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.ir.dtypes import as_dtype
from graphflow.ir.narrow import integer_range
from graphflow.optimizer.rules import quantization as rules
from tests.optimizer.rewriting import assert_declines, build, rewrite, values
from tests.optimizer.rules.cases import Case

Q = "q: int8[40]"
SCALE = "s, z = constant(np.float32(0.1)), constant(np.int8(3)); "
TWO = SCALE + "t, w = constant(np.float32(0.7)), constant(np.uint8(9)); "
THERE = "x = dequantize_linear(q, s, z); "
RELU = "x: float32[4,7] -> s, z = constant(np.float32(0.1)), constant(np.{}); "

CASES = [
    Case(rules.quantize_what_was_dequantized, f"{Q} -> {SCALE}{THERE}quantize_linear(x, s, z)", "q"),
    Case(
        rules.move_quantized,
        f"{Q} -> {SCALE}{THERE}quantize_linear(reshape(x, (5, 8)), s, z)",
        "reshape(q, (5, 8))",
    ),
    Case(
        rules.move_quantized,
        f"q: int8[4,10] -> {SCALE}{THERE}quantize_linear(permute_dims(x), s, z)",
        "permute_dims(q)",
    ),
    Case(
        rules.move_quantized,
        f"{Q}, r: int8[2] -> {SCALE}{THERE}"
        "quantize_linear(concat(x, dequantize_linear(r, s, z), x, axis=0), s, z)",
        "concat(q, r, q, axis=0)",
    ),
    Case(
        rules.relu_before_quantize,
        RELU.format("uint8(0)") + "quantize_linear(relu(x), s, z)",
        RELU.format("uint8(0)") + "quantize_linear(x, s, z)",
    ),
    Case(
        rules.relu_before_quantize,
        RELU.format("int8(-128)") + "quantize_linear(relu(x), s, z)",
        RELU.format("int8(-128)") + "quantize_linear(x, s, z)",
    ),
    Case(
        rules.quantize_before_permute,
        f"x: float32[4,7] -> {SCALE}quantize_linear(permute_dims(x), s, z)",
        f"x: float32[4,7] -> {SCALE}permute_dims(quantize_linear(x, s, z))",
    ),
    *[
        Case(
            rules.elementwise_of_dequantized,
            f"q: int8[4,10], r: uint8[4,10] -> {TWO}{f}(dequantize_linear(permute_dims(q), s, z), "
            "dequantize_linear(permute_dims(r), t, w))",
            f"q: int8[4,10], r: uint8[4,10] -> {TWO}permute_dims({f}(dequantize_linear(q, s, z), "
            "dequantize_linear(r, t, w)))",
        )
        for f in ("add", "multiply", "less")
    ],
]


@pytest.mark.parametrize("scale", [0.1, 1.0, 1 / 3, 3e-20, 7e25, 0.0078125, 12345.678])
@pytest.mark.parametrize(
    ("dtype", "floating"),
    [
        ("int8", "float32"), ("uint8", "float32"), ("int16", "float32"), ("uint16", "float32"),
        ("int4", "float32"), ("uint2", "float32"),
        ("uint16", "float64"), ("int4", "bfloat16"), ("int8", "float16"),
    ],
)  # fmt: skip
def test_every_value_comes_back(dtype: str, floating: str, scale: float) -> None:
    """quantize(dequantize(q)) = q for each q and several zero points, wherever the rule fires."""
    kind = as_dtype(dtype)
    low, high = integer_range(kind)
    q = np.arange(low, high + 1).astype(kind.numpy)
    for zero in (low, 0, high):
        text = (
            f"q: {dtype}[{q.size}] -> s = constant(np.float64({scale!r}), '{floating}');"
            f"z = constant({zero}, '{dtype}'); quantize_linear(dequantize_linear(q, s, z), s, z)"
        )
        plain, program = build(text), build(text)
        fired = rewrite(program, rules.RULES).edits
        assert fired or floating in ("float16", "bfloat16")
        if fired:
            np.testing.assert_array_equal(values(plain, [q])[0].astype(int), q.astype(int))


def test_a_scale_for_each_channel() -> None:
    text = "q: int8[3,2] -> s, z = constant([0.5, 0.1]), constant(np.array([1, 2], np.int8));"
    program = build(f"{text} quantize_linear(dequantize_linear(q, s, z, axis=1), s, z, axis=1)")
    rewrite(program, rules.RULES)
    assert program.outputs == program.feeds
    assert_declines(
        rules.quantize_what_was_dequantized,
        text.replace("[3,2]", "[2,2]") + "quantize_linear(dequantize_linear(q, s, z, axis=1), s, z, axis=0)",
        "different axes or blocks",
    )


def test_rounding_is_never_taken_back() -> None:
    """dequantize(quantize(x)) is x rounded to steps, not x."""
    assert_declines(
        rules.RULES, f"x: float32[40] -> {SCALE}dequantize_linear(quantize_linear(x, s, z), s, z)"
    )


def test_where_values_might_not_come_back() -> None:
    one = rules.quantize_what_was_dequantized
    again = f"{THERE}quantize_linear(x, s, z)"
    assert_declines(
        one, f"{Q} -> {SCALE}{THERE}quantize_linear(x, constant(np.float32(0.2)), z)", "different scales"
    )
    assert_declines(one, f"{Q}, s: float32[] -> z = constant(np.int8(3)); {again}", "not a constant")
    for scale in ("0.0", "1e-38", "1e37", "np.inf", "-0.1"):
        assert_declines(
            one,
            f"{Q} -> s, z = constant(np.float32({scale})), constant(np.int8(3)); {again}",
            "so small or large",
        )
    assert_declines(
        one,
        f"q: int16[4] -> s, z = constant(np.float16(0.1)), constant(np.int16(3)); {again}",
        "too few digits",
    )
    assert_declines(
        one,
        f"q: float8_e5m2[4] -> s, z = constant(np.float32(0.1)), constant(0.0, 'float8_e5m2'); {again}",
        "has infinities",
    )


def test_moves_that_others_read_stay() -> None:
    assert_declines(
        rules.move_quantized,
        f"{Q} -> {SCALE}{THERE}y = reshape(x, (5, 8)); (y, quantize_linear(y, s, z))",
        "reshape has other users",
    )


def test_joined_pieces_of_different_scales_stay() -> None:
    pieces = "x, y = dequantize_linear(q, s, z), dequantize_linear(q, np.float32(0.2), z); "
    assert_declines(
        rules.move_quantized,
        f"{Q} -> {SCALE}{pieces}quantize_linear(concat(x, y, axis=0), s, z)",
        "the two have different scales or zero points",
    )
    assert_declines(
        rules.move_quantized,
        f"{Q}, y: float32[2] -> {SCALE}{THERE}quantize_linear(concat(x, y, axis=0), s, z)",
    )


def test_relu_stays_where_the_zero_point_is_no_end() -> None:
    assert_declines(rules.relu_before_quantize, RELU.format("int8(3)") + "quantize_linear(relu(x), s, z)")
    assert_declines(
        rules.relu_before_quantize,
        "x: float32[4], s: float32[] -> quantize_linear(relu(x), s, constant(np.uint8(0)))",
        "not known to be positive",
    )


def test_permutations_that_others_read_or_that_differ_stay() -> None:
    given = f"q: int8[4,4], r: uint8[4,4] -> {TWO}"
    assert_declines(
        rules.quantize_before_permute,
        f"x: float32[4,7] -> {SCALE}y = permute_dims(x); (y, quantize_linear(y, s, z))",
        "other users",
    )
    assert_declines(
        rules.quantize_before_permute,
        "x: float32[4,2] -> s = constant(np.array([0.1, 0.2, 0.3, 0.4], 'float32')); "
        "z = constant(np.zeros(4, 'int8')); quantize_linear(permute_dims(x), s, z)",
    )
    assert_declines(
        rules.elementwise_of_dequantized,
        f"{given}p = permute_dims(q); (p, dequantize_linear(p, s, z) + "
        "dequantize_linear(permute_dims(r), t, w))",
        "other users",
    )
    assert_declines(
        rules.elementwise_of_dequantized,
        f"{given}dequantize_linear(q, s, z) + dequantize_linear(permute_dims(r), t, w)",
    )
    assert_declines(
        rules.elementwise_of_dequantized,
        f"{given}dequantize_linear(permute_dims(q, (0, 1)), s, z) + dequantize_linear(permute_dims(r), t, w)",
    )
