"""Regions: a box of element-wise work in parts so small that all temporaries of one fit into scratch.

Where every tile is the box itself, the positions of a channel are one run, whatever its rows and columns are,
so that parts may end anywhere at a multiple of 128 bytes; else parts are boxes, and operands have strides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphflow.runtime.bm1684.chip import ALIGNMENT, LANES
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, tile_bytes
from graphflow.runtime.bm1684.isa import Operand, Shape


class Region(NamedTuple):
    """A part of the work: a box, or a run of positions within the channels of one.

    Attributes:
        box: the box, or the one whose positions are meant.
        skip: the first position of the run.
        shape: the sizes of what is computed.
    """

    box: Box
    skip: int
    shape: Shape

    def within(self, tile: Tile) -> Operand:
        """It in a tile where it lies aligned."""
        return Operand(tile.address(self.box) + WORD * self.skip)


def runs(box: Box, limit: int) -> Iterator[Region]:
    """Regions of a box that is all of its tiles, each of at most so many bytes a lane."""
    shape = box.shape
    slot, slots = tile_bytes(Shape(1, 1, shape.h, shape.w)), -(-shape.c // LANES)
    if slot <= limit:
        for part in _boxes(box, limit // slot, slots):
            yield Region(part, 0, part.shape)
        return
    most, positions = limit // ALIGNMENT * ALIGNMENT // WORD, shape.h * shape.w
    for part in _boxes(box, 1, slots):
        for first in range(0, positions, most):
            yield Region(part, first, Shape(1, part.shape.c, 1, min(most, positions - first)))


def boxes(box: Box, limit: int) -> Iterator[Region]:
    """Regions of any box, each of at most so many bytes a lane."""
    shape = box.shape
    slot, slots = tile_bytes(Shape(1, 1, shape.h, shape.w)), -(-shape.c // LANES)
    if slot <= limit:
        for part in _boxes(box, limit // slot, slots):
            yield Region(part, 0, part.shape)
        return
    for part in _boxes(box, 1, slots):
        for piece in _image_parts(part, limit // WORD):
            yield Region(piece, 0, piece.shape)


def _boxes(box: Box, most: int, slots: int) -> Iterator[Box]:
    """Boxes of at most so many slots: whole items of the batch together, or some channels of one."""
    batch = max(1, most // slots)
    for n in range(box.start.n, box.stop.n, batch):
        items = box.over("n", n, min(n + batch, box.stop.n))
        if most >= slots:
            yield items
            continue
        for c in range(box.start.c, box.stop.c, LANES * most):
            yield items.over("c", c, min(c + LANES * most, box.stop.c))


def _image_parts(box: Box, most: int) -> Iterator[Box]:
    """Rows, or columns of single rows, of at most so many elements."""
    rows = max(1, most // box.shape.w)
    for h in range(box.start.h, box.stop.h, rows):
        part = box.rows(h, min(h + rows, box.stop.h))
        for w in range(box.start.w, box.stop.w, most):
            yield part.over("w", w, min(w + most, box.stop.w))
