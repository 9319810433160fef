"""Which tensors cannot hold a number below zero, told from the operators that make them.

The answer looks a few operators deep, never further, so that it costs the same in any graph.
"""

from __future__ import annotations

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.constants import common_value

DEPTH = 6
"""Operators between a tensor and what is known of it."""

_WIDTH = 32  # tensors looked at in one question

_NEVER_BELOW_ZERO = frozenset((
    "exp", "square", "abs", "relu", "sigmoid", "softplus", "softmax", "sqrt", "rsqrt", "hypot", "cosh",
    "random_uniform", "one_hot",
))  # fmt: skip

_KEEP_THE_SIGN = frozenset((
    "add", "multiply", "maximum", "minimum", "sum", "mean", "max", "min", "prod", "reshape", "expand_dims",
    "squeeze", "permute_dims", "broadcast_to", "slice", "concat", "tile", "repeat", "roll", "astype",
    "identity", "stop_gradient", "floor", "ceil", "round", "trunc",
))  # fmt: skip


def is_nonnegative(tensor: Tensor) -> bool:
    """Whether every element is 0, -0.0, above, or NaN; False where that is not known.

    Only of floats, as sums and squares of integers may wrap.
    """
    stack, seen = [(tensor, DEPTH)], 0
    while stack:
        one, depth = stack.pop()
        seen += 1
        kind = one.dtype.kind
        if kind in ("uint", "bool"):
            continue
        if kind != "float" or seen > _WIDTH:
            return False
        node = one.node
        if node.op.name in _NEVER_BELOW_ZERO or _is_constant_above(node):
            continue
        if node.op.name not in _KEEP_THE_SIGN or not depth:
            return False
        stack += [(operand, depth - 1) for operand in node.inputs]
    return True


def _is_constant_above(node: Node) -> bool:
    if node.op.name != "constant":
        return False
    value = common_value(node.attrs["value"])
    return value is not None and bool(value >= 0)
