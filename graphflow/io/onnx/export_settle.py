"""A pass for the export: choices that hang on a constant flag, such as that of training, are settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Settle(Pass):
    """Put the chosen side in the place of a choice by a constant flag."""

    name: ClassVar[str] = "settle"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Replace each such `where`."""
        rewriter, changed = context.rewriter, False
        for node in rewriter.order():
            flag = node.inputs[0].node if node.op.name == "where" else None
            if flag is None or flag.op.name != "constant" or flag.attrs["value"].ndim:
                continue
            side = node.inputs[1 if bool(flag.attrs["value"]) else 2]
            if side.type == node.output.type:
                rewriter.replace(node, [side], "settle", "the condition is constant")
                changed = True
        return PassResult(changed)
