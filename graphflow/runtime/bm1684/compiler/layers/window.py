"""What layers share that move a window over h and w: which part of the input, and how much padding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import local
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile
from graphflow.runtime.bm1684.isa import Operand, Pads, Shape, Window

MOST_STEP, MOST_PAD, MOST_DILATION, MOST_CHANNELS = 15, 15, 16, 4032
"""What the fields of a command hold; the channels are whole groups of 64."""

ONE, NO_ZEROS, NO_PADS = Window(), Window(0, 0), Pads()

LONGEST = 2047
"""Padded rows and columns that the chip takes."""


class Reach(NamedTuple):
    """Elements of the input over one axis, from `start` up to `stop`, and the padding on both sides."""

    start: int
    stop: int
    before: int
    after: int


def reach(
    ends: tuple[int, int], size: int, kernel: int, step: int, dilation: int, pad: int, insert: int = 0
) -> Reach:
    """What the results `ends` over one axis see of an input of a size.

    At least one element is named, even if the windows see only padding; then `before` or `after` is
    negative, or larger than it must be.

    >>> reach((0, 4), size=8, kernel=3, step=2, dilation=1, pad=1)
    Reach(start=0, stop=8, before=1, after=0)
    """
    low = ends[0] * step - pad
    high = (ends[1] - 1) * step - pad + (kernel - 1) * dilation
    start = min(max(0, -(-low // (insert + 1))), size - 1)
    stop = max(start + 1, min(size, high // (insert + 1) + 1))
    return Reach(start, stop, start * (insert + 1) - low, max(0, high - (stop - 1) * (insert + 1)))


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowLayer(ClampedLayer):
    """A layer whose elements each come from a window of the input.

    Attributes:
        strides: by how much the window moves on, over h and w.
        pads: rows and columns around the input: of zeros, or for a maximum of nothing.
    """

    strides: Window = ONE
    pads: Pads = NO_PADS

    @abstractmethod
    def extent(self) -> Window:
        """The size of the window in elements, without dilation."""

    def spread(self) -> Window:
        """The dilation: from one element of the window to the next."""
        return ONE

    def inserted(self) -> Window:
        """Zeros between the rows and columns of the input."""
        return NO_ZEROS

    def given_shape(self) -> Shape:
        """The sizes of the input over which the window moves."""
        return self.inputs[0].shape

    def channels(self, box: Box) -> tuple[int, int]:
        """The input channels for a box of the output."""
        return box.start.c, box.stop.c

    def needed(self, index: int, box: Box) -> Box:
        """The rows and columns under the windows, without padding, and the channels."""
        return self.seen(box)[0]

    def seen(self, box: Box) -> tuple[Box, Pads]:
        """What a box of the output is computed from, and the padding around that."""
        given, kernel = self.given_shape(), self.extent()
        dilation, insert = self.spread(), self.inserted()
        ends = (box.start.h, box.stop.h), (box.start.w, box.stop.w)
        rows = reach(ends[0], given.h, kernel.h, self.strides.h, dilation.h, self.pads.top, insert.h)
        columns = reach(ends[1], given.w, kernel.w, self.strides.w, dilation.w, self.pads.left, insert.w)
        first, last = self.channels(box)
        start = Shape(box.start.n, first, rows.start, columns.start)
        stop = Shape(box.stop.n, last, rows.stop, columns.stop)
        return Box(start, stop), Pads(rows.before, rows.after, columns.before, columns.after)


def aligned_input(tile: Tile, box: Box, scratch: Sequence[int]) -> tuple[Tile, list[isa.Command]]:
    """A tile in which a box has the automatic layout: this one, or a copy in scratch, with its command."""
    if tile.whole_slots(box):
        return tile, []
    copy = isa.Copy(result=Operand(local(0, scratch[0])), source=tile.operand(box), shape=box.shape)
    return Tile(scratch[0], box), [copy]


def batches(box: Box, whole: bool) -> list[Box]:
    """A box, or each of its items of the batch where one command cannot take them together."""
    if whole or box.shape.n == 1:
        return [box]
    return [box.over("n", item, item + 1) for item in range(box.start.n, box.stop.n)]


def channel_tiles(box: Box, slots: int) -> list[Box]:
    """A box in parts of at most so many groups of 64 channels, about equally large."""
    total = -(-box.shape.c // 64)
    parts = -(-total // max(1, min(slots, MOST_CHANNELS // 64)))
    size = -(-total // parts) * 64
    ends = [*range(box.start.c, box.stop.c, size), box.stop.c]
    return [box.over("c", start, stop) for start, stop in pairwise(ends)]
