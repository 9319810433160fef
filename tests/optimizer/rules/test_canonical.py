"""Rules of spelling: what they give, what they keep, and where they decline."""

from __future__ import annotations

from graphflow.optimizer.rules import canonical as rules
from tests.optimizer.rewriting import assert_declines, assert_rewrites
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
XY = "x: float32[4,7], y: float32[4,7]"
N = "x: int32[5]"
NK = "x: int32[5], y: int32[5]"

CASES = [
    Case(rules.turn_comparison, f"{XY} -> greater(x, y)", "less(y, x)"),
    Case(rules.turn_comparison, f"{XY} -> greater_equal(x, y)", "less_equal(y, x)"),
    Case(rules.turn_comparison, f"{X} -> less(2.0, x)", "greater(x, 2.0)"),
    Case(rules.turn_comparison, f"{X} -> greater_equal(2.0, x)", "less_equal(x, 2.0)"),
    Case(rules.compare_negatives, f"{XY} -> less(negative(x), negative(y))", "less(y, x)"),
    Case(rules.compare_negatives, f"{XY} -> equal(negative(x), negative(y))", "equal(x, y)"),
    Case(rules.not_of_order, f"{NK} -> logical_not(less(x, y))", "greater_equal(x, y)"),
    Case(rules.compare_difference, f"{NK} -> equal(subtract(x, y), 0)", "equal(x, y)"),
    Case(rules.negate_constant, f"{X} -> multiply(negative(x), 3.0)", "multiply(x, -3.0)"),
    Case(rules.negate_constant, f"{X} -> divide(negative(x), 3.0)", "divide(x, -3.0)"),
    Case(rules.negate_constant, f"{X} -> divide(3.0, negative(x))", "divide(-3.0, x)"),
    Case(rules.negate_constant, f"{N} -> multiply(negative(x), 3)", "multiply(x, -3)"),
    Case(rules.negative_of_scaled, f"{X} -> negative(multiply(x, 3.0))", "multiply(x, -3.0)"),
    Case(rules.negative_of_scaled, f"{X} -> negative(divide(x, 3.0))", "divide(x, -3.0)"),
    Case(rules.negative_of_scaled, f"{X} -> negative(divide(3.0, x))", "divide(-3.0, x)"),
    Case(rules.negate_after, f"{XY} -> multiply(negative(x), y)", "negative(multiply(x, y))"),
    Case(rules.negate_after, f"{XY} -> divide(negative(x), y)", "negative(divide(x, y))"),
    Case(rules.negate_after, f"{XY} -> divide(y, negative(x))", "negative(divide(y, x))"),
    Case(rules.even_cosine, f"{X} -> cos(negative(x))", "cos(x)"),
    Case(rules.even_cosine, f"{X} -> cos(abs(x))", "cos(x)"),
    Case(rules.product_of_sizes, f"{XY} -> multiply(abs(x), abs(y))", "abs(multiply(x, y))"),
    Case(rules.positive_already, f"{X} -> abs(exp(x))", "exp(x)"),
    Case(rules.positive_already, f"{X} -> relu(square(x))", "square(x)"),
    Case(rules.positive_already, f"{X} -> relu(abs(x))", "abs(x)"),
    Case(rules.positive_already, f"{X} -> abs(softplus(x))", "softplus(x)"),
    Case(rules.positive_already, f"{X} -> relu(softmax(x))", "softmax(x)"),
    Case(rules.positive_already, "x: uint8[5] -> abs(x)", "x"),
    Case(rules.positive_already, f"{X} -> abs(sum(exp(x)))", "sum(exp(x))"),
    Case(rules.positive_already, f"{X} -> maximum(0.0, mean(square(x)))", "mean(square(x))"),
    Case(rules.round_converted_integer, f"{N} -> floor(astype(x, 'float32'))", "astype(x, 'float32')"),
    Case(rules.add_to_itself, f"{X} -> add(x, x)", "multiply(x, 2.0)"),
    Case(rules.add_to_itself, f"{N} -> add(x, x)", "multiply(x, 2)"),
    Case(rules.cancel_integer_term, f"{NK} -> subtract(add(x, y), y)", "x"),
    Case(rules.cancel_integer_term, f"{NK} -> add(y, subtract(x, y))", "x"),
    Case(rules.cancel_integer_term, f"{NK} -> subtract(y, subtract(y, x))", "x"),
    Case(rules.merge_integer_differences, f"{N} -> subtract(add(x, 7), 3)", f"{N} -> add(x, subtract(7, 3))"),
    Case(rules.merge_integer_differences, f"{N} -> add(subtract(x, 7), 3)", "add(x, subtract(3, 7))"),
    Case(rules.merge_integer_differences, f"{N} -> subtract(subtract(x, 7), 3)", "subtract(x, add(7, 3))"),
    Case(
        rules.factor_out_integer,
        "x: int32[5], y: int32[5], z: int32[5] -> add(multiply(x, y), multiply(z, x))",
        "multiply(x, add(y, z))",
    ),
]


def test_constants_need_no_side_in_sums() -> None:
    """x + 2 and 2 + x are one node without a rule."""
    assert_rewrites([], f"{X} -> (add(x, 2.0), add(2.0, x))", f"{X} -> y = add(x, 2.0); (y, y)")


def test_both_spellings_of_a_comparison_become_one_node() -> None:
    assert_rewrites(
        rules.turn_comparison, f"{XY} -> (greater(x, y), less(y, x))", f"{XY} -> z = less(y, x); (z, z)"
    )


def test_a_comparison_in_its_spelling_stays() -> None:
    assert_declines(rules.turn_comparison, f"{XY} -> (less(x, y), greater(x, 1.0), less_equal(x, 1.0))")


def test_nan_keeps_not_of_order_away_from_floats() -> None:
    assert_declines(rules.not_of_order, f"{XY} -> logical_not(less(x, y))")


def test_least_integers_keep_their_negatives() -> None:
    """-(-128) is -128 for int8, so that the order of negatives tells nothing."""
    assert_declines(rules.compare_negatives, "x: int8[3], y: int8[3] -> less(negative(x), negative(y))")


def test_floats_do_not_cancel() -> None:
    assert_declines(
        [rules.cancel_integer_term, rules.compare_difference],
        f"{XY} -> (subtract(add(x, y), y), equal(subtract(x, y), 0.0))",
    )


def test_shared_parts_stay() -> None:
    shared = "has other users"
    assert_declines(rules.negative_of_scaled, f"{X} -> y = multiply(x, 3.0); (y, negative(y))", shared)
    assert_declines(rules.negate_after, f"{XY} -> z = negative(x); (z, multiply(z, y))", shared)
    assert_declines(
        rules.product_of_sizes, f"{XY} -> z = abs(x); (z, multiply(z, abs(y)))", "has other users"
    )
    assert_declines(
        rules.factor_out_integer,
        "x: int32[5], y: int32[5], z: int32[5] -> p = multiply(x, y); (p, add(p, multiply(z, x)))",
        shared,
    )


def test_signs_do_not_move_onto_something_larger() -> None:
    assert_declines(rules.negate_after, "x: float32[7], y: float32[4,7] -> multiply(negative(x), y)")
