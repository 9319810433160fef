"""Further rules of reductions: of copies, of moved elements, of scaled ones, and of monotone functions.

A total over n copies is n times one of them, rounded once instead of n - 1 times: that is the more
accurate one. The index of the largest of f(x) is that of the largest x for an increasing f, which also
holds where f rounds two numbers to one, and so loses which was larger.
"""

from __future__ import annotations

import math
from typing import Any

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.signs import is_nonnegative
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import (
    FLOAT,
    X,
    Y,
    fitted,
    in_place_of,
    is_held,
    reduced_before_move,
)
from graphflow.optimizer.rules.reduction import reduced_at_once

_FEWEST_SUMMANDS = 16
"""How many elements a partial sum has at least for the total to be made of such sums."""

_ORDERED = ("max", "min", "all", "any")
_SUMMED = ("sum", "mean", "prod", "logsumexp")
NUMBER = Variable("NUMBER", kinds="float")

# Copies


def _without_copies(m: Match, b: Builder) -> tuple[Tensor, Any] | None:
    """x reduced over its own axes, with the root's rank kept, and how often each element is counted."""
    whole, axes = m.root.inputs[0].shape, m.root.attrs["axis"]
    own = (1,) * (len(whole) - m.X.ndim) + m.X.shape
    copied = [axis for axis in axes if own[axis] == 1 and whole[axis] != 1]
    if not copied or any([whole[axis] == 0 for axis in axes]):
        return None
    x = m.X if m.X.shape == own else b.reshape(m.X, shape=own)
    rest = tuple([axis for axis in axes if own[axis] != 1])
    if rest:
        x = getattr(b, m.root.op.name)(x, axis=rest, keepdims=True)
    return x, dims.product([whole[axis] for axis in copied])


def _as_result(m: Match, b: Builder, x: Tensor) -> Tensor:
    """A tensor of the root's rank before axes are dropped, in the root's shape."""
    whole, axes = m.root.inputs[0].shape, m.root.attrs["axis"]
    kept = tuple([1 if axis in axes else size for axis, size in enumerate(whole)])
    if x.shape != kept:
        x = b.broadcast_to(x, shape=kept)
    if x.shape != m.output.shape:
        x = b.reshape(x, shape=m.output.shape)
    return x


@rule([getattr(P, name)(P.broadcast_to(X)) for name in _ORDERED], safety="exact")
def extreme_of_broadcast(m: Match, b: Builder) -> Answer:
    """max(broadcast(x)) = max(x) over the axes that x has, and likewise for min, all and any."""
    if not m.root.inputs[0].type.is_static:
        return None
    found = _without_copies(m, b)
    if found is None or (m.X.dtype.kind != "bool" and m.root.op.name in ("all", "any")):
        return None
    return in_place_of(m, _as_result(m, b, found[0]))


@rule(
    [P.sum(P.broadcast_to(FLOAT)), P.mean(P.broadcast_to(FLOAT))],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def sum_of_broadcast(m: Match, b: Builder) -> Answer:
    """sum(broadcast(x)) = n sum(x), and mean(broadcast(x)) = mean(x): n copies are rounded once."""
    if m.root.op.name == "mean" and not m.root.inputs[0].type.is_static:
        return None
    found = _without_copies(m, b)
    if found is None:
        return None
    x, count = found
    if m.root.op.name == "sum":
        if not (is_held(x.dtype, count) if isinstance(count, int) else x.dtype.itemsize >= 4):
            return decline(f"{x.dtype} may not hold {count}, by which the sum would be multiplied")
        factor = b.like(count, x) if isinstance(count, int) else b.dimension(size=count, dtype=x.dtype)
        x = b.multiply(x, factor)
    return in_place_of(m, _as_result(m, b, x))


# Moved elements


@rule([getattr(P, name)(P.permute_dims(X)) for name in _ORDERED], safety="exact")
def extreme_of_permuted(m: Match, b: Builder) -> Answer:
    """max(permute(x)) = permute(max(x)), over the axes meant: fewer elements are moved."""
    return reduced_before_move(m, b)


@rule([getattr(P, name)(P.permute_dims(X)) for name in _SUMMED], safety="rounding")
def sum_of_permuted(m: Match, b: Builder) -> Answer:
    """sum(permute(x)) = permute(sum(x)), over the axes meant, added up in another order."""
    return reduced_before_move(m, b)


def _of_reshaped(m: Match, b: Builder) -> Answer:
    if len(m.root.attrs["axis"]) != m.root.inputs[0].ndim:
        return None
    made = getattr(b, m.root.op.name)(m.X, axis=tuple(range(m.X.ndim)))
    return in_place_of(m, b.reshape(made, shape=m.output.shape) if m.output.shape else made)


@rule([getattr(P, name)(P.reshape(X)) for name in _ORDERED], safety="exact")
def extreme_of_reshaped(m: Match, b: Builder) -> Answer:
    """The largest of all elements does not depend on their shape."""
    return _of_reshaped(m, b)


@rule([getattr(P, name)(P.reshape(X)) for name in _SUMMED], safety="rounding")
def sum_of_reshaped(m: Match, b: Builder) -> Answer:
    """The sum of all elements does not depend on their shape."""
    return _of_reshaped(m, b)


# One reduction after the other


@rule(
    [P.mean(P.mean(FLOAT)), P.logsumexp(P.logsumexp(FLOAT))],
    safety="rounding",
)
def merge_means(m: Match, b: Builder) -> Answer:
    """mean(mean(x, a), b) = mean(x, a and b), and likewise for logsumexp."""
    return reduced_at_once(m, b)


@rule([P.sum(X)], safety="rounding", evidence="sampled", tags="stabilize")
def sum_of_known_sums(m: Match, b: Builder) -> Answer:
    """sum(x, a and b) = sum(sum(x, a), b) where sum(x, a) is computed anyway.

    An element then goes through the roundings of two short sums instead of one long one, and x is read once.
    """
    axes, x = set(m.root.attrs["axis"]), m.root.inputs[0]
    known = [
        node
        for node in m.rewriter.users[x]
        if node.op is m.root.op and axes > set(node.attrs["axis"]) and is_partial_sum(node)
    ]
    if not known:
        return None
    part = known[0]
    inner, keeps = part.attrs["axis"], part.attrs["keepdims"]
    left = [axis for axis in range(x.ndim) if keeps or axis not in inner]
    rest = tuple([place for place, axis in enumerate(left) if axis in axes])
    return in_place_of(m, _in_shape(b, b.sum(part.output, axis=rest, keepdims=False), m.output))


def is_partial_sum(node: Node) -> bool:
    """Whether a sum is of float32 or wider numbers, and of so many that adding up such sums costs little."""
    x = node.inputs[0]
    if x.dtype.kind != "float" or x.dtype.itemsize < 4 or not x.type.is_static:
        return False
    return math.prod([x.shape[axis] for axis in node.attrs["axis"]]) >= _FEWEST_SUMMANDS


def _in_shape(b: Builder, x: Tensor, like: Tensor) -> Tensor:
    return x if x.shape == like.shape else b.reshape(x, shape=like.shape)


# Scaled and shifted elements


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT, NUMBER)) for f in ("sum", "mean") for g in ("multiply", "divide")],
    safety="rounding",
)
def sum_of_scaled(m: Match, b: Builder) -> Answer:
    """sum(x * c) = sum(x) * c and sum(x / c) = sum(x) / c for one number c, scaled once."""
    if m.NUMBER.shape or not m.X.shape:
        return None
    if 0 in m.X.shape:
        return decline(f"{m.X.name} is empty, and its sum is 0 even where {m.NUMBER.name} is infinite")
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    total = getattr(b, m.root.op.name)(m.X, **m.root.attrs)
    return in_place_of(m, getattr(b, m.inner.node.op.name)(total, m.NUMBER))


@rule([P.sum(P.negative(FLOAT)), P.mean(P.negative(FLOAT))], safety="finite")
def sum_of_negative(m: Match, b: Builder) -> Answer:
    """sum(-x) = -sum(x), but for the sign of zero."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.negative(getattr(b, m.root.op.name)(m.X, **m.root.attrs))


@rule([P.max(P.negative(FLOAT)), P.min(P.negative(FLOAT))], safety="finite")
def extreme_of_negative(m: Match, b: Builder) -> Answer:
    """max(-x) = -min(x), and min(-x) = -max(x), but for the sign of zero."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    other = b.min if m.root.op.name == "max" else b.max
    return b.negative(other(m.X, **m.root.attrs))


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT, NUMBER)) for f in ("max", "min") for g in ("add", "multiply")],
    safety="finite",
)
def extreme_of_shifted(m: Match, b: Builder) -> Answer:
    """max(x + c) = max(x) + c, and max(x * c) = max(x) * c for c > 0, but for the sign of zero."""
    if m.NUMBER.shape or not m.X.shape:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    name = m.inner.node.op.name
    if name == "multiply" and not _is_above_zero(m, m.NUMBER):
        return None
    return in_place_of(m, getattr(b, name)(getattr(b, m.root.op.name)(m.X, **m.root.attrs), m.NUMBER))


def _is_above_zero(m: Match, tensor: Tensor) -> bool:
    value = m.splat(tensor)
    return value is not None and bool(value > 0)


# Monotone functions

_RISING = ("exp", "expm1", "sigmoid", "tanh", "softplus", "sinh", "atan", "erf")


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT)) for f in ("max", "min") for g in (*_RISING, "sqrt", "log", "relu")],
    safety="rounding",
)
def extreme_of_rising(m: Match, b: Builder) -> Answer:
    """max(f(x)) = f(max(x)) for a rising f, computed once for each maximum."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    f = m.inner.node.op.name
    if f in ("sqrt", "log") and not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where {f} gives NaN")
    return getattr(b, f)(getattr(b, m.root.op.name)(m.X, **m.root.attrs))


_PLACES = ("argmax", "argmin")


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT)) for f in _PLACES for g in (*_RISING, "sqrt", "log")],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def place_of_rising(m: Match, b: Builder) -> Answer:
    """argmax(f(x)) = argmax(x) for a rising f, also where f rounds different numbers to one."""
    f = m.inner.node.op.name
    if f in ("sqrt", "log") and not is_nonnegative(m.X):
        return decline(f"{m.X.name} may be negative, where {f} gives NaN")
    return getattr(b, m.root.op.name)(m.X, **m.root.attrs)


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT)) for f in _PLACES for g in ("softmax", "log_softmax")],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def place_of_probability(m: Match, b: Builder) -> Answer:
    """argmax(softmax(x)) = argmax(x) along the same axis, also where softmax underflows to 0."""
    if m.root.attrs["axis"] != m.inner.attrs["axis"]:
        return None
    return getattr(b, m.root.op.name)(m.X, **m.root.attrs)


_ARITHMETIC = ("add", "subtract", "multiply", "divide")


@rule(
    [getattr(P, f)(getattr(P, g)(FLOAT, Y)) for f in _PLACES for g in _ARITHMETIC],
    safety="rounding", evidence="sampled", tags="stabilize",
)  # fmt: skip
def place_of_shifted(m: Match, b: Builder) -> Answer:
    """argmax(x + c) = argmax(x), and argmax(x * c) = argmax(x) for c > 0, for c constant along the axis."""
    axis, whole = m.root.attrs["axis"], m.root.inputs[0].shape
    name = m.inner.node.op.name
    if m.X.shape != whole:
        return None
    place = None if axis is None else axis - (len(whole) - m.Y.ndim)
    even = m.Y.size == 1 if place is None else place < 0 or m.Y.shape[place] == 1
    if not even or (name in ("multiply", "divide") and not _is_above_zero(m, m.Y)):
        return None
    return getattr(b, m.root.op.name)(m.X, **m.root.attrs)


@rule([P.argmax(P.negative(FLOAT)), P.argmin(P.negative(FLOAT))], safety="exact")
def place_of_negative(m: Match, b: Builder) -> Answer:
    """argmax(-x) = argmin(x), and argmin(-x) = argmax(x)."""
    other = b.argmin if m.root.op.name == "argmax" else b.argmax
    return fitted(m, b, other(m.X, **m.root.attrs))


RULES: tuple[Rule, ...] = (
    extreme_of_broadcast,
    sum_of_broadcast,
    extreme_of_permuted,
    extreme_of_reshaped,
    place_of_negative,
    place_of_probability,
    place_of_rising,
    place_of_shifted,
    sum_of_permuted,
    sum_of_reshaped,
    merge_means,
    sum_of_known_sums,
    sum_of_scaled,
    sum_of_negative,
    extreme_of_negative,
    extreme_of_shifted,
    extreme_of_rising,
)
