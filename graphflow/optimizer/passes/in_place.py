"""Say which results are written over an input, and of others that might be, who still needs that memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.ir.node import Node
from graphflow.optimizer.memory.liveness import analyse
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class InPlace(Pass):
    """Write down, for a journal with remarks, what the memory plan does about writing in place.

    A result may lie where an input did if the operator has the trait `in_place` and nothing else needs that
    memory: no later reader of it or of a view of it, no caller, and no other input of the same node. It
    changes nothing, neither nodes nor plan: that follows from the order alone.
    """

    name: ClassVar[str] = "in-place"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Say it."""
        journal = context.journal
        if journal.path or not journal.remarking:
            return PassResult(changed=False)
        count = 0

        def refused(node: Node, reason: str) -> None:
            nonlocal count
            count += 1
            journal.decline(self.name, node, reason)

        liveness = analyse(program.order(), program.outputs, refused=refused, assumed=True)
        written = len(liveness.in_place)
        return PassResult(changed=False, note=_note(written, count))


def _note(written: int, others: int) -> str:
    """How many results are written over inputs, and how many are not; "" where there are none."""
    if not written + others:
        return ""
    told = f"{written:,} result{'s' * (written != 1)}"
    return f"{told}, and not {others:,} other{'s' * (others != 1)}" if others else told
