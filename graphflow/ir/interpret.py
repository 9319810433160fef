"""Running a graph by its operators' NumPy references: the meaning against which everything is checked.

It is plain and exact rather than fast; the numpy backend shares the references but plans memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.errors import FeedError
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order


def evaluate(tensors: Sequence[Tensor], feeds: Mapping[Tensor, Any] | None = None) -> list[np.ndarray]:
    """The values of tensors, given those of the tensors in `feeds`.

    Arguments:
        tensors: what to compute, all of one graph.
        feeds: arrays for placeholders, variables, or any other tensor; sizes must be static there.

    Raises:
        FeedError: if a value that comes from outside is missing.

    >>> import graphflow as gf
    >>> evaluate([gf.constant([1.0, 2.0]) + 1.0])
    [array([2., 3.], dtype=float32)]
    """
    values: dict[Tensor, Any] = {tensor: np.asarray(value) for tensor, value in (feeds or {}).items()}
    for node in topological_order(tensors, stop=values.__contains__):
        if "nullary_input" in node.op.traits:
            raise FeedError(f"{node.op.name} {node.name!r} has no value", hint="add it to the feeds").located(
                origin=node.origin
            )
        for tensor, value in zip(node.outputs, run_node(node, [values[tensor] for tensor in node.inputs])):
            values[tensor] = value
    return [values[tensor] for tensor in tensors]


def run_node(
    node: Node, arrays: Sequence[Any], attrs: Mapping[str, Any] | None = None
) -> tuple[np.ndarray, ...]:
    """The outputs of one node for the given input arrays, as NumPy arrays of the declared dtypes."""
    reference: Callable[..., Any] = node.op.reference
    with np.errstate(all="ignore"):
        made = reference(*arrays, **(node.attrs if attrs is None else attrs))
    results = made if isinstance(made, tuple) else (made,)
    return tuple([np.asarray(value) for value in results])
