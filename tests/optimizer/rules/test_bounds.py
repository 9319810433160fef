"""Rules of bounds: what they give, what they keep, and where NaN and zeros forbid them."""

from __future__ import annotations

from graphflow.optimizer.rules import bounds as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
XY = "x: float32[4,7], y: float32[4,7]"
N = "x: int8[40]"
NK = "x: int32[5], y: int32[5]"

CASES = [
    Case(rules.bound_of_everything, f"{X} -> maximum(x, -np.inf)", "x"),
    Case(rules.bound_of_everything, f"{X} -> minimum(np.inf, x)", "x"),
    Case(rules.bound_of_everything, f"{N} -> maximum(x, constant(-128, 'int8'))", "x"),
    Case(rules.bound_of_everything, "x: bool[5] -> minimum(x, True)", "x"),
    Case(
        rules.bound_beyond_range,
        f"{N} -> maximum(x, constant(127, 'int8'))",
        "broadcast_to(constant(127, 'int8'), (40,))",
    ),
    Case(
        rules.bound_beyond_range,
        "x: uint8[5] -> minimum(x, constant(0, 'uint8'))",
        "broadcast_to(constant(0, 'uint8'), (5,))",
    ),
    Case(
        rules.merge_bounds, f"{X} -> maximum(maximum(x, 1.0), 3.0)", "maximum(x, maximum(1.0, constant(3.0)))"
    ),
    Case(
        rules.merge_bounds, f"{X} -> minimum(minimum(x, 1.0), 3.0)", "minimum(x, minimum(1.0, constant(3.0)))"
    ),
    Case(rules.lower_bound_first, f"{X} -> maximum(minimum(x, 6.0), -1.0)", "minimum(maximum(x, -1.0), 6.0)"),
    Case(rules.bound_at_zero, f"{X} -> maximum(x, 0.0)", "relu(x)"),
    Case(rules.bound_at_zero_in_front, f"{X} -> maximum(0.0, x)", "relu(x)"),
    Case(rules.relu_and_bound, f"{X} -> maximum(relu(x), 2.0)", "maximum(x, 2.0)"),
    Case(rules.relu_and_bound, f"{X} -> maximum(relu(x), -2.0)", "relu(x)"),
    Case(rules.relu_and_bound, f"{X} -> relu(maximum(x, 2.0))", "maximum(x, 2.0)"),
    Case(rules.relu_and_bound, f"{X} -> relu(minimum(x, 6.0))", "minimum(relu(x), 6.0)"),
    Case(rules.where_is_bound, f"{X} -> where(less(x, 2.0), 2.0, x)", "maximum(x, 2.0)"),
    Case(rules.where_is_bound, f"{X} -> where(greater_equal(x, 2.0), 2.0, x)", "minimum(x, 2.0)"),
    Case(
        rules.where_is_bound,
        f"{N} -> c = constant(0, 'int8'); where(less(x, c), c, x)",
        "maximum(x, constant(0, 'int8'))",
    ),
    Case(rules.where_is_integer_extreme, f"{NK} -> where(less(x, y), x, y)", "minimum(x, y)"),
    Case(rules.where_is_integer_extreme, f"{NK} -> where(greater(x, y), x, y)", "maximum(x, y)"),
    Case(rules.where_is_integer_extreme, f"{NK} -> where(less_equal(x, y), y, x)", "maximum(x, y)"),
    Case(rules.where_is_extreme, f"{XY} -> where(less(x, y), x, y)", "minimum(x, y)"),
    Case(rules.where_is_extreme, f"{XY} -> where(greater_equal(x, y), y, x)", "minimum(x, y)"),
    Case(rules.where_is_relu, f"{X} -> where(greater(x, 0.0), x, 0.0)", "relu(x)"),
    Case(rules.absorb_integer_extreme, f"{NK} -> maximum(maximum(x, y), y)", "maximum(x, y)"),
    Case(rules.absorb_extreme, f"{XY} -> minimum(x, minimum(x, y))", "minimum(x, y)"),
]


def test_zeros_of_two_signs_are_no_bound() -> None:
    assert_declines(
        rules.merge_bounds, f"{X} -> maximum(maximum(x, 0.0), -0.0)", "one bound is 0.0 and the other"
    )
    assert_declines(rules.where_is_bound, f"{X} -> where(less(x, 0.0), 0.0, x)")
    assert_declines(
        [rules.bound_at_zero, rules.lower_bound_first],
        f"{X} -> (maximum(0.0, x), maximum(0.0, minimum(x, 6.0)))",
    )


def test_nan_is_no_bound() -> None:
    assert_declines(rules.where_is_bound, f"{X} -> where(less(x, np.nan), np.nan, x)")
    assert_declines(rules.relu_and_bound, f"{X} -> (maximum(relu(x), np.nan), relu(minimum(x, np.nan)))")


def test_bounds_the_wrong_way_round_stay() -> None:
    assert_declines(
        rules.lower_bound_first, f"{X} -> maximum(minimum(x, -1.0), 6.0)", "the lower bound is not below"
    )
    assert_declines(
        rules.lower_bound_first,
        f"{X} -> y = minimum(x, 6.0); (y, maximum(y, -1.0))",
        "minimum has other users",
    )
    assert_declines(
        rules.relu_and_bound, f"{X} -> y = minimum(x, 6.0); (y, relu(y))", "minimum has other users"
    )


def test_a_choice_that_drops_nan_stays_exact() -> None:
    """where(x > c, x, c) gives c for NaN, which max(x, c) does not: only O3 takes one for the other."""
    assert_declines(rules.where_is_bound, f"{X} -> where(greater(x, 2.0), x, 2.0)")
    assert_declines(rules.where_is_integer_extreme, f"{XY} -> where(less(x, y), x, y)")
