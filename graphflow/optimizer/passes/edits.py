"""How passes that are not made of rules edit: a replacement that is refused is left out, with a warning."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.errors import RewriteError
from graphflow.ir import provenance
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.driver import RewriteWarning
from graphflow.optimizer.pass_manager import PassContext
from graphflow.optimizer.rule import Rule


def is_excluded(context: PassContext, rule: Rule) -> bool:
    """Whether the pass was told to leave a rule out, by its name or tag."""
    return not context.journal.excluded.isdisjoint((rule.name, *rule.tags))


def replaced(
    context: PassContext, old: Node | Tensor, new: Tensor | Sequence[Tensor], rule: Rule, reason: str
) -> bool:
    """Whether `old` was replaced; see `Rewriter.replace`.

    Raises:
        RewriteError: if `context.strict`, where the replacement is refused.
    """
    try:
        return context.rewriter.replace(old, new, rule.name, reason)
    except RewriteError as error:
        if context.strict:
            raise
        node = old if isinstance(old, Node) else old.node
        message = (
            f"rule {rule.name!r} failed at {node.op.name} {node.name!r}: {error.message}; it is left out"
        )
        provenance.warn(message, RewriteWarning)
        return False
