"""Two values element by element, with broadcasting: the faster command where both lie alike, else by strides.

An operand of one channel is loaded from DDR onto all lanes, as no command of the tensor unit crosses lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer, Places, Work, broadcast_box
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile, Value, aligned_strides, row_major, tile_bytes
from graphflow.runtime.bm1684.isa import Constant, Direction, Operand, Operation, Shape

_FAST = (Operation.ADD, Operation.SUBTRACT, Operation.MULTIPLY, Operation.DIVIDE)
"""What the command for aligned operands does, in half the time of the strided one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary(LocalLayer):
    """left operation right; operands of size 1 along an axis are broadcast.

    Attributes:
        operation: what is done.
        left, right: the operands: the index of an input, or a constant.
    """

    operation: Operation
    left: int | float
    right: int | float
    relu: bool = False

    def overwrites(self) -> tuple[int, ...]:
        return tuple([index for index, value in enumerate(self.inputs) if value.shape == self.output.shape])

    def own_bytes(self, index: int, box: Box) -> int | None:
        if not self.spread(index):
            return None
        return tile_bytes(box.shape._replace(c=LANES))

    def spread(self, index: int) -> bool:
        """Whether an input of one channel must lie on all lanes."""
        return self.inputs[index].shape.c == 1 and self.output.shape.c > 1

    def own_load(self, index: int, box: Box, source: int, offset: int) -> Sequence[isa.GdmaCommand]:
        return [spread_load(self.inputs[index], box, source, offset)]

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        known = [broadcast_box(box, value) for value in self.inputs] if held is None else held

        def build(places: Places) -> list[isa.Command]:
            return self.commands(box, places)

        return [timed(build, known, box)]

    def commands(self, box: Box, places: Places) -> list[isa.Command]:
        sides = [self.operand(side, box, places) for side in (self.left, self.right)]
        result = places.output.operand(box)
        kind: type[isa.Arithmetic] | type[isa.ScalarArithmetic] = isa.Arithmetic
        if self.operation in _FAST and self.alike(box, places):
            kind, result = isa.ScalarArithmetic, places.output.plain(box)
            sides = [self.plain(side, box, places) for side in (self.left, self.right)]
        made: list[isa.Command] = [
            kind(operation=self.operation, shape=box.shape, left=sides[0], right=sides[1], result=result)
        ]
        if self.relu:
            made.append(bounded(places.output, box, Operation.MAXIMUM, 0.0))
        return made

    def alike(self, box: Box, places: Places) -> bool:
        """Whether all that is read and written lies aligned, with the sizes of the result."""
        tiles = [places.inputs[side] for side in (self.left, self.right) if isinstance(side, int)]
        whole = all(value.shape == self.output.shape for value in self.inputs)
        return whole and all(tile.whole_slots(box) for tile in (*tiles, places.output))

    def plain(self, side: int | float, box: Box, places: Places) -> Operand | Constant:
        return places.inputs[side].plain(box) if isinstance(side, int) else Constant.of(side)

    def operand(self, side: int | float, box: Box, places: Places) -> Operand | Constant:
        """An operand with strides of 0 along the axes over which it is broadcast."""
        if not isinstance(side, int):
            return Constant.of(side)
        value, tile = self.inputs[side], places.inputs[side]
        if self.spread(side):
            tile = Tile(tile.offset, tile.box.over("c", 0, LANES))
        return broadcast_operand(tile, value, box)


def broadcast_operand(tile: Tile, value: Value, box: Box) -> Operand:
    """The part of a tile that a box of the result reads, with strides of 0 along axes of size 1."""
    strides = [
        0 if size == 1 and wanted > 1 else stride
        for size, wanted, stride in zip(value.shape, box.shape, tile.strides)
    ]
    return Operand(tile.address(broadcast_box(box, value)), strides=Shape(*strides))


def bounded(tile: Tile, box: Box, operation: Operation, bound: float) -> isa.Arithmetic:
    """The command that bounds a box of a tile from below or above, in place."""
    place = tile.plain(box) if tile.whole_slots(box) else tile.operand(box)
    return isa.Arithmetic(
        operation=operation, result=place, left=place, right=Constant.of(bound), shape=box.shape
    )


def spread_load(value: Value, box: Box, source: int, offset: int) -> isa.TensorTransfer:
    """The command that brings a box of a value of one channel onto all 64 lanes."""
    shape = box.shape._replace(c=LANES)
    strides = row_major(value.shape)
    first = 4 * sum(at * stride for at, stride in zip(box.start, strides))
    return isa.TensorTransfer(
        direction=Direction.LOAD,
        source=source + first,
        destination=local(0, offset),
        source_shape=shape,
        destination_shape=shape,
        explicit_strides=True,
        source_strides=strides._replace(c=0),
        destination_strides=aligned_strides(shape),
    )
