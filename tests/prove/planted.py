"""Wrong rules, planted into graphs by tests."""

from __future__ import annotations

from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import rule

X, Y = variables("X Y")


@rule(P.tanh(P.multiply(X, Y)), safety="exact")
def tanh_is_sin(m, b):
    """tanh(x y) = sin(x y), which is wrong."""
    return b.sin(b.multiply(m.X, m.Y))


@rule(P.tanh(X), safety="exact")
def tanh_far_below(m, b):
    """tanh(x) = sin(x), which is wrong, and where exp is three nodes above the tanh only."""
    node = m.X.node
    for _ in range(2):
        if not node.inputs:
            return None
        node = node.inputs[0].node
    return b.sin(m.X) if node.op.name == "exp" else None
