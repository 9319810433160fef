"""What every layer offers: what of its inputs a part of its output needs, and the commands for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile, Value


@dataclass(frozen=True, eq=False, kw_only=True)
class Coefficient:
    """Constant data that a command reads from local memory: weights, a bias, a vector by channel.

    A layer makes each once and hands out the same object for every slice, so that it is loaded once while
    it stays in local memory.

    Attributes:
        data: the fp32 elements in the order in which they lie in DDR.
        bytes: what it takes of every lane; a multiple of 128.
        load: (source address in DDR, local offset) -> the commands that bring it there.
    """

    name: str
    data: np.ndarray
    bytes: int
    load: Callable[[int, int], Sequence[isa.GdmaCommand]]


class OwnTile(NamedTuple):
    """An input in a form of its layer's own.

    Attributes:
        bytes: what it takes of every lane.
        load: (address of its value, local offset) -> the commands that bring it there.
    """

    bytes: int
    load: Callable[[int, int], Sequence[isa.GdmaCommand]]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the operands of a piece of work lie.

    Attributes:
        inputs: the tiles of the layer's inputs; each holds at least the box that the layer asked for.
        output: the tile of its output, which holds at least the box that is computed.
        coefficients, scratch: offsets within the lanes, in the order in which the work names them.
    """

    inputs: tuple[Tile, ...]
    output: Tile
    coefficients: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Work:
    """Commands that compute a box of a layer's output, or some channels of it.

    Attributes:
        build: the commands, once places are known; ids and waits are filled in later.
        counted: the cycles of the tensor unit, when they are asked for: `cycles`.
        coefficients: what must be in local memory.
        scratch: bytes a lane of each temporary, multiples of 128.
        moves: the cycles of the data mover, where elements change lanes: `moved`.
    """

    build: Callable[[Places], Sequence[isa.Command]]
    counted: Callable[[], int]
    coefficients: tuple[Coefficient, ...] = ()
    scratch: tuple[int, ...] = ()
    moves: Callable[[], int] = lambda: 0

    @cached_property
    def cycles(self) -> int:
        """What the tensor unit takes. Many works are only asked how much memory they need."""
        return self.counted()

    @cached_property
    def moved(self) -> int:
        """What the data mover takes."""
        return self.moves()


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """One step of a network: a value computed from others.

    Attributes:
        output: the value.
        inputs: the values it reads that are not coefficients.
        nodes: names of the nodes of the graph it stands for.
    """

    output: Value
    inputs: tuple[Value, ...]
    nodes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What it is called in reports."""
        return type(self).__name__

    @property
    def label(self) -> str:
        """How reports and timelines name it."""
        return self.nodes[-1] if self.nodes else self.output.name


@dataclass(frozen=True, eq=False, kw_only=True)
class LocalLayer(Layer, ABC):
    """A layer that the tensor unit computes in local memory."""

    def needed(self, index: int, box: Box) -> Box:
        """The box of input `index` that a box of the output is computed from.

        The default is for element-wise layers: the same box, where the input is not broadcast.
        """
        return broadcast_box(box, self.inputs[index])

    @abstractmethod
    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        """The work for a box of the output, in order.

        Arguments:
            room: bytes a lane that coefficients and scratch of one piece of work should not exceed; more
                pieces, over channels of the output, make each of them smaller.
            held: what the tiles of the inputs will hold, if that is known: a tile that holds just what is
                needed spares a copy, and scratch for it. None makes ready for tiles that hold more.
        """

    def tiles(self, box: Box, room: int) -> list[Box]:
        """A box of the output in parts over channels that can be computed, and stored, one by one.

        Parts begin at multiples of 64 channels of the box, and take no longer than the box.
        """
        return [box]

    def overwrites(self) -> tuple[int, ...]:
        """The inputs in whose tile the output may be written, if boxes agree and none reads it later."""
        return ()

    def own_tile(self, index: int, box: Box) -> OwnTile | None:
        """How the layer brings input `index` from DDR in a form of its own, or None for the ordinary form.

        Such a tile is used by this layer alone, and its box says what of the value it was made from.
        """
        return None

    def cuts(self) -> str:
        """The axes of the output over which it can be computed in slices; "nchw" for element-wise layers."""
        return "nchw"


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferLayer(Layer):
    """A layer that the data mover does from DDR to DDR.

    Attributes:
        moves: (addresses of the inputs, address of the output) -> the commands.
    """

    moves: Callable[[Sequence[int], int], Sequence[isa.GdmaCommand]] = field(repr=False)


def broadcast_box(box: Box, value: Value) -> Box:
    """A box of an operand whose axes of size 1 are broadcast."""
    single = [size == 1 for size in value.shape]
    start = [0 if one else at for one, at in zip(single, box.start)]
    stop = [1 if one else at for one, at in zip(single, box.stop)]
    return Box(isa.Shape(*start), isa.Shape(*stop))
