"""What layers share that move a window over each channel by itself: they read aligned tensors only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.layers.window import (
    MOST_DILATION,
    MOST_PAD,
    MOST_STEP,
    WindowLayer,
    aligned_input,
    batches,
    channel_tiles,
)
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile, tile_bytes
from graphflow.runtime.bm1684.isa import Pads, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelwiseLayer(WindowLayer):
    """Pools and depthwise convolutions.

    Where the tile of the input holds more rows or columns than are
    needed, these are copied to scratch first.
    """

    def refusal(self) -> str | None:
        """Why the chip cannot do it, in words, or None."""
        kernel, spread = self.extent(), self.spread()
        if max(self.strides) > MOST_STEP:
            return f"it moves on by {max(self.strides)}, and the chip does at most {MOST_STEP}"
        if max(spread) > MOST_DILATION:
            return f"its dilation is {max(spread)}, and the chip's at most {MOST_DILATION}"
        if min(self.pads) < 0 or max(self.pads) > MOST_PAD:
            return f"its pads are {tuple(self.pads)}, and the chip's at most {MOST_PAD}"
        reaches = [(size - 1) * step for size, step in zip(kernel, spread)]
        if max(self.pads[:2]) > reaches[0] or max(self.pads[2:]) > reaches[1]:
            return "some windows would see padding alone; pad the input by a layer of its own"
        return None

    def coefficients(self, part: Box) -> tuple[Coefficient, ...]:
        """What must be in local memory for some channels."""
        return ()

    @abstractmethod
    def command(self, part: Box, places: Places, shared: dict[str, object]) -> isa.Command:
        """The command that computes a part, given its operands, shapes, steps and pads."""

    def mended(self, part: Box, places: Places) -> list[isa.Command]:
        """What follows it."""
        return self.clamped(places.output, part)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        whole, _ = self.seen(box)
        if held is not None and Tile(0, held[0]).whole_slots(whole):
            return [self._work(part, held) for part in channel_tiles(box, -(-box.shape.c // LANES))]
        slot = tile_bytes(whole.shape._replace(c=1))
        return [self._work(part, held) for part in channel_tiles(box, room // slot)]

    def _work(self, part: Box, held: Sequence[Box] | None) -> Work:
        given, _ = self.seen(part)
        known = [given] if held is None else held
        exact = held is not None and Tile(0, held[0]).whole_slots(given)
        scratch = () if exact else (tile_bytes(given.shape),)
        return timed(partial(self._build, part), known, part, self.coefficients(part), scratch)

    def _build(self, part: Box, places: Places) -> list[isa.Command]:
        given, _ = self.seen(part)
        source, commands = aligned_input(places.inputs[0], given, places.scratch)
        for item in batches(part, places.output.whole_slots(part)):
            seen, pads = self.seen(item)
            commands.append(self.command(part, places, self._shared(source, item, seen, pads, places)))
        return commands + self.mended(part, places)

    def _shared(self, source: Tile, item: Box, seen: Box, pads: Pads, places: Places) -> dict[str, object]:
        shape: Shape = seen.shape
        return {
            "result": places.output.plain(item),
            "input": source.plain(seen),
            "result_shape": item.shape,
            "input_shape": shape,
            "kernel": self.extent(),
            "step": self.strides,
            "pads": pads,
        }
