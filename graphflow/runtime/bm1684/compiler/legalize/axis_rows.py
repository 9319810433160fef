"""The axes that an operator brings together, as rows that lie within a channel."""

from __future__ import annotations

from itertools import groupby
from math import prod
from typing import NamedTuple

from graphflow.runtime.bm1684.compiler.layers.movement import Fetched
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Shape

MOST_CHANNELS = 4095
LONGEST = 1 << 15
"""Elements of a row at most: two temporaries and the row itself fit into a lane."""

_WIDE = 16


class Rows(NamedTuple):
    """A value with its rows.

    Attributes:
        value: with rows along the axes `over` of each channel.
        over: "w", "h" or "hw".
        turned: whether the elements lie in another order than the tensor's: those between two rows that stand
            side by side (over "h") come first.
    """

    value: Value
    over: str
    turned: bool = False


def runs(sizes: tuple[int, ...], axes: set[int]) -> list[tuple[int, bool]]:
    """The products of sizes of axes that stand side by side, and whether they are brought together.

    >>> runs((2, 3, 1, 4, 5), {3, 4})
    [(6, False), (20, True)]
    """
    kept = [(size, axis in axes) for axis, size in enumerate(sizes) if size != 1]
    return [(prod([size for size, _ in run]), one) for one, run in groupby(kept, key=lambda pair: pair[1])]


def rows_of(legalizer: Legalizer, value: Value, before: int, count: int, after: int, node: str) -> Rows:
    """A value as rows of so many elements, with so many before each and between its elements.

    Raises:
        Refused: if a row is too long for local memory.
    """
    if count * (1 if after == 1 else 3) > LONGEST:
        raise Refused(
            f"it brings {count} elements together, and a lane holds {LONGEST} of them",
            hint="reduce in two steps: reshape the axis into two, and reduce one after the other",
        )
    n, c, h, w = value.shape
    if after == 1:
        for over, here, rest in (("hw", h * w, n * c), ("w", w, n * c * h)):
            if here == count and rest == before:
                return Rows(value, over)
        return Rows(legalizer.alias(value, channels(before, Shape(1, 1, 1, count))), "w")
    if (n * c, h, w) == (before, count, after):
        return Rows(value, "h")
    if before >= _WIDE and count * after <= LONGEST // 3:
        return Rows(legalizer.alias(value, channels(before, Shape(1, 1, count, after))), "h")
    width = narrow(after, count)
    made = Value(f"{value.name} turned", Shape(before, after // width, count, width))
    strides = Shape(count * after, width, after, 1)
    legalizer.add(Fetched.of(made, value, strides, nodes=(node,)))
    return Rows(made, "h", True)


def channels(rows: int, shape: Shape) -> Shape:
    """Sizes with so many rows over n and c.

    Raises:
        Refused: if no number of channels that the chip takes divides them.
    """
    c = next((c for c in range(min(rows, MOST_CHANNELS), 0, -1) if rows % c == 0), 1)
    return shape._replace(n=rows // c, c=c)


def narrow(after: int, count: int) -> int:
    """How many elements side by side share a channel, so that the lanes are full and rows fit."""
    divisors = [one for one in range(1, after + 1) if after % one == 0 and after // one <= MOST_CHANNELS]
    fitting = [one for one in divisors if one * count <= LONGEST // 3] or divisors[:1]
    full = [one for one in fitting if after // one >= 64]
    return full[-1] if full else fitting[0]


def turn_back(legalizer: Legalizer, made: Value, output: Value, node: str) -> None:
    """Put what was computed of turned rows into the tensor's own order, as an output of n, rows, c, w."""
    n, c, h, w = made.shape
    assert output.shape == Shape(n, h, c, w)
    legalizer.add(Fetched.of(output, made, Shape(c * h * w, w, h * w, 1), nodes=(node,)))
