"""Value numbers: a key for each node such that nodes with equal keys compute equal values.

The key is (operator, input tensors, attributes), with the operands of a commutative operator in the
order of their creation, so that x + y and y + x are twins. What has no key is never merged: values
that come from outside, and effects.

Constants are told apart by their bits. Those above `CONTENT_LIMIT` bytes are told apart by the
identity of their array, since hashing all weights of a model would cost more than it finds.
"""

from __future__ import annotations

from collections.abc import Hashable

from graphflow.ir.attrs import Attrs
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ops.state import constant

CONTENT_LIMIT = 1 << 16

OUTSIDE, ORDINARY, COMMUTATIVE, CONSTANT = range(4)

_kinds: dict[OpDef, int] = {}


def numbering_kind(op: OpDef) -> int:
    """How nodes of an operator are numbered: OUTSIDE (not at all), ORDINARY, COMMUTATIVE or CONSTANT."""
    kind = _kinds.get(op)
    if kind is None:
        if op is constant:
            kind = CONSTANT
        elif "nullary_input" in op.traits or "effect" in op.traits:
            kind = OUTSIDE
        else:
            kind = COMMUTATIVE if "commutative" in op.traits and op.arity == 2 else ORDINARY
        _kinds[op] = kind
    return kind


def value_number(op: OpDef, inputs: tuple[Tensor, ...], attrs: Attrs) -> Hashable:
    """The key of a node, or None if it must stay apart from all others."""
    kind = _kinds.get(op)
    if kind is None:
        kind = numbering_kind(op)
    if kind == COMMUTATIVE:
        first, second = inputs
        older, newer = first.node.id, second.node.id
        if older > newer or (older == newer and first.index > second.index):
            inputs = (second, first)
    elif kind == CONSTANT:
        array = attrs["value"]
        return (op, attrs) if array.nbytes <= CONTENT_LIMIT else (op, id(array))
    elif kind == OUTSIDE:
        return None
    return (op, inputs, attrs) if attrs else (op, inputs)
