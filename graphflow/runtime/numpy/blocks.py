"""How a loop over arrays is cut into blocks: along which axis, and which part of each operand a block reads.

Neighbouring axes that all operands run through alike are joined, as far as their strides allow, and the
result is cut along the first axis of which one step is no larger than a block. Blocks take the elements
in row-major order, which is NumPy's own order for operands like these; where it would take another one (a
transposed operand), there are no blocks, so that every element is computed in the company in which NumPy
computes it when it is given whole arrays.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and strides."""

_LANES = 64  # blocks hold a multiple of so many elements where they can, a whole number of SIMD registers


@dataclass(frozen=True, slots=True)
class Cut:
    """A loop over blocks.

    Attributes:
        sizes: of the joined axes; all are run through, block by block.
        axis: the one that is cut; those before it are run through one by one.
        step: how far a block reaches along it.
        strides: for each operand, its strides along the joined axes, 0 where it is repeated.
    """

    sizes: tuple[int, ...]
    axis: int
    step: int
    strides: tuple[tuple[int, ...], ...]

    @property
    def inner(self) -> tuple[int, ...]:
        """The sizes after the axis that is cut."""
        return self.sizes[self.axis + 1 :]

    def views(self, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The operands with the joined axes, of size 1 where they are repeated; scalars as they are."""
        made = []
        for operand, strides in zip(operands, self.strides):
            if operand.ndim:
                shape = [size if stride else 1 for size, stride in zip(self.sizes, strides)]
                operand = np.lib.stride_tricks.as_strided(operand, shape, strides)
            made.append(operand)
        return made

    def selectors(self, operands: Sequence[np.ndarray], outer: tuple[int, ...], part: slice) -> list[Any]:
        """The index of a block in each of these views."""
        axis, whole = self.axis, slice(None)
        return [
            (
                *[place if stride else 0 for place, stride in zip(outer, strides)],
                part if strides[axis] else whole,
            )
            if operand.ndim
            else ()
            for operand, strides in zip(operands, self.strides)
        ]

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], int, int]]:
        """(places along the axes before, start, stop) of each block."""
        size, step = self.sizes[self.axis], self.step
        for outer in itertools.product(*[range(count) for count in self.sizes[: self.axis]]):
            for start in range(0, size, step):
                yield outer, start, min(start + step, size)


def cut(domain: tuple[int, ...], layouts: Sequence[Layout], elements: int, whole: int = 0) -> Cut | None:
    """The blocks of a loop, or None if it cannot or need not be cut.

    Arguments:
        domain: the shape that is run through.
        layouts: those of the operands, which broadcast to it.
        elements: about as many as a block should have.
        whole: how many of the last axes may not be cut.

    >>> cut((100, 6, 10), [((100, 6, 10), (480, 80, 8)), ((10,), (8,))], 500)
    Cut(sizes=(600, 10), axis=0, step=32, strides=((80, 8), (0, 8)))
    """
    rank = len(domain)
    if math.prod(domain) <= elements:
        return None
    rows = []
    for shape, strides in layouts:
        missing = rank - len(shape)
        if missing < 0:
            return None
        repeated = (0,) * missing + tuple(
            [0 if size == 1 else stride for size, stride in zip(shape, strides)]
        )
        if not _row_major(domain, repeated):
            return None
        rows.append(repeated)
    groups = _joined(domain, rows, rank - whole)
    free = [position for position, (axis, _) in enumerate(groups) if axis < rank - whole]
    if not free:
        return None
    sizes = tuple([size for _, size in groups])
    axis = next((place for place in free if math.prod(sizes[place + 1 :]) <= elements), free[-1])
    step = max(1, elements // math.prod(sizes[axis + 1 :]))
    aligned = _LANES // math.gcd(_LANES, math.prod(sizes[axis + 1 :]))
    step = step // aligned * aligned if step >= aligned else step
    return Cut(sizes, axis, step, tuple([tuple([row[axis] for axis, _ in groups]) for row in rows]))


def _row_major(domain: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether an operand, where it is not repeated, lies in memory in the order of its axes."""
    least = 0
    for size, stride in zip(reversed(domain), reversed(strides)):
        if stride and size != 1:
            if stride < least:
                return False
            least = stride * size
    return True


def _joined(domain: tuple[int, ...], rows: list[tuple[int, ...]], border: int) -> list[tuple[int, int]]:
    """(last axis, size) of each group of axes that are run through as one; none reaches over the border."""
    groups: list[tuple[int, int]] = []
    for axis, size in enumerate(domain):
        if size == 1:
            continue
        if groups and (groups[-1][0] < border) == (axis < border):
            before, count = groups[-1]
            if all([row[before] == row[axis] * size for row in rows]):
                groups[-1] = (axis, count * size)
                continue
        groups.append((axis, size))
    return groups
