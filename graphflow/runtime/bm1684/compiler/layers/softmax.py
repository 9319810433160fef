"""Softmax and its logarithm over rows: the largest is subtracted, so that exp never overflows.

For 16 elements 2 cycles to find the largest, 2 to subtract it, 14 for exp (a polynomial of degree 4), 2 to
sum and 2 to multiply by what a division a row gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import local
from graphflow.runtime.bm1684.compiler.layers import activation
from graphflow.runtime.bm1684.compiler.layers.layer import Places
from graphflow.runtime.bm1684.compiler.layers.recipe import Recipe, Recorder
from graphflow.runtime.bm1684.compiler.layers.rows import (
    RowLayer,
    aligned,
    combined,
    folded,
    half_bytes,
    plain,
    spread_along,
)
from graphflow.runtime.bm1684.compiler.tensors import tile_bytes
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Shape


@cache
def _exponential() -> Recipe:
    r = Recorder(1)
    activation.negative_exponential(r, r.inputs[0], coefficients=activation.POWER_4)
    return Recipe.of(r)


@cache
def _logarithm() -> Recipe:
    r = Recorder(1)
    activation.log(r, r.inputs[0], zero=False)
    return Recipe.of(r)


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(RowLayer):
    """exp(x - m) / sum(exp(x - m)) over rows with m their largest; with `logarithm`, x - m - ln(the sum)."""

    logarithm: bool = False

    def overwrites(self) -> tuple[int, ...]:
        return (0,)

    def registers(self, shape: Shape) -> tuple[int, ...]:
        whole, row = tile_bytes(shape), tile_bytes(self.single(shape))
        more = (row,) * (_logarithm().count + 1) if self.logarithm else (row,)
        return (half_bytes(shape, self.axis), whole, *(whole,) * _exponential().count, *more)

    def rows(self, source: Operand, result: Operand, shape: Shape, places: Places) -> list[isa.Command]:
        single, recipe = self.single(shape), _exponential()
        half, less, *rest = places.scratch
        registers, (row, *small) = rest[: recipe.count], rest[recipe.count :]
        centred = aligned(less, shape)
        commands, largest = folded(Operation.MAXIMUM, source, shape, self.axis, half)
        commands.append(
            combined(Operation.SUBTRACT, source, spread_along(largest, self.axis), centred, shape)
        )
        last = aligned(registers[recipe.registers[-1]], shape)
        commands += recipe.commands(
            [plain(centred)], [local(0, one) for one in registers], plain(last), shape
        )
        sums, total = folded(Operation.ADD, last, shape, self.axis, half)
        commands += sums
        made = aligned(row, single)
        if not self.logarithm:
            commands.append(combined(Operation.DIVIDE, Constant.of(1.0), total, made, single))
            return [
                *commands,
                combined(Operation.MULTIPLY, last, spread_along(made, self.axis), result, shape),
            ]
        gathered = aligned(small[-1], single)
        commands.append(isa.Copy(source=total, result=gathered, shape=single))
        places_of = [local(0, one) for one in small]
        commands += _logarithm().commands([plain(gathered)], places_of, plain(made), single)
        return [
            *commands,
            combined(Operation.SUBTRACT, centred, spread_along(made, self.axis), result, shape),
        ]
