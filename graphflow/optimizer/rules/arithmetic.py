"""Rules of arithmetic that hold to the bit, and those that hold but for NaN, infinities or -0.0.

Floating-point zero has a sign: x + 0.0 turns -0.0 into 0.0, so only x + (-0.0) and x - 0.0 are x. A
NaN counts as equal to any other NaN.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FIRST, FLOAT, INTEGER, REAL, X, Y, filled, fitted, in_place_of

# Neutral elements


@rule(
    [P.multiply(REAL, 1), P.divide(REAL, 1), P.add(REAL, -0.0), P.subtract(REAL, 0), P.pow(REAL, 1)],
    safety="exact",
)
def neutral_element(m: Match, b: Builder) -> Answer:
    """x * 1 = x / 1 = x + (-0.0) = x - 0.0 = x^1 = x."""
    return fitted(m, b, m.X)


@rule(P.add(INTEGER, 0), safety="exact")
def add_integer_zero(m: Match, b: Builder) -> Answer:
    """x + 0 = x for integers."""
    return fitted(m, b, m.X)


@rule([P.add(FLOAT, 0.0), P.subtract(FLOAT, -0.0)], safety="finite")
def add_zero(m: Match, b: Builder) -> Answer:
    """x + 0.0 = x - (-0.0) = x, but for x = -0.0, which gives 0.0."""
    return fitted(m, b, m.X)


# Annihilators


@rule(P.multiply(INTEGER, 0), safety="exact")
def multiply_by_integer_zero(m: Match, b: Builder) -> Answer:
    """x * 0 = 0 for integers."""
    return filled(m, b, 0)


@rule([P.multiply(FLOAT, 0.0), P.multiply(FLOAT, -0.0)], safety="finite")
def multiply_by_zero(m: Match, b: Builder) -> Answer:
    """x * 0 = 0, but for NaN and infinities, which give NaN, and the sign of zero."""
    return filled(m, b, 0)


@rule(P.subtract(INTEGER, INTEGER), safety="exact")
def subtract_integer_itself(m: Match, b: Builder) -> Answer:
    """x - x = 0 for integers."""
    return filled(m, b, 0)


@rule(P.subtract(FLOAT, FLOAT), safety="finite")
def subtract_itself(m: Match, b: Builder) -> Answer:
    """x - x = 0, but for NaN and infinities, which give NaN."""
    return filled(m, b, 0)


@rule(P.divide(FLOAT, FLOAT), safety="unsafe")
def divide_by_itself(m: Match, b: Builder) -> Answer:
    """x / x = 1, but for zero, NaN and infinities, which give NaN."""
    return filled(m, b, 1)


@rule([P.pow(REAL, 0), P.pow(REAL, -0.0)], safety="exact", evidence="sampled")
def power_zero(m: Match, b: Builder) -> Answer:
    """x^0 = 1 for all x, NaN included, by IEEE 754."""
    return filled(m, b, 1)


# Signs


@rule([P.multiply(REAL, -1), P.divide(REAL, -1)], safety="exact")
def multiply_by_minus_one(m: Match, b: Builder) -> Answer:
    """x * (-1) = x / (-1) = -x."""
    return fitted(m, b, b.negative(m.X))


@rule(P.subtract(0, INTEGER), safety="exact")
def subtract_from_integer_zero(m: Match, b: Builder) -> Answer:
    """0 - x = -x for integers."""
    return fitted(m, b, b.negative(m.X))


@rule(P.subtract(-0.0, FLOAT), safety="exact")
def subtract_from_minus_zero(m: Match, b: Builder) -> Answer:
    """-0.0 - x = -x."""
    return fitted(m, b, b.negative(m.X))


@rule(P.subtract(0.0, FLOAT), safety="finite")
def subtract_from_zero(m: Match, b: Builder) -> Answer:
    """0.0 - x = -x, but for x = 0.0, which gives 0.0."""
    return fitted(m, b, b.negative(m.X))


@rule(P.negative(P.negative(X)), safety="exact")
def double_negation(m: Match, b: Builder) -> Answer:
    """-(-x) = x."""
    return m.X


@rule(P.add(X, P.negative(Y)), safety="exact")
def add_negative(m: Match, b: Builder) -> Answer:
    """x + (-y) = x - y."""
    return in_place_of(m, b.subtract(m.X, m.Y))


@rule(P.subtract(X, P.negative(Y)), safety="exact")
def subtract_negative(m: Match, b: Builder) -> Answer:
    """x - (-y) = x + y."""
    return in_place_of(m, b.add(m.X, m.Y))


@rule([P.multiply(P.negative(X), P.negative(Y)), P.divide(P.negative(X), P.negative(Y))], safety="exact")
def cancel_signs(m: Match, b: Builder) -> Answer:
    """(-x) * (-y) = x * y, and (-x) / (-y) = x / y, but for complex numbers, whose zeros change sign."""
    if m.X.dtype.kind == "complex":
        return None
    return b.multiply(m.X, m.Y) if m.root.op.name == "multiply" else b.divide(m.X, m.Y)


@rule(P.negative(P.subtract(X, Y)), safety="finite")
def negate_difference(m: Match, b: Builder) -> Answer:
    """-(x - y) = y - x, but for x = y, which gives -0.0."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.subtract(m.Y, m.X)


@rule([P.abs(P.negative(X)), P.square(P.negative(X)), P.square(P.abs(X))], safety="exact")
def sign_is_lost(m: Match, b: Builder) -> Answer:
    """|-x| = |x|, but for unsigned x, where -x is 2^bits - x; and (-x)^2 = |x|^2 = x^2."""
    if m.X.dtype.kind == "complex" or (m.X.dtype.kind == "uint" and m.root.op.name == "abs"):
        return None
    return b.abs(m.X) if m.root.op.name == "abs" else b.square(m.X)


# Squares and reciprocals


@rule(P.multiply(REAL, REAL), safety="exact")
def multiply_by_itself(m: Match, b: Builder) -> Answer:
    """x * x = x^2."""
    return b.square(m.X)


@rule(P.divide(1, FLOAT), safety="exact")
def one_divided(m: Match, b: Builder) -> Answer:
    """1 / x is the reciprocal of x."""
    return fitted(m, b, b.reciprocal(m.X))


DIVISOR = Variable("DIVISOR", kinds="float", constant=True)


@rule(P.divide(FLOAT, DIVISOR), safety="exact")
def divide_by_power_of_two(m: Match, b: Builder) -> Answer:
    """x / 2^k = x * 2^(-k): scaling by a power of two rounds the same way, written either way."""
    divisor = m.value(DIVISOR)
    if divisor.dtype.name not in ("float16", "float32", "float64"):
        return None
    with np.errstate(all="ignore"):
        mantissa, inverse = np.frexp(divisor)[0], np.divide(divisor.dtype.type(1), divisor)
    limits = np.finfo(divisor.dtype)
    normal = np.isfinite(inverse) & (np.abs(inverse) >= limits.tiny)
    if divisor.size == 0 or not np.all((np.abs(mantissa) == 0.5) & normal):
        return None
    return b.multiply(m.X, inverse)


# Extremes


@rule([P.maximum(X, X), P.minimum(X, X)], safety="exact")
def extreme_of_same(m: Match, b: Builder) -> Answer:
    """max(x, x) = min(x, x) = x."""
    return m.X


# f(f(x)) = f(x)

_IDEMPOTENT = ("abs", "sign", "floor", "ceil", "round", "trunc", "relu")


@rule([getattr(P, name)(getattr(P, name)(X)) for name in _IDEMPOTENT], safety="exact")
def idempotent(m: Match, b: Builder) -> Answer:
    """f(f(x)) = f(x) for abs, sign, relu and the rounding functions."""
    return m.inner.tensor


_ROUNDING = ("floor", "ceil", "round", "trunc")


@rule([getattr(P, f)(getattr(P, g)(X)) for f in _ROUNDING for g in _ROUNDING if f != g], safety="exact")
def round_whole_number(m: Match, b: Builder) -> Answer:
    """f(g(x)) = g(x) for f and g among floor, ceil, round, trunc: g(x) is whole already."""
    return m.inner.tensor


@rule([getattr(P, name)(Variable("X", kinds="int uint")) for name in _ROUNDING], safety="exact")
def round_integer(m: Match, b: Builder) -> Answer:
    """floor(n) = ceil(n) = round(n) = trunc(n) = n for integers."""
    return m.X


@rule([P.identity(X), P.stop_gradient(X)], safety="exact")
def identity_function(m: Match, b: Builder) -> Answer:
    """identity(x) = stop_gradient(x) = x, once gradients have been taken."""
    return m.X


# Constants of integers, whose arithmetic is associative


@rule(P.add(P.add(Variable("X", kinds="int uint"), FIRST), Variable("SECOND", constant=True)), safety="exact")
def merge_integer_terms(m: Match, b: Builder) -> Answer:
    """(x + c) + d = x + (c + d) for integers, which wrap around."""
    return _merged(m, b, "add")


@rule(
    P.multiply(P.multiply(Variable("X", kinds="int uint"), FIRST), Variable("SECOND", constant=True)),
    safety="exact",
)
def merge_integer_factors(m: Match, b: Builder) -> Answer:
    """(x * c) * d = x * (c * d) for integers, which wrap around."""
    return _merged(m, b, "multiply")


def _merged(m: Match, b: Builder, name: str) -> Answer:
    if m.X.node.op.name == "constant":
        return None
    join = getattr(b, name)
    return join(m.X, join(m.FIRST, m.SECOND))


RULES: tuple[Rule, ...] = (
    neutral_element,
    add_integer_zero,
    add_zero,
    multiply_by_integer_zero,
    multiply_by_zero,
    subtract_integer_itself,
    subtract_itself,
    divide_by_itself,
    power_zero,
    multiply_by_minus_one,
    subtract_from_integer_zero,
    subtract_from_minus_zero,
    subtract_from_zero,
    double_negation,
    add_negative,
    subtract_negative,
    cancel_signs,
    negate_difference,
    sign_is_lost,
    multiply_by_itself,
    one_divided,
    divide_by_power_of_two,
    extreme_of_same,
    idempotent,
    round_whole_number,
    round_integer,
    identity_function,
    merge_integer_terms,
    merge_integer_factors,
)
