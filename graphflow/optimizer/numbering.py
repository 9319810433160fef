"""Value numbers: a key for each node such that nodes with equal keys compute equal values.

The key is (operator, input tensors, attributes), with the operands of a commutative operator in the
order of their creation, so that x + y and y + x are twins. What has no key is never merged: values
that come from outside, and effects.

Constants are told apart by their bits. Of those above `CONTENT_LIMIT` bytes a sample is hashed; the
whole array is read, and once only, where another one of its type has the same sample. So equal weights
become one node, and a model without any costs no reading of its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

import numpy as np

from graphflow.ir.attrs import Attrs
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ops.state import constant

CONTENT_LIMIT = 1 << 16

OUTSIDE, ORDINARY, COMMUTATIVE, CONSTANT = range(4)

_kinds: dict[OpDef, int] = {}


class LargeValue:
    """Stands for a large array in a value number: equal where dtype, shape and all bytes are.

    Arrays that have no bytes to compare in place (strings, strided views) equal nothing but themselves.
    """

    __slots__ = ("_array", "_digest", "_hash")

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self._digest: bytes | None = None
        if _is_plain(array):
            flat = array.reshape(-1)
            sample = flat[:: max(1, flat.size // _SAMPLE)][:_SAMPLE].tobytes()
            self._hash = hash((array.dtype.str, array.dtype.name, array.shape, sample))
        else:
            self._hash = id(array)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LargeValue):
            return NotImplemented
        first, second = self._array, other._array
        if first is second:
            return True
        if self._hash != other._hash or not (_is_plain(first) and _is_plain(second)):
            return False
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            return False
        return self._contents() == other._contents()

    def _contents(self) -> bytes:
        """A digest of all bytes, taken in place."""
        if self._digest is None:
            self._digest = hashlib.sha256(self._array.reshape(-1).view(np.uint8).data).digest()
        return self._digest


_SAMPLE = 64  # elements


def _is_plain(array: np.ndarray) -> bool:
    return array.flags.c_contiguous and not array.dtype.hasobject and array.dtype.kind != "T"


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
        return (op, attrs) if array.nbytes <= CONTENT_LIMIT else (op, LargeValue(array))
    elif kind == OUTSIDE:
        return None
    return (op, inputs, attrs) if attrs else (op, inputs)
