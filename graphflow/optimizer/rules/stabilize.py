"""Forms that mean the same in real arithmetic, and lose less of it to rounding, overflow and underflow.

These may change the last bits, and turn a NaN or infinity into the number that was meant; so they
belong to the class "rounding", and carry the tag "stabilize", which level O2 admits.
"""

from __future__ import annotations

from graphflow.ir.builder import Builder
from graphflow.optimizer.analysis.signs import is_nonnegative
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import AXIS, FIRST, FLOAT, KEEPDIMS, X, Y, fitted, stays_in_place


def _shared(m: Match) -> Answer:
    """Whether a node inside the match is needed elsewhere, so that it would be computed anyway."""
    return None if m.inner.has_one_use else decline(f"{m.inner.name} has other users")


@rule(P.log(P.softmax(X, axis=AXIS)), safety="rounding", evidence="sampled", tags="stabilize")
def log_of_softmax(m: Match, b: Builder) -> Answer:
    """log(softmax(x)) = log_softmax(x), finite where softmax underflows to 0."""
    return b.log_softmax(m.X, axis=m.AXIS)


@rule(
    P.log(P.sum(P.exp(FLOAT), axis=AXIS, keepdims=KEEPDIMS)),
    safety="rounding",
    evidence="sampled",
    tags="stabilize",
)
def log_of_sum_of_exp(m: Match, b: Builder) -> Answer:
    """log(sum(exp(x))) = logsumexp(x), which shifts by the largest x, so that nothing overflows."""
    return b.logsumexp(m.X, axis=m.AXIS, keepdims=m.KEEPDIMS)


@rule(P.log(P.add(P.exp(FLOAT), P.exp(Y))), safety="rounding", evidence="sampled", tags="stabilize")
def log_of_two_exp(m: Match, b: Builder) -> Answer:
    """log(exp(x) + exp(y)) = logaddexp(x, y)."""
    return b.logaddexp(m.X, m.Y)


@rule(
    P.divide(P.exp(FLOAT), P.sum(P.exp(FLOAT), axis=AXIS).named("TOTAL")),
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def normalized_exp(m: Match, b: Builder) -> Answer:
    """exp(x) / sum(exp(x)) = softmax(x), which shifts by the largest x, so that nothing overflows."""
    if not stays_in_place(m.TOTAL.node):
        return None
    if len(m.AXIS) != 1:
        return decline(f"softmax takes one axis, not {m.AXIS}")
    return b.softmax(m.X, axis=m.AXIS[0])


@rule(
    P.softmax(P.subtract(X, P.max(X, axis=AXIS, keepdims=True))),
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def softmax_of_shifted(m: Match, b: Builder) -> Answer:
    """softmax(x - max(x)) = softmax(x), which shifts by the largest x itself."""
    if len(m.AXIS) != 1 or m.AXIS[0] != m.root.attrs["axis"]:
        return None
    return b.softmax(m.X, axis=m.AXIS[0])


@rule(P.log(P.add(FLOAT, 1)), safety="rounding", evidence="sampled", tags="stabilize")
def log_of_one_plus(m: Match, b: Builder) -> Answer:
    """log(1 + x) = log1p(x), which keeps the digits of a small x."""
    return fitted(m, b, b.log1p(m.X))


@rule([P.subtract(P.exp(X), 1), P.add(P.exp(X), -1)], safety="rounding", evidence="sampled", tags="stabilize")
def exp_minus_one(m: Match, b: Builder) -> Answer:
    """exp(x) - 1 = expm1(x), which keeps the digits of a small x."""
    shared = _shared(m)
    return shared if shared is not None else fitted(m, b, b.expm1(m.X))


@rule(
    [
        P.divide(1, P.add(P.exp(P.negative(X)), 1)),
        P.reciprocal(P.add(P.exp(P.negative(X)), 1)),
        P.divide(P.exp(X), P.add(P.exp(X), 1)),
    ],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def logistic_function(m: Match, b: Builder) -> Answer:
    """1 / (1 + exp(-x)) = exp(x) / (1 + exp(x)) = sigmoid(x), without overflow on either side."""
    return fitted(m, b, b.sigmoid(m.X))


@rule(P.subtract(1, P.sigmoid(X)), safety="rounding", evidence="sampled", tags="stabilize")
def one_minus_sigmoid(m: Match, b: Builder) -> Answer:
    """1 - sigmoid(x) = sigmoid(-x), which does not cancel where sigmoid is close to 1."""
    shared = _shared(m)
    return shared if shared is not None else fitted(m, b, b.sigmoid(b.negative(m.X)))


@rule(P.log(P.sigmoid(X)), safety="rounding", evidence="sampled", tags="stabilize")
def log_of_sigmoid(m: Match, b: Builder) -> Answer:
    """log(sigmoid(x)) = -softplus(-x), finite where sigmoid underflows to 0."""
    return b.negative(b.softplus(b.negative(m.X)))


@rule(P.log1p(P.exp(X)), safety="rounding", evidence="sampled", tags="stabilize")
def log1p_of_exp(m: Match, b: Builder) -> Answer:
    """log(1 + exp(x)) = softplus(x), which does not overflow."""
    return b.softplus(m.X)


@rule(P.log(P.exp(FLOAT)), safety="rounding", evidence="sampled", tags="stabilize")
def log_of_exp(m: Match, b: Builder) -> Answer:
    """log(exp(x)) = x, where exp may overflow."""
    return m.X


@rule([P.log1p(P.expm1(FLOAT)), P.expm1(P.log1p(FLOAT))], safety="rounding", evidence="sampled")
def inverse_near_zero(m: Match, b: Builder) -> Answer:
    """log1p(expm1(x)) = x, and expm1(log1p(x)) = x for x > -1."""
    if m.root.op.name == "expm1":
        return decline(f"{m.X.name} may be below -1, where log1p gives NaN")
    return m.X


@rule(P.sqrt(P.square(FLOAT)), safety="rounding", evidence="sampled", tags="stabilize")
def root_of_square(m: Match, b: Builder) -> Answer:
    """sqrt(x^2) = |x|, where the square may overflow or underflow."""
    return b.abs(m.X)


@rule([P.pow(FLOAT, 2), P.pow(FLOAT, -1)], safety="rounding", evidence="sampled", tags="stabilize")
def small_power(m: Match, b: Builder) -> Answer:
    """x^2 and x^-1 by one correctly rounded operation instead of a logarithm and an exponential."""
    exponent = float(m.splat(m.root.inputs[1]))
    return fitted(m, b, b.square(m.X) if exponent == 2 else b.reciprocal(m.X))


@rule(
    [P.pow(P.add(FLOAT, FIRST), 0.5), P.pow(P.add(FLOAT, FIRST), -0.5)],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def root_of_positive(m: Match, b: Builder) -> Answer:
    """(x + c)^(1/2) = sqrt(x + c), and (x + c)^(-1/2) = rsqrt(x + c), for x >= 0 and c > 0."""
    least = m.splat(m.FIRST)
    if least is None or not least > 0:
        return None
    if not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where a root gives NaN and may differ for infinity")
    root = b.sqrt if float(m.splat(m.root.inputs[1])) > 0 else b.rsqrt
    return fitted(m, b, root(m.inner.tensor))


RULES: tuple[Rule, ...] = (
    log_of_softmax,
    log_of_sum_of_exp,
    log_of_two_exp,
    normalized_exp,
    softmax_of_shifted,
    log_of_one_plus,
    exp_minus_one,
    logistic_function,
    one_minus_sigmoid,
    log_of_sigmoid,
    log1p_of_exp,
    log_of_exp,
    inverse_near_zero,
    root_of_square,
    small_power,
    root_of_positive,
)
