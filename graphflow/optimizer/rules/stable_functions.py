"""Stable forms of elementary functions and of the variance, which cancel or overflow as they are written.

As in `stabilize`, the last bits may change, digits that cancellation has eaten come back, and an
overflow becomes the number that was meant.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.optimizer.analysis.signs import is_nonnegative
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import AXIS, FIRST, FLOAT, KEEPDIMS, Y, fitted, in_place_of, is_held

stable = partial(rule, safety="rounding", evidence="sampled", tags="stabilize")

# Near zero


@stable(P.log(P.subtract(1, FLOAT)))
def log_of_one_minus(m: Match, b: Builder) -> Answer:
    """log(1 - x) = log1p(-x), which keeps the digits of a small x."""
    return fitted(m, b, b.log1p(b.negative(m.X)))


@stable(P.subtract(1, P.exp(FLOAT)))
def one_minus_exp(m: Match, b: Builder) -> Answer:
    """1 - exp(x) = -expm1(x), which keeps the digits of a small x."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return fitted(m, b, b.negative(b.expm1(m.X)))


# The arguments of two exponentials may be opposite as -x, or as x times a constant and its opposite.


def _are_opposite(x: Tensor, y: Tensor, m: Match) -> bool:
    """Whether y = -x by the way they are made."""
    if y.node.op.name == "negative" and y.node.inputs[0] is x:
        return True
    if x.node.op.name == "negative" and x.node.inputs[0] is y:
        return True
    if not x.node.op.name == y.node.op.name == "multiply":
        return False
    for one, factor in (x.node.inputs, x.node.inputs[::-1]):
        for other, opposite in (y.node.inputs, y.node.inputs[::-1]):
            if one is other:
                values = m.splat(factor), m.splat(opposite)
                return None not in values and bool(values[0] == -values[1])
    return False


_FALLING = Variable("Y", kinds="float")
_EXP, _EXP_OF_MINUS = P.exp(FLOAT), P.exp(_FALLING)


@stable([P.multiply(P.subtract(_EXP, _EXP_OF_MINUS), 0.5), P.divide(P.subtract(_EXP, _EXP_OF_MINUS), 2)])
def hyperbolic_sine(m: Match, b: Builder) -> Answer:
    """(e^x - e^(-x)) / 2 = sinh(x), which keeps the digits of a small x."""
    return fitted(m, b, b.sinh(m.X)) if _are_opposite(m.X, m.Y, m) else None


@stable([P.multiply(P.add(_EXP, _EXP_OF_MINUS), 0.5), P.divide(P.add(_EXP, _EXP_OF_MINUS), 2)])
def hyperbolic_cosine(m: Match, b: Builder) -> Answer:
    """(e^x + e^(-x)) / 2 = cosh(x), which overflows later."""
    if not _are_opposite(m.X, m.Y, m):
        return None
    return fitted(m, b, b.cosh(m.Y if m.X.node.op.name == "negative" else m.X))


# The hyperbolic tangent


@stable(P.divide(P.subtract(_EXP, _EXP_OF_MINUS), P.add(_EXP, _EXP_OF_MINUS)))
def hyperbolic_tangent(m: Match, b: Builder) -> Answer:
    """(e^x - e^(-x)) / (e^x + e^(-x)) = tanh(x), without overflow."""
    return fitted(m, b, b.tanh(m.X)) if _are_opposite(m.X, m.Y, m) else None


@stable(
    [P.divide(P.subtract(P.exp(FLOAT), 1), P.add(P.exp(FLOAT), 1))]
    + [P.divide(P.add(P.exp(FLOAT), -1), P.add(P.exp(FLOAT), 1))]
    + [P.divide(P.expm1(FLOAT), P.add(P.exp(FLOAT), 1))],
)
def tangent_of_half(m: Match, b: Builder) -> Answer:
    """(e^x - 1) / (e^x + 1) = tanh(x / 2), without overflow."""
    return fitted(m, b, b.tanh(_half(m.X, m, b)))


@stable(P.divide(P.subtract(1, P.exp(FLOAT)), P.add(P.exp(FLOAT), 1)))
def tangent_of_negative_half(m: Match, b: Builder) -> Answer:
    """(1 - e^x) / (1 + e^x) = tanh(-x / 2), without overflow."""
    return fitted(m, b, b.tanh(b.negative(_half(m.X, m, b))))


def _half(x: Tensor, m: Match, b: Builder) -> Tensor:
    """x / 2; of 2 y it is y."""
    node = x.node
    if node.op.name == "multiply":
        for doubled, factor in (node.inputs, node.inputs[::-1]):
            value = m.splat(factor)
            if value is not None and abs(value) == 2 and doubled.shape == x.shape:
                return doubled if value == 2 else b.negative(doubled)
    made: Tensor = b.multiply(x, b.like(0.5, x))
    return made


@stable(
    [P.multiply(P.add(P.tanh(FLOAT), 1), 0.5), P.divide(P.add(P.tanh(FLOAT), 1), 2)]
    + [P.add(P.multiply(P.tanh(FLOAT), 0.5), 0.5), P.add(P.divide(P.tanh(FLOAT), 2), 0.5)],
)
def sigmoid_from_tangent(m: Match, b: Builder) -> Answer:
    """(1 + tanh(x)) / 2 = sigmoid(2 x), which does not cancel where tanh is close to -1."""
    return fitted(m, b, b.sigmoid(_double(m.X, m, b)))


@stable(
    [P.subtract(P.multiply(P.sigmoid(FLOAT), 2), 1), P.add(P.multiply(P.sigmoid(FLOAT), 2), -1)]
    + [P.subtract(1, P.multiply(P.sigmoid(FLOAT), 2))],
)
def tangent_from_sigmoid(m: Match, b: Builder) -> Answer:
    """2 sigmoid(x) - 1 = tanh(x / 2), with the digits of a small x; 1 - 2 sigmoid(x) is its opposite."""
    made = b.tanh(_half(m.X, m, b))
    falls = m.root.op.name == "subtract" and m.splat(m.root.inputs[0]) is not None
    return fitted(m, b, b.negative(made) if falls else made)


def _double(x: Tensor, m: Match, b: Builder) -> Tensor:
    """2 x; of y / 2 it is y."""
    node = x.node
    if node.op.name == "multiply":
        for halved, factor in (node.inputs, node.inputs[::-1]):
            value = m.splat(factor)
            if value is not None and value == 0.5 and halved.shape == x.shape:
                return halved
    made: Tensor = b.multiply(x, b.like(2.0, x))
    return made


# Softplus


@stable(P.logaddexp(FLOAT, 0))
def softplus_written_out(m: Match, b: Builder) -> Answer:
    """logaddexp(x, 0) = softplus(x)."""
    return fitted(m, b, b.softplus(m.X))


@stable(
    [P.add(P.relu(FLOAT), P.softplus(P.negative(P.abs(FLOAT))))]
    + [P.add(P.maximum(FLOAT, 0), P.softplus(P.negative(P.abs(FLOAT))))]
    + [P.add(FLOAT, P.softplus(P.negative(FLOAT)))],
)
def softplus_in_two_parts(m: Match, b: Builder) -> Answer:
    """relu(x) + log1p(e^(-|x|)) = x + softplus(-x) = softplus(x)."""
    return fitted(m, b, b.softplus(m.X))


@stable(P.subtract(FLOAT, P.softplus(FLOAT)))
def minus_softplus(m: Match, b: Builder) -> Answer:
    """x - softplus(x) = -softplus(-x), which does not cancel for a large x."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.negative(b.softplus(b.negative(m.X)))


# Logarithms


@stable(P.log(P.square(FLOAT)))
def log_of_square(m: Match, b: Builder) -> Answer:
    """log(x^2) = 2 log(|x|), where the square may overflow or underflow."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.multiply(b.log(b.abs(m.X)), b.like(2.0, m.X))


@stable(P.log(P.pow(FLOAT, FIRST)))
def log_of_power(m: Match, b: Builder) -> Answer:
    """log(x^c) = c log(x) for x >= 0, where the power may overflow or underflow."""
    exponent = m.splat(m.FIRST)
    if exponent is None or exponent == 0 or not np.isfinite(float(exponent)):
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    if not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where log gives NaN")
    return fitted(m, b, b.multiply(b.log(m.X), b.like(float(exponent), m.X)))


@stable([P.log(P.reciprocal(FLOAT)), P.log(P.divide(1, FLOAT))])
def log_of_reciprocal(m: Match, b: Builder) -> Answer:
    """log(1 / x) = -log(x), where the quotient may overflow or underflow."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return fitted(m, b, b.negative(b.log(m.X)))


@stable(P.log(P.divide(P.exp(FLOAT), Y)))
def log_of_scaled_exp(m: Match, b: Builder) -> Answer:
    """log(e^x / y) = x - log(y), where the exponential may overflow."""
    return in_place_of(m, b.subtract(m.X, b.log(m.Y)))


@stable(P.log(P.mean(P.exp(FLOAT), axis=AXIS, keepdims=KEEPDIMS)))
def log_of_mean_of_exp(m: Match, b: Builder) -> Answer:
    """log(mean(exp(x))) = logsumexp(x) - log(n), which shifts by the largest x, so that nothing overflows."""
    count = dims.product([m.X.shape[axis] for axis in m.AXIS])
    if not isinstance(count, int) or not count:
        return None
    total = b.logsumexp(m.X, axis=m.AXIS, keepdims=m.KEEPDIMS)
    return b.subtract(total, b.like(float(np.log(count)), total))


# Roots


@stable([P.divide(FLOAT, P.sqrt(FLOAT)), P.multiply(FLOAT, P.rsqrt(FLOAT))])
def divide_by_own_root(m: Match, b: Builder) -> Answer:
    """x / sqrt(x) = x rsqrt(x) = sqrt(x), also for 0 and infinity."""
    return b.sqrt(m.X)


# Means and variances


@stable([P.divide(P.sum(FLOAT), Variable("COUNT")), P.multiply(P.sum(FLOAT), Variable("COUNT"))])
def mean_written_out(m: Match, b: Builder) -> Answer:
    """sum(x) / n = mean(x), which rounds once less for half precision, where the sum may overflow too."""
    total = m.inner.node
    value = m.splat(m.COUNT)
    count = dims.product([m.X.shape[axis] for axis in total.attrs["axis"]])
    if value is None or not isinstance(count, int) or count < 2 or m.inner.tensor.shape != m.output.shape:
        return None
    if not is_held(m.output.dtype, count):
        return None
    kind = m.output.dtype.numpy.type
    if value != (kind(count) if m.root.op.name == "divide" else kind(1) / kind(count)):
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.mean(m.X, **total.attrs)


_SQUARES = P.mean(P.square(FLOAT), axis=AXIS, keepdims=KEEPDIMS)


@stable([P.subtract(_SQUARES, P.square(mean)) for mean in (P.mean(FLOAT), P.reshape(P.mean(FLOAT)))])
def variance_in_two_passes(m: Match, b: Builder) -> Answer:
    """E[x^2] - E[x]^2 = E[(x - E[x])^2], which does not cancel where the mean is large."""
    attrs: dict[str, Any] = dict(m.inner.node.attrs)
    squared = m.root.inputs[1]
    if m.nodes[-1].attrs["axis"] != attrs["axis"] or squared.shape != m.inner.tensor.shape:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    centre = b.mean(m.X, axis=attrs["axis"], keepdims=True)
    return b.mean(b.square(b.subtract(m.X, centre)), **attrs)


RULES: tuple[Rule, ...] = (
    log_of_one_minus,
    one_minus_exp,
    hyperbolic_sine,
    hyperbolic_cosine,
    hyperbolic_tangent,
    tangent_of_half,
    tangent_of_negative_half,
    sigmoid_from_tangent,
    tangent_from_sigmoid,
    softplus_written_out,
    softplus_in_two_parts,
    minus_softplus,
    log_of_square,
    log_of_power,
    log_of_reciprocal,
    log_of_scaled_exp,
    log_of_mean_of_exp,
    divide_by_own_root,
    mean_written_out,
    variance_in_two_passes,
)
