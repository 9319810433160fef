"""What layers share that bring together the elements of rows: sums and maxima by halves, within each channel.

A pool takes a cycle for every element of its window where the result has few places. Adding the second half
of a row to the first, then the second quarter to the first quarter, and so on, does 16 elements in 2 cycles
at first, and adds in pairs, which is more exact as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, LocalLayer, Places, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, aligned_strides, tile_bytes
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Shape

SINGLE = Shape(1, 1, 1, 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowLayer(LocalLayer):
    """A layer whose results depend on all elements of its first input along some axes.

    Attributes:
        over: the axes: "w", "h" or "hw".
    """

    over: str = "w"

    def needed(self, index: int, box: Box) -> Box:
        for axis in self.over:
            box = box.over(axis, 0, getattr(self.inputs[index].shape, axis))
        return box

    def cuts(self) -> str:
        return "".join([axis for axis in "nchw" if axis not in self.over])

    @property
    def axis(self) -> str:
        """The axis of the view along which rows lie."""
        return self.over[-1]

    def view(self, shape: Shape) -> Shape:
        """Sizes with the rows along one axis."""
        return Shape(shape.n, shape.c, 1, shape.h * shape.w) if self.over == "hw" else shape

    def single(self, shape: Shape) -> Shape:
        """The sizes of one number for each row of a view."""
        return shape._replace(**{self.axis: 1})

    @abstractmethod
    def registers(self, shape: Shape) -> tuple[int, ...]:
        """Bytes a lane of every temporary for rows of a view."""

    @abstractmethod
    def rows(self, source: Operand, result: Operand, shape: Shape, places: Places) -> list[isa.Command]:
        """The commands for the rows of a view."""

    def coefficients(self) -> tuple[Coefficient, ...]:
        """What must be in local memory."""
        return ()

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        known = [self.needed(0, box)] if held is None else held
        parts = list(self.parts(box, room))
        sizes = [self.registers(self.view(self.needed(0, part).shape)) for part in parts]
        scratch = tuple([max(sizes) for sizes in zip(*sizes)])
        return [timed(partial(self.build, parts), known, box, self.coefficients(), scratch)]

    def build(self, parts: Sequence[Box], places: Places) -> list[isa.Command]:
        made: list[isa.Command] = []
        for part in parts:
            given = self.needed(0, part)
            source = self.seen(places.inputs[0], given)
            made += self.rows(source, self.seen(places.output, part), self.view(given.shape), places)
        return made

    def seen(self, tile: Tile, box: Box) -> Operand:
        """A part of a tile as an operand of the view; along what is brought together tiles hold all."""
        strides = tile.strides
        if self.over == "hw":
            strides = strides._replace(h=strides.n, w=1)
        return Operand(tile.address(box), strides=strides)

    def parts(self, box: Box, room: int) -> Iterator[Box]:
        """Boxes of the output whose temporaries fit: channels, or some rows or columns of 64 of them."""
        for part in _items(box, self._most(box, room)):
            axis = next((axis for axis in "hw" if axis not in self.over), None)
            if axis is None or self._bytes(part) <= room:
                yield part
                continue
            first, last = getattr(part.start, axis), getattr(part.stop, axis)
            each = max(1, (last - first) * room // self._bytes(part))
            for start in range(first, last, each):
                yield part.over(axis, start, min(start + each, last))

    def _most(self, box: Box, room: int) -> int:
        """How many slots fit at a time."""
        slot = box.over("n", box.start.n, box.start.n + 1)
        slot = slot.over("c", box.start.c, min(box.start.c + LANES, box.stop.c))
        return max(1, room // max(1, self._bytes(slot)))

    def _bytes(self, box: Box) -> int:
        return sum(self.registers(self.view(self.needed(0, box).shape)))


def _items(box: Box, most: int) -> Iterator[Box]:
    """Boxes of at most so many slots."""
    slots = -(-box.shape.c // LANES)
    batch = max(1, most // slots)
    for n in range(box.start.n, box.stop.n, batch):
        items = box.over("n", n, min(n + batch, box.stop.n))
        step = LANES * min(most, slots)
        for c in range(box.start.c, box.stop.c, step):
            yield items.over("c", c, min(c + step, box.stop.c))


def aligned(offset: int, shape: Shape) -> Operand:
    """A temporary with explicit strides."""
    return Operand(local(0, offset), strides=aligned_strides(shape))


def plain(operand: Operand) -> Operand:
    """A temporary without strides, as it lies aligned."""
    return Operand(operand.address, operand.precision)


def half_bytes(shape: Shape, axis: str) -> int:
    """Bytes a lane of the scratch that `folded` needs."""
    return tile_bytes(_halved(shape, axis))


def _halved(shape: Shape, axis: str) -> Shape:
    return shape._replace(**{axis: -(-getattr(shape, axis) // 2)})


def moved(operand: Operand, axis: str, count: int) -> Operand:
    """The operand from an element of an axis on."""
    assert operand.strides is not None
    return Operand(operand.address + WORD * count * getattr(operand.strides, axis), strides=operand.strides)


def folded(
    operation: Operation, source: Operand, shape: Shape, axis: str, offset: int
) -> tuple[list[isa.Command], Operand]:
    """The commands that bring a whole axis together, and where the result lies: at its first element.

    Arguments:
        source: with strides; it is not changed.
        offset: of scratch of `half_bytes`.
    """
    size = getattr(shape, axis)
    if size == 1:
        return [], source
    place = aligned(offset, _halved(shape, axis))
    half, rest = -(-size // 2), size // 2
    commands: list[isa.Command] = [
        isa.Arithmetic(
            operation=operation,
            shape=shape._replace(**{axis: rest}),
            left=source,
            right=moved(source, axis, half),
            result=place,
        )
    ]
    if rest < half:
        one = shape._replace(**{axis: 1})
        commands.append(
            isa.Copy(source=moved(source, axis, rest), result=moved(place, axis, rest), shape=one)
        )
    return commands + folded_in_place(operation, place, shape._replace(**{axis: half}), axis), place


def folded_in_place(operation: Operation, place: Operand, shape: Shape, axis: str) -> list[isa.Command]:
    """The commands that bring a whole axis together at its first element, over what was there."""
    commands: list[isa.Command] = []
    size = getattr(shape, axis)
    while size > 1:
        half, rest = -(-size // 2), size // 2
        commands.append(
            isa.Arithmetic(
                operation=operation,
                shape=shape._replace(**{axis: rest}),
                left=place,
                right=moved(place, axis, half),
                result=place,
            )
        )
        size = half
    return commands


def spread_along(operand: Operand, axis: str) -> Operand:
    """One number for each row as an operand of rows."""
    assert operand.strides is not None
    return Operand(operand.address, strides=operand.strides._replace(**{axis: 0}))


def combined(
    operation: Operation, left: Operand | Constant, right: Operand | Constant, result: Operand, shape: Shape
) -> isa.Arithmetic:
    """left operation right with any strides."""
    return isa.Arithmetic(operation=operation, shape=shape, left=left, right=right, result=result)
