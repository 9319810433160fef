"""Batching rules: what each operator makes of operands that have a batch axis.

A rule is a function (batch, node, *operands) -> results. Each operand is a tensor with the word whether
it is *batched*: whether axis 0 holds the examples, in front of the axes that the node knows; at least one
is. A tensor that a rule returns is batched; an `Operand` says itself what it is.

    @batching("reverse_along")
    def _(batch, node, x):
        return batch.again(node, x.tensor, axis=node.attrs.axis + 1)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of the batched computation, and whether its axis 0 holds the examples."""

    tensor: Tensor
    batched: bool


Result = Tensor | Operand
Rule = Callable[..., Result | Sequence[Result]]

RULES: dict[str, Rule] = {}
"""The rules by operator name; `rule_of` has those that follow from an operator's traits too."""


def batching(*names: str) -> Callable[[Rule], Rule]:
    """Decorator that makes a function the rule of the operators of these names."""

    def enter(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return enter


class Batch:
    """What a rule builds with: a builder, and the number of examples.

    Attributes:
        builder: where the batched computation goes.
        size: the number of examples.
        looped: the first node of each operator that had to become a loop over the examples.
    """

    __slots__ = ("builder", "looped", "size")

    def __init__(self, builder: Builder, size: Size, looped: dict[str, Node]) -> None:
        self.builder, self.size, self.looped = builder, size, looped

    def again(self, node: Node, *inputs: Tensor, **changed: Any) -> Any:
        """The operator of a node applied to other inputs, with some attributes changed."""
        attrs = {**node.attrs, **changed}
        return self.builder.apply(node.op, inputs, attrs, node.name.rpartition("/")[2])

    def front(self, operand: Operand) -> Tensor:
        """The operand with a batch axis, repeated along it if it had none."""
        if operand.batched:
            return operand.tensor
        return self.builder.broadcast_to(operand.tensor, shape=(self.size, *operand.tensor.shape))

    def aligned(self, operand: Operand, rank: int) -> Tensor:
        """The operand to broadcast with others of which one example has so many axes."""
        missing = rank + 1 - operand.tensor.ndim
        if not operand.batched or missing <= 0:
            return operand.tensor
        return self.builder.expand_dims(operand.tensor, axis=tuple(range(1, 1 + missing)))

    def moved(self, tensor: Tensor, source: int, target: int) -> Tensor:
        """The tensor with one axis moved to another place."""
        if source == target:
            return tensor
        axes = [axis for axis in range(tensor.ndim) if axis != source]
        axes.insert(target, source)
        return self.builder.permute_dims(tensor, axes=tuple(axes))

    def type_of(self, kind: TensorType, batched: bool) -> TensorType:
        """The type of as many as there are examples of a type."""
        return TensorType(kind.dtype, (self.size, *kind.shape)) if batched else kind


def _elementwise(batch: Batch, node: Node, *operands: Operand) -> Any:
    """Element by element: operands of fewer axes get further ones behind that of the batch."""
    return batch.again(node, *[batch.aligned(operand, node.outputs[0].ndim) for operand in operands])


def rule_of(op: OpDef) -> Rule | None:
    """The rule of an operator, if it has one of its own or is elementwise."""
    return RULES.get(op.name) or (_elementwise if "elementwise" in op.traits else None)


def has_rule(op: OpDef) -> bool:
    """Whether an operator is batched as a whole: by a rule, or through what it can be expanded into."""
    return rule_of(op) is not None or op.decompose is not None
