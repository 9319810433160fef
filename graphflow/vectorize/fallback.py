"""The batching of operators without a rule: a loop over the examples, which says that it is one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from graphflow.ir.body import Body
from graphflow.ir.node import Node
from graphflow.vectorize.rule import Batch, Operand


class VmapWarning(UserWarning):
    """An operator without a batching rule makes gf.vmap loop over the examples."""


def loop(batch: Batch, node: Node, *operands: Operand) -> Any:
    """The scan whose step t applies the node to example t."""
    batch.looped.setdefault(node.op.name, node)
    body = Body(node.op.name)
    inner = [body.parameter(tensor.type, f"x{number}") for number, tensor in enumerate(node.inputs)]
    kinds = [tensor.type for tensor in node.outputs]
    name = node.name.rpartition("/")[2]
    made = body.add(node.op, tuple(inner), node.attrs, kinds, body.unique_name(name), node.origin)
    moving = [number for number, operand in enumerate(operands) if operand.batched]
    fixed = [number for number, operand in enumerate(operands) if not operand.batched]
    order = [*moving, *fixed]
    closed = body.close(made.outputs, [inner[number] for number in order])
    return batch.builder.scan(
        *[operands[number].tensor for number in order],
        body=closed, carries=0, sequences=len(moving), length=batch.size, name=name,
    )  # fmt: skip


def warn(nodes: Iterable[Node], caller: str) -> None:
    """Say of nodes that became loops which operator and line each stands for."""
    for node in nodes:
        if node.origin is not None:
            warnings.warn_explicit(
                f"{node.op.name} has no batching rule, so that gf.vmap of {caller} loops over the examples "
                f"at {node.origin}; the result is the same, but slower than a batched computation",
                VmapWarning,
                node.origin.file,
                node.origin.line,
            )
