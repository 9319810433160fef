"""Rules that hold for real numbers: they regroup constants, and so round differently.

Level O3 admits them. The result is as accurate as the original, but not the same in the last bits.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FIRST, FLOAT, SECOND, X, Y, fitted
from graphflow.optimizer.rules.reduction import reduced_at_once


@rule(P.multiply(P.multiply(FLOAT, FIRST), SECOND), safety="rounding")
def merge_factors(m: Match, b: Builder) -> Answer:
    """(x * c) * d = x * (c * d)."""
    return None if m.X.node.op.name == "constant" else b.multiply(m.X, b.multiply(m.FIRST, m.SECOND))


@rule(P.add(P.add(FLOAT, FIRST), SECOND), safety="rounding")
def merge_terms(m: Match, b: Builder) -> Answer:
    """(x + c) + d = x + (c + d)."""
    return None if m.X.node.op.name == "constant" else b.add(m.X, b.add(m.FIRST, m.SECOND))


@rule(P.divide(FLOAT, Variable("SECOND", kinds="float", constant=True)), safety="rounding")
def divide_by_constant(m: Match, b: Builder) -> Answer:
    """x / c = x * (1 / c)."""
    divisor = m.value(SECOND)
    with np.errstate(all="ignore"):
        inverse = np.divide(divisor.dtype.type(1), divisor)
    if m.X.node.op.name == "constant" or divisor.size == 0:
        return None
    if not np.isfinite(inverse).all() or not inverse.all():
        return decline("1 / c is not a finite number other than 0")
    return b.multiply(m.X, inverse)


@rule(P.reciprocal(P.reciprocal(FLOAT)), safety="rounding")
def double_reciprocal(m: Match, b: Builder) -> Answer:
    """1 / (1 / x) = x."""
    return m.X


@rule([P.reciprocal(P.sqrt(X)), P.divide(1, P.sqrt(FLOAT))], safety="rounding")
def reciprocal_root(m: Match, b: Builder) -> Answer:
    """1 / sqrt(x) = rsqrt(x)."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return fitted(m, b, b.rsqrt(m.X))


@rule(P.multiply(X, P.reciprocal(Y)), safety="rounding")
def multiply_by_reciprocal(m: Match, b: Builder) -> Answer:
    """x * (1 / y) = x / y, rounded once instead of twice."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users, so the division would be done again")
    if m.Y.size != m.output.size:
        return decline(f"{m.Y.name} is smaller than the product, so inverting it first takes fewer divisions")
    return b.divide(m.X, m.Y)


@rule(P.pow(FLOAT, 0.5), safety="rounding")
def power_one_half(m: Match, b: Builder) -> Answer:
    """x^0.5 = sqrt(x), but for -0.0 and -inf."""
    return fitted(m, b, b.sqrt(m.X))


@rule([P.sum(P.sum(X)), P.prod(P.prod(X))], safety="rounding")
def merge_sums(m: Match, b: Builder) -> Answer:
    """sum(sum(x, a), b) = sum(x, a and b), and likewise for products."""
    return reduced_at_once(m, b)


RULES: tuple[Rule, ...] = (
    merge_factors,
    merge_terms,
    divide_by_constant,
    double_reciprocal,
    reciprocal_root,
    multiply_by_reciprocal,
    power_one_half,
    merge_sums,
)
