"""What a rule answered, held against the program: nodes made behind its builder, and circles far away.

The Rewriter refuses a replacement that reads directly what it replaces. A rule of the package reads
nothing but what it matched, so that is enough for it; a rule from outside may take any tensor of the
program, a user of a user of the matched node for instance, or capture it in a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import RewriteError
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Rule

_PACKAGE = __name__.partition(".")[0] + "."


def is_from_outside(rule: Rule) -> bool:
    """Whether a rule was written by a user.

    >>> from graphflow.optimizer.rules import RULES
    >>> any(map(is_from_outside, RULES))
    False
    """
    return not (getattr(rule.function, "__module__", None) or "").startswith(_PACKAGE)


def disown_strays(rewriter: Rewriter) -> int:
    """Count nodes of the program that its builder did not make as dead; how many there are."""
    nodes, alive = rewriter.program.nodes, rewriter.alive
    known = len(alive) - len(rewriter.builder.made)
    strays = len(nodes) - len(alive)
    if strays:
        made = set(rewriter.builder.made)
        alive[known:] = bytes([node in made for node in nodes[known:]])
    return strays


def refuse_strays(rule: Rule, rewriter: Rewriter) -> None:
    """Raise if a rule made nodes by itself.

    Raises:
        RewriteError: naming the rule and the first of them; they are dead from now on.
    """
    made = set(rewriter.builder.made)
    strays = len(rewriter.program.nodes) - len(rewriter.alive)
    if strays:
        nodes = rewriter.program.nodes[len(rewriter.alive) - len(made) :]
        first = next(node for node in nodes if node not in made)
        disown_strays(rewriter)
        raise RewriteError(
            f"rule {rule.name!r} made {first.op.name} {first.name!r} without its builder",
            hint=f"call it on the second argument of the rule, as in b.{first.op.name}(...)",
        )


def refuse_circle(rule: Rule, match: Match, answer: Any) -> None:
    """Raise if what a rule answered depends on the node that it replaces.

    The walk up from the answer ends at what the matched nodes read, which cannot depend on them.

    Raises:
        RewriteError: naming the rule, and the node by which the circle closes.
    """
    root = match.root
    given = answer if isinstance(answer, Sequence) else (answer,)
    safe = {tensor.node for node in match.nodes for tensor in node.inputs}
    pending = [one.node for one in given if isinstance(one, Tensor) and one.node is not root]
    seen: set[Node] = set()
    while pending:
        node = pending.pop()
        if node in seen or node in safe:
            continue
        seen.add(node)
        for tensor in node.inputs:
            if tensor.node is root:
                raise RewriteError(
                    f"rule {rule.name!r} replaces {tensor.name!r} by something that reads it, through "
                    f"{node.name!r}",
                    hint="build from the inputs of the matched nodes",
                )
            pending.append(tensor.node)
