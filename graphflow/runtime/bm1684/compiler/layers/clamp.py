"""Results that are bounded where they lie: a ReLU, or a ReLU with a ceiling, in the work of another layer."""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class ClampedLayer(LocalLayer):
    """A layer whose result may be bounded. The chip's maximum of NaN and 0 is 0.

    Attributes:
        relu: whether negative results become 0.
        ceiling: the largest result, or None.
    """

    relu: bool = False
    ceiling: float | None = None

    def clamped(self, tile: Tile, box: Box) -> list[isa.Command]:
        """The commands that bound a box of the output in place."""
        place = tile.operand(box)
        return bounds(place, place, box.shape, 0.0 if self.relu else None, self.ceiling)


def bounds(
    source: Operand, result: Operand, shape: Shape, low: float | None, high: float | None
) -> list[isa.Command]:
    """The commands for min(max(source, low), high); a bound that is None does nothing."""
    made: list[isa.Command] = []
    for operation, bound in ((Operation.MAXIMUM, low), (Operation.MINIMUM, high)):
        if bound is not None:
            right = Constant.of(bound)
            made.append(
                isa.Arithmetic(operation=operation, shape=shape, left=source, right=right, result=result)
            )
            source = result
    return made
