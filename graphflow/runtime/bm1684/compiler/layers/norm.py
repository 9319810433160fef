"""Normalization of rows: to mean 0 and variance 1 (layer, group and instance norm), or to mean square 1.

The variance is the mean of the squares of what is left when the mean is subtracted: the mean of the
squares less the square of the mean would lose all digits where the mean is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES, local
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places
from graphflow.runtime.bm1684.compiler.layers.rows import (
    RowLayer,
    aligned,
    combined,
    folded,
    folded_in_place,
    half_bytes,
    plain,
    spread_along,
)
from graphflow.runtime.bm1684.compiler.tensors import aligned_strides, tile_bytes
from graphflow.runtime.bm1684.isa import Constant, Direction, Operand, Operation, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalize(RowLayer):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset over rows.

    Attributes:
        epsilon: what keeps the root away from zero.
        centred: whether the mean is subtracted; without, the variance is the mean square.
        scale, offset: one number for each place of a row, or None.
    """

    epsilon: float
    centred: bool = True
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None

    def overwrites(self) -> tuple[int, ...]:
        return (0,)

    @cached_property
    def vectors(self) -> tuple[Coefficient, ...]:
        """Scale and offset, those that there are."""
        named = (("scale", self.scale), ("offset", self.offset))
        return tuple([_row_vector(f"{self.label} {name}", data) for name, data in named if data is not None])

    def coefficients(self) -> tuple[Coefficient, ...]:
        return self.vectors

    def registers(self, shape: Shape) -> tuple[int, ...]:
        whole, row = tile_bytes(shape), tile_bytes(self.single(shape))
        return (half_bytes(shape, self.axis), whole, whole, row)

    def rows(self, source: Operand, result: Operand, shape: Shape, places: Places) -> list[isa.Command]:
        single, count = self.single(shape), getattr(shape, self.axis)
        half, less, squares, row = places.scratch
        centred, square, number = aligned(less, shape), aligned(squares, shape), aligned(row, single)
        if self.centred:
            commands, total = folded(Operation.ADD, source, shape, self.axis, half)
            commands.append(combined(Operation.MULTIPLY, total, Constant.of(1 / count), number, single))
            mean = spread_along(number, self.axis)
            commands.append(combined(Operation.SUBTRACT, source, mean, centred, shape))
        else:
            commands = [isa.Copy(source=source, result=centred, shape=shape)]
        commands.append(
            isa.ScalarArithmetic(
                operation=Operation.MULTIPLY,
                shape=shape,
                left=plain(centred),
                right=plain(centred),
                result=plain(square),
            )
        )
        commands += folded_in_place(Operation.ADD, square, shape, self.axis)
        commands.append(combined(Operation.MULTIPLY, square, Constant.of(1 / count), number, single))
        commands.append(combined(Operation.ADD, number, Constant.of(self.epsilon), number, single))
        commands.append(
            isa.SpecialFunction(
                operation=Operation.RECIPROCAL_SQUARE_ROOT,
                source=plain(number),
                result=Operand(local(0, half)),
                shape=single,
            )
        )
        inverse = spread_along(aligned(half, single), self.axis)
        steps = [(Operation.MULTIPLY, inverse), *self._vectors(places)]
        return commands + _chain(centred, steps, result, shape)

    def _vectors(self, places: Places) -> list[tuple[Operation, Operand]]:
        """What follows with the vectors, each with its operand."""
        operations = [
            operation
            for operation, data in ((Operation.MULTIPLY, self.scale), (Operation.ADD, self.offset))
            if data is not None
        ]
        strides = Shape(0, 0, 0, 1)
        return [
            (operation, Operand(local(0, offset), strides=strides))
            for operation, offset in zip(operations, places.coefficients)
        ]


def _chain(
    start: Operand, steps: Sequence[tuple[Operation, Operand]], result: Operand, shape: Shape
) -> list[isa.Command]:
    """start operation operand, and so on, the last into the result."""
    commands: list[isa.Command] = []
    for index, (operation, operand) in enumerate(steps):
        place = result if index == len(steps) - 1 else start
        commands.append(combined(operation, start, operand, place, shape))
    return commands


def _row_vector(name: str, data: np.ndarray) -> Coefficient:
    """A vector along the rows, the same in all lanes."""
    shape = Shape(1, LANES, 1, data.size)

    def load(source: int, offset: int) -> list[isa.GdmaCommand]:
        return [
            isa.TensorTransfer(
                direction=Direction.LOAD,
                source=source,
                destination=local(0, offset),
                source_shape=shape,
                destination_shape=shape,
                explicit_strides=True,
                source_strides=Shape(0, 0, data.size, 1),
                destination_strides=aligned_strides(shape),
            )
        ]

    flat = np.ascontiguousarray(data, np.float32).reshape(-1)
    return Coefficient(name=name, data=flat, bytes=tile_bytes(shape), load=load)
