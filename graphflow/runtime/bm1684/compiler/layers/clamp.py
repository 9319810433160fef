"""Results that are bounded where they lie: a ReLU, or a ReLU with a ceiling, in the work of another layer."""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile
from graphflow.runtime.bm1684.isa import Constant, Operation


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
        bounds = [(Operation.MAXIMUM, 0.0)] if self.relu else []
        bounds += [] if self.ceiling is None else [(Operation.MINIMUM, self.ceiling)]
        place = tile.operand(box)
        return [
            isa.Arithmetic(
                operation=operation, result=place, left=place, right=Constant.of(bound), shape=box.shape
            )
            for operation, bound in bounds
        ]
