"""From groups of layers to steps: pieces of work in order, the local buffers they use, and what is moved.

A step is one piece of work of the tensor unit, on buffers of local memory. A buffer holds a tile of a value,
a coefficient or scratch; it is filled by the data mover from DDR, or by a step. Addresses come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Layer, LocalLayer, OwnTile, Work
from graphflow.runtime.bm1684.compiler.tensors import Box, Value, tile_bytes


@dataclass(eq=False, slots=True)
class Buffer:
    """Bytes of every lane, from the first step that uses them to the last.

    Attributes:
        load: what it is filled with from DDR, or None if a step writes it.
    """

    name: str
    bytes: int
    first: int = -1
    last: int = -1
    load: Load | None = None

    def used(self, step: int) -> None:
        """Note that a step uses it."""
        self.first = step if self.first < 0 else self.first
        self.last = step


@dataclass(frozen=True, slots=True)
class Load:
    """What is brought into a buffer: a box of a value, or a coefficient.

    Attributes:
        own: how a layer brings it in a form of its own, if one does.
    """

    source: Value | Coefficient
    box: Box | None = None
    own: OwnTile | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A part of a tile that goes to DDR."""

    buffer: Buffer
    tile: Box
    box: Box
    value: Value


@dataclass(eq=False, slots=True)
class Step:
    """A piece of work with its buffers, or (without work) what the data mover does from DDR to DDR.

    Attributes:
        inputs, output: buffers with the boxes that their tiles hold.
        stores: what can be moved to DDR once it is done.
    """

    layer: Layer
    work: Work | None = None
    inputs: tuple[tuple[Buffer, Box], ...] = ()
    output: tuple[Buffer, Box] | None = None
    coefficients: tuple[Buffer, ...] = ()
    scratch: tuple[Buffer, ...] = ()
    stores: list[Store] = field(default_factory=list)

    def buffers(self) -> list[Buffer]:
        """All that it touches."""
        tiles = [buffer for buffer, _ in self.inputs]
        tiles += [self.output[0]] if self.output else []
        return [*tiles, *self.coefficients, *self.scratch]


@dataclass(frozen=True, eq=False, kw_only=True)
class Group:
    """Layers whose values between them stay in local memory, slice by slice of what leaves the group.

    Attributes:
        layers: in order; a transfer layer is alone in its group.
        leaving: the values that go to DDR.
        slices: for every slice the box of each value that leaves.
        room: bytes a lane that the coefficients and scratch of a piece of work should not exceed.
        keeps: whether coefficients stay in local memory from slice to slice.
    """

    layers: tuple[Layer, ...]
    leaving: tuple[Value, ...]
    slices: tuple[tuple[Box, ...], ...]
    room: int
    keeps: bool = True


def boxes_of(group: Group, slices: Sequence[Box]) -> dict[Value, Box]:
    """For one slice the box of every value of the group: what leaves, and what is computed from it."""
    boxes = dict(zip(group.leaving, slices))
    for layer in reversed(group.layers):
        assert isinstance(layer, LocalLayer)
        box = boxes[layer.output]
        for index, value in enumerate(layer.inputs):
            needed = layer.needed(index, box)
            boxes[value] = boxes[value].hull(needed) if value in boxes else needed
    return boxes


def steps_of(groups: Sequence[Group]) -> list[Step]:
    """The steps of all groups, with the lifetimes of their buffers noted."""
    steps: list[Step] = []
    for group in groups:
        if isinstance(group.layers[0], LocalLayer):
            _Builder(group, steps).run()
        else:
            steps += [Step(layer) for layer in group.layers]
    for number, step in enumerate(steps):
        for buffer in step.buffers():
            buffer.used(number)
    return steps


@dataclass(frozen=True, slots=True)
class _Ready:
    """A layer with the buffers of its inputs and output, and the boxes that they hold."""

    layer: LocalLayer
    inputs: tuple[tuple[Buffer, Box], ...]
    output: Buffer
    box: Box


class _Builder:
    """Makes the steps of one group."""

    def __init__(self, group: Group, steps: list[Step]) -> None:
        self.group, self.steps = group, steps
        self.leaving = set(group.leaving)
        self.made = {layer.output for layer in group.layers}
        leaving = [index for index, layer in enumerate(group.layers) if layer.output in self.leaving]
        self.last_leaving = max(leaving, default=-1)
        self.last_reader: dict[Value, int] = {}
        for index, layer in enumerate(group.layers):
            self.last_reader.update(dict.fromkeys(layer.inputs, index))
        self.kept: dict[Coefficient, Buffer] = {}
        self.outside: dict[tuple[Value, Box], Buffer] = {}
        self.boxes: dict[Value, Box] = {}
        self.tiles: dict[Value, Buffer] = {}

    def run(self) -> None:
        for slices in self.group.slices:
            self.boxes = boxes_of(self.group, slices)
            self.tiles = {}
            # A tile of the slice before is used again if it holds the same box.
            before, self.outside = self.outside, {}
            stored = set[Value]()
            index = 0
            while index < len(self.group.layers):
                chain = self.chain(index)
                ready = [self.prepare(at, before) for at in range(index, index + len(chain))]
                stored |= self.together(ready, dict(zip(self.group.leaving, slices)))
                index += len(chain)
            self.store({value: box for value, box in zip(self.group.leaving, slices) if value not in stored})
            if not self.group.keeps:
                self.kept = {}

    def chain(self, index: int) -> list[LocalLayer]:
        """A layer, and those behind it that can follow it tile by tile over channels.

        Only where one of their values leaves: its tiles can then be stored while others are computed.
        """
        first = self.group.layers[index]
        assert isinstance(first, LocalLayer)
        made = [first]
        ends = int(first.output in self.leaving)
        if index > self.last_leaving or len(self.tiles_of(first)) == 1:
            return made
        for layer in self.group.layers[index + 1 : self.last_leaving + 1]:
            if not isinstance(layer, LocalLayer) or not self.follows(layer, made):
                break
            made.append(layer)
            ends = len(made) if layer.output in self.leaving else ends
        return made[: max(1, ends)]

    def tiles_of(self, layer: LocalLayer) -> list[Box]:
        return layer.tiles(self.boxes[layer.output], self.group.room)

    def follows(self, layer: LocalLayer, chain: Sequence[LocalLayer]) -> bool:
        """Whether a tile of a layer needs of the chain just the same channels, and nothing stored by it."""
        box, first = self.boxes[layer.output], self.boxes[chain[0].output]
        made = {one.output for one in chain}
        known = {value.root for value in made}
        if "c" not in layer.cuts() or (box.start.c, box.stop.c) != (first.start.c, first.stop.c):
            return False
        for place, value in enumerate(layer.inputs):
            if value not in made:
                if value.root in known:
                    return False
                continue
            for tile in self.tiles_of(chain[0]):
                ends = tile.start.c, tile.stop.c
                needed = layer.needed(place, box.over("c", *ends))
                if (needed.start.c, needed.stop.c) != ends or layer.own_tile(place, needed) is not None:
                    return False
        return bool(made.intersection(layer.inputs))

    def together(self, ready: Sequence[_Ready], slices: dict[Value, Box]) -> set[Value]:
        """The steps of a chain, tile by tile; the values that are stored so."""
        stores = any(one.layer.output in slices for one in ready)
        tiles = self.tiles_of(ready[0].layer) if stores else []
        if len(tiles) <= 1:
            for one in ready:
                self.work(one, one.box)
            return set()
        for tile in tiles:
            ends = tile.start.c, tile.stop.c
            for one in ready:
                self.work(one, one.box.over("c", *ends))
                value = one.layer.output
                if value in slices:
                    part = slices[value].over("c", *ends)
                    self.steps[-1].stores.append(Store(one.output, one.box, part, value))
        return {one.layer.output for one in ready if one.layer.output in slices}

    def prepare(self, index: int, before: dict[tuple[Value, Box], Buffer]) -> _Ready:
        layer = self.group.layers[index]
        assert isinstance(layer, LocalLayer)
        inputs = tuple([self.tile(layer, place, value, before) for place, value in enumerate(layer.inputs)])
        box = self.boxes[layer.output]
        return _Ready(layer, inputs, self.output(index, layer, inputs, box), box)

    def work(self, ready: _Ready, box: Box) -> None:
        """The steps for a layer's box, or some channels of it."""
        for work in ready.layer.works(box, self.group.room, [held for _, held in ready.inputs]):
            coefficients = tuple([self.coefficient(one) for one in work.coefficients])
            scratch = tuple([Buffer(f"{ready.layer.label} scratch", size) for size in work.scratch])
            output = (ready.output, ready.box)
            self.steps.append(Step(ready.layer, work, ready.inputs, output, coefficients, scratch))

    def tile(
        self, layer: LocalLayer, index: int, value: Value, before: dict[tuple[Value, Box], Buffer]
    ) -> tuple[Buffer, Box]:
        """The tile of an input: made in the group, or loaded from DDR."""
        box = self.boxes[value]
        own = layer.own_tile(index, box)
        if own is not None:
            return Buffer(value.name, own.bytes, load=Load(value, box, own)), box
        if value not in self.tiles:
            key = (value, box)
            if key not in before:
                before[key] = Buffer(value.name, tile_bytes(box.shape), load=Load(value, box))
            self.outside[key] = self.tiles[value] = before[key]
        return self.tiles[value], box

    def output(self, index: int, layer: LocalLayer, inputs: Sequence[tuple[Buffer, Box]], box: Box) -> Buffer:
        """The buffer of an output: that of an input that is not needed any more, or one of its own."""
        made = self.takes_over(index, layer, inputs, box)
        if made is None:
            made = Buffer(layer.output.name, tile_bytes(box.shape))
        self.tiles[layer.output] = made
        return made

    def takes_over(
        self, index: int, layer: LocalLayer, inputs: Sequence[tuple[Buffer, Box]], box: Box
    ) -> Buffer | None:
        for place in layer.overwrites():
            value, (buffer, held) = layer.inputs[place], inputs[place]
            free = value in self.made and value not in self.leaving and self.last_reader[value] == index
            alone = sum(other is buffer for other, _ in inputs) == 1
            if free and alone and held == box:
                return buffer
        return None

    def coefficient(self, one: Coefficient) -> Buffer:
        if one not in self.kept:
            self.kept[one] = Buffer(one.name, one.bytes, load=Load(one))
        return self.kept[one]

    def store(self, slices: dict[Value, Box]) -> None:
        """Let each value that leaves be stored after the last step that writes its tile."""
        writers: dict[Buffer, Step] = {}
        for step in reversed(self.steps):
            if step.output and step.output[0] in writers:
                continue
            if step.output:
                writers[step.output[0]] = step
            if len(writers) >= len(self.tiles):
                break
        for value, box in slices.items():
            buffer = self.tiles[value]
            writers[buffer].stores.append(Store(buffer, self.boxes[value], box, value))
