"""Recipes: functions of single elements as sequences of commands on temporaries, and how these share scratch.

A recipe is recorded once for a function, by calling it with a `Recorder`: every call of the recorder is one
command. Temporaries get registers by when they are last read; a register is a piece of scratch as large as
the part of the output that is computed at a time. Commands on aligned tensors take half the cycles of strided
ones, so that an input that is broadcast, or lies within a larger tile, is copied into a register first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Precision, Shape

SIGN = 0x8000_0000
MAGNITUDE = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Term:
    """What an instruction of a recipe computes, by the instruction's number."""

    index: int


Side: TypeAlias = "Term | float"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One command.

    Attributes:
        kind: "input", "copy", "scalar", "arithmetic", "bits", "larger", "choose", "select" or "special".
        operands: terms, or constants.
        adds_to: the term whose register it adds to, and takes over.
    """

    kind: str
    operation: Operation | None
    operands: tuple[Term | Constant, ...]
    adds_to: Term | None = None

    def reads(self) -> list[int]:
        """The numbers of the instructions whose results it reads."""
        made = [operand.index for operand in self.operands if isinstance(operand, Term)]
        return made if self.adds_to is None else [*made, self.adds_to.index]


class Recorder:
    """Writes down a recipe; its methods are the commands, with their cycles for 16 elements of a lane."""

    def __init__(self, inputs: int) -> None:
        self.instructions = [Instruction("input", None, ()) for _ in range(inputs)]

    @property
    def inputs(self) -> tuple[Term, ...]:
        """The operands of the function."""
        return tuple([Term(i) for i, one in enumerate(self.instructions) if one.kind == "input"])

    def _add(
        self, kind: str, operation: Operation | None, *sides: Side | Constant, to: Term | None = None
    ) -> Term:
        operands = tuple([Constant.of(side) if isinstance(side, (int, float)) else side for side in sides])
        self.instructions.append(Instruction(kind, operation, operands, to))
        return Term(len(self.instructions) - 1)

    def add(self, left: Side, right: Side) -> Term:
        """left + right: 1."""
        return self._add("scalar", Operation.ADD, left, right)

    def subtract(self, left: Side, right: Side) -> Term:
        """left - right: 1."""
        return self._add("scalar", Operation.SUBTRACT, left, right)

    def multiply(self, left: Side, right: Side) -> Term:
        """left * right: 1."""
        return self._add("scalar", Operation.MULTIPLY, left, right)

    def add_product(self, total: Term, left: Side, right: Side) -> Term:
        """total + left * right: 1; total is used up."""
        return self._add("scalar", Operation.MULTIPLY, left, right, to=total)

    def add_difference(self, total: Term, left: Side, right: Side) -> Term:
        """total + (left - right): 1; total is used up."""
        return self._add("scalar", Operation.SUBTRACT, left, right, to=total)

    def larger(self, left: Side, right: Side) -> Term:
        """left > right ? left : right, so that of NaN and a bound it is the bound: 1."""
        return self._add("larger", Operation.LARGER, left, right)

    def smaller(self, left: Side, right: Side) -> Term:
        """left <= right ? left : right: 2."""
        return self._add("arithmetic", Operation.MINIMUM, left, right)

    def bits(self, operation: Operation, left: Side, right: int) -> Term:
        """The bits of left by AND, OR or XOR with a constant, or SHIFT to the left by one: 2."""
        return self._add("bits", operation, left, Constant(right & 0xFFFF_FFFF, Precision.INT32))

    def both_bits(self, operation: Operation, left: Term, right: Term) -> Term:
        """The bits of both by AND, OR or XOR: 2."""
        return self._add("bits", operation, left, right)

    def greater(self, left: Side, right: Side, value: float = 1.0) -> Term:
        """left > right ? value : 0: 2."""
        return self._add("choose", Operation.SELECT_GREATER, left, right, value)

    def select(self, left: Side, right: Side, chosen: Side, otherwise: Side) -> Term:
        """left > right ? chosen : otherwise: 2."""
        return self._add("select", Operation.SELECT, left, right, chosen, otherwise)

    def rsqrt(self, x: Term) -> Term:
        """1 / sqrt(x): 27."""
        return self._add("special", Operation.RECIPROCAL_SQUARE_ROOT, x)

    def copy(self, x: Side) -> Term:
        """x: 1."""
        return self._add("copy", Operation.COPY, x)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recorded function, ready to be written as commands.

    Attributes:
        instructions: inputs first; the last computes the result.
        registers: of every instruction the register of its result.
        count: how many registers there are.
    """

    instructions: tuple[Instruction, ...]
    registers: tuple[int, ...]
    count: int

    @classmethod
    def of(cls, recorder: Recorder) -> Recipe:
        """The recipe that a recorder has written down; the registers count those of copied inputs."""
        instructions = tuple(recorder.instructions)
        last = list(range(len(instructions)))
        for index, one in enumerate(instructions):
            for read in one.reads():
                last[read] = index
        registers: list[int] = []
        free: list[int] = []
        count = 0
        for index, one in enumerate(instructions):
            dying = sorted({read for read in one.reads() if last[read] == index})
            if one.adds_to is not None:
                assert last[one.adds_to.index] == index, "a total is read after it was added to"
                dying.remove(one.adds_to.index)
                registers.append(registers[one.adds_to.index])
            # The chip's comparisons may not write where they read.
            apart = one.kind in ("larger", "select")
            if not apart:
                free += [registers[read] for read in dying]
            if one.adds_to is None:
                if not free:
                    free.append(count)
                    count += 1
                registers.append(free.pop())
            if apart:
                free += [registers[read] for read in dying]
        return cls(instructions, tuple(registers), count)

    def commands(
        self, inputs: list[Operand | None], scratch: list[int], result: Operand, shape: Shape
    ) -> list[isa.Command]:
        """The commands for aligned operands of one shape.

        Arguments:
            inputs: where each lies, or None if it was copied into its register.
            scratch: the addresses of the registers.
            result: where the result goes.
        """
        places = [Operand(scratch[register]) for register in self.registers]
        for index, operand in enumerate(inputs):
            places[index] = places[index] if operand is None else operand
        places[-1] = result
        made: list[isa.Command] = []
        for index, one in enumerate(self.instructions):
            if one.kind == "input":
                continue
            place = places[index] if one.adds_to is None else places[one.adds_to.index]
            reads = [places[read] for read in one.reads()]
            if one.kind == "select" and place in reads:
                # The chip may not choose into what it reads: the last register is free.
                place = Operand(scratch[self.registers[index]])
            made.append(_command(one, places, place, shape))
            if place != places[index]:
                made.append(isa.Copy(source=place, result=places[index], shape=shape))
        return made


def _command(one: Instruction, places: list[Operand], result: Operand, shape: Shape) -> isa.Command:
    """The command of an instruction."""
    sides = [places[side.index] if isinstance(side, Term) else side for side in one.operands]
    operation = one.operation
    assert operation is not None
    if one.kind == "scalar":
        return isa.ScalarArithmetic(
            operation=operation,
            shape=shape,
            left=sides[0],
            right=sides[1],
            result=result,
            accumulate=one.adds_to is not None,
        )
    if one.kind == "larger" and result not in sides:
        return isa.Compare(
            operation=operation,
            shape=shape,
            left=sides[0],
            right=sides[1],
            if_greater=Constant.of(0.0),
            otherwise=Constant.of(0.0),
            larger=result,
        )
    if one.kind in ("larger", "arithmetic"):
        kind = Operation.MAXIMUM if one.kind == "larger" else operation
        return isa.Arithmetic(operation=kind, shape=shape, left=sides[0], right=sides[1], result=result)
    if one.kind == "bits":
        left, right = [_words(side) for side in sides]
        word = Operand(result.address, Precision.INT32)
        return isa.Arithmetic(operation=operation, shape=shape, left=left, right=right, result=word)
    if one.kind == "choose":
        assert isinstance(sides[2], Constant)
        return isa.Choose(
            operation=operation, shape=shape, left=sides[0], right=sides[1], value=sides[2], result=result
        )
    if one.kind == "select":
        return isa.Compare(
            operation=operation,
            shape=shape,
            left=sides[0],
            right=sides[1],
            if_greater=sides[2],
            otherwise=sides[3],
            larger=result,
            chosen=result.address,
        )
    if one.kind == "copy":
        return isa.Copy(source=sides[0], result=result, shape=shape)
    assert isinstance(sides[0], Operand)
    return isa.SpecialFunction(operation=operation, source=sides[0], result=result, shape=shape)


def _words(side: Operand | Constant) -> Operand | Constant:
    """A side as int32."""
    if isinstance(side, Constant):
        return Constant(side.bits, Precision.INT32)
    return Operand(side.address, Precision.INT32)
