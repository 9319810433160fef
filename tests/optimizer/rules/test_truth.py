"""Further rules of truth values, bits and parts: what they give, what they keep, and where they decline."""

from __future__ import annotations

from graphflow.optimizer.rules import truth as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

A = "x: bool[4,5]"
AB = "x: bool[4,5], y: bool[4,5]"
C = "c: bool[4,5], x: float32[4,5], y: float32[4,5], z: float32[4,5]"
F = "x: float32[4,7]"
N = "x: int32[5]"
U = "k: uint32[2] -> u = random_uniform(k, shape=(3,)); "
ALWAYS = "broadcast_to(constant({}), (3,))"

CASES = [
    Case(
        rules.contradiction,
        f"{A} -> logical_and(x, logical_not(x))",
        ALWAYS.format(False).replace("(3,)", "(4,5)"),
    ),
    Case(rules.contradiction, f"{A} -> logical_xor(x, x)", ALWAYS.format(False).replace("(3,)", "(4,5)")),
    Case(
        rules.excluded_middle,
        f"{A} -> logical_or(logical_not(x), x)",
        ALWAYS.format(True).replace("(3,)", "(4,5)"),
    ),
    Case(rules.absorb_truth, f"{AB} -> logical_and(x, logical_or(y, x))", "x"),
    Case(rules.absorb_truth, f"{AB} -> logical_or(logical_and(x, y), x)", "x"),
    Case(
        rules.de_morgan,
        f"{AB} -> logical_and(logical_not(x), logical_not(y))",
        "logical_not(logical_or(x, y))",
    ),
    Case(
        rules.de_morgan,
        f"{AB} -> logical_or(logical_not(x), logical_not(y))",
        "logical_not(logical_and(x, y))",
    ),
    Case(rules.xor_of_not, f"{AB} -> logical_xor(logical_not(x), y)", "logical_not(logical_xor(x, y))"),
    Case(rules.xor_of_not, f"{AB} -> equal(logical_not(x), logical_not(y))", "equal(x, y)"),
    Case(rules.compare_with_true, f"{A} -> equal(x, True)", "x"),
    Case(rules.compare_with_true, f"{A} -> not_equal(x, False)", "x"),
    Case(rules.compare_with_false, f"{A} -> equal(x, False)", "logical_not(x)"),
    Case(rules.compare_with_false, f"{A} -> not_equal(True, x)", "logical_not(x)"),
    Case(rules.reduce_of_not, f"{A} -> all(logical_not(x), axis=1)", "logical_not(any(x, axis=1))"),
    Case(rules.reduce_of_not, f"{A} -> any(logical_not(x))", "logical_not(all(x))"),
    Case(rules.where_of_truth, f"{AB} -> where(y, True, x)", "logical_or(y, x)"),
    Case(rules.where_of_truth, f"{AB} -> where(y, False, x)", "logical_and(logical_not(y), x)"),
    Case(rules.where_of_truth, f"{AB} -> where(y, x, True)", "logical_or(logical_not(y), x)"),
    Case(rules.where_of_truth, f"{AB} -> where(y, x, False)", "logical_and(y, x)"),
    Case(rules.where_is_number, f"{A} -> where(x, 1.0, 0.0)", "astype(x, 'float32')"),
    Case(rules.where_is_number, f"{A} -> where(x, 1, 0)", "astype(x, 'int32')"),
    Case(rules.where_decided_before, f"{C} -> where(c, where(c, x, z), y)", "where(c, x, y)"),
    Case(rules.where_decided_before, f"{C} -> where(c, x, where(c, z, y))", "where(c, x, y)"),
    Case(rules.integer_is_number, f"{N} -> is_nan(x)", "broadcast_to(constant(False), (5,))"),
    Case(rules.integer_is_finite, f"{N} -> is_finite(x)", "broadcast_to(constant(True), (5,))"),
    Case(rules.unequal_is_nan, f"{F} -> not_equal(x, x)", "is_nan(x)"),
    Case(rules.sign_does_not_matter, f"{F} -> is_finite(negative(x))", "is_finite(x)"),
    Case(rules.sign_does_not_matter, f"{F} -> is_nan(abs(x))", "is_nan(x)"),
    Case(rules.nan_either_way, f"{F} -> where(is_nan(x), add(x, 1.0), softplus(x))", "softplus(x)"),
    Case(rules.nan_either_way, f"{F} -> where(is_nan(x), x, multiply(x, x))", "multiply(x, x)"),
    Case(rules.uniform_against_its_bounds, f"{U}less(u, 1.0)", "k: uint32[2] -> " + ALWAYS.format(True)),
    Case(rules.uniform_against_its_bounds, f"{U}less(u, 0.0)", "k: uint32[2] -> " + ALWAYS.format(False)),
    Case(
        rules.uniform_against_its_bounds,
        f"{U}greater_equal(u, 0.0)",
        "k: uint32[2] -> " + ALWAYS.format(True),
    ),
    Case(rules.uniform_against_its_bounds, f"{U}greater(u, 1.0)", "k: uint32[2] -> " + ALWAYS.format(False)),
    Case(rules.neutral_bits, f"{N} -> bitwise_and(x, x)", "x"),
    Case(rules.neutral_bits, f"{N} -> bitwise_or(0, x)", "x"),
    Case(rules.neutral_bits, f"{N} -> bitwise_invert(bitwise_invert(x))", "x"),
    Case(rules.neutral_bits, f"{N} -> bitwise_right_shift(x, 0)", "x"),
    Case(rules.no_bits, f"{N} -> bitwise_and(x, 0)", "broadcast_to(constant(0), (5,))"),
    Case(rules.no_bits, f"{A} -> bitwise_xor(x, x)", ALWAYS.format(False).replace("(3,)", "(4,5)")),
    Case(rules.real_part, "x: float32[3], y: float32[3] -> real(complex(x, y))", "x"),
    Case(rules.real_part, "x: complex64[3] -> conj(conj(x))", "x"),
    Case(rules.real_part, "x: float32[3] -> conj(x)", "x"),
    Case(rules.imaginary_part, "x: float32[3], y: float32[3] -> imag(complex(x, y))", "y"),
    Case(rules.both_parts, "x: complex64[3] -> complex(real(x), imag(x))", "x"),
]


def test_shared_negations_stay() -> None:
    shared = "has other users"
    assert_declines(
        rules.de_morgan, f"{AB} -> n = logical_not(x); (n, logical_and(n, logical_not(y)))", shared
    )
    assert_declines(rules.xor_of_not, f"{AB} -> n = logical_not(x); (n, logical_xor(n, y))", shared)
    assert_declines(rules.reduce_of_not, f"{A} -> n = logical_not(x); (n, all(n))", shared)


def test_a_bound_inside_decides_nothing() -> None:
    assert_declines(
        rules.uniform_against_its_bounds, f"{U}(less(u, 0.5), less_equal(u, 0.0), greater(u, 0.0))"
    )


def test_tests_of_floats_stay() -> None:
    assert_declines([rules.integer_is_number, rules.integer_is_finite], f"{F} -> (is_nan(x), is_finite(x))")
