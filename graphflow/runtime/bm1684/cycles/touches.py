"""Which bytes of the lanes a command touches: the range from the first to the last, read or written.

All lanes are laid over one another, as what happens at an offset happens in every lane that takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import BANK_BYTES, LANES
from graphflow.runtime.bm1684.cycles.commands import FORMAT_BYTES, FROM_LOCAL, TO_LOCAL
from graphflow.runtime.bm1684.cycles.products import groups, parts
from graphflow.runtime.bm1684.isa import Command, Operand, Precision, Shape
from graphflow.runtime.bm1684.simulator.layout import WORD, aligned, element_type, split

_ITEMS = {Precision.INT8: 4, Precision.INT16: 2}
"""Items of the batch that share a word."""


class Touch(NamedTuple):
    """Offsets in the lanes from `low` to before `high`, and whether they are written or read."""

    low: int
    high: int
    write: bool

    @property
    def banks(self) -> range:
        """The banks in which they lie."""
        return range(self.low // BANK_BYTES, (self.high - 1) // BANK_BYTES + 1)


def touches(command: Command) -> list[Touch]:
    """The ranges of local memory that a command reads and writes.

    Raises:
        ChipFault: if what is to lie aligned does not, or not in local memory.

    >>> add = isa.ScalarArithmetic(
    ...     operation=isa.Operation.ADD,
    ...     shape=Shape(1, 64, 8, 8),
    ...     left=Operand(0x0800_0000),
    ...     right=isa.Constant.of(1.0),
    ...     result=Operand(0x0802_0000),
    ... )
    >>> [(touch.low, touch.high, touch.write) for touch in touches(add)]
    [(0, 256, False), (131072, 131328, True)]
    """
    if isinstance(command, isa.GdmaCommand):
        return list(_moved(command))
    return list(_computed(command))


def _tensor(address: int, shape: Shape, strides: Shape, width: int, write: bool = False) -> Touch:
    """A tensor whose strides count elements of so many bytes."""
    lane, low = split(address)
    last = Shape(shape.n - 1, groups(shape.c, lane) - 1, shape.h - 1, shape.w - 1)
    reach = sum(index * stride for index, stride in zip(last, strides)) + 1
    return Touch(low, low + reach * width, write)


def _words(operand: Any, shape: Shape, write: bool = False, plain: bool = False) -> Iterator[Touch]:
    """An operand in words, of which int8 and int16 share one among items of the batch; none of a constant."""
    if not isinstance(operand, Operand):
        return
    strides = operand.strides
    if strides is None or plain:
        strides = aligned(operand.address, shape, WORD)
    shared = shape._replace(n=parts(shape.n, _ITEMS.get(operand.precision, 1)))
    yield _tensor(operand.address, shared, strides, WORD, write)


def _vector(operand: Any, channels: int, width: int) -> Iterator[Touch]:
    """One element a channel; none of a constant."""
    if isinstance(operand, Operand):
        lane, low = split(operand.address)
        yield Touch(low, low + groups(channels, lane) * width, False)


def _matrix(operand: Any, shape: Shape, write: bool = False) -> Iterator[Touch]:
    """A matrix whose columns lie in slices, aligned; none of a constant."""
    if isinstance(operand, Operand):
        width = element_type(operand).itemsize
        yield _tensor(operand.address, shape, aligned(operand.address, shape, width), width, write)


def _computed(command: Any) -> Iterator[Touch]:
    if isinstance(command, (isa.MatrixMultiply, isa.OuterCombine)):
        yield from _product(command)
    elif hasattr(command, "input"):
        yield from _windowed(command)
    elif isinstance(command, isa.TableLookup):
        width = element_type(command.index).itemsize
        strides = command.index.strides or aligned(command.index.address, command.shape, width)
        yield _tensor(command.index.address, command.shape, strides, width)
        yield from _words(Operand(command.result.address), command.shape, True)
    elif isinstance(command, isa.Linear):
        yield from _words(command.source, command.shape)
        yield from _vector(command.bias, command.shape.c, WORD)
        if command.operation is isa.Operation.MULTIPLY_ACCUMULATE:
            yield from _vector(command.scale, command.shape.c, WORD)
        yield from _words(command.result, command.shape, True)
    elif isinstance(command, isa.Compare):
        yield from _compared(command)
    else:
        yield from _elementwise(command)


def _elementwise(command: Any) -> Iterator[Touch]:
    for name in ("left", "right", "source"):
        yield from _words(getattr(command, name, None), command.shape)
    adds = getattr(command, "operation", None) is isa.Operation.MULTIPLY_ACCUMULATE
    if adds or getattr(command, "accumulate", False):
        yield from _words(command.result, command.shape)
    yield from _words(command.result, command.shape, True)


def _compared(command: isa.Compare) -> Iterator[Touch]:
    yield from _words(command.left, command.shape)
    yield from _words(command.right, command.shape)
    if command.operation is not isa.Operation.SELECT:
        yield from _words(command.larger, command.shape, True)
    if command.operation is not isa.Operation.LARGER:
        yield from _words(command.if_greater, command.shape)
        yield from _words(command.otherwise, command.shape)
        yield from _words(Operand(command.chosen), command.shape, True)


def _windowed(command: Any) -> Iterator[Touch]:
    """Convolutions and pools."""
    result, given = command.result_shape, command.input_shape._replace(n=command.result_shape.n)
    whole = not isinstance(command, isa.Convolution)
    yield from _words(command.input, given, plain=whole)
    if hasattr(command, "weights"):
        yield _weights(command)
        float32 = command.input.precision is Precision.FLOAT32
        yield from _vector(command.bias, result.c, WORD if float32 else 2)
    if getattr(command, "accumulate", False):
        yield from _words(command.result, result, plain=True)
    yield from _words(command.result, result, True, plain=True)


def _weights(command: Any) -> Touch:
    operand = command.weights
    lane, low = split(operand.address)
    float32 = operand.precision is Precision.FLOAT32
    several = groups(command.result_shape.c, lane)
    if isinstance(command, isa.DepthwiseConvolution):
        width = element_type(operand).itemsize
        return Touch(low, low + several * command.kernel.h * command.kernel.w * width, False)
    inputs = command.input_shape.c
    if isinstance(command, isa.WinogradConvolution):
        units = (inputs if float32 else parts(inputs, 4)) - 1
        slots = units * parts(command.result_shape.c, LANES) + several
        return Touch(low, low + slots * 16 * WORD, False)
    kernel, unit = command.kernel, 8 if float32 else 4
    strides = operand.strides
    if strides is None:
        size = kernel.h * kernel.w
        strides = Shape(parts(command.result_shape.c, LANES) * size, size, kernel.w, 1)
    shape = Shape(parts(inputs, 2 if float32 else 4), command.result_shape.c, *kernel)
    return _tensor(operand.address, shape, strides, unit)


def _product(command: Any) -> Iterator[Touch]:
    stored, made = command.left_shape, command.result_shape
    slices = Shape(stored.n, stored.c, 1, stored.w)
    inner = (stored.c - 1) * stored.w + command.left_last_width
    if isinstance(command, isa.OuterCombine):
        slices, rows, lines = slices._replace(n=1), inner, 1
    else:
        rows, lines = (inner, stored.n) if command.left_transposed else (stored.n, inner)
    yield from _matrix(command.left, slices)
    yield from _matrix(command.right, Shape(lines, made.c, 1, made.w))
    result = Shape(rows, made.c, 1, made.w)
    if isinstance(command, isa.MatrixMultiply):
        yield from _matrix(_wider(command.bias, command.left.precision), Shape(1, made.c, 1, made.w))
        if command.accumulate:
            yield from _matrix(command.result, result)
    yield from _matrix(command.result, result, True)


def _wider(bias: Any, precision: Precision) -> Any:
    """The bias of a product, as the chip reads it: int16 for integers."""
    if isinstance(bias, Operand) and precision is not Precision.FLOAT32:
        return Operand(bias.address, Precision.INT16, bias.signed)
    return bias


def _moved(command: Any) -> Iterator[Touch]:
    if isinstance(command, isa.LinearCopy):
        return
    if command.direction in FROM_LOCAL and not isinstance(command, isa.Fill):
        yield _side(command, "source", False)
    if command.direction in TO_LOCAL:
        if getattr(command, "accumulate", False):
            yield _side(command, "destination", False)
        yield _side(command, "destination", True)


def _side(command: Any, name: str, write: bool) -> Touch:
    """The local side of a transfer."""
    address, shape = getattr(command, name), getattr(command, f"{name}_shape")
    width = FORMAT_BYTES[getattr(command, f"{name}_format")]
    if isinstance(command, isa.MatrixTransfer):
        system = command.source_shape if write else command.destination_shape
        rows, columns = (system.w, system.h) if command.transposed else (system.h, system.w)
        shape = Shape(rows, parts(columns, shape.w), 1, shape.w)
    strides = getattr(command, f"{name}_strides")
    if not command.explicit_strides:
        strides = aligned(address, shape, width)
    return _tensor(address, shape, strides, width, write)


def hull(some: Iterable[Touch], write: bool) -> tuple[int, int] | None:
    """The least range that holds all that is written, or all that is read."""
    kept = [touch for touch in some if touch.write is write]
    return (min(touch.low for touch in kept), max(touch.high for touch in kept)) if kept else None
