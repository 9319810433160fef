"""Check that the program keeps the invariants of the intermediate representation; change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Verify(Pass):
    """Raise a VerifyError that names the broken invariant and the node, if there is one."""

    name: ClassVar[str] = "verify"
    budgeted: ClassVar[bool] = False

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Check the whole program."""
        from graphflow.ir.verify import verify

        context.settle()
        verify(program)
        return PassResult(changed=False)
