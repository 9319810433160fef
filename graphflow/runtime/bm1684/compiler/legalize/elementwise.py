"""Operators that work element by element; biases and bounds join the convolution whose result they change."""

from __future__ import annotations

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers import activation, unary
from graphflow.runtime.bm1684.compiler.layers.bound import Bound
from graphflow.runtime.bm1684.compiler.layers.clamp import ClampedLayer
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.layers.elementwise import Binary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.legalize.activation import apply
from graphflow.runtime.bm1684.compiler.legalize.axes import common_shapes
from graphflow.runtime.bm1684.compiler.legalize.comparison import many
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, legal, sizes
from graphflow.runtime.bm1684.compiler.legalize.operands import operand, scalar
from graphflow.runtime.bm1684.compiler.legalize.products import hidden_sum, row_bias
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Operation, Shape

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
    if isinstance(maker, ClampedLayer) and maker.ceiling is None:
        if low == 0.0 and high is None:
            legalizer.extend(maker, node, relu=True)
            return
        if low is None and high is not None and high >= 0:
            legalizer.extend(maker, node, ceiling=high)
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
    if operation is Operation.ADD and _adds_to(legalizer, node):
        return None
    shape, operands = common_shapes(legalizer, node)
    inputs, sides = list[Value](), list[int | float]()
    for tensor, wanted, number in zip(node.inputs, operands, scalars):
        if number is not None:
            sides.append(number)
        else:
            sides.append(len(inputs))
            inputs.append(operand(legalizer, tensor, wanted, shape))
    if operation is Operation.DIVIDE:
        operation, divisor = Operation.MULTIPLY, sides[1]
        if isinstance(divisor, int):
            inputs[divisor] = _inverse(legalizer, node, inputs[divisor], shape)
        else:
            sides[1] = _quotient(1.0, divisor)
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


def _inverse(legalizer: Legalizer, node: Node, value: Value, shape: Shape) -> Value:
    """1 / a divisor, which takes less than half of what the chip's division does, and of fewer elements if it
    is broadcast.
    """
    if value.data is not None:
        with np.errstate(divide="ignore"):
            return Value(f"1 / {value.name}", value.shape, np.float32(1) / value.data)
    made = legalizer.inner(f"1 / {value.name}", value.shape)
    legalizer.add(
        Function(
            output=made,
            inputs=(value,),
            nodes=(node.name,),
            name="reciprocal",
            record=activation.reciprocal,
        )
    )
    spread = value.shape.c == 1 and shape.c > 1
    return Value(made.name, made.shape, alias=made) if spread else made


def _quotient(left: float, right: float) -> float:
    with np.errstate(divide="ignore", over="ignore"):
        return float(np.float32(left) / np.float32(right))


@legal("pow")
def power(legalizer: Legalizer, node: Node) -> None:
    """A power with a constant exponent, or of a constant."""
    base, exponent = [scalar(legalizer, tensor) for tensor in node.inputs]
    if exponent is not None:
        apply(legalizer, node, lambda r, x: unary.power(r, x, exponent))
    elif base is not None and base > 0:
        many(legalizer, node, lambda r, _, y: activation.exponential(r, r.multiply(y, float(np.log(base)))))
    else:
        raise Refused(
            "both its base and its exponent are computed",
            hint="for bases larger than 0 say gf.exp(y * gf.log(x))",
        )


@legal("logaddexp")
def logaddexp(legalizer: Legalizer, node: Node) -> None:
    """ln(exp(x) + exp(y))."""
    many(legalizer, node, unary.logaddexp)


def _adds_to(legalizer: Legalizer, node: Node) -> bool:
    """Let the product or convolution before a sum take it along, and say whether it does."""
    return hidden_sum(legalizer, node) or _as_bias(legalizer, node) or row_bias(legalizer, node)


def _as_bias(legalizer: Legalizer, node: Node) -> bool:
    """Let a convolution add a constant by channel, and say whether it does."""
    for x, other in (node.inputs, node.inputs[::-1]):
        data, maker = legalizer.constant(other), legalizer.maker(x)
        if data is None or not isinstance(maker, Convolution | DepthwiseConvolution) or maker.relu:
            continue
        axis = len(sizes(node.output)) - len(data.shape)
        spread = (1,) * axis + data.shape
        channels = maker.output.shape.c
        as_channels = sizes(node.output)[:2] == (maker.output.shape.n, channels)
        by_channel = as_channels and len(spread) > 1 and spread[1] == data.size == channels
        same = data.size == 1 and sizes(node.output) == sizes(x)
        if (by_channel or same) and maker.ceiling is None:
            bias = np.broadcast_to(np.asarray(data, np.float32).reshape(-1), (channels,)).copy()
            bias = bias if maker.bias is None else bias + maker.bias
            legalizer.extend(maker, node, bias=bias)
            return True
    return False
