"""Sums, means, products, maxima and minima over rows, columns, or both."""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import Places
from graphflow.runtime.bm1684.compiler.layers.rows import RowLayer, combined, folded, half_bytes
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(RowLayer):
    """result[n, c] = factor * (all elements along some axes, joined by the operation).

    A NaN is left out of maxima and minima unless it comes first.

    Attributes:
        operation: addition, multiplication, maximum or minimum.
        factor: 1 / count for a mean.
    """

    operation: Operation
    factor: float = 1.0

    def registers(self, shape: Shape) -> tuple[int, ...]:
        return (half_bytes(shape, self.axis),)

    def rows(self, source: Operand, result: Operand, shape: Shape, places: Places) -> list[isa.Command]:
        commands, place = folded(self.operation, source, shape, self.axis, places.scratch[0])
        single = self.single(shape)
        if self.factor == 1.0:
            return [*commands, isa.Copy(source=place, result=result, shape=single)]
        return [*commands, combined(Operation.MULTIPLY, place, Constant.of(self.factor), result, single)]
