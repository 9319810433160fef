"""What polynomial an expression is, so that a formula is recognised however its factors are arranged."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.rewriter import Rewriter

_DEEPEST = 8
_HIGHEST = 8  # the highest power that is multiplied out

Coefficients = dict[int, float]
"""The coefficient of each power."""


def coefficients(tensor: Tensor, powers: Mapping[Tensor, int], rewriter: Rewriter) -> Coefficients | None:
    """The polynomial that a tensor is of some others, or None.

    Arguments:
        powers: which power each of the others stands for; {x: 1, y: 100} tells x^3 y from others as 103.
    """
    return _of(tensor, powers, rewriter, _DEEPEST)


def _of(tensor: Tensor, powers: Mapping[Tensor, int], rewriter: Rewriter, depth: int) -> Coefficients | None:
    if tensor in powers:
        return {powers[tensor]: 1.0}
    value = rewriter.splat(tensor)
    if value is not None:
        return {0: float(value)}
    rule = _RULES.get(tensor.node.op.name)
    if rule is None or depth == 0:
        return None
    parts = []
    for operand in tensor.node.inputs:
        part = _of(operand, powers, rewriter, depth - 1)
        if part is None:
            return None
        parts.append(part)
    return rule(tensor.node, *parts)


def _sum(node: Node, x: Coefficients, y: Coefficients) -> Coefficients:
    sign = -1.0 if node.op.name == "subtract" else 1.0
    return {power: x.get(power, 0.0) + sign * y.get(power, 0.0) for power in sorted({*x, *y})}


def _product(node: Node, x: Coefficients, y: Coefficients) -> Coefficients:
    made: Coefficients = {}
    for left, first in x.items():
        for right, second in y.items():
            made[left + right] = made.get(left + right, 0.0) + first * second
    return made


def _quotient(node: Node, x: Coefficients, y: Coefficients) -> Coefficients | None:
    if set(y) != {0} or y[0] == 0:
        return None
    return {power: factor / y[0] for power, factor in x.items()}


def _power(node: Node, x: Coefficients, y: Coefficients) -> Coefficients | None:
    exponent = y.get(0, -1.0) if set(y) == {0} else -1.0
    if exponent not in range(1, _HIGHEST + 1):
        return None
    made = x
    for _ in range(int(exponent) - 1):
        made = _product(node, made, x)
    return made


_RULES: dict[str, Callable[..., Coefficients | None]] = {
    "add": _sum,
    "subtract": _sum,
    "multiply": _product,
    "divide": _quotient,
    "pow": _power,
    "square": lambda node, x: _product(node, x, x),
    "negative": lambda node, x: {power: -factor for power, factor in x.items()},
}

_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def near(number: float, wanted: float, tensor: Tensor) -> bool:
    """Whether a number is another one to the precision of a tensor's dtype, a few roundings allowed."""
    return abs(number - wanted) <= 4 * _EPSILON.get(tensor.dtype.name, 0.0) * abs(wanted)
