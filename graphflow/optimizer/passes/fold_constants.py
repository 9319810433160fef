"""Compute what depends on constants alone, with a guard on the size of what is stored.

Values come from the operators' NumPy references. For transcendental functions these may differ from
a target's own in the last bits; everything else is the same to the bit. Two things are left alone:

* random operators, which stay where the session's seed can reach them;
* results that are large beside what they are made from. A scalar broadcast to a million elements is
  cheaper to make again than to keep. Arithmetic on such values is done on the one scalar instead,
  and the result broadcast.

What only moves the elements of a weight that nothing else reads, such as the transposition before a product,
is done at once whatever its size: the result takes the weight's place. So it is where else only rows of the
weight are looked up, as of a table of words whose transpose gives the logits; that one is then held twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphflow.errors import GraphFlowError
from graphflow.ir.data import as_result
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import run_node
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.driver import EveryNode, RuleIndex, run_rules
from graphflow.optimizer.numbering import CONSTANT, OUTSIDE, numbering_kind
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.pattern import CONSTANT_LIKE, Match
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Decline, Rule, decline

DEFAULT_MAX_BYTES = 1 << 20

_SMALL_BYTES = 4096  # below this, growth does not matter

_MOVING = frozenset(("permute_dims", "reshape", "slice", "squeeze", "expand_dims"))
"""Operators that hold no more than what they are given, in another order."""

# IEEE 754 fixes every bit of these, so that one scalar tells what all elements would be.
_EXACT_BY_ELEMENT = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "abs", "square", "sqrt", "astype", "maximum",
    "minimum", "sign", "floor", "ceil", "round", "trunc", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "where",
))  # fmt: skip


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Fold constants.

    Attributes:
        max_bytes: larger results are not stored, but for those that take the place of a weight.
    """

    name: ClassVar[str] = "fold-constants"
    max_bytes: int = DEFAULT_MAX_BYTES

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Fold to a fixed point."""
        result = run_rules(context.rewriter, RuleIndex([], folding(self.max_bytes)), context.strict)
        return PassResult(result.changed)


def folding(max_bytes: int = DEFAULT_MAX_BYTES) -> list[tuple[Rule, EveryNode]]:
    """The two folding rules, for a RuleIndex; none for `max_bytes` 0."""
    if max_bytes <= 0:
        return []

    def compute(match: Match, b: Any) -> Any:
        return _compute(match, b, max_bytes)

    whole = Rule("fold", (), compute, "exact", "proved", algebra="f(constants) is a constant.", kind="fold")
    splat = Rule(
        "fold_broadcast", (), _compute_splat, "exact", "proved",
        algebra="f(broadcast(c)) = broadcast(f(c)) for elementwise f.", kind="fold",
    )  # fmt: skip
    return [(whole, EveryNode(_all_constant)), (splat, EveryNode(_all_splats))]


def _is_foldable(op: OpDef) -> bool:
    return numbering_kind(op) not in (OUTSIDE, CONSTANT) and op.family != "random"


def _all_constant(op: OpDef, child_ops: Sequence[str]) -> bool:
    return _is_foldable(op) and all([name == "constant" for name in child_ops])


def _all_splats(op: OpDef, child_ops: Sequence[str]) -> bool:
    return (
        op.name in _EXACT_BY_ELEMENT and "broadcast_to" in child_ops and CONSTANT_LIKE.issuperset(child_ops)
    )


def _compute(match: Match, b: Any, max_bytes: int) -> list[Tensor] | Decline | None:
    node = match.root
    types = [tensor.type for tensor in node.outputs]
    if not all([kind.is_static for kind in types]) or any(map(_is_symbolic, node.attrs.values())):
        return None
    size = sum(map(type_bytes, types))
    if size > _SMALL_BYTES and size > 2 * sum([type_bytes(tensor.type) for tensor in node.inputs]):
        return None
    if size > max_bytes and not _takes_its_place(match):
        return decline(f"{node.op.name} of constants gives {size} bytes, more than max-bytes={max_bytes}")
    arrays = [tensor.node.attrs["value"] for tensor in node.inputs]
    try:
        values = run_node(node, arrays)
    except (ArithmeticError, ValueError, GraphFlowError) as error:
        return decline(f"{node.op.name} of these constants fails: {error}")
    if [(value.dtype, value.shape) for value in values] != [(kind.dtype.numpy, kind.shape) for kind in types]:
        return decline(f"the reference of {node.op.name} gives another type than the graph says")
    return [b.constant(value=value) for value in values]


def _takes_its_place(match: Match) -> bool:
    """Whether a node moves what a constant holds, which nothing else reads but to look rows up."""
    node = match.root
    if node.op.name not in _MOVING:
        return False
    readers = [reader for reader in match.rewriter.users[node.inputs[0]] if reader.op.name != "take"]
    return readers == [node] and node.inputs[0] not in match.rewriter.program.outputs


def _compute_splat(match: Match, b: Any) -> Tensor | None:
    node = match.root
    scalars = [match.splat(tensor) for tensor in node.inputs]
    if any([scalar is None for scalar in scalars]):
        return None
    (value,) = run_node(node, [as_result(scalar) for scalar in scalars])
    made: Tensor = b.broadcast_to(b.constant(value=value), shape=node.output.shape)
    return made


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(_is_symbolic, value)))
