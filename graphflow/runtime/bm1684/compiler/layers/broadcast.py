"""Layers that work element by element on inputs of which some are broadcast.

An input of one channel is loaded from DDR onto all lanes, as no command of the tensor unit crosses lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer, OwnTile, broadcast_box
from graphflow.runtime.bm1684.compiler.tensors import (
    WORD,
    Box,
    Tile,
    Value,
    aligned_strides,
    row_major,
    tile_bytes,
)
from graphflow.runtime.bm1684.isa import Direction, Operand, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class BroadcastLayer(LocalLayer):
    """A layer whose inputs have the sizes of its output, or 1 where they are broadcast."""

    def overwrites(self) -> tuple[int, ...]:
        return tuple([index for index, value in enumerate(self.inputs) if value.shape == self.output.shape])

    def spread(self, index: int) -> bool:
        """Whether an input of one channel must lie on all lanes."""
        return self.inputs[index].shape.c == 1 and self.output.shape.c > 1

    def own_tile(self, index: int, box: Box) -> OwnTile | None:
        if not self.spread(index):
            return None
        load = partial(_spread_load, self.inputs[index], box)
        return OwnTile(tile_bytes(box.shape._replace(c=LANES)), load)

    def known(self, box: Box, held: Sequence[Box] | None) -> Sequence[Box]:
        """What the tiles of the inputs hold: as is said, or just what a box of the output needs."""
        return [broadcast_box(box, value) for value in self.inputs] if held is None else held

    def flat(self, tiles: Sequence[Tile], box: Box) -> bool:
        """Whether all inputs have the sizes of the output, and a box lies alike in all of these tiles."""
        alike = all(value.shape == self.output.shape for value in self.inputs)
        return alike and all(tile.whole_slots(box) for tile in tiles)

    def operand_of(self, index: int, tile: Tile, box: Box) -> Operand:
        """The part of an input that a box of the output reads, with strides of 0 where it is broadcast."""
        value = self.inputs[index]
        if self.spread(index):
            tile = Tile(tile.offset, tile.box.over("c", 0, LANES))
        strides = [
            0 if size == 1 and wanted > 1 else stride
            for size, wanted, stride in zip(value.shape, box.shape, tile.strides)
        ]
        return Operand(tile.address(broadcast_box(box, value)), strides=Shape(*strides))


def _spread_load(value: Value, box: Box, source: int, offset: int) -> list[isa.GdmaCommand]:
    """The command that brings a box of a value of one channel onto all 64 lanes."""
    shape = box.shape._replace(c=LANES)
    strides = row_major(value.shape)
    first = WORD * sum(at * stride for at, stride in zip(box.start, strides))
    return [
        isa.TensorTransfer(
            direction=Direction.LOAD,
            source=source + first,
            destination=local(0, offset),
            source_shape=shape,
            destination_shape=shape,
            explicit_strides=True,
            source_strides=strides._replace(c=0),
            destination_strides=aligned_strides(shape),
        )
    ]
