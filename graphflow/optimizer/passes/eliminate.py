"""Merge nodes that compute the same, and remove those that no output needs.

Both are invariants of the Rewriter, which keeps them at every edit. This pass only opens it, so that
what was there from the start is found before anything else, and stands in the journal under a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Eliminate(Pass):
    """Common subexpression elimination and dead code removal."""

    name: ClassVar[str] = "eliminate"
    ensures: ClassVar[frozenset[str]] = frozenset({"merged"})

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Open the Rewriter."""
        before = context.size
        return PassResult(changed=context.rewriter.size != before)
