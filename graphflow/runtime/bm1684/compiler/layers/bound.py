"""A value bounded from below, from above, or both: relu, clip and their like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.clamp import bounds
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer, Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.tensors import Box


@dataclass(frozen=True, eq=False, kw_only=True)
class Bound(LocalLayer):
    """min(max(x, low), high); either may be None."""

    low: float | None = None
    high: float | None = None

    def overwrites(self) -> tuple[int, ...]:
        return (0,)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        return [timed(partial(self.commands, box), [box] if held is None else held, box)]

    def commands(self, box: Box, places: Places) -> list[isa.Command]:
        source, result = places.inputs[0].operand(box), places.output.operand(box)
        return bounds(source, result, box.shape, self.low, self.high)
