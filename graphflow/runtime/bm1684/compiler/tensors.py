"""Tensors as the chip sees them: values of four axes, boxes of them, and tiles that hold a box locally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, LANES, local
from graphflow.runtime.bm1684.isa import Shape

WORD = 4
"""Bytes of an element: all that is compiled is fp32, and int32 within an element-wise recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the program: its name there, its sizes over n, c, h and w, and its data if it is constant.

    In DDR it lies row-major, or by strides of its own, and then is read there through aliases only. A value
    that is an alias is the same bytes of DDR with other sizes.
    """

    name: str
    shape: Shape
    data: np.ndarray | None = None
    alias: Value | None = None
    strides: Shape | None = None

    @property
    def in_ddr(self) -> Shape:
        """How far apart its elements lie in DDR, in elements."""
        return row_major(self.shape) if self.strides is None else self.strides

    @property
    def root(self) -> Value:
        """The value whose bytes these are."""
        return self if self.alias is None else self.alias.root

    @property
    def bytes(self) -> int:
        """Bytes in DDR."""
        return elements(self.shape) * WORD


class Box(NamedTuple):
    """A part of a value: from `start` up to, not including, `stop` over n, c, h and w.

    >>> box = Box.whole(Shape(1, 64, 8, 8)).rows(2, 4)
    >>> box.shape
    Shape(n=1, c=64, h=2, w=8)
    """

    start: Shape
    stop: Shape

    @classmethod
    def whole(cls, shape: Shape) -> Box:
        """All of a value."""
        return cls(Shape(0, 0, 0, 0), shape)

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        return Shape(*[stop - start for start, stop in zip(self.start, self.stop)])

    def over(self, axis: str, start: int, stop: int) -> Box:
        """The same but for one axis, "n", "c", "h" or "w"."""
        return Box(self.start._replace(**{axis: start}), self.stop._replace(**{axis: stop}))

    def rows(self, start: int, stop: int) -> Box:
        """The same but for h."""
        return self.over("h", start, stop)

    def hull(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(Shape(*map(min, self.start, other.start)), Shape(*map(max, self.stop, other.stop)))

    def holds(self, other: Box) -> bool:
        """Whether the other lies within."""
        return all(a <= b for a, b in zip(self.start, other.start)) and all(
            a >= b for a, b in zip(self.stop, other.stop)
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """A box of a value that lies aligned in local memory: channel c of the box in lane c mod 64.

    Attributes:
        offset: where it begins in every lane, in bytes.
        box: what it holds.
    """

    offset: int
    box: Box

    @property
    def strides(self) -> Shape:
        """The strides of its elements, in words."""
        return aligned_strides(self.box.shape)

    def address(self, box: Box | None = None) -> int:
        """The address of the first element of a part of the box, or of all of it."""
        if box is None:
            return local(0, self.offset)
        n, c, h, w = (inner - outer for inner, outer in zip(box.start, self.box.start))
        slot, lane = divmod(c, LANES)
        strides = self.strides
        return local(
            lane, self.offset + WORD * (n * strides.n + slot * strides.c + h * strides.h + w * strides.w)
        )

    def operand(self, box: Box | None = None) -> isa.Operand:
        """It, or a part of it, as an operand with explicit strides: convolutions and arithmetic read such."""
        return isa.Operand(self.address(box), strides=self.strides)

    def plain(self, box: Box | None = None) -> isa.Operand:
        """It, or a part that lies `whole_slots` within it, as an aligned operand."""
        return isa.Operand(self.address(box))

    def whole_slots(self, box: Box) -> bool:
        """Whether a part has the automatic layout where it lies, so that every kind of command can use it."""
        inner, outer = box.shape, self.box.shape
        sliced = inner.h != outer.h or inner.w != outer.w
        first = box.start.c - self.box.start.c
        if sliced or first % LANES:
            return False
        return inner.n == 1 or -(-inner.c // LANES) == -(-outer.c // LANES)


def elements(shape: Shape) -> int:
    """How many elements sizes stand for."""
    return shape.n * shape.c * shape.h * shape.w


def round_up(number: int, multiple: int) -> int:
    """The smallest multiple that is not less.

    >>> round_up(5, 4)
    8
    """
    return -(-number // multiple) * multiple


def aligned_strides(shape: Shape) -> Shape:
    """The strides, in words, of a tensor of fp32 that lies aligned from lane 0."""
    channel = round_up(shape.h * shape.w * WORD, ALIGNMENT) // WORD
    return Shape(-(-shape.c // LANES) * channel, channel, shape.w, 1)


def tile_bytes(shape: Shape) -> int:
    """Bytes a lane of a tile of fp32.

    >>> tile_bytes(Shape(1, 65, 7, 7))
    512
    """
    return shape.n * aligned_strides(shape).n * WORD


def row_major(shape: Shape) -> Shape:
    """The strides, in elements, of a value in DDR."""
    return Shape(shape.c * shape.h * shape.w, shape.h * shape.w, shape.w, 1)
