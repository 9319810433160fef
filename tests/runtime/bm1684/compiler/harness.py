"""Runs one layer alone in the simulator: its inputs in tiles, its coefficients by their own loads.

    made = Bench(layer).run(x)                    # all of the output, as an array of its chip shape
    made = Bench(layer, box, margin=Shape(0, 0, 1, 1)).run(x)    # a box, from tiles larger than it needs

Whatever the layer did not write, or reads without its being there, is a ChipFault of the simulator.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import ALIGNMENT, DDR_BASE, LANE_BYTES
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, LocalLayer, Places
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile, Value, tile_bytes
from graphflow.runtime.bm1684.isa import Shape
from graphflow.runtime.bm1684.simulator import Memory, layout
from graphflow.runtime.bm1684.simulator.machine import execute
from tests.runtime.bm1684.scene import Scene, gather

ROOM = 256 * 1024
NONE = Shape(0, 0, 0, 0)
DDR_BYTES = 1 << 25


@cache
def _memory() -> Memory:
    return Memory(DDR_BYTES)


def fresh() -> Memory:
    """A memory in which nothing but the constant tables was written, all else NaN; the one before is gone."""
    memory = _memory()
    memory.local.data[:] = 0xFF
    memory.local.written[:] = 0
    memory.ddr.written[:] = 0
    return memory


def value(name: str, *shape: int) -> Value:
    """A value of a chip shape."""
    return Value(name, Shape(*shape))


class Bench:
    """One layer, a box of its output, and where everything lies.

    Arguments:
        box: what is computed; all of the output by default.
        room: as for `LocalLayer.works`.
        margin: by how much the tiles of the inputs reach beyond what is needed, over each axis.
        told: whether the layer is told what the tiles hold, or must be ready for larger ones.
        output: what the tile of the output holds; the box by default.
    """

    def __init__(
        self,
        layer: LocalLayer,
        box: Box | None = None,
        *,
        room: int = ROOM,
        margin: Shape = NONE,
        told: bool = True,
        output: Box | None = None,
    ) -> None:
        self.layer = layer
        self.box = Box.whole(layer.output.shape) if box is None else box
        self.needed = [layer.needed(index, self.box) for index in range(len(layer.inputs))]
        self.own = [layer.own_tile(index, need) for index, need in enumerate(self.needed)]
        self.held = [
            need if own is not None else grown(need, margin, value.shape)
            for need, own, value in zip(self.needed, self.own, layer.inputs)
        ]
        self.works = layer.works(self.box, room, self.held if told else None)
        self.used, self.ddr_used = 0, 0
        self.tiles = tuple(
            Tile(self.place(tile_bytes(held.shape) if own is None else own.bytes), held)
            for held, own in zip(self.held, self.own)
        )
        shape = (self.box if output is None else output).shape
        self.output = Tile(self.place(tile_bytes(shape)), self.box if output is None else output)
        self.coefficients: dict[Coefficient, int] = {}
        self.commands: list[isa.Command] = []
        self.cycles = sum(work.cycles for work in self.works)
        self.memory = fresh()

    def place(self, count: int) -> int:
        """An offset for so many bytes of every lane."""
        start = self.used
        self.used += -(-count // ALIGNMENT) * ALIGNMENT
        assert self.used <= LANE_BYTES, f"{self.used} bytes a lane"
        return start

    def store(self, data: np.ndarray) -> int:
        """Put data into DDR; its address."""
        address = DDR_BASE + self.ddr_used
        self.memory.set(address, np.ascontiguousarray(data, np.float32))
        self.ddr_used += -(-data.nbytes // 4096) * 4096
        return address

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """The box of the output, for inputs of their whole chip shapes."""
        self.prepare(*inputs)
        return self.finish()

    def prepare(self, *inputs: np.ndarray) -> Scene:
        """Put everything in place and collect the commands; the scene, for the vendor's simulator."""
        for index, (data, tile) in enumerate(zip(inputs, self.tiles, strict=True)):
            own = self.own[index]
            if own is not None:
                self.commands += own.load(self.store(data), tile.offset)
                continue
            assert data.shape == self.layer.inputs[index].shape
            layout.write(self.memory, tile.address(), tile.strides, part(data, tile.box).astype(np.float32))
        scratch = [[self.place(count) for count in work.scratch] for work in self.works]
        for work, temporaries in zip(self.works, scratch):
            assert all(count % ALIGNMENT == 0 for count in work.scratch)
            for coefficient in work.coefficients:
                self._load(coefficient)
            places = Places(
                inputs=self.tiles,
                output=self.output,
                coefficients=tuple(self.coefficients[coefficient] for coefficient in work.coefficients),
                scratch=tuple(temporaries),
            )
            self.commands += work.build(places)
        scene = Scene(type(self.layer).__name__, 1e-5, list(self.commands))
        scene.window = gather(self.memory.local.data, self.memory.l2.data, self.memory.ddr.data)
        spaces = (self.memory.local, self.memory.l2, self.memory.ddr)
        scene.written = gather(*[space.written for space in spaces]).astype(bool)
        return scene

    def finish(self) -> np.ndarray:
        """Run the commands, from their words; the box of the output."""
        for command in self.commands:
            execute(self.memory, isa.decode(command.ENGINE, isa.encode(command)))
        start = self.output.address(self.box)
        return layout.read(self.memory, start, self.box.shape, self.output.strides, np.dtype(np.float32))

    def _load(self, coefficient: Coefficient) -> None:
        if coefficient in self.coefficients:
            return
        assert coefficient.bytes % ALIGNMENT == 0
        offset = self.place(coefficient.bytes)
        self.coefficients[coefficient] = offset
        self.commands += coefficient.load(self.store(coefficient.data), offset)


def grown(box: Box, margin: Shape, limits: Shape) -> Box:
    """A box with more around it, within a value."""
    start = [max(0, at - more) for at, more in zip(box.start, margin)]
    stop = [min(size, at + more) for at, more, size in zip(box.stop, margin, limits)]
    return Box(Shape(*start), Shape(*stop))


def part(data: np.ndarray, box: Box) -> np.ndarray:
    """The elements of a box."""
    return data[tuple(slice(*ends) for ends in zip(*box))]


def assert_close(made: np.ndarray, wanted: np.ndarray, tolerance: float = 3e-6) -> None:
    """Asserts that fp32 results agree, relative to the largest wanted."""
    assert made.shape == wanted.shape
    scale = max(1e-30, float(np.abs(wanted).max(initial=0)))
    worst = float(np.abs(made - wanted).max(initial=0)) / scale
    assert worst <= tolerance, f"off by {worst:.3g} of {scale:.3g}"
