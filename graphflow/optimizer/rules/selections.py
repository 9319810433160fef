"""Sums along an axis at which at most one element is chosen, as the gradients of picked elements have them.

What is chosen by its position, one_hot(i) y or where(i = 0 1 ... n - 1, y, 0), has one element y_i along the
axis, or none where i is out of range. Its sum needs no element of the others, which are 0, and an infinite
y_i stays infinite where 0 y would have made it NaN. Where y changes along the axis, y_i is read at its place:
a cross entropy written with one_hot then takes one logarithm a row and not as many as there are classes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, rule
from graphflow.optimizer.rules.common import AXES, X, in_place_of

chosen = partial(rule, safety="finite", evidence="sampled", tags="stabilize")

VALUE = Variable("VALUE", kinds="float")
POSITIONS = Variable("POSITIONS", kinds="int uint", constant=True)
INDEX = Variable("INDEX", kinds="int uint")


def _is_inside(b: Builder, index: Tensor, size: int) -> Tensor:
    """Whether 0 <= i < n, where a narrow dtype may not hold n."""
    wide = b.astype(index, dtype=int64) if index.dtype.itemsize < 4 else index
    inside: Tensor = b.logical_and(b.greater_equal(wide, 0), b.less(wide, size))
    return inside


def _total(m: Match, b: Builder, index: Tensor, value: Tensor, size: int) -> Tensor | None:
    """where(0 <= i < n, y_i, 0) in the root's shape, if i does not change along the axis."""
    (axis,) = m.AXES
    whole = m.root.inputs[0].shape
    kept = (*whole[:axis], 1, *whole[axis + 1 :])
    if not _is_even(m, value):
        if value.shape != whole:
            return None
        places = index if index.shape == kept else b.broadcast_to(index, shape=kept)
        value = b.take_along_axis(value, places, axis=axis)
    total = b.where(_is_inside(b, index, size), value, b.like(0.0, m.output))
    if total.shape != kept:
        return None
    if total.shape != m.output.shape:
        total = b.reshape(total, shape=m.output.shape)
    return in_place_of(m, total)


def _is_even(m: Match, tensor: Tensor) -> bool:
    """Whether a tensor, aligned at the end with the one that is summed, has one element along the axis."""
    place = m.AXES[0] - (m.root.inputs[0].ndim - tensor.ndim)
    return place < 0 or tensor.shape[place] == 1


_HOT = P.one_hot(X)


@chosen([P.sum(P.multiply(_HOT.named("HOT"), VALUE), axis=AXES), P.sum(_HOT.named("HOT"), axis=AXES)])
def sum_of_one_hot(m: Match, b: Builder) -> Answer:
    """sum(one_hot(i, n) y) = where(0 <= i < n, y_i, 0), and sum(one_hot(i, n)) = [0 <= i < n]."""
    hot, attrs = m.HOT.tensor, m.HOT.attrs
    axis, depth = attrs["axis"], attrs["depth"]
    if (axis,) != m.AXES or hot.shape != m.root.inputs[0].shape or not m.output.dtype.is_floating:
        return None
    if not isinstance(depth, int):
        return None
    product = m.root.inputs[0].node.op.name == "multiply"
    index = b.reshape(m.X, shape=(*hot.shape[:axis], 1, *hot.shape[axis + 1 :]))
    return _total(m, b, index, m.VALUE if product else b.like(1.0, m.output), depth)


@chosen(P.sum(P.where(P.equal(INDEX, POSITIONS), VALUE, 0), axis=AXES))
def sum_of_selected(m: Match, b: Builder) -> Answer:
    """sum(where(i = (0 ... n - 1), y, 0)) = where(0 <= i < n, y_i, 0), for i constant along the axis."""
    if len(m.AXES) != 1 or not _is_even(m, m.INDEX):
        return None
    positions = m.value(POSITIONS)
    size = positions.size
    place = m.AXES[0] - (m.root.inputs[0].ndim - positions.ndim)
    if place < 0 or positions.shape[place] != size or not _counts_up(positions.ravel()):
        return None
    return _total(m, b, m.INDEX, m.VALUE, size)


def _counts_up(numbers: np.ndarray) -> bool:
    """Whether they are 0 1 ... n - 1; the last is looked at first, as there may be many."""
    size = numbers.size
    return size > 0 and numbers[-1] == size - 1 and np.array_equal(numbers, np.arange(size))


RULES: tuple[Rule, ...] = (sum_of_one_hot, sum_of_selected)
