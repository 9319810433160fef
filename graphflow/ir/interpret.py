"""Running a graph by its operators' NumPy references: the meaning against which everything is checked.

It is plain and exact rather than fast; the numpy backend shares the references but plans memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphFlowError
from graphflow.ir.body import Body
from graphflow.ir.data import as_result
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
    return tuple([as_result(value) for value in results])


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How a body runs: each step's node, the slots it reads and writes, and those that are free after it."""

    slots: int
    steps: tuple[tuple[Node, tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...]
    outputs: tuple[int, ...]


def run_body(body: Body, arrays: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of a closed body for given values of its parameters.

    >>> import graphflow as gf
    >>> from graphflow.ir.body import Body
    >>> body = Body()
    >>> x = body.parameter(gf.TensorType(gf.float32, ()), "x")
    >>> run_body(body.close([x * x]), [np.float32(3.0)])
    [array(9., dtype=float32)]
    """
    if body.plan is None:
        body.plan = _plan(body)
    plan: BodyPlan = body.plan
    values: list[Any] = [np.asarray(array) for array in arrays]
    values += [None] * (plan.slots - len(values))
    for node, reads, writes, frees in plan.steps:
        try:
            made = node.op.reference(*[values[slot] for slot in reads], **node.attrs)
        except GraphFlowError as error:
            raise error.located(origin=node.origin) from None
        results = made if isinstance(made, tuple) else (made,)
        for slot, value in zip(writes, results, strict=True):
            values[slot] = as_result(value)
        for slot in frees:
            values[slot] = None
    return [values[slot] for slot in plan.outputs]


def _plan(body: Body) -> BodyPlan:
    slots: dict[Tensor, int] = {tensor: slot for slot, tensor in enumerate(body.parameters)}
    nodes = body.order()[len(slots) :]
    last = {tensor: node for node in nodes for tensor in node.inputs}
    kept = set(body.outputs)
    steps = []
    for node in nodes:
        reads = tuple([slots[tensor] for tensor in node.inputs])
        writes = tuple([slots.setdefault(tensor, len(slots)) for tensor in node.outputs])
        done = {tensor: None for tensor in node.inputs if last[tensor] is node and tensor not in kept}
        steps.append((node, reads, writes, tuple([slots[tensor] for tensor in done])))
    return BodyPlan(len(slots), tuple(steps), tuple([slots[tensor] for tensor in body.outputs]))
