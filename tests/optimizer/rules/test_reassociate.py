"""Rules that hold for real numbers, and round differently."""

from __future__ import annotations

from graphflow.optimizer.rules import reassociate as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

X = "x: float32[3,5]"

CASES = [
    Case(
        rules.merge_factors,
        f"{X} -> multiply(3.0, multiply(x, 7.0))",
        "multiply(x, multiply(constant(7.0), constant(3.0)))",
    ),
    Case(rules.merge_terms, f"{X} -> add(add(x, 0.1), 0.2)", "add(x, add(constant(0.1), constant(0.2)))"),
    Case(rules.divide_by_constant, f"{X} -> divide(x, 5.0)", "multiply(x, np.float32(1) / np.float32(5))"),
    Case(
        rules.double_reciprocal,
        "x: float32[3,5] -> reciprocal(reciprocal(add(square(x), 1.0)))",
        "add(square(x), 1.0)",
    ),
    Case(rules.reciprocal_root, f"{X} -> reciprocal(sqrt(x))", "rsqrt(x)"),
    Case(rules.reciprocal_root, f"{X} -> divide(1.0, sqrt(x))", "rsqrt(x)"),
    Case(rules.multiply_by_reciprocal, f"{X}, y: float32[3,5] -> multiply(x, reciprocal(y))", "divide(x, y)"),
    Case(rules.power_one_half, f"{X} -> pow(x, 0.5)", "sqrt(x)"),
    Case(rules.merge_sums, f"{X} -> sum(sum(x, axis=0), axis=0)", "sum(x, axis=(0, 1))"),
    Case(
        rules.merge_sums,
        f"{X} -> prod(prod(x, axis=1, keepdims=True), axis=0, keepdims=True)",
        "prod(x, axis=(0, 1), keepdims=True)",
    ),
]


def test_shared_or_small_parts_stay() -> None:
    assert_declines(
        rules.multiply_by_reciprocal,
        f"{X}, y: float32[5] -> multiply(x, reciprocal(y))",
        "takes fewer divisions",
    )
    assert_declines(rules.merge_sums, f"{X} -> s = sum(x, axis=0); (s, sum(s, axis=0))", "has other users")
    assert_declines(rules.reciprocal_root, f"{X} -> r = sqrt(x); (r, reciprocal(r))", "has other users")


def test_division_by_zero_stays() -> None:
    assert_declines(rules.divide_by_constant, f"{X} -> divide(x, 0.0)", "not a finite number")
    assert_declines(
        rules.divide_by_constant, f"{X} -> divide(x, np.array(1e-45, 'f'))", "not a finite number"
    )
