"""Expand the operators that the target cannot run into simpler ones, as their definitions say."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from graphflow.errors import RewriteError
from graphflow.ir.node import Node
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program

_MOST = 64  # expansions for each node of the program; more means that one expands into itself


@dataclass(frozen=True)
class Decompose(Pass):
    """Expand what has an expansion and is refused by `context.refusal`.

    Attributes:
        ops: names of operators, joined by "+", to expand whether refused or not.
    """

    name: ClassVar[str] = "decompose"
    budgeted: ClassVar[bool] = False
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})
    ops: str = ""

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Expand until nothing is left to expand."""
        rewriter = context.rewriter
        chosen = frozenset(filter(None, self.ops.split("+")))
        queue = deque(rewriter.order())
        limit, expanded = _MOST * max(1, len(queue)), 0
        while queue and not context.journal.is_full:
            node = queue.popleft()
            if not rewriter.is_alive(node) or not _is_wanted(node, chosen, context):
                continue
            expanded += 1
            if expanded > limit:
                raise RewriteError(
                    f"the expansion of {node.op.name} does not come to an end", origin=node.origin
                )
            queue.extend(_expand(node, context))
        return PassResult(expanded > 0)


def _is_wanted(node: Node, chosen: frozenset[str], context: PassContext) -> bool:
    if node.op.decompose is None:
        return False
    return node.op.name in chosen or (context.refusal is not None and context.refusal(node) is not None)


def _expand(node: Node, context: PassContext) -> list[Node]:
    """Put the expansion in the node's place; the new nodes."""
    assert node.op.decompose is not None
    rewriter = context.rewriter
    rule = f"decompose_{node.op.name}"
    reason = f"the target refuses it: {context.refusal(node)}" if context.refusal is not None else ""
    builder = rewriter.builder.standing_for([node], rule)
    outputs = node.op.decompose(builder, node)
    made = list(builder.made)
    rewriter.replace(node, outputs, rule, reason)
    return made
