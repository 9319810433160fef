"""The parts of a command record, and the bit fields in which each part lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from graphflow.errors import AttributeValueError, FileFormatError


class Precision(IntEnum):
    """The element type of an operand of the tensor unit."""

    INT8, FLOAT16, FLOAT32, INT16, INT32 = range(5)


class Format(IntEnum):
    """The element type of a side of a transfer."""

    FLOAT32, INT16, UINT8, INT8, FLOAT16 = range(5)


class Direction(IntEnum):
    """Between which memories a transfer goes; the system is DDR or L2."""

    LOAD, STORE, SYSTEM, LOCAL = range(4)


class Operation(IntEnum):
    """What the execution units do."""

    MULTIPLY, MULTIPLY_ACCUMULATE, ADD, SUBTRACT, MAXIMUM, MINIMUM, SHIFT, AND, OR, XOR = range(10)
    SELECT_GREATER, SELECT_EQUAL, DIVIDE, TAYLOR, TO_INTEGER, EXPONENT, POWER_OF_TWO = range(10, 17)
    RECIPROCAL_SQUARE_ROOT, ADD_TREE, COPY, SQUARED_SUM, SQUARED_DIFFERENCE = range(17, 22)
    LARGER, SELECT, LARGER_AND_SELECT = range(22, 25)


class Shape(NamedTuple):
    """Sizes of a tensor, or strides in its elements."""

    n: int = 1
    c: int = 1
    h: int = 1
    w: int = 1


class Window(NamedTuple):
    """Sizes, steps or dilations over h and w."""

    h: int = 1
    w: int = 1


class Pads(NamedTuple):
    """Rows and columns of padding."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a command reads or writes: its address and, unless it lies aligned, its strides."""

    address: int
    precision: Precision = Precision.FLOAT32
    signed: bool = True
    strides: Shape | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """An operand that is one value, given by its 32 bits.

    >>> Constant.of(1.5).bits == 0x3FC00000
    True
    """

    bits: int
    precision: Precision = Precision.FLOAT32
    signed: bool = True

    @classmethod
    def of(cls, value: float) -> Constant:
        """The constant of a float."""
        return cls(struct.unpack("<I", struct.pack("<f", value))[0])

    @property
    def value(self) -> float:
        """The bits as a float."""
        return float(struct.unpack("<f", struct.pack("<I", self.bits))[0])


# Codecs: from a part to the values of its bit fields, and back


class Codec:
    """Writes a part of a record into the bit fields that it names, and reads it from them."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def write(self, part: Any) -> tuple[int, ...]:
        """The values of the fields; fewer than there are names leaves the rest as usual."""
        return (int(part),)

    def read(self, *values: int) -> Any:
        """The part."""
        return values[0]


class Flag(Codec):
    """One bit."""

    def read(self, *values: int) -> bool:
        return bool(values[0])


class Choice(Codec):
    """A member of an enumeration."""

    def __init__(self, name: str, kind: type[IntEnum]) -> None:
        super().__init__(name)
        self.kind = kind

    def read(self, *values: int) -> IntEnum:
        return member(self.kind, values[0])


class Tuple(Codec):
    """A named tuple of numbers, each in a field of its own; `less` is what the fields leave off."""

    def __init__(self, kind: Any, *names: str, less: int = 0) -> None:
        super().__init__(*names)
        self.kind, self.less = kind, less

    def write(self, part: Any) -> tuple[int, ...]:
        return tuple(size - self.less for size in part)

    def read(self, *values: int) -> Any:
        return self.kind(*[value + self.less for value in values])


class Wide(Codec):
    """A number whose low 32 bits lie in the first field and the rest in the second."""

    def write(self, part: int) -> tuple[int, ...]:
        return part & 0xFFFF_FFFF, part >> 32

    def read(self, *values: int) -> int:
        return values[0] | values[1] << 32


class OperandCodec(Codec):
    """Operand `index` of a command of the tensor unit: a tensor, or a constant."""

    def __init__(self, index: int) -> None:
        strides = [f"stride{index}_{axis}" for axis in "nchw"]
        head = ("precision", "signed", "address", "constant", "stride_code")
        super().__init__(*[f"{name}{index}" for name in head], *strides)

    def write(self, part: Any) -> tuple[int, ...]:
        if isinstance(part, Constant):
            return part.precision, part.signed, part.bits, 1
        head = part.precision, part.signed, part.address, 0
        return head if part.strides is None else (*head, 3, *part.strides)

    def read(self, *values: int) -> Operand | Constant:
        precision, signed = member(Precision, values[0]), bool(values[1])
        if values[3]:
            return Constant(values[2], precision, signed)
        strides = Shape(*values[5:9]) if explicit(values[4]) else None
        return Operand(values[2], precision, signed, strides)


class FourthCodec(Codec):
    """Operand 3, which has only an address or a value."""

    def __init__(self) -> None:
        super().__init__("address3", "constant3")

    def write(self, part: Any) -> tuple[int, ...]:
        plain = Constant(part.bits) if isinstance(part, Constant) else Operand(part.address)
        if part != plain:
            raise AttributeValueError(
                "operand 3 is fp32 and aligned", hint="leave its precision, sign and strides"
            )
        return (part.bits, 1) if isinstance(part, Constant) else (part.address, 0)

    def read(self, *values: int) -> Operand | Constant:
        return Constant(values[0]) if values[1] else Operand(values[0])


class ResultCodec(Codec):
    """The result of a command of the tensor unit."""

    def __init__(self) -> None:
        strides = [f"result_stride_{axis}" for axis in "nchw"]
        super().__init__("result_precision", "result_address", "result_stride_code", *strides)

    def write(self, part: Operand) -> tuple[int, ...]:
        if not part.signed:
            raise AttributeValueError("a result has no sign of its own", hint="relu makes it unsigned")
        head = part.precision, part.address
        return head if part.strides is None else (*head, 3, *part.strides)

    def read(self, *values: int) -> Operand:
        strides = Shape(*values[3:7]) if explicit(values[2]) else None
        return Operand(values[1], member(Precision, values[0]), True, strides)


class BiasCodec(OperandCodec):
    """Operand 2 of a command that may do without it, or None."""

    def __init__(self) -> None:
        super().__init__(2)
        self.names = ("operand_count", *self.names)

    def write(self, part: Any) -> tuple[int, ...]:
        return (2,) if part is None else (3, *super().write(part))

    def read(self, *values: int) -> Any:
        return super().read(*values[1:]) if values[0] == 3 else None


def explicit(code: int) -> bool:
    """Whether a stride code stands for strides in the command; operand 2 of most commands has an idle 2."""
    return code == 3


def member(kind: type[IntEnum], value: int) -> Any:
    """The member of an enumeration with a value.

    Raises:
        FileFormatError: if there is none.
    """
    try:
        return kind(value)
    except ValueError:
        raise FileFormatError(
            f"{value} is no {kind.__name__.lower()}; there are 0 to {len(kind) - 1}",
            hint="the stream was damaged, or is for another chip",
        ) from None
