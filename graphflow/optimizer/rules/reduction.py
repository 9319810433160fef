"""Rules of reductions: over nothing, over copies, and one after the other.

A sum starts from 0.0, so over a single -0.0 it may give 0.0: those rules hold for finite numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FLOAT, INTEGER, KEEPING, X, filled, in_place_of, reduced_as


def joined_axes(rank: int, inner: Sequence[int], outer: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    """The axes of x that reducing over `inner` and then `outer` reduces.

    >>> joined_axes(4, (1,), (1,), keepdims=False)
    (1, 2)
    """
    if keepdims:
        return tuple(sorted({*inner, *outer}))
    left = [axis for axis in range(rank) if axis not in inner]
    return tuple(sorted([*inner, *(left[axis] for axis in outer)]))


def _single(m: Match, b: Builder) -> Answer:
    """The operand under the root's type, if the reduction is over axes of size 1 only."""
    if any([m.X.shape[axis] != 1 for axis in m.root.attrs["axis"]]):
        return None
    tensor = m.X if m.X.shape == m.output.shape else b.reshape(m.X, shape=m.output.shape)
    return tensor if tensor.dtype is m.output.dtype else b.astype(tensor, dtype=m.output.dtype)


@rule(
    [P.max(X), P.min(X), P.sum(INTEGER), P.prod(Variable("X", kinds="int uint float"))]
    + [P.all(Variable("X", kinds="bool")), P.any(Variable("X", kinds="bool"))],
    safety="exact",
)
def reduce_one_element(m: Match, b: Builder) -> Answer:
    """The largest, smallest, or product of one element is that element."""
    return _single(m, b)


@rule([P.sum(FLOAT), P.mean(FLOAT)], safety="finite")
def sum_one_element(m: Match, b: Builder) -> Answer:
    """The sum and the mean of one element x are x, but for the sign of zero."""
    return _single(m, b)


def reduced_at_once(m: Match, b: Builder) -> Answer:
    """One reduction for two of a kind, of which each may keep the axes that it reduces, or drop them."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    inner, outer = m.inner.attrs, m.root.attrs
    axes = joined_axes(m.X.ndim, inner["axis"], outer["axis"], inner["keepdims"])
    made = b.apply(m.root.op, [m.X], {**outer, "axis": axes})
    return in_place_of(m, made if made.shape == m.output.shape else b.reshape(made, shape=m.output.shape))


@rule(
    [getattr(P, name)(getattr(P, name)(X)) for name in ("max", "min", "all", "any")]
    + [getattr(P, name)(getattr(P, name)(Variable("X", kinds="bool int uint"))) for name in ("sum", "prod")],
    safety="exact",
)
def reduce_of_reduce(m: Match, b: Builder) -> Answer:
    """max(max(x, a), b) = max(x, a and b), and likewise min, all, any, and sums and products of integers."""
    return reduced_at_once(m, b)


@rule(
    [getattr(P, name)(P.broadcast_to(X)) for name in ("max", "min", "all", "any", "sum", "mean")],
    safety="exact",
)
def reduce_copies(m: Match, b: Builder) -> Answer:
    """max, min and mean of n copies of c are c, and their sum is n c where that is exact."""
    value = m.splat(m.root.inputs[0])
    if value is None or m.output.dtype.kind == "complex":
        return None
    count = _count(m)
    name = m.root.op.name
    if name in ("max", "min"):
        return filled(m, b, value)
    if name in ("all", "any"):
        return filled(m, b, bool(value)) if count else None
    if count is None or not _adds_exactly(value, count) or (name == "mean" and not count):
        return None
    return filled(m, b, value if name == "mean" else value.item() * count)


# One form for reduced axes that come back with size 1


@rule([getattr(P, name)(X, keepdims=False) for name in KEEPING], safety="exact")
def keep_reduced_axes(m: Match, b: Builder) -> Answer:
    """max(x, a) is max(x, a, keepdims) reshaped, where something reads it with these axes."""
    reads = m.rewriter.users[m.output]
    if not any(
        [
            user.op.name in ("reshape", "expand_dims") and reduced_as(m.root, user.output.shape)
            for user in reads
        ]
    ):
        return None
    return b.reshape(b.apply(m.root.op, [m.X], {**m.root.attrs, "keepdims": True}), shape=m.output.shape)


@rule([P.reshape(getattr(P, name)(X)) for name in KEEPING], safety="exact")
def reshape_of_reduced(m: Match, b: Builder) -> Answer:
    """Axes that a reduction drops, or keeps, need not come back, or go, as it may keep or drop them."""
    inner = m.inner
    if not inner.has_one_use or not reduced_as(inner.node, m.output.shape):
        return None
    return b.apply(inner.node.op, [m.X], {**inner.attrs, "keepdims": not inner.attrs["keepdims"]})


def _count(m: Match) -> int | None:
    """How many elements go into each result; None if that is symbolic."""
    sizes = [m.root.inputs[0].shape[axis] for axis in m.root.attrs["axis"]]
    return None if any([isinstance(size, Dim) for size in sizes]) else math.prod(map(int, sizes))


def _adds_exactly(value: Any, count: int) -> bool:
    """Whether no partial sum of `count` copies is rounded, in whatever order they are added."""
    if value.dtype.kind != "f":
        return value.dtype.kind in "iu" and abs(int(value)) * count < 2**63
    number = float(value)
    if not math.isfinite(number) or not number.is_integer() or (number == 0 and math.copysign(1, number) < 0):
        return False
    return abs(number) * count <= 2 ** np.finfo(value.dtype).nmant


RULES: tuple[Rule, ...] = (
    reduce_one_element,
    sum_one_element,
    reduce_of_reduce,
    reduce_copies,
    keep_reduced_axes,
    reshape_of_reduced,
)
