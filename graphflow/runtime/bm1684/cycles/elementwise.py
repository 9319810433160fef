"""Cycles of what is computed element by element: pure functions of sizes, for plans and commands.

A round is what the 64 lanes do at a time: 16 elements of a channel each. See `products` for the source.
"""

from __future__ import annotations

from graphflow.runtime.bm1684.cycles.products import DIVIDE, FOURS, parts, rounds
from graphflow.runtime.bm1684.isa import Operation, Precision

_LOOKUP = 24
_ROOT = 27
_LINEAR = 4
_INTEGERS = (Precision.INT8, Precision.INT16)


def _integer_cost(operation: Operation, wide_left: bool, wide_result: bool) -> int:
    """Cycles a round of arithmetic on int8 and int16; `wide` is int16."""
    pair = wide_left, wide_result
    narrow = pair == (False, False)
    if operation is Operation.ADD:
        return 4 if pair == (False, True) else 3 if narrow else 2
    if operation is Operation.SUBTRACT:
        return 3 if not wide_left else 2
    if operation is Operation.MAXIMUM:
        return 3 if narrow else 1
    if operation is Operation.MULTIPLY:
        return 3 if wide_result else 2
    if operation is Operation.COPY:
        return 1
    fixed = {Operation.MULTIPLY_ACCUMULATE: 4, Operation.SHIFT: 3}
    return fixed.get(operation, 2 if narrow else 1)


def arithmetic_cycles(
    operation: Operation,
    n: int,
    c: int,
    h: int,
    w: int,
    *,
    precision: Precision = Precision.FLOAT32,
    result_precision: Precision | None = None,
    lane: int = 0,
) -> int:
    """Cycles of an Arithmetic, Copy or Choose: n * groups(c) * places * cost.

    The cost is 1 for a copy, 5 for a multiply-accumulate, 30 for a division, and 2 for all else, of fp32 and
    int32. Of int8 and int16 the batch counts by fours, and the cost is from 1 to 4, by whether the left
    operand and the result are int16.

    Arguments:
        operation: what is done.
        n, c, h, w: sizes of the result.
        precision: of the left operand.
        result_precision: of the result, where it is another.
        lane: in which the result begins.

    >>> arithmetic_cycles(Operation.ADD, 1, 64, 56, 56), arithmetic_cycles(Operation.DIVIDE, 1, 64, 56, 56)
    (392, 5880)
    """
    result = precision if result_precision is None else result_precision
    if precision in _INTEGERS and result in _INTEGERS:
        cost = _integer_cost(operation, precision is Precision.INT16, result is Precision.INT16)
        return rounds(parts(n, FOURS), c, h, w, lane) * cost
    costs = {Operation.COPY: 1, Operation.MULTIPLY_ACCUMULATE: 5, Operation.DIVIDE: DIVIDE}
    return rounds(n, c, h, w, lane) * costs.get(operation, 2)


def scalar_cycles(operation: Operation, n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a ScalarArithmetic: 1 a round, half of what Arithmetic takes; 30 for a division.

    >>> scalar_cycles(Operation.ADD, 1, 64, 56, 56)
    196
    """
    return rounds(n, c, h, w, lane) * (DIVIDE if operation is Operation.DIVIDE else 1)


def special_cycles(operation: Operation, n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a SpecialFunction: 27 a round for a reciprocal square root, 1 for the others.

    >>> special_cycles(Operation.RECIPROCAL_SQUARE_ROOT, 1, 64, 4, 4)
    27
    """
    cost = _ROOT if operation is Operation.RECIPROCAL_SQUARE_ROOT else 1
    return rounds(n, c, h, w, lane) * cost


def series_cycles(terms: int, n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a Series: 4 * terms + 2 a round.

    >>> series_cycles(12, 1, 64, 4, 4), series_cycles(5, 1, 64, 4, 4)
    (50, 22)
    """
    return rounds(n, c, h, w, lane) * (4 * terms + 2)


def lookup_cycles(n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a TableLookup: 24 a round.

    >>> lookup_cycles(1, 64, 4, 4)
    24
    """
    return rounds(n, c, h, w, lane) * _LOOKUP


def linear_cycles(n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a Linear: 4 a round.

    >>> linear_cycles(1, 64, 4, 4)
    4
    """
    return rounds(n, c, h, w, lane) * _LINEAR


def compare_cycles(operation: Operation, n: int, c: int, h: int, w: int, *, lane: int = 0) -> int:
    """Cycles of a Compare: 1 a round for the larger alone, 2 if it selects.

    >>> compare_cycles(Operation.LARGER_AND_SELECT, 1, 64, 4, 4)
    2
    """
    return rounds(n, c, h, w, lane) * (1 if operation is Operation.LARGER else 2)
