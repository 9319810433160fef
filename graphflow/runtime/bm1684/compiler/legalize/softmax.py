"""Softmax and its logarithm along any axis."""

from __future__ import annotations

from math import prod

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers.softmax import Softmax
from graphflow.runtime.bm1684.compiler.legalize.axis_rows import rows_of, turn_back
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, legal, sizes
from graphflow.runtime.bm1684.isa import Shape


@legal("softmax", "log_softmax")
def softmax(legalizer: Legalizer, node: Node) -> None:
    """Rows within channels; another axis is turned there, and back, through DDR."""
    (x,) = node.inputs
    shape, axis = sizes(x), node.attrs["axis"]
    before, count, after = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    rows = rows_of(legalizer, legalizer.value(x), before, count, after, node.name)
    given = rows.value.shape
    output = None if rows.turned else legalizer.output(node.output, given)
    made = legalizer.inner(f"{node.name} turned", given) if output is None else output
    legalizer.add(
        Softmax(
            output=made,
            inputs=(rows.value,),
            nodes=(node.name,),
            over=rows.over,
            logarithm=node.op.name == "log_softmax",
        )
    )
    if output is None:
        n, c, h, w = given
        turn_back(legalizer, made, legalizer.output(node.output, Shape(n, h, c, w)), node.name)
