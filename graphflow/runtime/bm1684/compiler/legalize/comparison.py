"""Comparisons and what is chosen by them: a truth is 1.0 or 0.0 on the chip, and never leaves it.

A bool tensor may be a constant, or come from a comparison; fed or fetched it is refused: the chip has none.
"""

from __future__ import annotations

from collections.abc import Callable

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.recipe import Recorder, Side, Term
from graphflow.runtime.bm1684.compiler.legalize.axes import common_shapes
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, legal
from graphflow.runtime.bm1684.compiler.legalize.operands import operand, scalar
from graphflow.runtime.bm1684.compiler.tensors import Value


def _greater(r: Recorder, x: Side, y: Side) -> Term:
    return r.greater(x, y)


def _less(r: Recorder, x: Side, y: Side) -> Term:
    return r.greater(y, x)


def _not(r: Recorder, x: Side) -> Term:
    return r.subtract(1.0, x)


def _unequal(r: Recorder, x: Side, y: Side) -> Term:
    return r.add(r.greater(x, y), r.greater(y, x))


def _xor(r: Recorder, x: Side, y: Side) -> Term:
    apart = r.subtract(x, y)
    return r.multiply(apart, apart)


RECIPES: dict[str, Callable[..., Term]] = {
    "equal": lambda r, x, y: _not(r, _unequal(r, x, y)),
    "greater": _greater,
    "greater_equal": lambda r, x, y: _not(r, _less(r, x, y)),
    "less": _less,
    "less_equal": lambda r, x, y: _not(r, _greater(r, x, y)),
    "logical_and": lambda r, x, y: r.multiply(x, y),
    "logical_not": _not,
    "logical_or": lambda r, x, y: r.larger(x, y),
    "logical_xor": _xor,
    "not_equal": _unequal,
    "where": lambda r, chosen, x, y: r.select(chosen, 0.5, x, y),
}
"""Of operands that may be numbers, but not all. A NaN counts as equal to anything."""


@legal(*RECIPES)
def compared(legalizer: Legalizer, node: Node) -> None:
    """A recipe of operands that are broadcast."""
    for tensor in node.inputs:
        mask(tensor)
    many(legalizer, node, RECIPES[node.op.name])


@legal("astype")
def astype(legalizer: Legalizer, node: Node) -> None:
    """A truth as the number that it is."""
    (x,) = node.inputs
    mask(x)
    if x.dtype.name not in ("bool", "float32"):
        raise Refused(f"it converts {x.dtype.name}", hint="the chip computes in float32")
    if node.output.dtype.name == "bool" and x.dtype.name != "bool":
        value = legalizer.value(x)
        output = legalizer.output(node.output, value.shape)
        legalizer.add(
            Function(
                output=output,
                inputs=(value,),
                nodes=(node.name,),
                name="astype",
                record=lambda r, x: _unequal(r, x, 0.0),
            )
        )
        return
    legalizer.same(node.output, legalizer.value(x))


def mask(tensor: Tensor) -> None:
    """Refuses a truth that is fed."""
    if tensor.dtype.name == "bool" and tensor.node.op.name == "placeholder":
        raise Refused(
            f"{tensor.name} is fed as bool",
            hint="feed 1.0 and 0.0 as float32, and compare them with 0.5 in the graph",
        )


def many(legalizer: Legalizer, node: Node, record: Callable[..., Term]) -> None:
    """Let a node be a recipe of all its inputs, of which those that are one constant are numbers."""
    shape, shapes = common_shapes(legalizer, node)
    numbers = [scalar(legalizer, tensor) for tensor in node.inputs]
    if all(number is not None for number in numbers):
        numbers[0] = None
    inputs: list[Value] = []
    for tensor, wanted, number in zip(node.inputs, shapes, numbers):
        if number is None:
            inputs.append(operand(legalizer, tensor, wanted, shape))

    def recorded(r: Recorder, *terms: Term) -> Term:
        rest = iter(terms)
        return record(r, *[next(rest) if number is None else number for number in numbers])

    output = legalizer.output(node.output, shape)
    legalizer.add(
        Function(output=output, inputs=tuple(inputs), nodes=(node.name,), name=node.op.name, record=recorded)
    )
