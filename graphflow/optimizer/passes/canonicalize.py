"""Apply the rewrite rules, constant folding among them, to a joint fixed point."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from graphflow.errors import AttributeValueError
from graphflow.ir.opdef import registry
from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.control_flow import DECIDED
from graphflow.optimizer.passes.fold_constants import DEFAULT_MAX_BYTES, folding
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import SAFETY, Rule
from graphflow.optimizer.rules import RULES
from graphflow.optimizer.selection import chosen_rules


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Simplify by rules.

    Attributes:
        safety: the last safety class admitted: exact, finite, rounding or unsafe.
        tags: families admitted beyond that, joined by "+", for example "stabilize".
        max_bytes: constants are folded up to this size; 0 leaves folding out.
        include: rules and tags admitted whatever `safety` is, joined by "+"; "unsafe" rules by name alone.
    """

    name: ClassVar[str] = "canonicalize"
    ensures: ClassVar[frozenset[str]] = frozenset({"canonical"})
    safety: str = "exact"
    tags: str = ""
    max_bytes: int = DEFAULT_MAX_BYTES
    include: str = field(default="", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.safety not in SAFETY:
            raise AttributeValueError(
                f"there is no safety class {self.safety!r}", hint="use " + ", ".join(SAFETY)
            )

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point."""
        index = _index(self.safety, self.tags, self.max_bytes, self.include, context.rules, len(registry))
        result = run_rules(context.rewriter, index, context.strict)
        return PassResult(result.changed, f"{result.steps} steps")


@lru_cache(maxsize=32)
def _index(
    safety: str, tags: str, max_bytes: int, include: str, further: tuple[Rule, ...], operators: int
) -> RuleIndex:
    """One index for each choice of rules and size of the registry: rules wait for their operators."""
    everywhere = [*folding(max_bytes), *DECIDED]
    return RuleIndex(chosen_rules((*RULES, *further), safety, tags, include), everywhere)
