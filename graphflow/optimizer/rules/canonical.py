"""Rules that choose one spelling where there are several, so that equal values become one node.

Operands of commutative operators have no order to choose: their value numbers ignore it, and patterns
try both. A comparison reads "less" unless a constant stands on its left; a minus sign goes into a
constant, or out of a product. All of it holds to the bit.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import (
    FLOAT,
    INTEGER,
    SECOND,
    X,
    Y,
    fitted,
    in_place_of,
    is_constant,
    small_constant,
)

SIGNED = Variable("X", kinds="int uint float")
OTHER = Variable("Y", kinds="int uint float")
FACTOR = Variable("FACTOR", kinds="int uint float", constant=True)

# Comparisons

_TURNED = {"greater": "less", "greater_equal": "less_equal", "less": "greater", "less_equal": "greater_equal"}


@rule([getattr(P, name)(X, Y) for name in _TURNED], safety="exact")
def turn_comparison(m: Match, b: Builder) -> Answer:
    """x > y is y < x, and x >= y is y <= x; a constant stands on the right: c < x is x > c."""
    name, left, right = m.root.op.name, is_constant(m.X), is_constant(m.Y)
    if left == right:
        turns = name.startswith("greater") and not left
    else:
        turns = left
    return in_place_of(m, getattr(b, _TURNED[name])(m.Y, m.X)) if turns else None


@rule(
    [getattr(P, name)(P.negative(FLOAT), P.negative(Y)) for name in ("equal", "not_equal", *_TURNED)],
    safety="exact",
)
def compare_negatives(m: Match, b: Builder) -> Answer:
    """-x < -y is y < x, and -x = -y is x = y, for floats."""
    operands = (m.X, m.Y) if m.root.op.name in ("equal", "not_equal") else (m.Y, m.X)
    return in_place_of(m, getattr(b, m.root.op.name)(*operands))


_WHOLE = Variable("X", kinds="bool int uint")
_ALSO_WHOLE = Variable("Y", kinds="bool int uint")
_OPPOSITE = {
    "less": "greater_equal",
    "less_equal": "greater",
    "greater": "less_equal",
    "greater_equal": "less",
}


@rule([P.logical_not(getattr(P, name)(_WHOLE, _ALSO_WHOLE)) for name in _OPPOSITE], safety="exact")
def not_of_order(m: Match, b: Builder) -> Answer:
    """not (x < y) is x >= y for whatever is not NaN, and likewise for the other orders."""
    return in_place_of(m, getattr(b, _OPPOSITE[m.nodes[1].op.name])(m.X, m.Y))


@rule([P.equal(P.subtract(INTEGER, Y), 0), P.not_equal(P.subtract(INTEGER, Y), 0)], safety="exact")
def compare_difference(m: Match, b: Builder) -> Answer:
    """x - y = 0 is x = y for integers, which wrap around."""
    return fitted(m, b, getattr(b, m.root.op.name)(m.X, m.Y))


# Signs


def negated(tensor: Tensor, b: Builder) -> Tensor | None:
    """A small constant with the other sign; None for anything else."""
    value = small_constant(tensor)
    if value is None:
        return None
    made: Tensor = b.constant(value=np.asarray(np.negative(value)))
    return made


@rule(
    [P.multiply(P.negative(SIGNED), FACTOR), P.divide(P.negative(FLOAT), FACTOR)]
    + [P.divide(FACTOR, P.negative(FLOAT))],
    safety="exact",
)
def negate_constant(m: Match, b: Builder) -> Answer:
    """(-x) * c = x * (-c), (-x) / c = x / (-c), and c / (-x) = (-c) / x."""
    factor = negated(m.FACTOR, b)
    if factor is None or is_constant(m.X):
        return None
    if m.root.op.name == "multiply":
        return b.multiply(m.X, factor)
    first, second = (factor, m.X) if m.root.inputs[0] is m.FACTOR else (m.X, factor)
    return b.divide(first, second)


@rule(
    [P.negative(P.multiply(SIGNED, FACTOR)), P.negative(P.divide(FLOAT, FACTOR))]
    + [P.negative(P.divide(FACTOR, FLOAT))],
    safety="exact",
)
def negative_of_scaled(m: Match, b: Builder) -> Answer:
    """-(x * c) = x * (-c), -(x / c) = x / (-c), and -(c / x) = (-c) / x."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    factor = negated(m.FACTOR, b)
    if factor is None or is_constant(m.X):
        return None
    if m.inner.node.op.name == "multiply":
        return b.multiply(m.X, factor)
    first, second = (factor, m.X) if m.inner.node.inputs[0] is m.FACTOR else (m.X, factor)
    return b.divide(first, second)


@rule(
    [P.multiply(P.negative(SIGNED), OTHER), P.divide(P.negative(SIGNED), OTHER)]
    + [P.divide(OTHER, P.negative(SIGNED))],
    safety="exact",
)
def negate_after(m: Match, b: Builder) -> Answer:
    """(-x) * y = -(x * y), and likewise for quotients, so that signs meet and cancel."""
    if is_constant(m.X) or is_constant(m.Y) or m.X.shape != m.output.shape:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    if m.root.op.name == "multiply":
        return b.negative(b.multiply(m.X, m.Y))
    swapped = m.root.inputs[0] is m.Y
    return b.negative(b.divide(m.Y, m.X) if swapped else b.divide(m.X, m.Y))


@rule([P.cos(P.negative(FLOAT)), P.cos(P.abs(FLOAT))], safety="exact", evidence="sampled")
def even_cosine(m: Match, b: Builder) -> Answer:
    """cos(-x) = cos(|x|) = cos(x)."""
    return b.cos(m.X)


@rule(P.multiply(P.abs(FLOAT), P.abs(Variable("Y", kinds="float"))), safety="exact")
def product_of_sizes(m: Match, b: Builder) -> Answer:
    """|x| * |y| = |x * y|."""
    if m.X is m.Y:
        return None
    if not (m.inner.has_one_use and m.rewriter.use_count(m.root.inputs[1]) == 1):
        return decline("one of the absolute values has other users")
    return b.abs(b.multiply(m.X, m.Y))


# What a function leaves as it is

_SUMS = [getattr(P, f)(getattr(P, g)(FLOAT)) for f in ("sum", "mean") for g in ("square", "exp")]
_ABOVE_ZERO = ("exp", "square", "sigmoid", "softplus", "softmax")


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT)) for f in ("abs", "relu") for g in _ABOVE_ZERO]
    + [P.relu(P.abs(FLOAT)), P.abs(Variable("X", kinds="uint")), P.relu(Variable("X", kinds="uint"))]
    + [f for total in _SUMS for f in (P.abs(total), P.relu(total), P.maximum(total, 0))],
    safety="exact",
)
def positive_already(m: Match, b: Builder) -> Answer:
    """|y| = relu(y) = y for y = e^x, x^2, |x|, a sigmoid, softplus or softmax, and unsigned integers.

    A sum or mean of squares or exponentials is no less than 0 either, so that max(y, 0) = y for a variance.
    """
    return fitted(m, b, m.inner.tensor if len(m.nodes) > 1 else m.X)


@rule(
    [getattr(P, f)(P.astype(_WHOLE)) for f in ("floor", "ceil", "round", "trunc")],
    safety="exact",
)
def round_converted_integer(m: Match, b: Builder) -> Answer:
    """floor(y) = ceil(y) = round(y) = trunc(y) = y for y an integer converted to a float."""
    return m.inner.tensor


# Sums and products of the same


@rule(P.add(SIGNED, SIGNED), safety="exact")
def add_to_itself(m: Match, b: Builder) -> Answer:
    """x + x = 2 x."""
    return b.multiply(m.X, b.like(2, m.X))


@rule(
    [
        P.subtract(P.add(INTEGER, Y), Y),
        P.add(P.subtract(INTEGER, Y), Y),
        P.subtract(Y, P.subtract(Y, INTEGER)),
    ],
    safety="exact",
)
def cancel_integer_term(m: Match, b: Builder) -> Answer:
    """(x + y) - y = (x - y) + y = y - (y - x) = x for integers, which wrap around."""
    return fitted(m, b, m.X)


_TERM = Variable("FIRST", constant=True)


@rule(
    [P.subtract(P.add(INTEGER, _TERM), SECOND), P.add(P.subtract(INTEGER, _TERM), SECOND)]
    + [P.subtract(P.subtract(INTEGER, _TERM), SECOND)],
    safety="exact",
)
def merge_integer_differences(m: Match, b: Builder) -> Answer:
    """(x + c) - d = x + (c - d), (x - c) + d = x + (d - c), and (x - c) - d = x - (c + d), for integers."""
    return merged_terms(m, b)


def merged_terms(m: Match, b: Builder) -> Answer:
    """One term for the two constants of a chain of sums and differences."""
    if is_constant(m.X):
        return None
    outer, inner = m.root.op.name, m.inner.node.op.name
    if outer == "add":
        return b.add(m.X, b.subtract(m.SECOND, m.FIRST))
    if inner == "add":
        return b.add(m.X, b.subtract(m.FIRST, m.SECOND))
    return b.subtract(m.X, b.add(m.FIRST, m.SECOND))


_TIMES = Variable("Y", kinds="int uint")


@rule(
    P.add(P.multiply(INTEGER, _TIMES), P.multiply(INTEGER, Variable("Z", kinds="int uint"))), safety="exact"
)
def factor_out_integer(m: Match, b: Builder) -> Answer:
    """x y + x z = x (y + z) for integers, which wrap around."""
    return factored(m, b)


def factored(m: Match, b: Builder) -> Answer:
    """x (y + z) for x y + x z, if that saves a product."""
    products = m.root.inputs
    if any([m.rewriter.use_count(tensor) != 1 for tensor in products]):
        return decline("one of the products has other users")
    if m.Y.shape != m.Z.shape or any([tensor.shape != m.output.shape for tensor in products]):
        return None
    return in_place_of(m, b.multiply(m.X, b.add(m.Y, m.Z)))


RULES: tuple[Rule, ...] = (
    turn_comparison,
    compare_negatives,
    not_of_order,
    compare_difference,
    negate_constant,
    negative_of_scaled,
    negate_after,
    even_cosine,
    product_of_sizes,
    positive_already,
    round_converted_integer,
    add_to_itself,
    cancel_integer_term,
    merge_integer_differences,
    factor_out_integer,
)
