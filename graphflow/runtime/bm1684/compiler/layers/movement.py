"""Layers that move elements: out of DDR by strides, and between tiles in local memory.

`Fetched` reads DDR by any strides over the four axes of its result: a transposition, a slice, a broadcast.
`Part`, `Joined`, `Heads` and `Enlarged` work between tiles, where what stays in its lane is copied by the
tensor unit, and what does not by the data mover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers.copies import Piece, commands
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer, OwnTile, Places, TransferLayer, Work
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, Value, aligned_strides, tile_bytes
from graphflow.runtime.bm1684.isa import Direction, Operand, Shape, Window

_MOST = 65_535


def transfer(
    output: Value,
    inputs: Sequence[Value],
    pieces: Sequence[Sequence[Piece]],
    nodes: tuple[str, ...],
    value: float = 0.0,
) -> TransferLayer:
    """The layer that moves boxes of each input to an output in DDR.

    Arguments:
        pieces: for each input its boxes.
        value: what boxes that are filled get.
    """

    def moves(sources: Sequence[int], made: int) -> list[isa.GdmaCommand]:
        return [
            command
            for source, boxes in zip(sources, pieces)
            for piece in boxes
            for command in commands(piece, source, made, value)
        ]

    return TransferLayer(output=output, inputs=tuple(inputs), nodes=nodes, moves=moves)


@dataclass(frozen=True, eq=False, kw_only=True)
class Fetched(LocalLayer):
    """result[n, c, h, w] = the element of DDR at first + n, c, h and w times their strides.

    Its input is an alias of the value that is read, with the sizes of the result, and nothing else's; see
    `of`. The data mover brings it in this form, and the tensor unit copies it to its place.

    Attributes:
        first: where the first element lies, in elements from the start of the value.
        strides: in elements of the value; 0 repeats elements.
    """

    first: int = 0
    strides: Shape = field(default=Shape(0, 0, 0, 0))

    @classmethod
    def of(
        cls, output: Value, source: Value, strides: Shape, first: int = 0, nodes: tuple[str, ...] = ()
    ) -> Fetched:
        """The layer that reads a value by strides."""
        view = Value(source.name, output.shape, alias=source.root)
        return cls(output=output, inputs=(view,), strides=strides, first=first, nodes=nodes)

    def own_tile(self, index: int, box: Box) -> OwnTile:
        return OwnTile(tile_bytes(box.shape), partial(self._load, box))

    def _load(self, box: Box, source: int, offset: int) -> Sequence[isa.GdmaCommand]:
        first = self.first + sum(at * step for at, step in zip(box.start, self.strides))
        return strided_load(source + WORD * first, self.strides, box.shape, offset)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        def build(places: Places) -> list[isa.Command]:
            return [copied(places.inputs[0], box, places.output, box)]

        return [timed(build, [box], box)]


def strided_load(address: int, strides: Shape, shape: Shape, offset: int) -> list[isa.TensorTransfer]:
    """The commands that bring what lies by strides in DDR into an aligned tile.

    Elements that do not follow one another are moved as rows of one, which takes much less time.
    """
    made = aligned_strides(shape)
    if strides.w in (0, 1) or shape.w == 1:
        return [_load(address, strides, local(0, offset), made, shape)]
    if shape.h == 1:
        return [_load(address, _rows(strides), local(0, offset), _rows(made), _rows(shape, 1))]
    commands = []
    along = "h" if shape.n > 1 else "n"
    if along == "n":
        turned = Shape(shape.h, shape.c, shape.w, 1)
        steps, put = Shape(strides.h, strides.c, strides.w, 1), Shape(made.h, made.c, made.w, 1)
        return [_load(address, steps, local(0, offset), put, turned)]
    for row in range(shape.h):
        first, place = address + WORD * row * strides.h, local(0, offset + WORD * row * made.h)
        commands.append(_load(first, _rows(strides), place, _rows(made), _rows(shape, 1)))
    return commands


def _rows(axes: Shape, w: int = 1) -> Shape:
    """Sizes or strides with those of w for h."""
    return axes._replace(h=axes.w, w=w)


def _load(address: int, strides: Shape, place: int, made: Shape, shape: Shape) -> isa.TensorTransfer:
    return isa.TensorTransfer(
        direction=Direction.LOAD,
        source=address,
        destination=place,
        source_shape=shape,
        destination_shape=shape,
        explicit_strides=True,
        source_strides=strides,
        destination_strides=made,
    )


def copied(source: Tile, taken: Box, result: Tile, made: Box) -> isa.Command:
    """The command that copies a box of a tile to a box of another: the data mover's if it changes lanes."""
    to, given = result.operand(made), source.operand(taken)
    assert given.strides is not None and to.strides is not None
    if _lane(source, taken) == _lane(result, made):
        return isa.Copy(result=to, source=given, shape=made.shape)
    return isa.TensorTransfer(
        direction=Direction.LOCAL,
        source=given.address,
        destination=to.address,
        source_shape=made.shape,
        destination_shape=made.shape,
        explicit_strides=True,
        source_strides=given.strides,
        destination_strides=to.strides,
    )


def _lane(tile: Tile, box: Box) -> int:
    return (box.start.c - tile.box.start.c) % LANES


@dataclass(frozen=True, eq=False, kw_only=True)
class Part(LocalLayer):
    """A box of its input, with every n-th row or column.

    Attributes:
        first: where it begins.
        every: the steps over h and w.
    """

    first: Shape
    every: Window = field(default=Window(1, 1))

    def needed(self, index: int, box: Box) -> Box:
        steps = Shape(1, 1, *self.every)
        start = [at * step + first for at, step, first in zip(box.start, steps, self.first)]
        stop = [(at - 1) * step + first + 1 for at, step, first in zip(box.stop, steps, self.first)]
        return Box(Shape(*start), Shape(*stop))

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        taken = self.needed(0, box)

        def build(places: Places) -> list[isa.Command]:
            source = places.inputs[0]
            if self.every == (1, 1):
                return [copied(source, taken, places.output, box)]
            strides = source.strides
            rows = strides._replace(h=strides.h * self.every.h, w=self.every.w)
            given = Operand(source.address(taken), strides=rows)
            return [isa.Copy(result=places.output.operand(box), source=given, shape=box.shape)]

        return [timed(build, [taken] if held is None else held, box)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Turned(LocalLayer):
    """Its input, which goes to DDR with c and w exchanged: (n, c, 1, w) lies there as (n, w, 1, c).

    A store that scatters elements takes twice as long as one that does not, a load that does seven times.
    """

    @classmethod
    def of(cls, source: Value, nodes: tuple[str, ...] = ()) -> tuple[Turned, Value]:
        """The layer, and what it makes as the value that is read."""
        n, c, _, w = source.shape
        output = Value(f"{source.name} turned", source.shape, strides=Shape(c * w, 1, c * w, c))
        return cls(output=output, inputs=(source,), nodes=nodes), Value(
            output.name, Shape(n, w, 1, c), alias=output
        )

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        def build(places: Places) -> list[isa.Command]:
            return [copied(places.inputs[0], box, places.output, box)]

        return [timed(build, [box] if held is None else held, box)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined(LocalLayer):
    """Its inputs one after the other along an axis.

    Attributes:
        axis: "n", "c", "h" or "w".
    """

    axis: str = "c"

    def cuts(self) -> str:
        return "nchw".replace(self.axis, "")

    def needed(self, index: int, box: Box) -> Box:
        return box.over(self.axis, 0, getattr(self.inputs[index].shape, self.axis))

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        needed = [self.needed(index, box) for index in range(len(self.inputs))]

        def build(places: Places) -> list[isa.Command]:
            made, at = list[isa.Command](), 0
            for tile, taken in zip(places.inputs, needed):
                size = getattr(taken.shape, self.axis)
                made.append(copied(tile, taken, places.output, box.over(self.axis, at, at + size)))
                at += size
            return made

        return [timed(build, needed if held is None else held, box)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Heads(LocalLayer):
    """Parts of rows as items of the batch, (n, c, 1, parts * w) to (n * parts, c, 1, w), or the way back.

    Attributes:
        parts: how many.
        merged: whether the result is the one with the parts side by side.
    """

    parts: int = 1
    merged: bool = True

    def cuts(self) -> str:
        return "nc" if self.merged else "c"

    def needed(self, index: int, box: Box) -> Box:
        whole = Box.whole(self.inputs[0].shape).over("c", box.start.c, box.stop.c)
        if self.merged:
            return whole.over("n", box.start.n * self.parts, box.stop.n * self.parts)
        return whole.over("n", box.start.n // self.parts, (box.stop.n - 1) // self.parts + 1)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        taken = self.needed(0, box)
        size = min(self.output.shape.w, self.inputs[0].shape.w)

        def build(places: Places) -> list[isa.Command]:
            made = list[isa.Command]()
            items = taken if self.merged else box
            for item in range(items.start.n, items.stop.n):
                n, part = divmod(item, self.parts)
                apart = taken.over("n", item, item + 1) if self.merged else box.over("n", item, item + 1)
                whole = (box if self.merged else taken).over("n", n, n + 1)
                side = whole.over("w", part * size, (part + 1) * size)
                pair = (apart, side) if self.merged else (side, apart)
                made.append(copied(places.inputs[0], pair[0], places.output, pair[1]))
            return made

        return [timed(build, [taken] if held is None else held, box)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Enlarged(LocalLayer):
    """Each row and column several times in a row: upsampling by the nearest element.

    Attributes:
        times: how often, over h and w.
    """

    times: Window

    def needed(self, index: int, box: Box) -> Box:
        h, w = self.times
        rows = box.rows(box.start.h // h, (box.stop.h - 1) // h + 1)
        return rows.over("w", box.start.w // w, (box.stop.w - 1) // w + 1)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        taken = self.needed(0, box)

        def build(places: Places) -> list[isa.Command]:
            return [
                self._copy(box, rows, columns, places)
                for rows in self._phases(box.start.h, box.stop.h, self.times.h)
                for columns in self._phases(box.start.w, box.stop.w, self.times.w)
            ]

        return [timed(build, [taken] if held is None else held, box)]

    @staticmethod
    def _phases(start: int, stop: int, times: int) -> list[range]:
        """The places that show different elements, in one range for each place within an element's copies."""
        return [range(at, stop, times) for at in range(start, min(start + times, stop))]

    def _copy(self, box: Box, rows: range, columns: range, places: Places) -> isa.Command:
        source, output = places.inputs[0], places.output
        first = box.over("h", rows[0], box.stop.h).over("w", columns[0], box.stop.w)
        given = self.needed(0, first)
        strides = output.strides
        apart = strides._replace(h=strides.h * self.times.h, w=self.times.w)
        return isa.Copy(
            result=Operand(output.address(first), strides=apart),
            source=source.operand(given),
            shape=box.shape._replace(h=len(rows), w=len(columns)),
        )
