"""What a .bmodel holds, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from graphflow.runtime.bm1684.chip import COEFFICIENT_BASE, COMMAND_BYTES

CHIP = "BM1684"

DTYPES = {
    "float32": 0,
    "float16": 1,
    "int8": 2,
    "uint8": 3,
    "int16": 4,
    "uint16": 5,
    "int32": 6,
    "uint32": 7,
}
"""Element types of inputs and outputs, with their numbers in the file."""

BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4}


class Storage(IntEnum):
    """How a tensor lies in DDR: plain, or with 2 or 4 items of the batch side by side in each word."""

    PLAIN, PAIRS, FOURS = range(3)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a stage.

    Arguments:
        name: its name.
        dtype: the name of its element type, as numpy says it.
        shape: its sizes.
        address: where it begins in DDR, before the runtime moves the context.
        storage: how it lies there.
        scale: of integers, the factor to them for an input, and from them for an output.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    address: int
    storage: Storage = Storage.PLAIN
    scale: float = 1.0

    @property
    def bytes(self) -> int:
        """Bytes in DDR."""
        items = {Storage.PLAIN: 1, Storage.PAIRS: 2, Storage.FOURS: 4}[self.storage]
        batch, *rest = self.shape or (1,)
        total = -(-batch // items) * items * BYTES[self.dtype]
        for size in rest:
            total *= size
        return total


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Streams of the two engines that run at the same time; both are done before the next group begins."""

    tiu: bytes = b""
    gdma: bytes = b""

    @property
    def counts(self) -> tuple[int, int]:
        """Commands of the tensor unit and of the data mover."""
        return len(self.tiu) // COMMAND_BYTES, len(self.gdma) // COMMAND_BYTES


@dataclass(frozen=True, slots=True)
class Stage:
    """A net for fixed shapes of its inputs."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    groups: tuple[CommandGroup, ...]
    context_address: int
    context_bytes: int
    coefficients: bytes = b""
    coefficient_address: int = COEFFICIENT_BASE


@dataclass(frozen=True, slots=True)
class Net:
    """A net with one stage for each set of shapes."""

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class BModel:
    """The content of a .bmodel file.

    >>> stage = Stage((TensorInfo("x", "float32", (1, 3), 1 << 32),), (), (), 1 << 32, 4096)
    >>> print(BModel((Net("net", (stage,)),)))
    bmodel for BM1684
    net net, stage 0
      input x float32[1, 3] at ddr+0x0
      0 coefficient bytes, 4096 context bytes
    """

    nets: tuple[Net, ...]
    chip: str = CHIP
    version: str = "2.2"
    time: str = ""

    def __str__(self) -> str:
        from graphflow.runtime.bm1684.bmodel.text import summary

        return summary(self)
