"""Reductions over any axes: within channels where they lie there, by a convolution over them, else turned."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.chip import LANES
from graphflow.runtime.bm1684.compiler.layers import activation
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.elementwise import Binary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.reduce import Reduce
from graphflow.runtime.bm1684.compiler.legalize.axis_rows import LONGEST, Rows, rows_of, runs
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, legal, sizes
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Operation, Shape

_OPERATIONS = {
    "all": Operation.MINIMUM,
    "any": Operation.MAXIMUM,
    "max": Operation.MAXIMUM,
    "mean": Operation.ADD,
    "min": Operation.MINIMUM,
    "prod": Operation.MULTIPLY,
    "sum": Operation.ADD,
}
_FILLED, _LONG = 32, 512
"""Rows of more elements than the second are cut where there are fewer than the first: lanes are idle."""

_MOST_PARTS = 4096
"""Parts of a row that is cut, at most."""


@legal(*_OPERATIONS)
def reduce(legalizer: Legalizer, node: Node) -> None:
    """One run of axes after the other, the last first."""
    (x,) = node.inputs
    shape = sizes(x)
    axes = node.attrs["axis"]
    over = set(range(len(shape)) if axes is None else axes)
    factor = 1 / prod([shape[axis] for axis in over]) if node.op.name == "mean" else 1.0
    reduced(legalizer, node, legalizer.value(x), shape, over, _OPERATIONS[node.op.name], factor)


def reduced(
    legalizer: Legalizer,
    node: Node,
    value: Value,
    shape: tuple[int, ...],
    over: set[int],
    operation: Operation,
    factor: float = 1.0,
    inner: bool = False,
) -> Value:
    """The reduction of a value; with `inner` it is not yet the node's output."""
    left = runs(shape, over)
    if not any(one for _, one in left):
        # Axes of size 1 alone: the same elements.
        if not inner:
            legalizer.same(node.output, value)
        return value
    while True:
        place = max(index for index, (_, one) in enumerate(left) if one)
        last = sum(one for _, one in left) == 1
        before = prod([size for size, _ in left[:place]])
        count, after = left[place][0], prod([size for size, _ in left[place + 1 :]])
        parts = _parts(before, count, after)
        if parts > 1:
            left[place : place + 1] = [(parts, True), (count // parts, True)]
            continue
        made = _one(
            legalizer,
            node,
            value,
            (before, count, after),
            operation,
            factor if last else 1.0,
            last and not inner,
        )
        if last:
            return made
        value, left[place] = made, (1, False)


def _parts(before: int, count: int, after: int) -> int:
    """Into how many parts long rows are cut first, so that more lanes work; 1 for none."""
    fitting = [d for d in range(2, min(count, _MOST_PARTS) + 1) if count % d == 0]
    if count * (1 if after == 1 else 3) > LONGEST // 2:
        return next((d for d in fitting if count // d <= _LONG), fitting[-1] if fitting else 1)
    if after > 1 or before >= _FILLED or count < _LONG:
        return 1
    few = [d for d in fitting if d * before <= LANES]
    return few[-1] if few else 1


def _one(
    legalizer: Legalizer,
    node: Node,
    value: Value,
    run: tuple[int, int, int],
    operation: Operation,
    factor: float,
    last: bool,
) -> Value:
    """Reduce one run of axes."""
    before, count, after = run
    n, c, h, w = value.shape
    shared: dict[str, Any] = {"nodes": (node.name,)}
    if operation is Operation.ADD and (n, c, h * w) == run and after > 1:
        made = _made(legalizer, node, Shape(n, 1, h, w), last)
        weights = np.full((1, c, 1, 1), factor, np.float32)
        legalizer.add(Convolution(output=made, inputs=(value,), weights=weights, **shared))
        return made
    rows = rows_of(legalizer, value, before, count, after, node.name)
    shape = rows.value.shape._replace(**dict.fromkeys(rows.over, 1))
    made = _made(legalizer, node, shape, last)
    legalizer.add(
        Reduce(
            output=made, inputs=(rows.value,), over=rows.over, operation=operation, factor=factor, **shared
        )
    )
    return made


def _made(legalizer: Legalizer, node: Node, shape: Shape, last: bool) -> Value:
    return legalizer.output(node.output, shape) if last else legalizer.inner(f"{node.name} part", shape)


@legal("logsumexp")
def logsumexp(legalizer: Legalizer, node: Node) -> None:
    """m + ln(sum(exp(x - m))) with m the largest; over one run of axes after another: it is associative."""
    (x,) = node.inputs
    shape = sizes(x)
    axes = node.attrs["axis"]
    left = runs(shape, set(range(len(shape)) if axes is None else axes))
    value = legalizer.value(x)
    places = [index for index, (_, one) in enumerate(left) if one][::-1]
    if not places:
        legalizer.same(node.output, value)
    for place in places:
        before = prod([size for size, _ in left[:place]])
        after = prod([size for size, _ in left[place + 1 :]])
        rows = rows_of(legalizer, value, before, left[place][0], after, node.name)
        value = _logsumexp(legalizer, node, rows, place == places[-1])
        left[place] = (1, False)


def _logsumexp(legalizer: Legalizer, node: Node, rows: Rows, last: bool) -> Value:
    """The logarithm of the sum of exponentials of each row."""
    names: dict[str, Any] = {"nodes": (node.name,)}
    given = rows.value.shape
    single = given._replace(**dict.fromkeys(rows.over, 1))

    def between(what: str, shape: Shape) -> Value:
        return legalizer.inner(f"{node.name} {what}", shape)

    largest, total = between("largest", single), between("total", single)
    apart, powers = between("apart", given), between("powers", given)
    legalizer.add(
        Reduce(output=largest, inputs=(rows.value,), over=rows.over, operation=Operation.MAXIMUM, **names)
    )
    legalizer.add(_binary(Operation.SUBTRACT, apart, rows.value, largest, names))
    legalizer.add(
        Function(output=powers, inputs=(apart,), name="exp", record=activation.negative_exponential, **names)
    )
    legalizer.add(Reduce(output=total, inputs=(powers,), over=rows.over, operation=Operation.ADD, **names))
    logarithm = between("logarithm", single)
    legalizer.add(Function(output=logarithm, inputs=(total,), name="log", record=activation.log, **names))
    output = _made(legalizer, node, single, last)
    legalizer.add(_binary(Operation.ADD, output, logarithm, largest, names))
    return output


def _binary(operation: Operation, output: Value, left: Value, right: Value, names: dict[str, Any]) -> Binary:
    return Binary(output=output, inputs=(left, right), operation=operation, left=0, right=1, **names)
