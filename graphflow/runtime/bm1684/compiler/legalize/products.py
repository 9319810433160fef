"""Matrix products by constant weights."""

from __future__ import annotations

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, legal, sizes
from graphflow.runtime.bm1684.isa import Shape


@legal("matmul")
def matmul(legalizer: Legalizer, node: Node) -> None:
    """A matrix by constant weights, as a convolution of 1 x 1."""
    x, w = node.inputs
    weights = legalizer.constant(w)
    if weights is None or weights.ndim != 2 or len(sizes(x)) != 2:
        raise Refused("only a matrix by constant weights", hint="let the right matrix be a constant")
    rows, inner = sizes(x)
    value = legalizer.value(x, Shape(rows, inner, 1, 1))
    output = legalizer.output(node.output, Shape(rows, weights.shape[1], 1, 1))
    kernel = np.ascontiguousarray(weights.T, np.float32)[:, :, None, None]
    legalizer.add(Convolution(output=output, inputs=(value,), nodes=(node.name,), weights=kernel))
