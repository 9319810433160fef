"""The observer: what is shown each replacement before it is made, so that values can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.program import Program


class Observer(Protocol):
    """Sees what the optimizer is about to do to one program; see `value_check.ValueCheck`."""

    def replaces(self, rule: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """A rule is about to let the users of the first tensor of each pair read the second.

        Raises:
            RewriteError: to keep it from being done; the rule is then left out, with a warning.
        """
        ...

    def inside(self, node: Node, number: int, program: Program) -> Observer | None:
        """The observer of a body, the node's body of that number, of which `program` is a copy; or None."""
        ...
