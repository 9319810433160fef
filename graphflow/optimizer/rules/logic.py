"""Rules of truth values and of choosing: Boolean algebra, comparisons with oneself, `where`.

A constant training flag makes the branches of `where(training, a, b)` vanish through these.
"""

from __future__ import annotations

from graphflow.ir.builder import Builder
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, rule
from graphflow.optimizer.rules.common import CONDITION, X, Y, filled, fitted

BOOLEAN = Variable("X", kinds="bool")
WHOLE = Variable("X", kinds="int uint bool")


@rule(
    [P.logical_and(BOOLEAN, True), P.logical_or(BOOLEAN, False), P.logical_xor(BOOLEAN, False)],
    safety="exact",
)
def neutral_truth(m: Match, b: Builder) -> Answer:
    """x and true = x or false = x xor false = x."""
    return fitted(m, b, m.X)


@rule(P.logical_and(BOOLEAN, False), safety="exact")
def and_false(m: Match, b: Builder) -> Answer:
    """x and false = false."""
    return filled(m, b, False)


@rule(P.logical_or(BOOLEAN, True), safety="exact")
def or_true(m: Match, b: Builder) -> Answer:
    """x or true = true."""
    return filled(m, b, True)


@rule(P.logical_xor(BOOLEAN, True), safety="exact")
def xor_true(m: Match, b: Builder) -> Answer:
    """x xor true = not x."""
    return fitted(m, b, b.logical_not(m.X))


@rule([P.logical_and(BOOLEAN, BOOLEAN), P.logical_or(BOOLEAN, BOOLEAN)], safety="exact")
def truth_with_itself(m: Match, b: Builder) -> Answer:
    """x and x = x or x = x."""
    return m.X


@rule(P.logical_not(P.logical_not(BOOLEAN)), safety="exact")
def double_not(m: Match, b: Builder) -> Answer:
    """not not x = x."""
    return m.X


@rule([P.logical_not(P.equal(X, Y)), P.logical_not(P.not_equal(X, Y))], safety="exact")
def not_of_equality(m: Match, b: Builder) -> Answer:
    """not (x = y) is x != y, and the other way round, NaN included."""
    return b.not_equal(m.X, m.Y) if m.nodes[1].op.name == "equal" else b.equal(m.X, m.Y)


@rule([P.equal(WHOLE, WHOLE), P.less_equal(WHOLE, WHOLE), P.greater_equal(WHOLE, WHOLE)], safety="exact")
def equal_to_itself(m: Match, b: Builder) -> Answer:
    """x = x, x <= x and x >= x hold for whatever is not NaN."""
    return filled(m, b, True)


@rule([P.less(X, X), P.greater(X, X), P.not_equal(WHOLE, WHOLE)], safety="exact")
def unequal_to_itself(m: Match, b: Builder) -> Answer:
    """x < x and x > x never hold; x != x holds for NaN only."""
    return filled(m, b, False)


@rule([P.where(True, X, Y), P.where(False, X, Y)], safety="exact")
def where_constant(m: Match, b: Builder) -> Answer:
    """where(true, x, y) = x, and where(false, x, y) = y."""
    return fitted(m, b, m.X if bool(m.splat(m.root.inputs[0])) else m.Y)


@rule(P.where(CONDITION, X, X), safety="exact")
def where_same(m: Match, b: Builder) -> Answer:
    """where(c, x, x) = x."""
    return fitted(m, b, m.X)


@rule(P.where(P.logical_not(CONDITION), X, Y), safety="exact")
def where_not(m: Match, b: Builder) -> Answer:
    """where(not c, x, y) = where(c, y, x)."""
    return b.where(m.CONDITION, m.Y, m.X)


@rule(P.where(CONDITION, True, False), safety="exact")
def where_is_condition(m: Match, b: Builder) -> Answer:
    """where(c, true, false) = c."""
    return fitted(m, b, m.CONDITION)


RULES: tuple[Rule, ...] = (
    neutral_truth,
    and_false,
    or_true,
    xor_true,
    truth_with_itself,
    double_not,
    not_of_equality,
    equal_to_itself,
    unequal_to_itself,
    where_constant,
    where_same,
    where_not,
    where_is_condition,
)
