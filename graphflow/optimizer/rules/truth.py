"""Further rules of truth values: laws of Boolean algebra, choices between truths, tests, bits, and parts.

All hold to the bit.
"""

from __future__ import annotations

from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import CONDITION, FLOAT, X, Y, Z, filled, fitted, in_place_of

BOOLEAN = Variable("X", kinds="bool")
OTHER = Variable("Y", kinds="bool")
WHOLE = Variable("X", kinds="bool int uint")
BITS = Variable("X", kinds="bool int uint")

# Boolean algebra


@rule([P.logical_and(BOOLEAN, P.logical_not(BOOLEAN)), P.logical_xor(BOOLEAN, BOOLEAN)], safety="exact")
def contradiction(m: Match, b: Builder) -> Answer:
    """x and not x = x xor x = false."""
    return filled(m, b, False)


@rule([P.logical_or(BOOLEAN, P.logical_not(BOOLEAN)), P.logical_xor(BOOLEAN, P.logical_not(BOOLEAN))],
      safety="exact")  # fmt: skip
def excluded_middle(m: Match, b: Builder) -> Answer:
    """x or not x = x xor not x = true."""
    return filled(m, b, True)


@rule(
    [P.logical_and(BOOLEAN, P.logical_or(BOOLEAN, Y)), P.logical_or(BOOLEAN, P.logical_and(BOOLEAN, Y))],
    safety="exact",
)
def absorb_truth(m: Match, b: Builder) -> Answer:
    """x and (x or y) = x or (x and y) = x."""
    return fitted(m, b, m.X)


@rule(
    [P.logical_and(P.logical_not(BOOLEAN), P.logical_not(OTHER))]
    + [P.logical_or(P.logical_not(BOOLEAN), P.logical_not(OTHER))],
    safety="exact",
)
def de_morgan(m: Match, b: Builder) -> Answer:
    """not x and not y = not (x or y), and not x or not y = not (x and y)."""
    if any([m.rewriter.use_count(tensor) != 1 for tensor in m.root.inputs]):
        return decline("one of the negations has other users")
    join = b.logical_or if m.root.op.name == "logical_and" else b.logical_and
    return in_place_of(m, b.logical_not(join(m.X, m.Y)))


@rule(
    [P.logical_xor(P.logical_not(BOOLEAN), OTHER), P.equal(P.logical_not(BOOLEAN), P.logical_not(OTHER))],
    safety="exact",
)
def xor_of_not(m: Match, b: Builder) -> Answer:
    """(not x) xor y = not (x xor y), and (not x) = (not y) is x = y."""
    if m.root.op.name == "equal":
        return in_place_of(m, b.equal(m.X, m.Y))
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return in_place_of(m, b.logical_not(b.logical_xor(m.X, m.Y)))


@rule([P.equal(BOOLEAN, True), P.not_equal(BOOLEAN, False)], safety="exact")
def compare_with_true(m: Match, b: Builder) -> Answer:
    """(x = true) = (x != false) = x."""
    return fitted(m, b, m.X)


@rule([P.equal(BOOLEAN, False), P.not_equal(BOOLEAN, True)], safety="exact")
def compare_with_false(m: Match, b: Builder) -> Answer:
    """(x = false) = (x != true) = not x."""
    return fitted(m, b, b.logical_not(m.X))


@rule([P.all(P.logical_not(BOOLEAN)), P.any(P.logical_not(BOOLEAN))], safety="exact")
def reduce_of_not(m: Match, b: Builder) -> Answer:
    """all(not x) = not any(x), and any(not x) = not all(x)."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    reduce = b.any if m.root.op.name == "all" else b.all
    return b.logical_not(reduce(m.X, **m.root.attrs))


# Choices


@rule(
    [P.where(CONDITION, True, BOOLEAN), P.where(CONDITION, False, BOOLEAN)]
    + [P.where(CONDITION, BOOLEAN, True), P.where(CONDITION, BOOLEAN, False)],
    safety="exact",
)
def where_of_truth(m: Match, b: Builder) -> Answer:
    """where(c, true, x) = c or x, and likewise for the other three places of a constant."""
    condition, first, _ = m.root.inputs
    if m.X is first:
        value, flipped = bool(m.splat(m.root.inputs[2])), bool(m.splat(m.root.inputs[2]))
    else:
        value, flipped = bool(m.splat(first)), not bool(m.splat(first))
    test = b.logical_not(condition) if flipped else condition
    made = b.logical_or(test, m.X) if value else b.logical_and(test, m.X)
    return fitted(m, b, made)


@rule([P.where(CONDITION, 1, 0), P.where(CONDITION, 1.0, 0.0)], safety="exact")
def where_is_number(m: Match, b: Builder) -> Answer:
    """where(c, 1, 0) is the condition as a number."""
    return fitted(m, b, b.astype(m.CONDITION, dtype=m.output.dtype))


@rule(
    [P.where(CONDITION, P.where(CONDITION, X, Z), Y), P.where(CONDITION, X, P.where(CONDITION, Z, Y))],
    safety="exact",
)
def where_decided_before(m: Match, b: Builder) -> Answer:
    """where(c, where(c, x, z), y) = where(c, x, where(c, z, y)) = where(c, x, y)."""
    return in_place_of(m, b.where(m.CONDITION, m.X, m.Y))


# Tests of numbers


@rule([P.is_nan(WHOLE), P.is_inf(WHOLE)], safety="exact")
def integer_is_number(m: Match, b: Builder) -> Answer:
    """Integers are never NaN or infinite."""
    return filled(m, b, False)


@rule(P.is_finite(WHOLE), safety="exact")
def integer_is_finite(m: Match, b: Builder) -> Answer:
    """Integers are always finite."""
    return filled(m, b, True)


@rule(P.not_equal(FLOAT, FLOAT), safety="exact")
def unequal_is_nan(m: Match, b: Builder) -> Answer:
    """x != x holds for NaN only."""
    return b.is_nan(m.X)


_TESTS = ("is_nan", "is_inf", "is_finite")


@rule([getattr(P, f)(getattr(P, g)(FLOAT)) for f in _TESTS for g in ("negative", "abs")], safety="exact")
def sign_does_not_matter(m: Match, b: Builder) -> Answer:
    """is_nan(-x) = is_nan(|x|) = is_nan(x), and likewise is_inf and is_finite."""
    return getattr(b, m.root.op.name)(m.X)


_PASSES_NAN = frozenset(
    ("add", "subtract", "multiply", "divide", "negative", "abs", "exp", "tanh", "softplus")
)


@rule(P.where(P.is_nan(FLOAT), Y, Z), safety="exact")
def nan_either_way(m: Match, b: Builder) -> Answer:
    """where(is_nan(x), f(x), g(x)) = g(x) if f and g give NaN for NaN, as JAX writes a softplus."""
    branches = (m.Y, m.Z)
    if any([tensor is not m.X and not _gives_nan(tensor, m.X) for tensor in branches]):
        return None
    return fitted(m, b, m.Z)


def _gives_nan(tensor: Tensor, x: Tensor) -> bool:
    """Whether a tensor is NaN at least where x is."""
    return tensor.node.op.name in _PASSES_NAN and x in tensor.node.inputs


_LIMIT = Variable("LIMIT", kinds="float")
_ORDERS = ("less", "less_equal", "greater", "greater_equal")


@rule([getattr(P, name)(P.random_uniform(X), _LIMIT) for name in _ORDERS], safety="exact")
def uniform_against_its_bounds(m: Match, b: Builder) -> Answer:
    """u < c for c >= 1, and u >= c for c <= 0, always hold of uniform numbers, as in dropout of 0."""
    limit = m.splat(m.LIMIT)
    if limit is None:
        return None
    name = m.root.op.name
    if limit >= 1:
        return filled(m, b, name.startswith("less"))
    if limit < 0 or (limit == 0 and name in ("less", "greater_equal")):
        return filled(m, b, name.startswith("greater"))
    return None


# Bits of integers


@rule(
    [P.bitwise_and(BITS, BITS), P.bitwise_or(BITS, BITS), P.bitwise_invert(P.bitwise_invert(BITS))]
    + [getattr(P, name)(BITS, 0) for name in ("bitwise_or", "bitwise_xor", "bitwise_left_shift")]
    + [P.bitwise_right_shift(BITS, 0)],
    safety="exact",
)
def neutral_bits(m: Match, b: Builder) -> Answer:
    """x & x = x | x = ~~x = x | 0 = x ^ 0 = x << 0 = x >> 0 = x."""
    return fitted(m, b, m.X)


@rule([P.bitwise_and(Variable("X", kinds="int uint"), 0), P.bitwise_xor(BITS, BITS)], safety="exact")
def no_bits(m: Match, b: Builder) -> Answer:
    """x & 0 = x ^ x = 0."""
    zero: Any = False if m.output.dtype.kind == "bool" else 0
    return filled(m, b, zero)


# Parts of complex numbers


@rule([P.conj(P.conj(X)), P.conj(FLOAT), P.real(P.complex(X, Y)), P.real(FLOAT)], safety="exact")
def real_part(m: Match, b: Builder) -> Answer:
    """conj(conj(z)) = z, re(x + i y) = x, and re(x) = conj(x) = x for a real x."""
    return fitted(m, b, m.X)


@rule(P.imag(P.complex(X, Y)), safety="exact")
def imaginary_part(m: Match, b: Builder) -> Answer:
    """im(x + i y) = y."""
    return fitted(m, b, m.Y)


@rule(P.complex(P.real(X), P.imag(X)), safety="exact")
def both_parts(m: Match, b: Builder) -> Answer:
    """re(z) + i im(z) = z."""
    return m.X if m.X.dtype is m.output.dtype else None


RULES: tuple[Rule, ...] = (
    contradiction,
    excluded_middle,
    absorb_truth,
    de_morgan,
    xor_of_not,
    compare_with_true,
    compare_with_false,
    reduce_of_not,
    where_of_truth,
    where_is_number,
    where_decided_before,
    integer_is_number,
    integer_is_finite,
    unequal_is_nan,
    sign_does_not_matter,
    nan_either_way,
    uniform_against_its_bounds,
    neutral_bits,
    no_bits,
    real_part,
    imaginary_part,
    both_parts,
)
