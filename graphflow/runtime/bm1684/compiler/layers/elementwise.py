"""Two values element by element: by the faster command where both lie alike, else by strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.broadcast import BroadcastLayer
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation

_FAST = (Operation.ADD, Operation.SUBTRACT, Operation.MULTIPLY, Operation.DIVIDE)
"""What the command for aligned operands does, in half the time of the strided one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary(BroadcastLayer, ClampedLayer):
    """left operation right; operands of size 1 along an axis are broadcast.

    Attributes:
        operation: what is done.
        left, right: the operands: the index of an input, or a constant.
    """

    operation: Operation
    left: int | float
    right: int | float

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        return [timed(partial(self.commands, box), self.known(box, held), box)]

    def commands(self, box: Box, places: Places) -> list[isa.Command]:
        if self.operation in _FAST and self.flat([*places.inputs, places.output], box):
            left, right = (self.plain(side, box, places) for side in (self.left, self.right))
            result = places.output.plain(box)
            made: isa.Command = isa.ScalarArithmetic(
                operation=self.operation, shape=box.shape, left=left, right=right, result=result
            )
        else:
            left, right = (self.operand(side, box, places) for side in (self.left, self.right))
            result = places.output.operand(box)
            made = isa.Arithmetic(
                operation=self.operation, shape=box.shape, left=left, right=right, result=result
            )
        return [made, *self.clamped(places.output, box)]

    def plain(self, side: int | float, box: Box, places: Places) -> Operand | Constant:
        return places.inputs[side].plain(box) if isinstance(side, int) else Constant.of(side)

    def operand(self, side: int | float, box: Box, places: Places) -> Operand | Constant:
        """An operand with strides of 0 along the axes over which it is broadcast."""
        if not isinstance(side, int):
            return Constant.of(side)
        return self.operand_of(side, places.inputs[side], box)
