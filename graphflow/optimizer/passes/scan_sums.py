"""Add in each step of a scan what is added to all rows of a sequence alike, for targets that gain by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.ops.control import scan
from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program
from graphflow.optimizer.rules.scan_sums import INDEXED


@dataclass(frozen=True)
class ScanSums(Pass):
    """Let the steps of scans add what is added to a product of all steps in front of them."""

    name: ClassVar[str] = "scan-sums"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point; nothing without scans."""
        rewriter = context.rewriter
        if not any([node.op is scan for node in rewriter.order()]):
            return PassResult(False)
        return PassResult(run_rules(rewriter, RuleIndex([], INDEXED), context.strict).changed)
