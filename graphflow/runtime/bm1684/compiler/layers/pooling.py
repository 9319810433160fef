"""Pools: the maximum and the mean over windows.

A mean is a sum times a constant. Where windows reach beyond what counts, as at the borders when padding does
not count, the rows and columns of the result there are multiplied by what the constant lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.channelwise import ChannelwiseLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Places
from graphflow.runtime.bm1684.compiler.layers.window import NO_PADS
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Constant, Operation, Pads, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class MaximumPool(ChannelwiseLayer):
    """result[n, c] = the maximum over the window of input[n, c], of what is no padding.

    A NaN never is larger, so that it is left out unless it comes first.

    Attributes:
        kernel: the size of the window; that of the input for a global pool.
    """

    kernel: Window

    def extent(self) -> Window:
        return self.kernel

    def command(self, part: Box, places: Places, shared: dict[str, Any]) -> isa.Command:
        return isa.MaximumPool(**shared)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(ChannelwiseLayer):
    """result[n, c] = the mean over the window of input[n, c].

    Attributes:
        kernel: the size of the window; that of the input for a global pool.
        counted: how much of the padding counts as elements: all of it, none, or what the model names without
            the rows and columns that a rounded-up size adds.
        total: whether the sum is wanted, and not the mean.
    """

    kernel: Window
    counted: Pads = NO_PADS
    total: bool = False

    def extent(self) -> Window:
        return self.kernel

    def command(self, part: Box, places: Places, shared: dict[str, Any]) -> isa.Command:
        factor = 1.0 if self.total else 1 / (self.kernel.h * self.kernel.w)
        return isa.AveragePool(**shared, factor=Constant.of(factor))

    def mended(self, part: Box, places: Places) -> list[isa.Command]:
        commands: list[isa.Command] = []
        for box, factor in self._short(part):
            place = places.output.operand(box)
            commands.append(
                isa.Arithmetic(
                    operation=Operation.MULTIPLY,
                    result=place,
                    left=place,
                    right=Constant.of(factor),
                    shape=box.shape,
                )
            )
        return commands + super().mended(part, places)

    def _short(self, part: Box) -> Iterator[tuple[Box, float]]:
        """Rows, and columns, in which fewer elements count than the kernel has, with their factor."""
        if self.total:
            return
        given = self.inputs[0].shape
        ends = (self.counted.top, self.counted.bottom), (self.counted.left, self.counted.right)
        pads = self.pads.top, self.pads.left
        for index, axis in enumerate("hw"):
            size, step, kernel = getattr(given, axis), self.strides[index], self.kernel[index]
            before, after = ends[index]
            first, last = getattr(part.start, axis), getattr(part.stop, axis)
            counts = []
            for place in range(first, last):
                low = place * step - pads[index]
                counts.append(max(1, min(low + kernel, size + after) - max(low, -before)))
            for count, places in groupby(range(last - first), key=counts.__getitem__):
                found = list(places)
                if count < kernel:
                    yield part.over(axis, first + found[0], first + found[-1] + 1), kernel / count
