"""Rules of sizes as values: shape arithmetic becomes constants, or sizes that are known by name.

A session gives every size a number before it compiles, and folding does the rest; these rules serve
programs that keep symbolic sizes, and let a tensor go that only its shape was asked of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, rule
from graphflow.optimizer.rules.common import X, Y

MOST_TERMS = 8
"""Sizes are worked out while they have no more terms than this."""


@rule(P.slice(P.shape_of(X)), safety="exact")
def known_sizes(m: Match, b: Builder) -> Answer:
    """Entries of a shape that are numbers are constants, though others may be symbolic."""
    (start,), (stop,), (step,) = [m.root.attrs[what] for what in ("starts", "stops", "steps")]
    chosen = m.X.shape[slice(start, stop, step)]
    if any([isinstance(size, Dim) for size in chosen]):
        return None
    return b.constant(value=np.array([int(size) for size in chosen], dtype=m.output.dtype.numpy))


@rule(P.shape_of(X), safety="exact")
def shape_from_operand(m: Match, b: Builder) -> Answer:
    """The shape of f(x) is that of x if both have the same sizes, so that f need not be computed for it."""
    for tensor in m.X.node.inputs:
        if tensor.shape == m.X.shape:
            return b.shape_of(tensor)
    return None


_NAMES = ("add", "subtract", "multiply", "floor_divide")


@rule(
    [getattr(P, name)(P.dimension(), Y) for name in _NAMES]
    + [getattr(P, name)(Y, P.dimension()) for name in _NAMES],
    safety="exact",
)
def dimension_arithmetic(m: Match, b: Builder) -> Answer:
    """size + c, size - c, size * c, floor(size / c), also of two sizes, worked out while optimising."""
    if m.output.dtype is not int64 or m.output.shape:
        return None
    left, right = [_size(tensor) for tensor in m.root.inputs]
    if left is None or right is None:
        return None
    name = m.root.op.name
    if name == "floor_divide" and not (isinstance(right, int) and right > 0):
        return None
    size = {"add": _sum, "subtract": _difference, "multiply": _product, "floor_divide": dims.floor_divide}[
        name
    ](left, right)
    if isinstance(size, Dim) and len(size.terms) > MOST_TERMS:
        return None
    return b.dimension(size=size, dtype=int64) if isinstance(size, Dim) else b.like(size, m.output)


def _size(tensor: Tensor) -> Any:
    """The size that a scalar stands for, or None."""
    node = tensor.node
    if node.op.name == "dimension":
        return node.attrs["size"]
    return int(node.attrs["value"]) if node.op.name == "constant" and not tensor.shape else None


def _sum(left: Any, right: Any) -> Any:
    return left + right


def _difference(left: Any, right: Any) -> Any:
    return left - right


def _product(left: Any, right: Any) -> Any:
    return left * right


RULES: tuple[Rule, ...] = (known_sizes, shape_from_operand, dimension_arithmetic)
