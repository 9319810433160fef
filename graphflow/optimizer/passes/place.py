"""Ask for a planned memory: the target runs the program inside of one allocation, if it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Place(Pass):
    """Set `Program.in_arena`; without it each value is allocated by itself, and freed after its last use.

    The plan is made by the target when the sizes are known, since that knows what its kernels write where.
    """

    name: ClassVar[str] = "place"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Set it."""
        if not context.journal.path:
            program.in_arena = True
        return PassResult(changed=False)
