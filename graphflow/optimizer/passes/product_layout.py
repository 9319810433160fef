"""Let products of few rows have their weights transposed, for targets that gain by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program
from graphflow.optimizer.rules import product_layout, shape


@dataclass(frozen=True)
class ProductLayout(Pass):
    """Transpose large weights for products of few rows; constants at once."""

    name: ClassVar[str] = "product-layout"
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point; nothing without products."""
        rewriter = context.rewriter
        if not any([node.op.name == "matmul" for node in rewriter.order()]):
            return PassResult(False)
        index = RuleIndex((*product_layout.RULES, shape.permute_of_permute))
        return PassResult(run_rules(rewriter, index, context.strict).changed)
