"""Operators that only move elements, or give the same ones other sizes."""

from __future__ import annotations

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, chip_shape, legal, sizes


@legal("reshape", "squeeze", "expand_dims", "flatten")
def reshape(legalizer: Legalizer, node: Node) -> None:
    """The same elements: no command at all."""
    x = legalizer.value(node.inputs[0])
    shape = chip_shape(sizes(node.output))
    legalizer.same(node.output, x if x.shape == shape else legalizer.alias(x, shape))
