"""Rules of bounds: chains of max and min with constants become a clip, min(max(x, low), high).

max and min of NaN are NaN, while a comparison with NaN is false; so `where` may only become max or min
where it passes NaN on. Of two zeros of different sign either may come out as the larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import (
    FIRST,
    REAL,
    SECOND,
    X,
    Y,
    filled,
    fitted,
    in_place_of,
    is_constant,
    small_constant,
)

INTEGER = Variable("X", kinds="bool int uint")
FLOATS = Variable("X", kinds="float")
LIMIT = Variable("LIMIT", kinds="bool int uint float", constant=True)


def _range(tensor: Any) -> tuple[Any, Any]:
    """The least and the greatest value of a dtype."""
    dtype = tensor.dtype.numpy
    if tensor.dtype.kind == "float":
        return -np.inf, np.inf
    if tensor.dtype.kind == "bool":
        return False, True
    limits = np.iinfo(dtype)
    return limits.min, limits.max


@rule([P.maximum(REAL, LIMIT), P.minimum(REAL, LIMIT)], safety="exact")
def bound_of_everything(m: Match, b: Builder) -> Answer:
    """max(x, -inf) = min(x, inf) = x, and likewise for the ends of an integer's range."""
    limit = m.splat(m.LIMIT)
    if limit is None:
        return None
    low, high = _range(m.X)
    return fitted(m, b, m.X) if limit == (low if m.root.op.name == "maximum" else high) else None


@rule([P.maximum(INTEGER, LIMIT), P.minimum(INTEGER, LIMIT)], safety="exact")
def bound_beyond_range(m: Match, b: Builder) -> Answer:
    """max(x, n) = n for the largest integer n of the dtype, and min(x, n) = n for the smallest."""
    limit = m.splat(m.LIMIT)
    if limit is None:
        return None
    low, high = _range(m.X)
    ends = limit == (high if m.root.op.name == "maximum" else low)
    return filled(m, b, limit.item()) if ends else None


@rule(P.maximum(FLOATS, 0), safety="exact")
def bound_at_zero(m: Match, b: Builder) -> Answer:
    """max(x, 0) = relu(x) for floats."""
    # max(0, x) may give the other zero for x = -0.0.
    return fitted(m, b, b.relu(m.X)) if m.root.inputs[0] is m.X else None


@rule(P.maximum(FLOATS, 0), safety="finite")
def bound_at_zero_in_front(m: Match, b: Builder) -> Answer:
    """max(0, x) = relu(x) for floats, but for the sign of zero."""
    return fitted(m, b, b.relu(m.X))


@rule(
    [P.maximum(P.maximum(REAL, FIRST), SECOND), P.minimum(P.minimum(REAL, FIRST), SECOND)],
    safety="exact",
)
def merge_bounds(m: Match, b: Builder) -> Answer:
    """max(max(x, c), d) = max(x, max(c, d)), and likewise for min."""
    first, second = small_constant(m.FIRST), small_constant(m.SECOND)
    if first is None or second is None or is_constant(m.X) or _is_zero_first(m):
        return None
    if bool(np.any((first == 0) & (second == 0) & (np.signbit(_wide(first)) != np.signbit(_wide(second))))):
        return decline("one bound is 0.0 and the other -0.0")
    bound = getattr(b, m.root.op.name)
    return in_place_of(m, bound(m.X, bound(m.FIRST, m.SECOND)))


def _is_zero_first(m: Match) -> bool:
    """Whether a bound with a 0 in it is the first operand, where -0.0 may come out differently."""
    for node in m.nodes:
        value = small_constant(node.inputs[0])
        if value is not None and value.dtype.kind not in "iub" and not bool(np.all(value != 0)):
            return True
    return False


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


@rule(P.maximum(P.minimum(REAL, FIRST), SECOND), safety="exact")
def lower_bound_first(m: Match, b: Builder) -> Answer:
    """max(min(x, high), low) = min(max(x, low), high) where low < high."""
    high, low = small_constant(m.FIRST), small_constant(m.SECOND)
    if high is None or low is None or is_constant(m.X) or _is_zero_first(m):
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    if not bool(np.all(low < high)):
        return decline("the lower bound is not below the upper one")
    return in_place_of(m, b.minimum(b.maximum(m.X, m.SECOND), m.FIRST))


@rule(
    [P.maximum(P.relu(FLOATS), LIMIT), P.relu(P.maximum(FLOATS, LIMIT)), P.relu(P.minimum(FLOATS, LIMIT))],
    safety="exact",
)
def relu_and_bound(m: Match, b: Builder) -> Answer:
    """max(relu(x), c) = max(x, c) and relu(min(x, c)) = min(relu(x), c) for c > 0, else relu(x)."""
    limit = m.splat(m.LIMIT)
    if limit is None or limit == 0 or is_constant(m.X):
        return None
    if "minimum" in (m.root.op.name, m.inner.node.op.name):
        if not limit > 0:
            return None
        if not m.inner.has_one_use:
            return decline(f"{m.inner.name} has other users")
        return in_place_of(m, b.minimum(b.relu(m.X), m.LIMIT))
    if limit > 0:
        return in_place_of(m, b.maximum(m.X, m.LIMIT))
    return fitted(m, b, b.relu(m.X)) if limit < 0 else None


# Choices that are bounds


@rule(
    [P.where(P.less(X, LIMIT), LIMIT, X), P.where(P.less_equal(X, LIMIT), LIMIT, X)]
    + [P.where(P.greater(X, LIMIT), LIMIT, X), P.where(P.greater_equal(X, LIMIT), LIMIT, X)],
    safety="exact",
)
def where_is_bound(m: Match, b: Builder) -> Answer:
    """where(x < c, c, x) = max(x, c), and where(x > c, c, x) = min(x, c): where c is no NaN and not 0."""
    limit = m.splat(m.LIMIT)
    if limit is None or m.X.dtype.kind == "complex" or m.X.dtype is not m.LIMIT.dtype:
        return None
    if m.X.dtype.kind == "float" and (limit == 0 or limit != limit):
        return None
    bound = b.maximum if m.nodes[1].op.name.startswith("less") else b.minimum
    return in_place_of(m, bound(m.X, m.LIMIT))


_WHERE = [
    P.where(getattr(P, name)(X, Y), X, Y) for name in ("less", "less_equal", "greater", "greater_equal")
]
_WHERE += [
    P.where(getattr(P, name)(X, Y), Y, X) for name in ("less", "less_equal", "greater", "greater_equal")
]


def _extreme(m: Match, b: Builder) -> Answer:
    less = m.nodes[1].op.name.startswith("less")
    kept_first = m.root.inputs[1] is m.X
    bound = b.minimum if less == kept_first else b.maximum
    return in_place_of(m, bound(m.X, m.Y))


@rule(_WHERE, safety="exact")
def where_is_integer_extreme(m: Match, b: Builder) -> Answer:
    """where(x < y, x, y) = min(x, y), and where(x > y, x, y) = max(x, y), for integers."""
    return _extreme(m, b) if m.X.dtype.kind in ("int", "uint", "bool") else None


@rule(_WHERE, safety="finite")
def where_is_extreme(m: Match, b: Builder) -> Answer:
    """where(x < y, x, y) = min(x, y), and where(x > y, x, y) = max(x, y), but for NaN and signs of zero."""
    return _extreme(m, b) if m.X.dtype.kind == "float" else None


@rule(P.where(P.greater(FLOATS, 0), FLOATS, 0), safety="finite")
def where_is_relu(m: Match, b: Builder) -> Answer:
    """where(x > 0, x, 0) = relu(x), but for NaN, which becomes 0."""
    return fitted(m, b, b.relu(m.X))


def _absorbing(kinds: str) -> list:
    x = Variable("X", kinds=kinds)
    return [P.maximum(P.maximum(x, Y), Y), P.minimum(P.minimum(x, Y), Y)]


@rule(_absorbing("bool int uint"), safety="exact")
def absorb_integer_extreme(m: Match, b: Builder) -> Answer:
    """max(max(x, y), y) = max(x, y), and likewise for min, for integers."""
    return fitted(m, b, m.inner.tensor)


@rule(_absorbing("float"), safety="finite")
def absorb_extreme(m: Match, b: Builder) -> Answer:
    """max(max(x, y), y) = max(x, y), and likewise for min, but for the sign of zero."""
    return fitted(m, b, m.inner.tensor)


RULES: tuple[Rule, ...] = (
    bound_of_everything,
    bound_beyond_range,
    merge_bounds,
    lower_bound_first,
    bound_at_zero,
    bound_at_zero_in_front,
    relu_and_bound,
    where_is_bound,
    where_is_integer_extreme,
    where_is_extreme,
    where_is_relu,
    absorb_integer_extreme,
    absorb_extreme,
)
