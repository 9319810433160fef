"""A function of single elements of one or more values, computed by a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import sub
from typing import Any

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, local
from graphflow.runtime.bm1684.compiler.layers.broadcast import BroadcastLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Places, Work
from graphflow.runtime.bm1684.compiler.layers.recipe import Recipe, Recorder, Term
from graphflow.runtime.bm1684.compiler.layers.regions import Region, boxes, runs
from graphflow.runtime.bm1684.compiler.layers.timed import counted
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile, tile_bytes
from graphflow.runtime.bm1684.isa import Operand

_FEWEST = 128
"""Bytes a lane of a register at least."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Function(BroadcastLayer):
    """record(inputs) element by element; inputs of size 1 along an axis are broadcast.

    Attributes:
        name: what it is called in reports.
        record: writes down the commands for its operands; see `recipe`.
    """

    name: str
    record: Callable[..., Term] = field(repr=False)
    took: dict[Any, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def kind(self) -> str:
        return self.name

    @cached_property
    def recipe(self) -> Recipe:
        """The recorded function."""
        recorder = Recorder(len(self.inputs))
        last = self.record(recorder, *recorder.inputs)
        if last.index != len(recorder.instructions) - 1 or last.index < len(self.inputs):
            recorder.copy(last)
        return Recipe.of(recorder)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        known = self.known(box, held)
        flat = held is not None and self.flat([Tile(0, one) for one in held], box)
        size = self.register_bytes(box, room)
        scratch = (size,) * self.recipe.count
        count = partial(self.cycles, known, box, size, flat)
        return [Work(build=partial(self.build, box, size, flat), counted=count, scratch=scratch)]

    def cycles(self, known: Sequence[Box], box: Box, size: int, flat: bool) -> int:
        """What a box takes: as much as any of its sizes that lies alike within its tiles."""
        apart = [(one.shape, *map(sub, box.start, one.start)) for one in known]
        key = box.shape, size, flat, *apart
        if key not in self.took:
            build = partial(self.build, box, size, flat)
            self.took[key] = counted(build, known, box, scratch=self.recipe.count)
        return self.took[key]

    def register_bytes(self, box: Box, room: int) -> int:
        """Bytes a lane of every register: what there is room for, or all that is computed."""
        most = max(_FEWEST, room // max(1, self.recipe.count) // ALIGNMENT * ALIGNMENT)
        return min(tile_bytes(box.shape), most)

    def build(self, box: Box, size: int, flat: bool, places: Places) -> list[isa.Command]:
        flat = flat and places.output.whole_slots(box)
        made: list[isa.Command] = []
        for region in runs(box, size) if flat else boxes(box, size):
            made += self.region(region, places, flat)
        return made

    def region(self, region: Region, places: Places, flat: bool) -> list[isa.Command]:
        """The commands for one region; what lies otherwise is copied into registers first."""
        recipe = self.recipe
        scratch = [local(0, offset) for offset in places.scratch]
        made: list[isa.Command] = []
        inputs: list[Operand | None] = []
        for index, tile in enumerate(places.inputs):
            if flat or self.lies(index, tile, region.box):
                inputs.append(region.within(tile))
                continue
            copied = Operand(scratch[recipe.registers[index]])
            made.append(
                isa.Copy(source=self.operand_of(index, tile, region.box), result=copied, shape=region.shape)
            )
            inputs.append(None)
        direct = flat or places.output.whole_slots(region.box)
        last = region.within(places.output) if direct else Operand(scratch[recipe.registers[-1]])
        made += recipe.commands(inputs, scratch, last, region.shape)
        if not direct:
            result = places.output.operand(region.box)
            made.append(isa.Copy(source=last, result=result, shape=region.shape))
        return made

    def lies(self, index: int, tile: Tile, box: Box) -> bool:
        """Whether a box of an input lies aligned, with the sizes of the output."""
        return self.inputs[index].shape == self.output.shape and tile.whole_slots(box)
