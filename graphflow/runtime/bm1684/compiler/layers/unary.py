"""Recipes of plain functions of one element: signs, roots, powers, rounding.

Rounding adds and subtracts 1.5 * 2**23, which leaves no place for a fraction; what is beyond 2**22 is kept,
as it hardly has one. floor and ceil correct the rounded number by 1 where it is on the wrong side, which a
comparison says. For 16 elements round takes 6 cycles, floor and ceil 9, trunc 15.
"""

from __future__ import annotations

from graphflow.runtime.bm1684.compiler.layers.activation import (
    LOG1P_UNIT,
    exponential,
    log,
    negative_exponential,
    polynomial,
    reciprocal,
)
from graphflow.runtime.bm1684.compiler.layers.recipe import MAGNITUDE, SIGN, Recorder, Term
from graphflow.runtime.bm1684.isa import Operation

_ROUNDS = 1.5 * 2.0**23
_EXACT = 2.0**22
_LARGEST = 3.0e38
_NEAR_ZERO = (1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720)


def negative(r: Recorder, x: Term) -> Term:
    """-x: 1."""
    return r.multiply(x, -1.0)


def absolute(r: Recorder, x: Term) -> Term:
    """|x|: 2."""
    return r.bits(Operation.AND, x, MAGNITUDE)


def sign(r: Recorder, x: Term) -> Term:
    """1, 0 or -1: 5; 0 of NaN."""
    return r.subtract(r.greater(x, 0.0), r.greater(0.0, x))


def square(r: Recorder, x: Term) -> Term:
    """x * x: 1."""
    return r.multiply(x, x)


def sqrt(r: Recorder, x: Term) -> Term:
    """x / sqrt(x): 30; no more than that of 3e38, and of what is negative, 0."""
    kept = r.smaller(r.larger(x, 0.0), _LARGEST)
    return r.multiply(r.rsqrt(kept), kept)


def rsqrt(r: Recorder, x: Term) -> Term:
    """1 / sqrt(x): 31; of what is no larger than 0, inf."""
    root = r.rsqrt(r.smaller(x, _LARGEST))
    return r.select(x, 0.0, root, float("inf"))


def rounded(r: Recorder, x: Term) -> Term:
    """The nearest integer, of two the even one."""
    near = r.subtract(r.add(x, _ROUNDS), _ROUNDS)
    return r.select(r.bits(Operation.AND, x, MAGNITUDE), _EXACT, x, near)


def floor(r: Recorder, x: Term) -> Term:
    """The largest integer that is no larger."""
    near = rounded(r, x)
    return r.subtract(near, r.greater(near, x))


def ceil(r: Recorder, x: Term) -> Term:
    """The smallest integer that is no smaller."""
    near = rounded(r, x)
    return r.add(near, r.greater(x, near))


def trunc(r: Recorder, x: Term) -> Term:
    """The integer towards zero."""
    down = floor(r, r.bits(Operation.AND, x, MAGNITUDE))
    return r.both_bits(Operation.OR, down, r.bits(Operation.AND, x, SIGN))


def expm1(r: Recorder, x: Term) -> Term:
    """exp(x) - 1; by its series for |x| up to 1/4, where the difference would lose digits."""
    far = r.subtract(exponential(r, x), 1.0)
    near = r.multiply(polynomial(r, x, _NEAR_ZERO), x)
    return r.select(r.bits(Operation.AND, x, MAGNITUDE), 0.25, far, near)


def log1p(r: Recorder, x: Term) -> Term:
    """ln(1 + x), with what rounding takes from 1 + x added again where x is small."""
    total = r.add(x, 1.0)
    lost = r.subtract(x, r.subtract(total, 1.0))
    small = r.greater(1.5, total)
    return r.add_product(log(r, total), lost, small)


def power(r: Recorder, x: Term, exponent: float) -> Term:
    """x**exponent: by products if it is an integer, by roots if twice it is, else by exp and ln."""
    if exponent < 0:
        return reciprocal(r, power(r, x, -exponent))
    if exponent == int(exponent) and exponent <= 64:
        return _product(r, x, int(exponent))
    if exponent == 0.5:
        return sqrt(r, x)
    if 2 * exponent == int(2 * exponent) and exponent <= 64:
        return r.multiply(sqrt(r, x), _product(r, x, int(exponent)))
    return exponential(r, r.multiply(log(r, x), exponent))


def _product(r: Recorder, x: Term, count: int) -> Term:
    """x * x * ..., by squares."""
    made: Term | None = None
    square = x
    while count:
        if count & 1:
            made = square if made is None else r.multiply(made, square)
        count >>= 1
        if count:
            square = r.multiply(square, square)
    return r.copy(1.0) if made is None else made


def logaddexp(r: Recorder, x: Term, y: Term) -> Term:
    """ln(exp(x) + exp(y)) = max + ln(1 + exp(-|x - y|))."""
    gap = r.bits(Operation.OR, r.subtract(x, y), SIGN)
    small = negative_exponential(r, gap)
    top = r.larger(x, y)
    return r.add_product(top, small, polynomial(r, small, LOG1P_UNIT))
