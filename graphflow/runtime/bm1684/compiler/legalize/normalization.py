"""Normalization over the last axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers import unary
from graphflow.runtime.bm1684.compiler.layers.elementwise import Binary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.norm import Normalize
from graphflow.runtime.bm1684.compiler.layers.recipe import Term
from graphflow.runtime.bm1684.compiler.legalize.axis_rows import channels, rows_of
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, legal, sizes
from graphflow.runtime.bm1684.compiler.legalize.operands import operand
from graphflow.runtime.bm1684.compiler.legalize.reduction import reduced
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Operation, Shape

_LONGEST = 12_000
"""Elements of a row for which all temporaries fit into a lane."""


@legal("layer_normalization")
def layer_normalization(legalizer: Legalizer, node: Node) -> None:
    """Rows within channels, with scale and offset taken along where they are constants."""
    x, *vectors = node.inputs
    shape, axis = sizes(x), node.attrs["axis"]
    count = prod(shape[axis:])
    if count > _LONGEST:
        _in_steps(legalizer, node, prod(shape[:axis]), count)
        return
    rows = rows_of(legalizer, legalizer.value(x), prod(shape[:axis]), count, 1, node.name)
    data = [legalizer.constant(one) for one in vectors]
    fused = all(one is not None for one in data)
    given = rows.value.shape
    output = legalizer.output(node.output, given) if fused else legalizer.inner(f"{node.name} normal", given)
    scale, offset = [_unless(one, idle) for one, idle in zip(data, (1, 0))] if fused else (None, None)
    legalizer.add(
        Normalize(
            output=output,
            inputs=(rows.value,),
            nodes=(node.name,),
            over=rows.over,
            epsilon=float(node.attrs["epsilon"]),
            scale=scale,
            offset=offset,
        )
    )
    if fused:
        return
    like = given._replace(n=1, c=1, h=1 if rows.over == "w" else given.h)
    for index, operation in enumerate((Operation.MULTIPLY, Operation.ADD)):
        vector = operand(legalizer, vectors[index], like, given)
        made = (
            legalizer.inner(f"{node.name} scaled", given)
            if index == 0
            else legalizer.output(node.output, given)
        )
        legalizer.add(
            Binary(
                output=made, inputs=(output, vector), nodes=(node.name,), operation=operation, left=0, right=1
            )
        )
        output = made


def _in_steps(legalizer: Legalizer, node: Node, before: int, count: int) -> None:
    """Rows that do not fit into a lane, each over many channels: mean and variance by two reductions each."""
    names: dict[str, Any] = {"nodes": (node.name,)}
    wide = channels(count, Shape())
    view = Shape(before, wide.c, 1, wide.n)
    x = legalizer.value(node.inputs[0], view)

    def combine(operation: Operation, left: Value, right: Value, output: Value) -> Value:
        layer = Binary(output=output, inputs=(left, right), operation=operation, left=0, right=1, **names)
        legalizer.add(layer)
        return output

    def mean(value: Value) -> Value:
        return reduced(legalizer, node, value, (before, count), {1}, Operation.ADD, 1 / count, inner=True)

    def spread(value: Value) -> Value:
        return Value(value.name, Shape(before, 1, 1, 1), alias=value.root)

    def inner(what: str, shape: Shape) -> Value:
        return legalizer.inner(f"{node.name} {what}", shape)

    def function(value: Value, record: Callable[..., Term], what: str) -> Value:
        made = inner(what, value.shape)
        legalizer.add(Function(output=made, inputs=(value,), name=what, record=record, **names))
        return made

    centred = combine(Operation.SUBTRACT, x, spread(mean(x)), inner("centred", view))
    variance = mean(function(centred, unary.square, "squares"))
    epsilon = float(node.attrs["epsilon"])
    inverse = function(variance, lambda r, x: r.rsqrt(r.add(x, epsilon)), "inverse")
    made = combine(Operation.MULTIPLY, centred, spread(inverse), inner("normal", view))
    scale, offset = [legalizer.value(one, view._replace(n=1)) for one in node.inputs[1:]]
    made = combine(Operation.MULTIPLY, made, scale, inner("scaled", view))
    combine(Operation.ADD, made, offset, legalizer.output(node.output, view))


def _unless(data: np.ndarray | None, idle: float) -> np.ndarray | None:
    """The vector, unless it changes nothing."""
    return None if data is None or (data == idle).all() else np.ascontiguousarray(data, np.float32)
