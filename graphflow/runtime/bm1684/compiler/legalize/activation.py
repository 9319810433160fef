"""Functions of one element: each operator with its recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers import activation, unary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.recipe import Term
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, legal

Record = Callable[..., Term]

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

RECIPES: dict[str, Callable[[Node], Record]] = {
    "abs": lambda node: unary.absolute,
    "ceil": lambda node: unary.ceil,
    "cos": lambda node: partial(activation.sine, quarter=0.5),
    "elu": lambda node: partial(activation.elu, alpha=float(node.attrs["alpha"])),
    "erf": lambda node: activation.erf,
    "exp": lambda node: activation.exponential,
    "expm1": lambda node: unary.expm1,
    "floor": lambda node: unary.floor,
    "gelu": lambda node: activation.gelu_tanh if node.attrs["approximate"] else activation.gelu,
    "hard_sigmoid": lambda node: partial(
        activation.hard_sigmoid, alpha=float(node.attrs["alpha"]), beta=float(node.attrs["beta"])
    ),
    "hard_swish": lambda node: activation.hard_swish,
    "leaky_relu": lambda node: partial(activation.leaky_relu, alpha=float(node.attrs["alpha"])),
    "log": lambda node: activation.log,
    "log10": lambda node: partial(activation.log, scale=1 / math.log(10)),
    "log1p": lambda node: unary.log1p,
    "log2": lambda node: partial(activation.log, scale=1 / math.log(2)),
    "mish": lambda node: activation.mish,
    "negative": lambda node: unary.negative,
    "reciprocal": lambda node: activation.reciprocal,
    "round": lambda node: unary.rounded,
    "rsqrt": lambda node: unary.rsqrt,
    "selu": lambda node: partial(activation.elu, alpha=_SELU_ALPHA, scale=_SELU_SCALE),
    "sigmoid": lambda node: activation.sigmoid,
    "sign": lambda node: unary.sign,
    "silu": lambda node: activation.silu,
    "sin": lambda node: activation.sine,
    "softplus": lambda node: activation.softplus,
    "softsign": lambda node: activation.softsign,
    "sqrt": lambda node: unary.sqrt,
    "square": lambda node: unary.square,
    "tanh": lambda node: activation.tanh,
    "trunc": lambda node: unary.trunc,
}


@legal(*RECIPES)
def function(legalizer: Legalizer, node: Node) -> None:
    """One command after the other on each element."""
    apply(legalizer, node, RECIPES[node.op.name](node))


def apply(legalizer: Legalizer, node: Node, record: Record) -> None:
    """Let a node be a recipe of its first input."""
    x = legalizer.value(node.inputs[0])
    output = legalizer.output(node.output, x.shape)
    layer = Function(output=output, inputs=(x,), nodes=(node.name,), name=node.op.name, record=record)
    legalizer.add(layer)
