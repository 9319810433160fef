"""Rules of truth values and of choosing."""

from __future__ import annotations

from graphflow.optimizer.rules import logic as rules
from tests.optimizer.rewriting import assert_declines, assert_rewrites
from tests.optimizer.rules.cases import Case

B = "p: bool[3,4], q: bool[4]"
W = "p: bool[3,1], x: float32[3,4], y: float32[4]"

CASES = [
    Case(rules.neutral_truth, f"{B} -> logical_and(p, True)", "p"),
    Case(rules.neutral_truth, f"{B} -> logical_or(False, p)", "p"),
    Case(rules.neutral_truth, f"{B} -> logical_xor(p, False)", "p"),
    Case(
        rules.neutral_truth, f"{B} -> logical_and(q, np.ones((3, 4), bool))", "broadcast_to(q, shape=(3, 4))"
    ),
    Case(rules.and_false, f"{B} -> logical_and(p, False)", "broadcast_to(constant(False), (3, 4))"),
    Case(rules.or_true, f"{B} -> logical_or(p, True)", "broadcast_to(constant(True), (3, 4))"),
    Case(rules.xor_true, f"{B} -> logical_xor(p, True)", "logical_not(p)"),
    Case(rules.truth_with_itself, f"{B} -> logical_or(p, p)", "p"),
    Case(rules.truth_with_itself, f"{B} -> logical_and(p, p)", "p"),
    Case(rules.double_not, f"{B} -> logical_not(logical_not(p))", "p"),
    Case(rules.not_of_equality, f"{W} -> logical_not(equal(x, y))", "not_equal(x, y)"),
    Case(rules.not_of_equality, f"{W} -> logical_not(not_equal(x, y))", "equal(x, y)"),
    Case(rules.equal_to_itself, "n: int32[3] -> equal(n, n)", "broadcast_to(constant(True), (3,))"),
    Case(rules.equal_to_itself, "n: int32[3] -> less_equal(n, n)", "broadcast_to(constant(True), (3,))"),
    Case(rules.unequal_to_itself, f"{W} -> less(x, x)", "broadcast_to(constant(False), (3, 4))"),
    Case(rules.unequal_to_itself, "n: int32[3] -> not_equal(n, n)", "broadcast_to(constant(False), (3,))"),
    Case(rules.where_constant, f"{W} -> where(True, x, y)", "x"),
    Case(rules.where_constant, f"{W} -> where(False, x, y)", "broadcast_to(y, shape=(3, 4))"),
    Case(rules.where_same, f"{W} -> where(p, x, x)", "x"),
    Case(rules.where_same, f"{W} -> where(p, y, y)", "broadcast_to(y, shape=(3, 4))"),
    Case(rules.where_not, f"{W} -> where(logical_not(p), x, y)", "where(p, y, x)"),
    Case(rules.where_is_condition, f"{B} -> where(p, True, False)", "p"),
]


def test_nan_is_not_equal_to_itself() -> None:
    assert_declines(rules.equal_to_itself, "x: float32[3] -> equal(x, x)")
    assert_declines(rules.unequal_to_itself, "x: float32[3] -> not_equal(x, x)")


def test_truth_is_no_number() -> None:
    """A literal True stands for booleans only, 1 for numbers only."""
    assert_declines(rules.where_constant, "p: bool[2], x: float32[2] -> where(p, x, 1.0)")


def test_branches_of_a_known_training_flag_vanish() -> None:
    before = (
        "x: float32[3] -> t = constant(False); where(t, multiply(x, 2.0), where(logical_not(t), x, exp(x)))"
    )
    assert_rewrites([rules.where_constant, rules.where_not], before, "x")
