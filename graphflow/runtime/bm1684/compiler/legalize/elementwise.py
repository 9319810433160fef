"""Operators that work element by element; biases and bounds join the convolution whose result they change."""

from __future__ import annotations

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers.bound import Bound
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.layers.elementwise import Binary
from graphflow.runtime.bm1684.compiler.layers.window import WindowLayer
from graphflow.runtime.bm1684.compiler.legalize.axes import common_shapes
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, legal, sizes
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Operation

OPERATIONS = {
    "add": Operation.ADD,
    "subtract": Operation.SUBTRACT,
    "multiply": Operation.MULTIPLY,
    "divide": Operation.DIVIDE,
    "maximum": Operation.MAXIMUM,
    "minimum": Operation.MINIMUM,
}


@legal("relu")
def relu(legalizer: Legalizer, node: Node) -> None:
    """max(x, 0)."""
    _bound(legalizer, node, node.inputs[0], low=0.0)


def _bound(
    legalizer: Legalizer, node: Node, x: Tensor, low: float | None = None, high: float | None = None
) -> None:
    """Bound a tensor: by the layer that computes it, if that can, else by one of its own."""
    maker = legalizer.maker(x)
    if isinstance(maker, WindowLayer) and maker.ceiling is None:
        if low == 0.0 and high is None:
            legalizer.extend(maker, node, relu=True)
            return
        if low is None and high is not None and high >= 0:
            legalizer.extend(maker, node, ceiling=high)
            return
    if isinstance(maker, Binary) and not maker.relu and low == 0.0 and high is None:
        legalizer.extend(maker, node, relu=True)
        return
    if isinstance(maker, Bound) and low is None and maker.high is None:
        legalizer.extend(maker, node, high=high)
        return
    value = legalizer.value(x)
    output = legalizer.output(node.output, value.shape)
    legalizer.add(Bound(output=output, inputs=(value,), nodes=(node.name,), low=low, high=high))


@legal(*OPERATIONS)
def binary(legalizer: Legalizer, node: Node) -> None:
    """Two operands, one of which may be constant."""
    operation = OPERATIONS[node.op.name]
    scalars = [scalar(legalizer, tensor) for tensor in node.inputs]
    for x, bound in ((node.inputs[0], scalars[1]), (node.inputs[1], scalars[0])):
        if bound is not None and x not in legalizer.constants:
            if operation is Operation.MAXIMUM:
                return _bound(legalizer, node, x, low=bound)
            if operation is Operation.MINIMUM:
                return _bound(legalizer, node, x, high=bound)
    if operation is Operation.ADD and _as_bias(legalizer, node):
        return None
    shape, operands = common_shapes(legalizer, node)
    inputs, sides = list[Value](), list[int | float]()
    for tensor, value, number in zip(node.inputs, operands, scalars):
        if number is not None:
            sides.append(number)
        else:
            sides.append(len(inputs))
            inputs.append(legalizer.value(tensor, value))
    output = legalizer.output(node.output, shape)
    legalizer.add(
        Binary(
            output=output,
            inputs=tuple(inputs),
            nodes=(node.name,),
            operation=operation,
            left=sides[0],
            right=sides[1],
        )
    )
    return None


def scalar(legalizer: Legalizer, tensor: Tensor) -> float | None:
    """The one value of a constant of one element."""
    data = legalizer.constant(tensor)
    return float(data.reshape(-1)[0]) if data is not None and data.size == 1 else None


def _as_bias(legalizer: Legalizer, node: Node) -> bool:
    """Let a convolution add a constant by channel, and say whether it does."""
    for x, other in (node.inputs, node.inputs[::-1]):
        data, maker = legalizer.constant(other), legalizer.maker(x)
        if data is None or not isinstance(maker, Convolution | DepthwiseConvolution) or maker.relu:
            continue
        axis = len(sizes(node.output)) - len(data.shape)
        spread = (1,) * axis + data.shape
        channels = maker.output.shape.c
        if maker.ceiling is None and len(spread) > 1 and spread[1] == data.size == channels:
            bias = np.ascontiguousarray(data, np.float32).reshape(-1)
            bias = bias if maker.bias is None else bias + maker.bias
            legalizer.extend(maker, node, bias=bias)
            return True
    return False
