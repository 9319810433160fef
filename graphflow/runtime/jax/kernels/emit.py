"""Writing LLVM's language from Python: types, loops over numbers, and addresses in bytes and floats.

Everything here stands for a piece of machine code that runs later: `Code` appends instructions to a function,
and `loop` gives the number that counts in the code, not a number of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

FLOAT = ir.FloatType()
INT = ir.IntType(64)
SHORT = ir.IntType(32)
POINTER = ir.PointerType()
NOTHING = ir.VoidType()
FLOAT_BYTES = 4


class PointerTo(ir.PointerType):
    """The type of addresses of functions of a type, which LLVM does not tell apart from other addresses."""

    def __init__(self, pointee: ir.FunctionType) -> None:
        super().__init__()
        self.pointee = pointee


class Code(ir.IRBuilder):
    """The instructions of a function, with the few things that kernels need again and again."""

    def floats_at(self, pointer: Any, index: Any) -> Any:
        """The address of a float, counted from a pointer."""
        return self.gep(pointer, [_number(index)], source_etype=FLOAT)

    def bytes_at(self, pointer: Any, offset: Any) -> Any:
        """The address so many bytes behind a pointer."""
        return self.gep(pointer, [_number(offset)], source_etype=ir.IntType(8))

    def pointer_at(self, pointer: Any, offset: Any) -> Any:
        """The pointer that lies so many bytes behind a pointer."""
        return self.load(self.bytes_at(pointer, offset), typ=POINTER)

    def int_at(self, pointer: Any, index: Any) -> Any:
        """An integer of 32 bits of an array, as one of 64."""
        place = self.gep(pointer, [_number(index)], source_etype=SHORT)
        return self.sext(self.load(place, typ=SHORT, align=4), INT)

    def least(self, one: Any, other: Any) -> Any:
        """The smaller of two integers."""
        return self.select(self.icmp_signed("<", one, other), one, other)

    def either(self, condition: Any, make: Callable[[], Any], other: Any) -> Any:
        """What `make` appends and gives, which runs only if a condition holds; else another value."""
        before = self.block
        with self.if_then(condition):
            made = make()
            within = self.block
        chosen = self.phi(other.type)
        chosen.add_incoming(other, before)
        chosen.add_incoming(made, within)
        return chosen

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any = 1) -> Iterator[Any]:
        """What is appended within runs for start, start + step, ... below stop, at least once."""
        with self.loop_carrying(start, stop, (), step) as (number, _, _):
            yield number

    @contextmanager
    def loop_carrying(
        self, start: Any, stop: Any, values: Sequence[Any], step: Any = 1
    ) -> Iterator[tuple[Any, list[Any], list[Any]]]:
        """A loop that hands values on from turn to turn.

        Gives (the number, the values of this turn, a list to be filled with those of the next one). After the
        loop the list holds the last values. An empty list as the step is filled within as well.
        """
        before = self.block
        body, after = self.append_basic_block(), self.append_basic_block()
        self.branch(body)
        self.position_at_end(body)
        number = self.phi(INT)
        number.add_incoming(_number(start), before)
        held = []
        for value in values:
            held.append(self.phi(value.type))
            held[-1].add_incoming(value, before)
        following: list[Any] = []
        yield number, held, following
        then = self.add(number, _number(step[0] if isinstance(step, list) else step))
        number.add_incoming(then, self.block)
        for phi, value in zip(held, following, strict=True):
            phi.add_incoming(value, self.block)
        self.cbranch(self.icmp_signed("<", then, _number(stop)), body, after)
        self.position_at_end(after)


def _number(value: Any) -> Any:
    return INT(value) if isinstance(value, int) else value


def function(module: ir.Module, name: str, result: Any, *arguments: Any) -> tuple[Code, Any]:
    """A function of a module: where its first instruction goes, and its arguments."""
    made = ir.Function(module, ir.FunctionType(result, arguments), name)
    return Code(made.append_basic_block()), made.args


def declared(module: ir.Module, name: str, result: Any, *arguments: Any) -> Any:
    """A function that the C library, LLVM or the module itself has."""
    known = module.globals.get(name)
    return known if known is not None else ir.Function(module, ir.FunctionType(result, arguments), name)


def address(value: Any) -> Any:
    """The address of a function, or of a table, of a module."""
    return ir.FormattedConstant(POINTER, value.get_reference())


def spread(code: Code, number: Any, lanes: int) -> Any:
    """A vector with a number in all lanes."""
    kind = ir.VectorType(number.type, lanes)
    first = code.insert_element(ir.Constant(kind, ir.Undefined), number, SHORT(0))
    order = ir.Constant(ir.VectorType(SHORT, lanes), [0] * lanes)
    return code.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)
