"""Convolutions: channels on lanes, weights with the input channels innermost, or transformed for Winograd.

What the fields of a command do not hold (steps over 15, dilations over 16, pads over 15) is computed tap by
tap: for each element of the kernel a convolution of 1 x 1 of the elements that it meets, read with strides of
their own, out of a padded copy if there are pads; each adds to the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, LANES, local
from graphflow.runtime.bm1684.compiler.layers import packing
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.layers.window import (
    LONGEST,
    MOST_CHANNELS,
    MOST_DILATION,
    MOST_PAD,
    MOST_STEP,
    NO_ZEROS,
    ONE,
    WindowLayer,
    batches,
    channel_tiles,
)
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, round_up, tile_bytes
from graphflow.runtime.bm1684.isa import Constant, Operand, Pads, Shape, Window


class _Piece(NamedTuple):
    """Some channels of the result from some of the input channels of each group.

    Attributes:
        begins, ends: whether these are the first and the last of the input channels.
    """

    part: Box
    first: int
    last: int
    begins: bool
    ends: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(WindowLayer):
    """result[n, o] = sum over i and the kernel of input[n, i] * weights[o, i] + bias[o], within groups.

    Attributes:
        weights: (output channels, input channels of a group, kernel h, kernel w).
        bias: by output channel, or None.
        dilation: from one element of the kernel to the next.
        groups: each has its own input and output channels, one command a group.
        algorithm: "direct", or "winograd" for 3 x 3 by steps of 1; see `suits_winograd`.
        insert: zeros between the rows and columns of the input, of transposed convolutions.
    """

    weights: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    dilation: Window = ONE
    groups: int = 1
    algorithm: str = "direct"
    insert: Window = NO_ZEROS
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def extent(self) -> Window:
        return Window(*self.weights.shape[2:])

    def spread(self) -> Window:
        return self.dilation

    def inserted(self) -> Window:
        return self.insert

    def channels(self, box: Box) -> tuple[int, int]:
        made, taken = len(self.weights) // self.groups, self.weights.shape[1]
        return box.start.c // made * taken, ((box.stop.c - 1) // made + 1) * taken

    @property
    def tapped(self) -> bool:
        """Whether it is computed tap by tap."""
        steps, spread = max(self.strides) > MOST_STEP, max(self.dilation) > MOST_DILATION
        return steps or spread or max(self.pads) > MOST_PAD

    def refusal(self) -> str | None:
        """Why the chip cannot do it, in words, or None."""
        kernel, given = self.extent(), self.inputs[0].shape
        if max(self.insert) > MOST_PAD or (max(self.insert) and self.tapped):
            return "a transposed convolution has steps up to 16, dilations up to 16 and inner pads up to 15"
        if min(self.pads) < 0:
            return "its pads are negative; crop what it gives instead"
        reaches = [(size - 1) * spread for size, spread in zip(kernel, self.dilation)]
        least = [max(self.pads[:2]) - reaches[0], max(self.pads[2:]) - reaches[1]]
        if max(least) > 0 and not max(self.insert):
            return "some windows would see padding alone; pad the input by a layer of its own"
        wide = (given.w - 1) * (self.insert.w + 1) + 1 + self.pads.left + self.pads.right
        tall = given.h + self.pads.top + self.pads.bottom
        if self.algorithm == "winograd" and max(tall, wide) > LONGEST:
            return f"Winograd's way takes at most {LONGEST} padded rows and columns"
        if wide > LONGEST and self.output.shape.h > 1:
            return f"its padded rows have {wide} elements, and the chip takes {LONGEST}; cut its width"
        return None

    # Work

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        if (box, room) not in self.made:
            self.made[box, room] = [self._work(piece) for piece in self._pieces(box, room)]
        return list(self.made[box, room])

    def tiles(self, box: Box, room: int) -> list[Box]:
        parts = dict.fromkeys([piece.part for piece in self._pieces(box, room)])
        return list(parts)

    def _pieces(self, box: Box, room: int) -> list[_Piece]:
        """Output channels, and input channels where those of 64 outputs take too much room already."""
        inputs = self.weights.shape[1]
        whole = _Piece(box, 0, inputs, True, True)
        spent = sum(self._scratch(whole)) + (0 if self.bias is None else ALIGNMENT)
        budget = max(room - spent, room // 2)
        fits = budget // self._slot_bytes(packing.UNIT) * packing.UNIT
        unit = LANES if fits >= LANES else packing.UNIT
        most = inputs
        if self.groups == 1:
            most = max(unit, min(inputs if fits >= inputs else fits // unit * unit, MOST_CHANNELS))
        count = -(-inputs // most)
        size = round_up(-(-inputs // count), unit) if count > 1 else inputs
        ends = [*range(0, inputs, size), inputs]
        tiles = channel_tiles(box, budget // self._slot_bytes(size))
        return [
            _Piece(part, first, last, first == 0, last == inputs)
            for part in tiles
            for first, last in pairwise(ends)
        ]

    def _slot_bytes(self, inputs: int) -> int:
        """Bytes of the weights of one output channel."""
        if self.algorithm == "winograd":
            return 16 * inputs * WORD
        return self.extent().h * self.extent().w * round_up(inputs, packing.UNIT) * WORD

    def _work(self, piece: _Piece) -> Work:
        known = [self.needed(0, piece.part)]
        coefficients = [self._weights(piece)]
        if self.bias is not None and piece.begins:
            coefficients.append(self._bias(piece.part))
        return timed(partial(self._build, piece), known, piece.part, coefficients, self._scratch(piece))

    def _given(self, box: Box, piece: _Piece) -> tuple[Box, Pads]:
        """What a part of a piece's result sees, of the piece's input channels."""
        given, pads = self.seen(box)
        if self.groups > 1:
            return given, pads
        return given.over("c", piece.first, piece.last), pads

    def _scratch(self, piece: _Piece) -> tuple[int, ...]:
        given, pads = self._given(piece.part, piece)
        if self.tapped and any(pads):
            return (tile_bytes(_widened(given, pads).shape),)
        return ()

    # Coefficients: each made once, so that slices and tries share it

    def _once(self, key: Any, make: Any, *args: Any) -> Any:
        if key not in self.made:
            self.made[key] = make(*args)
        return self.made[key]

    def _weights(self, piece: _Piece) -> Coefficient:
        outputs = piece.part.start.c, piece.part.stop.c
        part = slice(*outputs)
        name = f"{self.label} weights"
        key = "weights", *outputs, piece.first, piece.last
        if self.algorithm == "winograd":
            packed = self._once("packed", packing.pack_winograd, self.weights)
            data = packed[part, piece.first : piece.last]
            return self._once(key, packing.winograd_rows, name, data)
        packed = self._once("packed", packing.pack_direct, self.weights)
        size = round_up(piece.last - piece.first, packing.UNIT)
        return self._once(
            key, packing.channel_rows, name, packed[part, ..., piece.first : piece.first + size]
        )

    def _bias(self, part: Box) -> Coefficient:
        assert self.bias is not None
        outputs = part.start.c, part.stop.c
        name = f"{self.label} bias"
        return self._once(("bias", *outputs), packing.channel_vector, name, self.bias[slice(*outputs)])

    # Commands

    def tile(self, places: Places) -> Tile:
        """The tile of the input."""
        return places.inputs[0]

    def _build(self, piece: _Piece, places: Places) -> list[isa.Command]:
        given, pads = self._given(piece.part, piece)
        source, commands = self.tile(places), list[isa.Command]()
        if self.tapped and any(pads):
            source, commands = _padded_copy(source, given, pads, places.scratch[0])
        for run in self._runs(piece.part):
            for box in batches(run, places.output.whole_slots(run)):
                commands += self._convolve(places, source, box, piece)
        return commands + (self.clamped(places.output, piece.part) if piece.ends else [])

    def _runs(self, part: Box) -> list[Box]:
        """The results that one command gives at a time: those of one group, and not too many rows."""
        made = len(self.weights) // self.groups
        borders = [at for at in range(0, len(self.weights), made) if part.start.c < at < part.stop.c]
        ends = [part.start.c, *borders, part.stop.c]
        runs = [part.over("c", start, stop) for start, stop in pairwise(ends)]
        axis = "h" if part.shape.h > 1 else "w"
        places = self._places(part, axis)
        if places >= getattr(part.shape, axis):
            return runs
        # Channels 64 apart lie one behind the other, so that of their rows no part can be written at once.
        slots = [*range(part.start.c + LANES, part.stop.c, LANES)]
        ends = sorted({*ends, *slots})
        runs = [part.over("c", start, stop) for start, stop in pairwise(ends)]
        first, last = getattr(part.start, axis), getattr(part.stop, axis)
        cuts = [*range(first, last, places), last]
        return [
            item.over(axis, start, stop)
            for run in runs
            for item in batches(run, False)
            for start, stop in pairwise(cuts)
        ]

    def _places(self, part: Box, axis: str) -> int:
        """How many rows (or columns of a single one) of the result a command can take at a time.

        What follows them must begin at a multiple of 128 bytes.
        """
        index = "hw".index(axis)
        reach = 0 if self.tapped else (self.extent()[index] - 1) * self.dilation[index]
        most = (LONGEST - reach - self.insert[index]) // (1 if self.tapped else self.strides[index])
        unit = ALIGNMENT // WORD
        unit //= math.gcd(unit, part.shape.w) if axis == "h" else 1
        whole: int = getattr(part.shape, axis)
        return whole if whole <= most else max(unit, most // unit * unit)

    def _convolve(self, places: Places, source: Tile, box: Box, piece: _Piece) -> list[isa.Command]:
        """The commands for one run."""
        given, pads = self._given(box, piece)
        slot, lane = divmod(box.start.c - piece.part.start.c, LANES)
        biased = self.bias is not None and piece.begins
        shared: dict[str, Any] = {
            "result": Operand(places.output.address(box)),
            "result_shape": box.shape,
            "bias": Operand(local(lane, places.coefficients[1] + slot * WORD)) if biased else None,
            "accumulate": not piece.begins,
        }
        if self.algorithm == "winograd":
            weights = Operand(local(0, places.coefficients[0]))
            shared |= {"input": source.operand(given), "input_shape": given.shape}
            return [isa.WinogradConvolution(**shared, weights=weights, pads=pads)]
        kernel, units = self.extent(), -(-given.shape.c // packing.UNIT)
        size = kernel.h * kernel.w * units
        address = local(lane, places.coefficients[0] + slot * size * packing.UNIT * WORD)
        weights = Operand(address, strides=Shape(1, size, kernel.w * units, units))
        if self.tapped:
            return self._tap_by_tap(shared, weights, source, box, given)
        return [
            isa.Convolution(
                **shared,
                input=source.operand(given),
                input_shape=given.shape,
                weights=weights,
                kernel=kernel,
                step=self.strides,
                pads=pads,
                dilation=self.dilation,
                insert=self.insert,
            )
        ]

    def _tap_by_tap(
        self, shared: dict[str, Any], weights: Operand, source: Tile, box: Box, given: Box
    ) -> list[isa.Command]:
        """A convolution of 1 x 1 for each element of the kernel, the first of which adds the bias."""
        inputs = given.shape.c
        size = round_up(inputs, packing.UNIT) * WORD
        return [
            isa.Convolution(
                **shared | ({"bias": None, "accumulate": True} if index else {}),
                input=_every(source, given, origin, self.strides),
                input_shape=box.shape._replace(c=inputs),
                weights=replace(weights, address=weights.address + tap * size),
            )
            for index, (tap, origin) in enumerate(self._taps(box, given))
        ]

    def _taps(self, box: Box, given: Box) -> list[tuple[int, Window]]:
        """The elements of the kernel that meet any of the input, each with the place of its first.

        If all lie beside it, one is named nonetheless, as the result is written by it.
        """
        kernel, found, beside = self.extent(), [], []
        for row, column in np.ndindex(*kernel):
            first = Window(
                box.start.h * self.strides.h - self.pads.top + row * self.dilation.h,
                box.start.w * self.strides.w - self.pads.left + column * self.dilation.w,
            )
            last = Window(
                first.h + (box.shape.h - 1) * self.strides.h, first.w + (box.shape.w - 1) * self.strides.w
            )
            meets = first.h < given.stop.h and first.w < given.stop.w
            if meets and last.h >= given.start.h and last.w >= given.start.w:
                found.append((row * kernel.w + column, first))
            beside.append((row * kernel.w + column, first))
        return found or beside[:1]


def _widened(box: Box, pads: Pads) -> Box:
    """A box with padding around it."""
    start, stop = box
    return Box(
        start._replace(h=start.h - pads.top, w=start.w - pads.left),
        stop._replace(h=stop.h + pads.bottom, w=stop.w + pads.right),
    )


def _padded_copy(tile: Tile, box: Box, pads: Pads, offset: int) -> tuple[Tile, list[isa.Command]]:
    """A copy of a box with zeros around it, and the commands that make it."""
    made = Tile(offset, _widened(box, pads))
    return made, [
        isa.Copy(result=made.plain(), source=Constant.of(0.0), shape=made.box.shape),
        isa.Copy(result=made.operand(box), source=tile.operand(box), shape=box.shape),
    ]


def _every(tile: Tile, given: Box, origin: Window, steps: Window) -> Operand:
    """Elements of a tile from a place on, by steps, of the channels and items of a box."""
    start = given.start._replace(h=origin.h, w=origin.w)
    strides = tile.strides
    return Operand(
        tile.address(Box(start, start)),
        strides=strides._replace(h=strides.h * steps.h, w=strides.w * steps.w),
    )
