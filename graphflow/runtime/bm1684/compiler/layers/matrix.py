"""Products of a few rows by a constant matrix, with the command for matrices: all lanes work on each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers import packing
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.layers.window import MOST_CHANNELS, channel_tiles
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, round_up
from graphflow.runtime.bm1684.cycles import matmul_cycles
from graphflow.runtime.bm1684.isa import Operand, Shape


def matrix_width(columns: int) -> int:
    """The width of the slices in which so many columns are computed fastest, and then take the least memory.

    >>> matrix_width(1000), matrix_width(4096)
    (20, 32)
    """
    widths = [width for width in range(1, columns + 1) if columns % width == 0 and columns // width < 4096]

    def cost(width: int) -> tuple[int, int]:
        slices = columns // width
        return matmul_cycles(1, 64, slices, width), -(-slices // LANES) * round_up(width, 32)

    return min(widths, key=cost)


@dataclass(frozen=True, eq=False, kw_only=True)
class TinyProduct(ClampedLayer):
    """result[row] = input[row] @ matrix + bias, where the elements of a row lie in slices over c and w.

    The input is (rows, c, 1, w) with c * w = inner, the output (rows, slices, 1, width) with slices * width =
    columns; see `matrix_width`. The matrix comes as (inner, slices, 1, width).

    Attributes:
        matrix: (inner, columns).
        bias: by column, or None.
    """

    matrix: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def refusal(self) -> str | None:
        """Why the chip cannot do it, in words, or None."""
        given, made = self.inputs[0].shape, self.output.shape
        inner, columns = self.matrix.shape
        if given.h != 1 or made.h != 1 or given.c * given.w != inner or made.c * made.w != columns:
            return "rows lie over c and w, and h is 1; reshape"
        if max(given.c, made.c) > 4095:
            return "there are more than 4095 slices; make them wider"
        return None

    def cuts(self) -> str:
        return "n"

    def needed(self, index: int, box: Box) -> Box:
        return Box.whole(self.inputs[0].shape).over("n", box.start.n, box.stop.n)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        if (box, room) not in self.made:
            given = self.inputs[0].shape
            row = round_up(box.shape.w, 32) * WORD
            parts = channel_tiles(box, max(1, room * 7 // 8 // (row * given.w)))
            slots = -(-parts[0].shape.c // LANES)
            most = min(max(1, room * 7 // 8 // (row * slots * given.w)), MOST_CHANNELS)
            size = given.c if most >= given.c else max(1, most // LANES * LANES or most)
            ends = [*range(0, given.c, size), given.c]
            self.made[box, room] = [
                self._work(part, (first, last)) for part in parts for first, last in pairwise(ends)
            ]
        return list(self.made[box, room])

    def _work(self, part: Box, inner: tuple[int, int]) -> Work:
        coefficients = [self._coefficient("matrix", part, inner)]
        if self.bias is not None and inner[0] == 0:
            coefficients.append(self._coefficient("bias", part, inner))
        return timed(partial(self._build, part, inner), [self.needed(0, part)], part, coefficients)

    def _coefficient(self, name: str, part: Box, inner: tuple[int, int]) -> Coefficient:
        slices = slice(part.start.c, part.stop.c)
        key = name, part.start.c, part.stop.c, *inner
        if key not in self.made:
            data, width = self.matrix, self.inputs[0].shape.w
            if name == "bias":
                assert self.bias is not None
                data = self.bias[None]
            else:
                data = data[inner[0] * width : inner[1] * width]
            cut = data.reshape(len(data), -1, 1, self.output.shape.w)[:, slices].astype(np.float32)
            self.made[key] = packing.tile(f"{self.label} {name}", cut)
        made: Coefficient = self.made[key]
        return made

    def _build(self, part: Box, inner: tuple[int, int], places: Places) -> list[isa.Command]:
        first, last = inner
        given = self.needed(0, part).over("c", first, last)
        source, output = places.inputs[0], places.output
        together = source.whole_slots(given) and output.whole_slots(part)
        rows = [(part.start.n, part.stop.n)]
        if not together:
            rows = [(row, row + 1) for row in range(part.start.n, part.stop.n)]
        begins, ends = first == 0, last == self.inputs[0].shape.c
        bias = local(0, places.coefficients[1]) if self.bias is not None and begins else None
        commands: list[isa.Command] = [
            isa.MatrixMultiply(
                result=Operand(output.address(part.over("n", start, stop))),
                left=Operand(source.address(given.over("n", start, stop))),
                right=Operand(local(0, places.coefficients[0])),
                bias=None if bias is None else Operand(bias),
                result_shape=Shape(1, part.shape.c, 1, part.shape.w),
                left_shape=Shape(stop - start, last - first, 1, given.shape.w),
                left_last_width=given.shape.w,
                accumulate=not begins,
            )
            for start, stop in rows
        ]
        return commands + (self.clamped(output, part) if ends else [])
