"""From groups of layers to steps: pieces of work in order, the local buffers they use, and what is moved.

A step is one piece of work of the tensor unit, on buffers of local memory. A buffer holds a tile of a value,
a coefficient or scratch; it is filled by the data mover from DDR, or by a step. Addresses come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Layer, LocalLayer, Work
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
        layer, index: the layer that brings this input in a form of its own, if one does.
    """

    source: Value | Coefficient
    box: Box | None = None
    layer: LocalLayer | None = None
    index: int = 0


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


class _Builder:
    """Makes the steps of one group."""

    def __init__(self, group: Group, steps: list[Step]) -> None:
        self.group, self.steps = group, steps
        self.leaving = set(group.leaving)
        self.made = {layer.output for layer in group.layers}
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
            for index, layer in enumerate(self.group.layers):
                assert isinstance(layer, LocalLayer)
                self.layer(index, layer, before)
            self.store(dict(zip(self.group.leaving, slices)))
            if not self.group.keeps:
                self.kept = {}

    def layer(self, index: int, layer: LocalLayer, before: dict[tuple[Value, Box], Buffer]) -> None:
        inputs = tuple([self.tile(layer, place, value, before) for place, value in enumerate(layer.inputs)])
        box = self.boxes[layer.output]
        output = self.output(index, layer, inputs, box)
        for work in layer.works(box, self.group.room, [held for _, held in inputs]):
            coefficients = tuple([self.coefficient(one) for one in work.coefficients])
            scratch = tuple([Buffer(f"{layer.label} scratch", size) for size in work.scratch])
            self.steps.append(Step(layer, work, inputs, (output, box), coefficients, scratch))

    def tile(
        self, layer: LocalLayer, index: int, value: Value, before: dict[tuple[Value, Box], Buffer]
    ) -> tuple[Buffer, Box]:
        """The tile of an input: made in the group, or loaded from DDR."""
        box = self.boxes[value]
        own = layer.own_bytes(index, box)
        if own is not None:
            return Buffer(value.name, own, load=Load(value, box, layer, index)), box
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
