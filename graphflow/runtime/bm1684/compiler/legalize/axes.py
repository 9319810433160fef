"""Four axes for operands that are broadcast: axes of the graph that stand side by side are merged."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from math import prod

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, sizes
from graphflow.runtime.bm1684.isa import Shape

_LARGEST = Shape(65_535, 4_095, 65_535, 65_535)
"""What the fields of a command hold."""


def common_shapes(legalizer: Legalizer, node: Node) -> tuple[Shape, list[Shape]]:
    """The sizes over n, c, h and w of a node's output, and of each operand, 1 where it is broadcast.

    Those with which an operand was computed are kept if the others fit; else the ones that fill most lanes.

    Raises:
        Refused: if no four axes can say it.
    """
    wanted = sizes(node.output)
    operands = [(1,) * (len(wanted) - len(sizes(one))) + sizes(one) for one in node.inputs]
    ways = [way for cuts in _cuts(len(wanted)) if (way := _merged(wanted, operands, cuts)) is not None]
    if not ways:
        raise Refused(
            f"it broadcasts {' with '.join(map(str, operands))}, which takes more than four axes",
            hint="reshape the operands, so that axes that are broadcast alike stand side by side",
        )
    known = [
        legalizer.values[one].shape if one in legalizer.values and one not in legalizer.constants else None
        for one in node.inputs
    ]
    return min(ways, key=lambda way: _price(way, known))


def _cuts(rank: int) -> list[tuple[int, int, int]]:
    """The places at which axes are cut into four runs."""
    return list(combinations_with_replacement(range(rank + 1), 3))


def _merged(
    wanted: tuple[int, ...], operands: list[tuple[int, ...]], cuts: tuple[int, int, int]
) -> tuple[Shape, list[Shape]] | None:
    """The sizes with runs of axes merged; None if an operand is broadcast along a part of a run."""
    ends = [0, *cuts, len(wanted)]
    runs = [slice(start, stop) for start, stop in pairwise(ends)]
    shape = Shape(*[prod(wanted[run]) for run in runs])
    if any(size > most for size, most in zip(shape, _LARGEST)):
        return None
    made = []
    for operand in operands:
        for run in runs:
            if prod(operand[run]) not in (1, prod(wanted[run])):
                return None
        made.append(Shape(*[prod(operand[run]) for run in runs]))
    return shape, made


def _price(way: tuple[Shape, list[Shape]], known: list[Shape | None]) -> tuple[int, int, float]:
    """What is to be small: operands that must go through DDR, operands spread over lanes, idle lanes."""
    shape, operands = way
    moved = sum(was is not None and was != now for was, now in zip(known, operands))
    spread = sum(one.c == 1 and shape.c > 1 for one in operands)
    rounds = shape.n * -(-shape.c // LANES) * -(-shape.h * shape.w // 32)
    return moved, spread, rounds
