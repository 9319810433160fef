"""Cycles, multiply-adds and moved bytes of a command, from its fields by the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import DDR_BASE, LANE_BYTES, LOCAL_BASE, LOCAL_END
from graphflow.runtime.bm1684.cycles import elementwise, products, transfers
from graphflow.runtime.bm1684.isa import Command, Direction, Format, Operand, Precision, Shape

FORMAT_BYTES = {Format.FLOAT32: 4, Format.INT16: 2, Format.UINT8: 1, Format.INT8: 1, Format.FLOAT16: 2}
TO_LOCAL = (Direction.LOAD, Direction.LOCAL)
FROM_LOCAL = (Direction.STORE, Direction.LOCAL)


def cycles(command: Command) -> int:
    """Cycles of its engine's clock that a command takes once it has started.

    Raises:
        AttributeValueError: if its kind, or its formats, are none that have a formula.

    >>> from graphflow.runtime.bm1684 import isa
    >>> cycles(isa.LinearCopy(source=1 << 32, destination=(1 << 32) + 4096, length=1 << 18))
    19785
    """
    formula = _CYCLES.get(type(command))
    if formula is None:
        raise AttributeValueError(
            f"there is no formula for {type(command).__name__}", hint="see docs/bm1684-cycles.md"
        )
    return formula(command)


def lane_of(address: int) -> int:
    """The lane of an address in local memory; 0 of any other."""
    return (address - LOCAL_BASE) // LANE_BYTES if LOCAL_BASE <= address < LOCAL_END else 0


# The tensor unit


def _convolution(command: isa.Convolution) -> int:
    return products.conv_cycles(
        *command.result_shape,
        command.input_shape.c,
        *command.kernel,
        command.bias is not None,
        step=command.step,
        precision=command.input.precision,
        lane=lane_of(command.result.address),
    )


def _winograd(command: isa.WinogradConvolution) -> int:
    return products.winograd_cycles(
        *command.result_shape,
        command.input_shape.c,
        command.bias is not None,
        precision=command.input.precision,
        lane=lane_of(command.result.address),
    )


def _depthwise(command: isa.DepthwiseConvolution) -> int:
    return products.depthwise_cycles(
        *command.result_shape,
        *command.kernel,
        step_w=command.step.w,
        precision=command.input.precision,
        lane=lane_of(command.result.address),
    )


def _pool(command: isa.MaximumPool | isa.AveragePool) -> int:
    return products.pool_cycles(
        "maximum" if isinstance(command, isa.MaximumPool) else "average",
        *command.result_shape,
        *command.kernel,
        step_w=command.step.w,
        precision=command.input.precision,
        lane=lane_of(command.result.address),
    )


def _product_sizes(command: isa.MatrixMultiply) -> tuple[int, int]:
    """Rows and inner size."""
    stored = command.left_shape.n, (command.left_shape.c - 1) * command.left_shape.w + command.left_last_width
    return (stored[1], stored[0]) if command.left_transposed else stored


def _product(command: isa.MatrixMultiply) -> int:
    return products.matmul_cycles(
        *_product_sizes(command),
        command.result_shape.c,
        command.result_shape.w,
        command.bias is not None,
        command.accumulate,
        precision=command.left.precision,
        lane=lane_of(command.result.address),
    )


def _outer(command: isa.OuterCombine) -> int:
    rows = (command.left_shape.c - 1) * command.left_shape.w + command.left_last_width
    shape, lane = command.result_shape, lane_of(command.result.address)
    return products.outer_cycles(command.operation, rows, shape.c, shape.w, lane=lane)


def _arithmetic(command: isa.Arithmetic | isa.Choose) -> int:
    return elementwise.arithmetic_cycles(
        command.operation,
        *command.shape,
        precision=command.left.precision,
        result_precision=command.result.precision,
        lane=lane_of(command.result.address),
    )


def _copy(command: isa.Copy) -> int:
    return elementwise.arithmetic_cycles(
        isa.Operation.COPY,
        *command.shape,
        precision=command.source.precision,
        result_precision=command.result.precision,
        lane=lane_of(command.result.address),
    )


def _compare(command: isa.Compare) -> int:
    lane = max(lane_of(command.larger.address), lane_of(command.chosen))
    return elementwise.compare_cycles(command.operation, *command.shape, lane=lane)


def _series(command: isa.Series) -> int:
    lane = lane_of(command.result.address)
    return elementwise.series_cycles(command.terms, *command.shape, lane=lane)


def _by_operation(formula: Callable[..., int]) -> Callable[[Any], int]:
    def told(command: Any) -> int:
        return formula(command.operation, *command.shape, lane=lane_of(command.result.address))

    return told


def _by_shape(formula: Callable[..., int]) -> Callable[[Any], int]:
    def told(command: Any) -> int:
        return formula(*command.shape, lane=lane_of(command.result.address))

    return told


# The data mover


def _element(command: Any) -> int:
    """Bytes of an element as the estimate counts them, on both sides alike."""
    pair = FORMAT_BYTES[command.source_format], FORMAT_BYTES[command.destination_format]
    return max(pair)


def _transfer(command: Any) -> int:
    """Cycles of a transfer between a source and a destination with strides."""
    source, destination = sides(command)
    shape, given = source
    strides = transfers.settled(shape, given)
    element, direction = _element(command), command.direction
    wide = transfers.width(shape, strides)
    run = wide
    if strides.w == 1:
        run = transfers.run_length(shape, strides, direction in FROM_LOCAL)
    run = min(run, transfers.run_length(*destination, direction in TO_LOCAL))
    scattered = (
        given.w != 1
        or destination[1].w != 1
        or getattr(command, "accumulate", False)
        or getattr(command, "transposed", False)
        or isinstance(command, isa.TransposeTransfer)
    )
    loads = direction in (Direction.LOAD, Direction.SYSTEM)
    breaks = transfers.page_breaks(command.source, shape, strides, element) if scattered and loads else 0
    total = shape.n * shape.c * shape.h * wide * element
    return transfers.transfer_cycles(total, run * element, direction, scattered=scattered, page_breaks=breaks)


def sides(command: Any) -> tuple[tuple[Shape, Shape], tuple[Shape, Shape]]:
    """The sizes and strides of source and destination; those of a matrix as the chip walks over it."""
    source, destination = command.source_shape, command.destination_shape
    source_strides, destination_strides = command.source_strides, command.destination_strides
    if not command.explicit_strides:
        source_strides, destination_strides = transfers.dense(source), transfers.dense(destination)
    if not isinstance(command, isa.MatrixTransfer):
        return (source, source_strides), (destination, destination_strides)
    loads = command.direction is Direction.LOAD
    system, local = (source, destination) if loads else (destination, source)
    steps = source_strides if loads else destination_strides
    rows, columns = (system.w, system.h) if command.transposed else (system.h, system.w)
    matrix = Shape(1, 1, system.h, system.w)
    walked = Shape(steps.h * system.h, steps.h * system.h, steps.h, 1)
    slices = Shape(rows, products.parts(columns, local.w), 1, local.w)
    aligned = products.parts(local.w, 32) * 32
    kept = Shape(slices.c * aligned, aligned, aligned, 1)
    there, here = (matrix, walked), (slices, kept)
    return (there, here) if loads else (here, there)


def _linear_copy(command: isa.LinearCopy) -> int:
    total = command.length * _element(command)
    return transfers.transfer_cycles(total, total, command.direction)


def _fill(command: isa.Fill) -> int:
    shape, element = command.destination_shape, _element(command)
    strides = command.destination_strides if command.explicit_strides else transfers.dense(shape)
    run = transfers.run_length(shape, strides, command.direction is Direction.LOCAL)
    total = shape.n * shape.c * shape.h * shape.w * element
    return transfers.fill_cycles(total, run * element, command.direction, scattered=strides.w != 1)


_CYCLES: dict[type[Command], Callable[[Any], int]] = {
    isa.Arithmetic: _arithmetic,
    isa.AveragePool: _pool,
    isa.Choose: _arithmetic,
    isa.Compare: _compare,
    isa.ConvertTransfer: _transfer,
    isa.Convolution: _convolution,
    isa.Copy: _copy,
    isa.DepthwiseConvolution: _depthwise,
    isa.Fill: _fill,
    isa.Linear: _by_shape(elementwise.linear_cycles),
    isa.LinearCopy: _linear_copy,
    isa.MatrixMultiply: _product,
    isa.MatrixTransfer: _transfer,
    isa.MaximumPool: _pool,
    isa.OuterCombine: _outer,
    isa.ScalarArithmetic: _by_operation(elementwise.scalar_cycles),
    isa.Series: _series,
    isa.SpecialFunction: _by_operation(elementwise.special_cycles),
    isa.TableLookup: _by_shape(elementwise.lookup_cycles),
    isa.TensorTransfer: _transfer,
    isa.TransposeTransfer: _transfer,
    isa.WinogradConvolution: _winograd,
}


# Work


def macs(command: Command) -> int:
    """Multiply-adds of a convolution or product; of Winograd those of the plain convolution; else 0.

    >>> from graphflow.runtime.bm1684 import isa
    >>> macs(isa.LinearCopy(source=1 << 32, destination=(1 << 32) + 4096, length=64))
    0
    """
    if isinstance(command, isa.MatrixMultiply):
        rows, inner = _product_sizes(command)
        return rows * inner * command.result_shape.c * command.result_shape.w
    if not isinstance(command, (isa.Convolution, isa.WinogradConvolution, isa.DepthwiseConvolution)):
        return 0
    n, c, h, w = command.result_shape
    kernel = 9 if isinstance(command, isa.WinogradConvolution) else command.kernel.h * command.kernel.w
    inputs = 1 if isinstance(command, isa.DepthwiseConvolution) else command.input_shape.c
    return n * c * h * w * kernel * inputs


def peak_cycles(command: Command) -> float:
    """Cycles that the multiply-adds of a command would take at the tensor unit's peak."""
    operand = getattr(command, "input", getattr(command, "left", None))
    whole = isinstance(operand, Operand) and operand.precision is not Precision.FLOAT32
    return macs(command) / (products.INT8_MACS if whole else products.FLOAT32_MACS)


def ddr_bytes(command: Command) -> int:
    """Bytes that a command reads from DDR and writes to it.

    >>> from graphflow.runtime.bm1684 import isa
    >>> ddr_bytes(isa.LinearCopy(source=1 << 32, destination=(1 << 32) + 4096, length=64))
    512
    """
    if not isinstance(command, isa.GdmaCommand):
        return 0
    total = 0
    for side in ("source", "destination"):
        if getattr(command, side, 0) >= DDR_BASE:
            total += elements(command) * FORMAT_BYTES[getattr(command, f"{side}_format")]
    return total


def elements(command: Any) -> int:
    """Elements that a transfer moves."""
    if isinstance(command, isa.LinearCopy):
        return command.length
    shape = command.destination_shape
    if isinstance(command, isa.MatrixTransfer) and command.direction is Direction.LOAD:
        shape = Shape(1, 1, command.source_shape.h, command.source_shape.w)
    if isinstance(command, isa.MatrixTransfer) and command.direction is Direction.STORE:
        shape = Shape(1, 1, shape.h, shape.w)
    return shape.n * shape.c * shape.h * shape.w
