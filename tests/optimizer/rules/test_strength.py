"""Rules of strength reduction: what they give, what they keep, and where they decline."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.rules import strength as rules
from tests.optimizer.rewriting import assert_declines, assert_same_bits, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
XY = "x: float32[4,7], y: float32[4,7]"
XYZ = f"{XY}, z: float32[4,7]"
N = "x: int32[9]"
POSITIVE = f"{X} -> p = exp(x); "

CASES = [
    Case(rules.integer_power, f"{N} -> pow(x, 2)", "square(x)"),
    Case(rules.integer_power, f"{N} -> pow(x, 5)", "multiply(x, square(square(x)))"),
    Case(rules.float_power, f"{X} -> pow(x, 3.0)", "multiply(x, square(x))", 1e-5),
    Case(rules.float_power, f"{X} -> pow(x, -2.0)", "reciprocal(square(x))", 1e-5),
    Case(rules.power_minus_one_half, f"{POSITIVE}pow(p, -0.5)", "rsqrt(exp(x))", 1e-5),
    Case(rules.multiply_powers, f"{X} -> multiply(x, pow(x, 11.0))", "pow(x, 12.0)", 1e-4),
    Case(rules.multiply_powers, f"{X} -> multiply(pow(x, 2.0), pow(x, 11.0))", "pow(x, 13.0)", 1e-4),
    Case(rules.multiply_powers, f"{POSITIVE}multiply(pow(p, 0.5), p)", "pow(exp(x), 1.5)", 1e-5),
    Case(rules.power_of_power, f"{X} -> pow(pow(x, 3.0), 2.0)", "pow(x, 6.0)", 1e-5),
    Case(rules.power_of_power, f"{POSITIVE}pow(pow(p, 0.5), 3.0)", "pow(exp(x), 1.5)", 1e-5),
    Case(rules.divide_by_shift, f"{N} -> floor_divide(x, 8)", "bitwise_right_shift(x, 3)"),
    Case(rules.remainder_by_mask, f"{N} -> remainder(x, 8)", "bitwise_and(x, 7)"),
    Case(rules.floor_divide_by_one, f"{N} -> floor_divide(x, 1)", "x"),
    Case(rules.remainder_by_one, f"{N} -> remainder(x, 1)", "broadcast_to(constant(0), (9,))"),
    Case(
        rules.remainder_of_remainder, f"{N}, y: int32[9] -> remainder(remainder(x, y), y)", "remainder(x, y)"
    ),
    Case(rules.divide_of_quotient, f"{XYZ} -> divide(divide(x, y), z)", "divide(x, multiply(y, z))"),
    Case(rules.divide_by_quotient, f"{XYZ} -> divide(x, divide(y, z))", "divide(multiply(x, z), y)"),
    Case(rules.reciprocal_of_quotient, f"{XY} -> reciprocal(divide(x, y))", "divide(y, x)"),
    Case(rules.divide_by_exp, f"{X} -> reciprocal(exp(x))", "exp(negative(x))"),
    Case(rules.divide_by_exp, f"{XY} -> divide(y, exp(x))", "multiply(y, exp(negative(x)))"),
    Case(rules.product_of_exp, f"{XY} -> multiply(exp(x), exp(y))", "exp(add(x, y))", 1e-5),
    Case(
        rules.divide_by_root,
        "x: float32[4,7], y: float32[7] -> divide(x, sqrt(exp(y)))",
        "multiply(x, rsqrt(exp(y)))",
    ),
    Case(rules.reciprocal_of_rsqrt, f"{POSITIVE}reciprocal(rsqrt(p))", "sqrt(exp(x))"),
    Case(rules.square_of_root, f"{POSITIVE}square(sqrt(p))", "exp(x)"),
    Case(
        rules.square_of_root,
        f"{X} -> v = sum(square(x), axis=1); multiply(sqrt(v), sqrt(v))",
        "sum(square(x), axis=1)",
    ),
    Case(rules.square_of_rsqrt, f"{POSITIVE}square(rsqrt(p))", "reciprocal(exp(x))"),
    Case(rules.exp_of_log, f"{POSITIVE}exp(log(add(p, 1.0)))", "add(exp(x), 1.0)", 1e-5),
    Case(rules.factor_out, f"{XYZ} -> add(multiply(x, y), multiply(x, z))", "multiply(x, add(y, z))"),
    Case(
        rules.merge_differences, f"{X} -> subtract(add(x, 7.0), 3.0)", "add(x, subtract(constant(7.0), 3.0))"
    ),
    Case(
        rules.merge_differences,
        f"{X} -> subtract(subtract(x, 7.0), 3.0)",
        "subtract(x, add(constant(7.0), 3.0))",
    ),
    Case(rules.multiply_by_sign, f"{X} -> multiply(sign(x), x)", "abs(x)"),
    Case(
        rules.transpose_of_product,
        "x: float32[4,7], y: float32[5,4] -> permute_dims(matmul(permute_dims(x), permute_dims(y)))",
        "matmul(y, x)",
    ),
]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16"])
@pytest.mark.parametrize("call", ["floor_divide(x, {})", "remainder(x, {})", "pow(x, {})"])
def test_every_byte_is_divided_exactly(dtype: str, call: str) -> None:
    """All values of the small dtypes, and the ends of the large ones, by divisors that fit."""
    limits = np.iinfo(dtype)
    x = np.arange(limits.min, limits.max + 1, dtype=dtype) if limits.bits <= 16 else _ends(limits, dtype)
    for number in (2, 4, 64):
        text = f"x: {dtype}[{x.size}] -> " + call.format(f"constant({number}, '{dtype}')")
        plain, program = build(text), build(text)
        fired = rewrite(program, rules.RULES).edits
        assert fired or (number == 64 and "pow" in call)
        assert_same_bits(values(program, [x])[0], values(plain, [x])[0])


def _ends(limits: np.iinfo, dtype: str) -> np.ndarray:
    near = np.arange(0, 300)
    return np.concatenate([limits.min + near, near, -near, limits.max - near]).astype(dtype)


@pytest.mark.parametrize("divisor", [3, -8, 0])
def test_other_divisors_stay(divisor: int) -> None:
    text = f"x: int64[3] -> c = constant({divisor}, 'int64'); (floor_divide(x, c), remainder(x, c))"
    assert_declines([rules.divide_by_shift, rules.remainder_by_mask], text)


def test_what_may_be_negative_keeps_its_root() -> None:
    said = "may be negative"
    assert_declines(rules.square_of_root, f"{X} -> square(sqrt(x))", said)
    assert_declines(rules.square_of_rsqrt, f"{X} -> square(rsqrt(x))", said)
    assert_declines(rules.exp_of_log, f"{X} -> exp(log(x))", said)
    assert_declines(rules.multiply_powers, f"{X} -> multiply(pow(x, 0.5), x)", said)
    assert_declines(rules.power_of_power, f"{X} -> pow(pow(x, 2.0), 0.5)", said)


def test_shared_parts_stay() -> None:
    shared = "has other users"
    assert_declines(rules.divide_of_quotient, f"{XYZ} -> q = divide(x, y); (q, divide(q, z))", shared)
    assert_declines(rules.divide_by_quotient, f"{XYZ} -> q = divide(y, z); (q, divide(x, q))", shared)
    assert_declines(rules.reciprocal_of_quotient, f"{XY} -> q = divide(x, y); (q, reciprocal(q))", shared)
    assert_declines(rules.divide_by_exp, f"{X} -> e = exp(x); (e, reciprocal(e))", shared)
    assert_declines(rules.product_of_exp, f"{XY} -> e = exp(x); (e, multiply(e, exp(y)))", shared)
    assert_declines(rules.factor_out, f"{XYZ} -> p = multiply(x, y); (p, add(p, multiply(x, z)))", shared)
    assert_declines(
        rules.divide_by_root, "x: float32[4,7], y: float32[7] -> r = sqrt(y); (r, divide(x, r))", shared
    )
    assert_declines(
        rules.transpose_of_product,
        "x: float32[4,7], y: float32[5,4]"
        " -> p = matmul(permute_dims(x), permute_dims(y)); (p, permute_dims(p))",
        shared,
    )


def test_large_powers_stay() -> None:
    assert_declines(rules.float_power, f"{X} -> pow(x, 31.0)", "takes more than 4 products")
    assert_declines(rules.float_power, f"{X} -> pow(x, 2.5)")


def test_exponentials_are_not_made_larger() -> None:
    assert_declines(
        rules.product_of_exp,
        "x: float32[4,1], y: float32[1,7] -> multiply(exp(x), exp(y))",
        "smaller than the product",
    )
