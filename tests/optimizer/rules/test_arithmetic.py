"""Rules of arithmetic: programs, values to the bit, and where they must hold back."""

from __future__ import annotations

from graphflow.optimizer.rules import arithmetic as rules
from tests.optimizer.rewriting import assert_declines, assert_rewrites
from tests.optimizer.rules.cases import Case

F = "x: float32[3,5]"
XY = "x: float32[3,5], y: float32[5]"
N = "x: int32[3,5]"

CASES = [
    Case(rules.neutral_element, f"{F} -> multiply(x, 1.0)", "x"),
    Case(rules.neutral_element, f"{F} -> multiply(1.0, x)", "x"),
    Case(rules.neutral_element, f"{F} -> divide(x, 1.0)", "x"),
    Case(rules.neutral_element, f"{F} -> add(x, -0.0)", "x"),
    Case(rules.neutral_element, f"{F} -> subtract(x, 0.0)", "x"),
    Case(rules.neutral_element, f"{F} -> pow(x, 1.0)", "x"),
    Case(rules.neutral_element, f"{N} -> multiply(x, 1)", "x"),
    Case(rules.neutral_element, "x: float32[] -> multiply(x, 1.0)", "x"),
    Case(rules.neutral_element, "x: float32[0,2] -> multiply(x, 1.0)", "x"),
    Case(
        rules.neutral_element,
        "x: float32[1] -> multiply(x, np.ones((4, 3), 'f'))",
        "broadcast_to(x, shape=(4, 3))",
    ),
    Case(rules.neutral_element, f"{F} -> multiply(x, broadcast_to(constant(1.0), (3, 5)))", "x"),
    Case(rules.add_integer_zero, f"{N} -> add(x, 0)", "x"),
    Case(rules.add_zero, f"{F} -> add(0.0, x)", "x"),
    Case(rules.add_zero, f"{F} -> subtract(x, -0.0)", "x"),
    Case(rules.multiply_by_integer_zero, f"{N} -> multiply(x, 0)", "broadcast_to(constant(0), (3, 5))"),
    Case(rules.multiply_by_zero, "x: float32[] -> multiply(x, 0.0)", "constant(0.0)"),
    Case(rules.subtract_integer_itself, f"{N} -> subtract(x, x)", "broadcast_to(constant(0), (3, 5))"),
    Case(rules.subtract_itself, f"{F} -> subtract(x, x)", "broadcast_to(constant(0.0), (3, 5))"),
    Case(rules.divide_by_itself, f"{F} -> divide(x, x)", "broadcast_to(constant(1.0), (3, 5))"),
    Case(rules.power_zero, f"{F} -> pow(x, 0.0)", "broadcast_to(constant(1.0), (3, 5))"),
    Case(rules.power_zero, f"{F} -> pow(x, -0.0)", "broadcast_to(constant(1.0), (3, 5))"),
    Case(rules.power_zero, f"{N} -> pow(x, 0)", "broadcast_to(constant(1), (3, 5))"),
    Case(rules.multiply_by_minus_one, f"{F} -> multiply(-1.0, x)", "negative(x)"),
    Case(rules.multiply_by_minus_one, f"{F} -> divide(x, -1.0)", "negative(x)"),
    Case(rules.multiply_by_minus_one, f"{N} -> multiply(x, -1)", "negative(x)"),
    Case(rules.subtract_from_integer_zero, f"{N} -> subtract(0, x)", "negative(x)"),
    Case(rules.subtract_from_minus_zero, f"{F} -> subtract(-0.0, x)", "negative(x)"),
    Case(rules.subtract_from_zero, f"{F} -> subtract(0.0, x)", "negative(x)"),
    Case(rules.double_negation, f"{F} -> negative(negative(x))", "x"),
    Case(rules.add_negative, f"{XY} -> add(negative(y), x)", "subtract(x, y)"),
    Case(rules.subtract_negative, f"{XY} -> subtract(x, negative(y))", "add(x, y)"),
    Case(rules.cancel_signs, f"{XY} -> multiply(negative(x), negative(y))", "multiply(x, y)"),
    Case(rules.cancel_signs, f"{XY} -> divide(negative(x), negative(y))", "divide(x, y)"),
    Case(rules.negate_difference, f"{XY} -> negative(subtract(x, y))", "subtract(y, x)"),
    Case(rules.sign_is_lost, f"{F} -> abs(negative(x))", "abs(x)"),
    Case(rules.sign_is_lost, f"{F} -> square(abs(negative(x)))", "square(x)"),
    Case(rules.multiply_by_itself, f"{F} -> multiply(x, x)", "square(x)"),
    Case(rules.one_divided, f"{F} -> divide(1.0, x)", "reciprocal(x)"),
    Case(rules.divide_by_power_of_two, f"{F} -> divide(x, 8.0)", "multiply(x, 0.125)"),
    Case(
        rules.divide_by_power_of_two,
        f"{F} -> divide(x, np.array([1, 2, 4, -8, 0.5], 'f'))",
        "multiply(x, np.array([1, 0.5, 0.25, -0.125, 2], 'f'))",
    ),
    Case(rules.extreme_of_same, f"{F} -> maximum(x, x)", "x"),
    Case(rules.extreme_of_same, f"{F} -> minimum(x, x)", "x"),
    *[
        Case(rules.idempotent, f"{F} -> {f}({f}(x))", f"{f}(x)")
        for f in ("abs", "sign", "floor", "round", "relu")
    ],
    Case(rules.round_whole_number, f"{F} -> ceil(floor(x))", "floor(x)"),
    Case(rules.round_whole_number, f"{F} -> round(trunc(x))", "trunc(x)"),
    *[Case(rules.round_integer, f"{N} -> {f}(x)", "x") for f in ("floor", "ceil", "round", "trunc")],
    Case(rules.identity_function, f"{F} -> identity(x)", "x"),
    Case(rules.identity_function, f"{F} -> stop_gradient(x)", "x"),
    Case(rules.merge_integer_terms, f"{N} -> add(add(x, 3), 4)", "add(x, add(constant(3), constant(4)))"),
    Case(
        rules.merge_integer_factors,
        f"{N} -> multiply(3, multiply(5, x))",
        "multiply(x, multiply(constant(5), constant(3)))",
    ),
]


def test_zero_is_told_from_minus_zero() -> None:
    """x + 0.0 is not x for x = -0.0, so the exact rule leaves it, as it does a sum over many constants."""
    assert_declines(rules.neutral_element, f"{F} -> add(x, 0.0)")
    assert_declines(rules.neutral_element, f"{F} -> subtract(x, -0.0)")
    assert_declines(rules.add_integer_zero, f"{F} -> add(x, 0.0)")


def test_literals_must_fill_the_constant() -> None:
    assert_declines(rules.neutral_element, "x: float32[2] -> multiply(x, np.array([1, 2], 'f'))")
    assert_declines(rules.neutral_element, "x: float32[2] -> add(x, np.array([-0.0, 0.0], 'f'))")
    assert_declines(rules.neutral_element, "x: float32[0] -> multiply(x, np.ones((0,), 'f'))")
    assert_declines(rules.multiply_by_zero, "x: float32[2] -> multiply(x, np.array([np.nan, np.nan], 'f'))")


def test_division_by_other_numbers_stays() -> None:
    for divisor in ("3.0", "0.0", "np.inf", "1e-45", "2.0 ** 127", "np.nan"):
        assert_declines(rules.divide_by_power_of_two, f"{F} -> divide(x, np.array({divisor}, 'f'))")


def test_a_difference_others_read_is_not_negated() -> None:
    assert_declines(
        rules.negate_difference,
        f"{XY} -> d = subtract(x, y); (negative(d), exp(d))",
        "subtract has other users",
    )


def test_complex_numbers_have_no_sign() -> None:
    assert_declines(rules.sign_is_lost, "z: complex64[3] -> square(negative(z))")
    assert_declines(rules.cancel_signs, "z: complex64[3] -> divide(negative(z), negative(z))")


def test_integer_sums_wrap_alike() -> None:
    before = "x: int8[4] -> add(add(x, np.array(100, 'i1')), np.array(100, 'i1'))"
    assert_rewrites(
        rules.merge_integer_terms, before, "add(x, add(constant(100, 'int8'), constant(100, 'int8')))"
    )
