"""Strength reduction: the same value by cheaper operators.

Integers wrap around, so that their powers, quotients and remainders are exact in any spelling. Floats
round differently once a power is written as products: those rules belong to level O3.
`gf.einsum` needs no rule: it is built as matrix products, sums and axis moves to begin with.
"""

from __future__ import annotations

from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.optimizer.analysis.signs import is_nonnegative
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.canonical import factored, merged_terms
from graphflow.optimizer.rules.common import (
    FIRST,
    FLOAT,
    INTEGER,
    SECOND,
    X,
    Y,
    fitted,
    in_place_of,
    is_constant,
)

EXPONENT = Variable("EXPONENT", kinds="int uint float")
DIVISOR = Variable("DIVISOR", kinds="int uint")
OTHER = Variable("Y", kinds="float")
THIRD = Variable("Z", kinds="float")

MOST_PRODUCTS = 4
"""A power is written as products if it takes no more than this many."""

# Powers


def power_by_products(x: Tensor, exponent: int, b: Builder) -> Tensor | None:
    """x^exponent by repeated squaring, for exponent >= 1; None if it takes too many products."""
    if exponent.bit_length() + exponent.bit_count() - 2 > MOST_PRODUCTS:
        return None
    result, power = None, x
    while exponent:
        if exponent & 1:
            result = power if result is None else b.multiply(result, power)
        exponent >>= 1
        if exponent:
            power = b.square(power)
    return result


def _whole_exponent(m: Match) -> int | None:
    """The exponent if it is one whole number of a moderate size."""
    value = m.splat(m.EXPONENT)
    if value is None or not abs(float(value)) <= 64 or float(value) != int(value):
        return None
    return int(value)


@rule(P.pow(INTEGER, EXPONENT), safety="exact")
def integer_power(m: Match, b: Builder) -> Answer:
    """n^2 = n n, n^3 = n n n, and so on, for integers, which wrap around."""
    exponent = _whole_exponent(m)
    if exponent is None or exponent < 2 or is_constant(m.X):
        return None
    made = power_by_products(m.X, exponent, b)
    return None if made is None else fitted(m, b, made)


@rule(P.pow(FLOAT, EXPONENT), safety="rounding")
def float_power(m: Match, b: Builder) -> Answer:
    """x^3 = x x x, x^-2 = 1 / (x x), and so on: a few products instead of a logarithm and an exponential."""
    exponent = _whole_exponent(m)
    if exponent is None or abs(exponent) < 2 or is_constant(m.X):
        return None
    made = power_by_products(m.X, abs(exponent), b)
    if made is None:
        return decline(f"the power {exponent} takes more than {MOST_PRODUCTS} products")
    return fitted(m, b, b.reciprocal(made) if exponent < 0 else made)


@rule(P.pow(FLOAT, -0.5), safety="rounding")
def power_minus_one_half(m: Match, b: Builder) -> Answer:
    """x^(-1/2) = rsqrt(x), but for -0.0 and -inf."""
    return fitted(m, b, b.rsqrt(m.X))


@rule(
    [P.multiply(P.pow(FLOAT, FIRST), X), P.multiply(P.pow(FLOAT, FIRST), P.pow(FLOAT, SECOND))],
    safety="rounding",
)
def multiply_powers(m: Match, b: Builder) -> Answer:
    """x^a x = x^(a + 1), and x^a x^b = x^(a + b), for positive exponents."""
    first = m.splat(m.FIRST)
    second = m.splat(m.SECOND) if len(m.nodes) > 2 else 1
    if first is None or second is None or not (first > 0 and second > 0):
        return None
    if any([m.rewriter.use_count(tensor) != 1 for tensor in m.root.inputs if tensor is not m.X]):
        return decline("one of the powers has other users")
    whole = float(first).is_integer() and float(second).is_integer()
    if not whole and not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where a broken power gives NaN")
    return fitted(m, b, b.pow(m.X, b.like(float(first) + float(second), m.X)))


@rule(P.pow(P.pow(FLOAT, FIRST), SECOND), safety="rounding")
def power_of_power(m: Match, b: Builder) -> Answer:
    """(x^a)^b = x^(a b)."""
    first, second = m.splat(m.FIRST), m.splat(m.SECOND)
    if first is None or second is None:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    whole = float(first).is_integer() and float(second).is_integer()
    if not whole and not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where a broken power gives NaN")
    return fitted(m, b, b.pow(m.X, b.like(float(first) * float(second), m.X)))


# Integers divided by constants


def _power_of_two(m: Match) -> int | None:
    """k if the divisor is 2^k with k >= 1."""
    value = m.splat(m.DIVISOR)
    if value is None or value < 2 or int(value).bit_count() != 1:
        return None
    return int(value).bit_length() - 1


@rule(P.floor_divide(INTEGER, DIVISOR), safety="exact")
def divide_by_shift(m: Match, b: Builder) -> Answer:
    """floor(n / 2^k) = n >> k for integers: the shift brings in copies of the sign."""
    places = _power_of_two(m)
    if places is None or is_constant(m.X):
        return None
    return fitted(m, b, b.bitwise_right_shift(m.X, b.like(places, m.X)))


@rule(P.remainder(INTEGER, DIVISOR), safety="exact")
def remainder_by_mask(m: Match, b: Builder) -> Answer:
    """n mod 2^k = n & (2^k - 1) for integers, negative ones included."""
    places = _power_of_two(m)
    if places is None or is_constant(m.X):
        return None
    return fitted(m, b, b.bitwise_and(m.X, b.like((1 << places) - 1, m.X)))


@rule(P.floor_divide(INTEGER, 1), safety="exact")
def floor_divide_by_one(m: Match, b: Builder) -> Answer:
    """floor(n / 1) = n for integers."""
    return fitted(m, b, m.X)


@rule([P.remainder(INTEGER, 1), P.fmod(INTEGER, 1)], safety="exact")
def remainder_by_one(m: Match, b: Builder) -> Answer:
    """n mod 1 = 0 for integers."""
    return b.full_like(0, m.output)


@rule([P.remainder(P.remainder(INTEGER, Y), Y), P.fmod(P.fmod(INTEGER, Y), Y)], safety="exact")
def remainder_of_remainder(m: Match, b: Builder) -> Answer:
    """(n mod k) mod k = n mod k for integers."""
    return fitted(m, b, m.inner.tensor)


# Quotients and roots


@rule(P.divide(P.divide(FLOAT, OTHER), THIRD), safety="rounding")
def divide_of_quotient(m: Match, b: Builder) -> Answer:
    """(x / y) / z = x / (y z): a product instead of a division."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return in_place_of(m, b.divide(m.X, b.multiply(m.Y, m.Z)))


@rule(P.divide(FLOAT, P.divide(OTHER, THIRD)), safety="rounding")
def divide_by_quotient(m: Match, b: Builder) -> Answer:
    """x / (y / z) = (x z) / y: a product instead of a division."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return in_place_of(m, b.divide(b.multiply(m.X, m.Z), m.Y))


@rule(P.reciprocal(P.divide(FLOAT, OTHER)), safety="rounding")
def reciprocal_of_quotient(m: Match, b: Builder) -> Answer:
    """1 / (x / y) = y / x."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return in_place_of(m, b.divide(m.Y, m.X))


@rule([P.reciprocal(P.exp(FLOAT)), P.divide(Y, P.exp(FLOAT))], safety="rounding")
def divide_by_exp(m: Match, b: Builder) -> Answer:
    """1 / e^x = e^(-x), and y / e^x = y e^(-x)."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    power = b.exp(b.negative(m.X))
    return power if m.root.op.name == "reciprocal" else in_place_of(m, b.multiply(m.Y, power))


@rule(P.multiply(P.exp(FLOAT), P.exp(OTHER)), safety="rounding")
def product_of_exp(m: Match, b: Builder) -> Answer:
    """e^x e^y = e^(x + y)."""
    if any([m.rewriter.use_count(tensor) != 1 for tensor in m.root.inputs]):
        return decline("one of the exponentials has other users")
    if m.X.shape != m.output.shape and m.Y.shape != m.output.shape:
        return decline("both are smaller than the product, so that one exponential of it would take longer")
    return in_place_of(m, b.exp(b.add(m.X, m.Y)))


@rule(P.divide(FLOAT, P.sqrt(OTHER)), safety="rounding")
def divide_by_root(m: Match, b: Builder) -> Answer:
    """x / sqrt(y) = x rsqrt(y), where y is smaller than the quotient: fewer divisions."""
    if m.X is m.Y or is_constant(m.X):
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    if m.Y.shape == m.output.shape:
        return None
    return in_place_of(m, b.multiply(m.X, b.rsqrt(m.Y)))


@rule(P.reciprocal(P.rsqrt(FLOAT)), safety="rounding")
def reciprocal_of_rsqrt(m: Match, b: Builder) -> Answer:
    """1 / rsqrt(x) = sqrt(x)."""
    return b.sqrt(m.X)


@rule([P.square(P.sqrt(FLOAT)), P.multiply(P.sqrt(FLOAT), P.sqrt(FLOAT))], safety="rounding")
def square_of_root(m: Match, b: Builder) -> Answer:
    """sqrt(x)^2 = x for x >= 0."""
    if not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where sqrt gives NaN")
    return m.X


@rule(P.square(P.rsqrt(FLOAT)), safety="rounding")
def square_of_rsqrt(m: Match, b: Builder) -> Answer:
    """rsqrt(x)^2 = 1 / x for x >= 0."""
    if not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where rsqrt gives NaN")
    return b.reciprocal(m.X)


@rule(P.exp(P.log(FLOAT)), safety="rounding")
def exp_of_log(m: Match, b: Builder) -> Answer:
    """e^(ln x) = x for x >= 0."""
    if not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where log gives NaN")
    return m.X


# Sums and products regrouped


@rule(P.add(P.multiply(FLOAT, OTHER), P.multiply(FLOAT, THIRD)), safety="rounding")
def factor_out(m: Match, b: Builder) -> Answer:
    """x y + x z = x (y + z)."""
    return factored(m, b)


@rule(
    [P.subtract(P.add(FLOAT, FIRST), SECOND), P.add(P.subtract(FLOAT, FIRST), SECOND)]
    + [P.subtract(P.subtract(FLOAT, FIRST), SECOND)],
    safety="rounding",
)
def merge_differences(m: Match, b: Builder) -> Answer:
    """(x + c) - d = x + (c - d), (x - c) + d = x + (d - c), and (x - c) - d = x - (c + d)."""
    return merged_terms(m, b)


@rule(P.multiply(FLOAT, P.sign(FLOAT)), safety="finite")
def multiply_by_sign(m: Match, b: Builder) -> Answer:
    """x sign(x) = |x|, but for the sign of zero."""
    return b.abs(m.X)


@rule(
    P.permute_dims(P.matmul(P.permute_dims(X), P.permute_dims(Y))),
    safety="rounding",
)
def transpose_of_product(m: Match, b: Builder) -> Answer:
    """(x^T y^T)^T = y x, summed in another order."""
    product, left, right = m.root.inputs[0].node, *m.root.inputs[0].node.inputs
    rank = m.output.ndim
    swap = (*range(rank - 2), rank - 1, rank - 2)
    moved = [m.root, left.node, right.node]
    if rank < 2 or any([node.attrs["axes"] != swap for node in moved]):
        return None
    if m.rewriter.use_count(product.output) != 1:
        return decline(f"{product.name} has other users")
    return in_place_of(m, b.matmul(m.Y, m.X))


RULES: tuple[Rule, ...] = (
    integer_power,
    divide_by_shift,
    remainder_by_mask,
    floor_divide_by_one,
    remainder_by_one,
    remainder_of_remainder,
    multiply_by_sign,
    power_minus_one_half,
    float_power,
    multiply_powers,
    power_of_power,
    reciprocal_of_quotient,
    divide_of_quotient,
    divide_by_quotient,
    divide_by_exp,
    product_of_exp,
    divide_by_root,
    reciprocal_of_rsqrt,
    square_of_root,
    square_of_rsqrt,
    exp_of_log,
    factor_out,
    merge_differences,
    transpose_of_product,
)
