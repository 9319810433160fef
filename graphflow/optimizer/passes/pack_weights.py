"""Cut constant weights into panels, for targets that have kernels for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.errors import AttributeValueError
from graphflow.ir.body import nested_nodes
from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.captured_constants import run_in_bodies
from graphflow.optimizer.program import Program
from graphflow.optimizer.rules import packing, shape

_PRODUCTS = frozenset(("channels_last_conv", "matmul"))


@dataclass(frozen=True)
class PackWeights(Pass):
    """Cut the constant weights of convolutions with channels last, and of products, into panels.

    Attributes:
        lanes: how many outputs lie side by side in a panel.
    """

    name: ClassVar[str] = "pack-weights"
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})
    lanes: int = packing.LANES

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise AttributeValueError(f"there are no panels of {self.lanes} lanes", hint="use lanes=16")

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point, in the bodies that capture weights, too; nothing without products."""
        if not any([node.op.name in _PRODUCTS for node in nested_nodes(context.rewriter.order())]):
            return PassResult(False)
        index = RuleIndex((*packing.packing_rules(self.lanes), shape.same_type, shape.reshape_of_reshape))

        def pack(context: PassContext) -> bool:
            changed = run_rules(context.rewriter, index, context.strict).changed
            return run_in_bodies(context, pack, _PRODUCTS, "weights in it were cut into panels") or changed

        changed = pack(context)
        count = sum([node.op.name == "packed_conv" for node in nested_nodes(context.rewriter.order())])
        return PassResult(changed, f"products with their weights in panels: {count}")
