"""Which results NumPy gives as views of their input, and how they lie, tried out without touching memory."""

from __future__ import annotations

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.numpy.layouts import Strides, shadow, shape_of
from graphflow.runtime.numpy.workspace import moves

_INDEXING = frozenset(
    {"permute_dims", "slice", "broadcast_to", "diagonal", "split", "expand_dims", "squeeze", "real", "imag"}
)
_SAME = frozenset({"identity", "stop_gradient"})


def view_layouts(node: Node, strides: Strides) -> list[Strides] | None:
    """The strides of a node's results, if they are views of its first input, which has these strides.

    >>> import graphflow as gf
    >>> x = gf.constant([[1.0, 2.0], [3.0, 4.0]])
    >>> view_layouts(gf.permute_dims(x, (1, 0)).node, (8, 4)), view_layouts(gf.exp(x).node, (8, 4))
    ([(4, 8)], None)
    """
    name, source = node.op.name, node.inputs[0]
    shape, dtype = shape_of(source), source.dtype.numpy
    if name in _SAME:
        return [strides]
    if name == "reshape":
        if moves(shape, strides, shape_of(node.output)):
            return None
    elif name not in _INDEXING:
        return None
    whole = shadow(shape, strides, dtype)
    made = node.op.reference(whole, **node.attrs)
    results = made if isinstance(made, tuple) else (made,)
    if not all([isinstance(one, np.ndarray) and np.may_share_memory(one, whole) for one in results]):
        return None
    return [one.strides for one in results]
