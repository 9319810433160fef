"""Products of matrices as convolutions of 1 x 1: twice the multiply-adds of the command for matrices.

In a convolution of 1 x 1, result[o, p] = sum over i of weights[o, i] * input[i, p], either factor of a
product can take either place, and each lies on the lanes by its first index:

- features on lanes: the matrix by which is multiplied, (columns, inner), are the weights; activations are
  (n, inner, h, w), a position for each row. That is `feature_product`, a plain convolution.
- rows on lanes: activations (n, rows, 1, inner) are the weights, whose input channels lie side by side along
  w; the constant matrix (inner, columns) is the input. That is `RowProduct`. Softmax and norms over features
  then work along w, where they are cheap.

What both take is rounded up: features to 64 columns and 16 rows, rows to 64 rows and 16 columns; `cycles_of`
says which is faster. A few rows leave the lanes idle: see `matrix.TinyProduct`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers import packing
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.layers.matrix import matrix_width
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.layers.window import LONGEST, MOST_CHANNELS, channel_tiles
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, Value, round_up
from graphflow.runtime.bm1684.cycles import arithmetic_cycles, conv_cycles, matmul_cycles
from graphflow.runtime.bm1684.isa import Operand, Operation, Shape

_MOST_KEPT = 48 << 10
"""Bytes a lane of a matrix that may stay while rows are computed 64 at a time."""

_ROW = 32
"""Elements of 128 bytes: parts of a row begin at a multiple."""


def plane(positions: int) -> tuple[int, int] | None:
    """So many positions as rows and columns of which neither are too many for the chip, or None.

    >>> plane(197), plane(4096)
    ((1, 197), (4, 1024))
    """
    for height in range(1, LONGEST + 1):
        if positions % height == 0 and positions // height <= LONGEST:
            return height, positions // height
    return None


def cycles_of(rows: int, inner: int, columns: int, bias: bool = False) -> dict[str, int]:
    """What (rows x inner) @ (inner x columns) takes the tensor unit, by the form it is computed in.

    >>> cycles_of(197, 768, 768)
    {'features': 60372, 'rows': 74304, 'tiny': 152478}
    >>> min(cycles_of(1, 2048, 1000).items(), key=lambda form: form[1])
    ('tiny', 4108)
    """
    width = matrix_width(columns)
    prepared = arithmetic_cycles(Operation.COPY, 1, rows, 1, columns) if bias else 0
    return {
        "features": conv_cycles(1, columns, 1, rows, inner, 1, 1, bias),
        "rows": conv_cycles(1, rows, 1, columns, inner, 1, 1) + prepared,
        "tiny": matmul_cycles(rows, inner, columns // width, width, bias),
    }


def feature_product(
    output: Value, given: Value, matrix: np.ndarray, bias: np.ndarray | None = None, **more: Any
) -> Convolution:
    """(n, inner, h, w) by a matrix (inner, columns) to (n, columns, h, w): features on lanes.

    Where the matrix has inner = c * h * w rows, each item (c, h, w) is one row, under a kernel of its size.
    """
    inner, columns = matrix.shape
    area = (1, 1) if inner == given.shape.c else (given.shape.h, given.shape.w)
    weights = np.ascontiguousarray(matrix.T).reshape(columns, given.shape.c, *area)
    return Convolution(output=output, inputs=(given,), weights=weights, bias=bias, **more)


class _Piece(NamedTuple):
    """Some columns of the result, from some of the inner elements."""

    part: Box
    inner: tuple[int, int]
    begins: bool
    ends: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class RowProduct(ClampedLayer):
    """result[n, row, 0, column] = sum over w of input[n, row, 0, w] * matrix[w, column] + bias[column].

    The tile of the input, (n, c = rows, 1, w = inner), is read as weights where it lies; the matrix comes as
    (1, c = inner, 1, w = columns). The bias is copied into the result first, to which the products are added.

    Attributes:
        matrix: (inner, columns).
        bias: by column, or None.
    """

    matrix: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def refusal(self) -> str | None:
        """Why the chip cannot do it, in words, or None."""
        if self.inputs[0].shape.h != 1 or self.output.shape.h != 1:
            return "rows on lanes have no h; reshape, or put the features on lanes"
        if self.inputs[0].shape.c > MOST_CHANNELS:
            return f"there are more than {MOST_CHANNELS} rows; split them, or put the features on lanes"
        return None

    def cuts(self) -> str:
        return "nw"

    def tiles(self, box: Box, room: int) -> list[Box]:
        # All of the matrix has to stay in local memory meanwhile.
        inner, columns = self.matrix.shape
        if -(-inner // LANES) * round_up(columns, _ROW) * WORD > _MOST_KEPT or box.shape.n > 1:
            return [box]
        return channel_tiles(box, 1)

    def needed(self, index: int, box: Box) -> Box:
        return box.over("w", 0, len(self.matrix))

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        key = box, room
        if key not in self.made:
            self.made[key] = [self._work(piece) for piece in self._pieces(box, room)]
        return list(self.made[key])

    def _pieces(self, box: Box, room: int) -> list[_Piece]:
        inner, columns = len(self.matrix), box.shape.w
        budget = room * 7 // 8
        width = columns
        if round_up(columns, _ROW) * WORD > budget or plane(columns) is None:
            width = max(_ROW, min(budget // WORD, LONGEST) // _ROW * _ROW)
        slots = max(1, min(budget // (round_up(width, _ROW) * WORD), MOST_CHANNELS // LANES))
        count = -(-inner // (slots * LANES))
        size = round_up(-(-inner // count), LANES)
        ends = [*range(0, inner, size), inner]
        cuts = [*range(box.start.w, box.stop.w, width), box.stop.w]
        return [
            _Piece(box.over("w", start, stop), (first, last), first == 0, last == inner)
            for start, stop in pairwise(cuts)
            for first, last in pairwise(ends)
        ]

    def _work(self, piece: _Piece) -> Work:
        coefficients = [self._matrix(piece)]
        if self.bias is not None and piece.begins:
            coefficients.append(self._bias(piece.part))
        given = self.needed(0, piece.part)
        return timed(partial(self._build, piece), [given], piece.part, coefficients)

    def _matrix(self, piece: _Piece) -> Coefficient:
        columns = piece.part.start.w, piece.part.stop.w
        key = "matrix", *piece.inner, *columns
        if key not in self.made:
            data = self.matrix[slice(*piece.inner), slice(*columns)]
            self.made[key] = packing.tile(f"{self.label} matrix", data.astype(np.float32)[None, :, None, :])
        made: Coefficient = self.made[key]
        return made

    def _bias(self, part: Box) -> Coefficient:
        assert self.bias is not None
        columns = part.start.w, part.stop.w
        if ("bias", *columns) not in self.made:
            row = self.bias[None, slice(*columns)].astype(np.float32)
            self.made["bias", *columns] = packing.all_lanes(f"{self.label} bias", row)
        made: Coefficient = self.made["bias", *columns]
        return made

    def _build(self, piece: _Piece, places: Places) -> list[isa.Command]:
        commands: list[isa.Command] = []
        output, biased = places.output, self.bias is not None and piece.begins
        if biased:
            row = Operand(local(0, places.coefficients[1]), strides=Shape(0, 0, piece.part.shape.w, 1))
            commands.append(isa.Copy(result=output.operand(piece.part), source=row, shape=piece.part.shape))
        for box in one_run_each(output, piece.part):
            commands.append(self._multiply(piece, box, places, biased))
        return commands + (self.clamped(output, piece.part) if piece.ends else [])

    def _multiply(self, piece: _Piece, box: Box, places: Places, biased: bool) -> isa.Command:
        first, last = piece.inner
        given = self.needed(0, box).over("w", first, last)
        height, width = plane(box.shape.w) or (1, box.shape.w)
        return isa.Convolution(
            result=Operand(places.output.address(box)),
            result_shape=Shape(1, box.shape.c, height, width),
            input=Operand(local(0, places.coefficients[0])),
            input_shape=Shape(1, last - first, height, width),
            weights=as_weights(places.inputs[0], given),
            accumulate=biased or not piece.begins,
        )


def as_weights(tile: Tile, box: Box) -> Operand:
    """A part of a tile, rows on lanes, as weights of 1 x 1: pairs of elements along w are pairs of channels.

    An odd last element is the half of a pair whose other half counts for nothing.
    """
    pairs = packing.UNIT
    return Operand(tile.address(box), strides=Shape(1, tile.strides.c // pairs, 1, 1))


def one_run_each(tile: Tile, box: Box) -> list[Box]:
    """A box of a tile of rows in parts into which one command can write: an item of the batch each.

    Where the box has some columns only, its rows are taken 64 at a time, so that none lies behind another.
    """
    items = [box.over("n", item, item + 1) for item in range(box.start.n, box.stop.n)]
    if box.shape.w == tile.box.shape.w:
        return items
    rows = [*range(box.start.c, box.stop.c, LANES), box.stop.c]
    return [item.over("c", start, stop) for item in items for start, stop in pairwise(rows)]
