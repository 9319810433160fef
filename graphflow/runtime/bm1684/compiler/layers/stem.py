"""The first convolution of a network: the rows under the kernel become channels while the image is loaded.

Three input channels leave most of the chip idle. With the rows of the image that a result row sees as
channels of their own, 3 * kernel h of them, what remains is a convolution of 1 x kernel w. The data mover
does this with overlapping strides: a row of the image is loaded once for every kernel row that meets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.layer import OwnTile, Places
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, Value, row_major, tile_bytes
from graphflow.runtime.bm1684.isa import Direction, Shape, Window

LONGEST_SIDE = 1 << 16
"""Rows, or elements of one, that a transfer cannot count any more."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StemConvolution(Convolution):
    """A convolution of an image in DDR whose channel `row * c + channel` is what a row of the kernel meets.

    Make it with `of`. `weights` are (output channels, kernel h * c, 1, kernel w), `strides`, `dilation` and
    `pads` those over w; the rows of its input are counted with padding, so that they may be negative.

    Attributes:
        rows: kernel rows, their step, their dilation and the padding above.
    """

    rows: tuple[int, int, int, int]

    @classmethod
    def of(cls, like: Convolution) -> StemConvolution:
        """The same as a plain convolution without groups, of a value that lies in DDR."""
        outputs, channels, height, width = like.weights.shape
        given = like.inputs[0]
        turned = like.weights.transpose(0, 2, 1, 3).reshape(outputs, height * channels, 1, width)
        return cls(
            output=like.output,
            inputs=(Value(f"{given.name} by rows", given.shape, alias=given),),
            nodes=like.nodes,
            weights=np.ascontiguousarray(turned),
            bias=like.bias,
            strides=Window(1, like.strides.w),
            pads=like.pads._replace(top=0, bottom=0),
            dilation=Window(1, like.dilation.w),
            relu=like.relu,
            ceiling=like.ceiling,
            rows=(height, like.strides.h, like.dilation.h, like.pads.top),
        )

    def given_shape(self) -> Shape:
        given = self.inputs[0].shape
        return given._replace(c=given.c * self.rows[0], h=self.output.shape.h)

    def needed(self, index: int, box: Box) -> Box:
        count, step, spread, above = self.rows
        rows = box.start.h * step - above, (box.stop.h - 1) * step - above + (count - 1) * spread + 1
        given = self.inputs[0].shape
        start = Shape(box.start.n, 0, rows[0], 0)
        return Box(start, Shape(box.stop.n, given.c, rows[1], given.w))

    def _loaded(self, box: Box) -> Box:
        """What the tile holds, as channels by kernel row and rows of the result, for a box of the image."""
        count, step, spread, above = self.rows
        first = (box.start.h + above) // step
        last = (box.stop.h - 1 + above - (count - 1) * spread) // step + 1
        stop = Shape(box.stop.n, box.stop.c * count, last, box.stop.w)
        return Box(Shape(box.start.n, 0, first, 0), stop)

    def tile(self, places: Places) -> Tile:
        given = places.inputs[0]
        return replace(given, box=self._loaded(given.box))

    def own_tile(self, index: int, box: Box) -> OwnTile:
        return OwnTile(tile_bytes(self._loaded(box).shape), partial(self._load, box))

    def _load(self, box: Box, source: int, offset: int) -> Sequence[isa.GdmaCommand]:
        """Rows that every kernel row meets come in one transfer an item; for the others the rest is zeros."""
        tile = Tile(offset, self._loaded(box))
        start, stop = tile.box.start.h, tile.box.stop.h
        meets = [self._meets(row) for row in range(start, stop)]
        full = [start + at for at, found in enumerate(meets) if found == (0, self.rows[0])]
        inner = (full[0], full[-1] + 1) if full else (stop, stop)
        commands: list[isa.GdmaCommand] = []
        for low, high in ((start, inner[0]), (inner[1], stop)):
            if low < high:
                commands.append(_zeros(tile, tile.box.rows(low, high)))
        for item in range(box.start.n, box.stop.n):
            if full:
                commands.append(self._rows(tile, item, inner, (0, self.rows[0]), source))
            for row in [*range(start, inner[0]), *range(inner[1], stop)]:
                if meets[row - start] != (0, 0):
                    commands.append(self._rows(tile, item, (row, row + 1), meets[row - start], source))
        return commands

    def _meets(self, row: int) -> tuple[int, int]:
        """The kernel rows that meet the image, of a row of the result."""
        count, step, spread, above = self.rows
        height = self.inputs[0].shape.h
        found = [at for at in range(count) if 0 <= row * step - above + at * spread < height]
        return (found[0], found[-1] + 1) if found else (0, 0)

    def _rows(
        self, tile: Tile, item: int, rows: tuple[int, int], kernel: tuple[int, int], source: int
    ) -> isa.GdmaCommand:
        """Bring what some kernel rows meet, for some rows of the result."""
        _, step, spread, above = self.rows
        given = self.inputs[0].shape
        strides = row_major(given)
        count, height = kernel[1] - kernel[0], rows[1] - rows[0]
        first = rows[0] * step - above + kernel[0] * spread
        at = Box(Shape(item, kernel[0] * given.c, rows[0], 0), Shape(item, 0, 0, 0))
        return isa.TensorTransfer(
            direction=Direction.LOAD,
            source=source + WORD * (item * strides.n + first * strides.h),
            destination=tile.address(at),
            source_shape=Shape(count, given.c, height, given.w),
            source_strides=Shape(spread * strides.h, strides.c, step * strides.h, 1),
            destination_shape=Shape(1, count * given.c, height, given.w),
            destination_strides=tile.strides,
            explicit_strides=True,
        )


def _zeros(tile: Tile, box: Box) -> isa.GdmaCommand:
    return isa.Fill(
        destination=tile.address(box),
        destination_shape=box.shape,
        destination_strides=tile.strides,
        explicit_strides=True,
        value=0,
    )


def suits_stem(layer: Convolution) -> bool:
    """Whether the rows under the kernel can become channels: few channels, and no groups."""
    shape, rows = layer.weights.shape, layer.inputs[0].shape
    few = shape[2] > 1 and shape[1] * shape[2] <= LANES
    return few and layer.groups == 1 and not max(layer.insert) and max(rows.h, rows.w) < LONGEST_SIDE
