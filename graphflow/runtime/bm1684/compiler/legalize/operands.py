"""Operands of a node as values: numbers, and what is read with other sizes or onto all lanes."""

from __future__ import annotations

from graphflow.ir.node import Tensor
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Shape


def scalar(legalizer: Legalizer, tensor: Tensor) -> float | None:
    """The one value of a constant of one element."""
    data = legalizer.constant(tensor)
    return float(data.reshape(-1)[0]) if data is not None and data.size == 1 else None


def operand(legalizer: Legalizer, tensor: Tensor, shape: Shape, made: Shape) -> Value:
    """The value of an operand of a result; one of one channel is loaded from DDR onto all lanes.

    What is computed is then read under another name, so that it goes through DDR.
    """
    value = legalizer.value(tensor, shape)
    if shape.c == 1 and made.c > 1 and value.root.data is None and value.alias is None:
        return Value(value.name, shape, alias=value.root)
    return value
