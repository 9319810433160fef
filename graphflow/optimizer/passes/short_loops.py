"""Loops of no step, of one, or of a few small ones, written out, which computes the same without a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.node import Tensor
from graphflow.optimizer.passes.unroll import unrolled_scan
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.rule import Answer

MOST_STEPS = 3
"""Steps of a loop that is written out."""

MOST_NODES = 48
"""Nodes that writing a loop out may make: beyond that, one body is compiled faster than its copies."""


def short_scan(match: Match, b: Any) -> Answer:
    """A scan of one step is the step; of none, it hands its carries on, and gives no rows."""
    node, attrs = match.root, match.root.attrs
    if attrs.length not in (0, 1):
        return None
    if attrs.length == 0:
        rows = [_empty(b, tensor) for tensor in node.outputs[attrs.carries :]]
        return None if None in rows else [*node.inputs[: attrs.carries], *rows]
    operands = list(node.inputs)
    for number in range(attrs.carries, attrs.carries + attrs.sequences):
        operands[number] = b.squeeze(operands[number], axis=(0,))
    made = attrs.body.replay(b, operands)
    return [*made[: attrs.carries], *[b.expand_dims(tensor, axis=(0,)) for tensor in made[attrs.carries :]]]


def _empty(b: Any, tensor: Tensor) -> Tensor | None:
    """No rows; None where their sizes are symbolic."""
    if not tensor.type.is_static:
        return None
    made: Tensor = b.constant(value=np.zeros(tensor.shape, tensor.dtype.numpy))
    return made


def few_steps(match: Match, b: Any) -> Answer:
    """A scan of a few small steps is these steps, one after the other."""
    node, attrs = match.root, match.root.attrs
    if not isinstance(attrs.length, int) or not 2 <= attrs.length <= MOST_STEPS:
        return None
    if attrs.length * (len(attrs.body.nodes) + attrs.sequences) > MOST_NODES:
        return None
    return unrolled_scan(b, node)


def no_step(match: Match, b: Any) -> Answer:
    """A while loop whose condition never holds hands its carries on."""
    node = match.root
    condition = node.attrs.condition.outputs[0].node
    if condition.op.name != "constant" or bool(condition.attrs["value"]):
        return None
    return list(node.inputs[: node.attrs.carries])
