"""Products of two activations, item by item of a batch: the scores and the sums of attention.

    scores = BatchedProduct(output=(heads, queries, 1, keys), inputs=(queries, keys),
                            left_parts=heads, right_parts=heads, right_axis="c")
    sums = BatchedProduct(output=(heads, queries, 1, size), inputs=(scores, values),
                          right_parts=heads, right_axis="w")

The queries lie as (1, queries, 1, heads * size), rows on lanes; the keys as their projection with features
on lanes gives them, (1, heads * size, 1, keys); the values, rows on lanes, as (1, keys, 1, heads * size).
Nothing is transposed, and the softmax between works along w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Places, Work
from graphflow.runtime.bm1684.compiler.layers.product import as_weights, plane
from graphflow.runtime.bm1684.compiler.layers.timed import timed
from graphflow.runtime.bm1684.compiler.layers.window import MOST_CHANNELS
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Operand, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchedProduct(ClampedLayer):
    """result[item, row, 0, column] = sum over k of left[item][row, k] * right[item][k, column].

    The output is (items, rows, 1, columns). Each input has h = 1 and its items over n; within each n it may
    have parts, as the heads of attention: the left factor, (n, rows, 1, parts * inner), over w; the right
    factor over w, (n, inner, 1, parts * columns), or over c, (n, parts * inner, 1, columns).

    Attributes:
        left_parts, right_parts: how many items lie within one n.
        right_axis: over which axis of the right factor, "w" or "c".
        repeat: so many items one after the other share a right factor (grouped queries).
    """

    left_parts: int = 1
    right_parts: int = 1
    right_axis: str = "w"
    repeat: int = 1

    @property
    def inner(self) -> int:
        """Elements of a sum."""
        return self.inputs[0].shape.w // self.left_parts

    def refusal(self) -> str | None:
        """Why the chip cannot do it, in words, or None."""
        left, right = (value.shape for value in self.inputs)
        if max(left.h, right.h, self.output.shape.h) > 1:
            return "its matrices have no h; reshape"
        items = self.output.shape.n
        if left.n * self.left_parts != items or right.n * self.right_parts * self.repeat != items:
            return "its factors have another number of items than its result"
        if self.inner % 2 and self.left_parts > 1:
            return "parts of an odd size begin within a pair of elements; give each an n of its own"
        if max(left.c, right.c) > MOST_CHANNELS:
            return f"its factors have more than {MOST_CHANNELS} rows; split them"
        columns = self.output.shape.w
        rows = plane(columns)
        if rows is None or (rows[0] > 1 and self.right_parts > 1 and self.right_axis == "w"):
            return f"its result has {columns} columns; split them"
        return None

    def cuts(self) -> str:
        return "n"

    def needed(self, index: int, box: Box) -> Box:
        if index == 0:
            ends = box.start.n, box.stop.n
            whole = Box.whole(self.inputs[0].shape).over("c", box.start.c, box.stop.c)
            return _items(whole, ends, self.left_parts, "w")
        ends = box.start.n // self.repeat, (box.stop.n - 1) // self.repeat + 1
        return _items(Box.whole(self.inputs[1].shape), ends, self.right_parts, self.right_axis)

    def works(self, box: Box, room: int, held: Sequence[Box] | None = None) -> list[Work]:
        known = [self.needed(index, box) for index in range(2)] if held is None else held

        def build(places: Places) -> list[isa.Command]:
            made: list[isa.Command] = []
            for item in range(box.start.n, box.stop.n):
                made += self._product(box.over("n", item, item + 1), places)
            return made + self.clamped(places.output, box)

        return [timed(build, known, box)]

    def _product(self, box: Box, places: Places) -> list[isa.Command]:
        """The product of one item, in as many commands as its sums take."""
        left, right = (self.needed(index, box) for index in range(2))
        height, width = plane(box.shape.w) or (1, box.shape.w)
        strides = places.inputs[1].strides._replace(h=width)
        size = MOST_CHANNELS // LANES * LANES
        commands: list[isa.Command] = []
        for first in range(0, self.inner, size):
            last = min(first + size, self.inner)
            factor = right.over("c", right.start.c + first, right.start.c + last)
            rows = left.over("w", left.start.w + first, left.start.w + last)
            commands.append(
                isa.Convolution(
                    result=Operand(places.output.address(box)),
                    result_shape=Shape(1, box.shape.c, height, width),
                    input=Operand(places.inputs[1].address(factor), strides=strides),
                    input_shape=Shape(1, last - first, height, width),
                    weights=as_weights(places.inputs[0], rows),
                    accumulate=first > 0,
                )
            )
        return commands


def _items(whole: Box, ends: tuple[int, int], parts: int, axis: str) -> Box:
    """What of a factor some items are: items of n, and the parts of a single one."""
    first, last = ends[0] // parts, (ends[1] - 1) // parts + 1
    made = whole.over("n", first, last)
    if parts > 1 and last - first == 1:
        size = getattr(whole.stop, axis) // parts
        made = made.over(axis, (ends[0] - first * parts) * size, (ends[1] - first * parts) * size)
    return made
