"""Let convolutions take their channels last, and choose how each is computed, for targets that gain by it.

Three things at one fixed point: convolutions are put into the layout [batch, *spatial, channels], with
constant weights permuted at once; permutations sink through what follows until they cancel or come to the
border of a region; and each convolution gets its algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.errors import AttributeValueError
from graphflow.ops.channels_last import image_last
from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rules import conv_algorithm, shape
from graphflow.optimizer.rules.conv_algorithm import Timer
from graphflow.optimizer.rules.layout import everywhere, source

TIMERS: dict[str, Timer] = {}
"""What measures convolutions, by name; targets enter theirs."""

_TIDY = (
    shape.same_type,
    shape.same_order,
    shape.permute_of_permute,
    shape.permute_axes_of_size_one,
    shape.reshape_of_reshape,
)
_CONVOLUTIONS = frozenset(("conv", "conv_input_gradient", "conv_weight_gradient"))


@dataclass(frozen=True)
class Layout(Pass):
    """Put convolutions into the layout with channels last, and choose their algorithms.

    Attributes:
        winograd: the largest tile of Winograd's algorithm: 0 for never, 2 or 4.
        timer: the name of what measures algorithms; by default a model estimates them.
        packed: whether the pass `pack-weights` follows, and the target has kernels for what it makes.
    """

    name: ClassVar[str] = "layout"
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})
    winograd: int = 0
    timer: str = ""
    packed: bool = False

    def __post_init__(self) -> None:
        if self.winograd not in (0, 2, 4):
            raise AttributeValueError(
                f"Winograd's algorithm has no tiles of {self.winograd}", hint="use winograd=0, 2 or 4"
            )
        if self.timer and self.timer not in TIMERS:
            raise AttributeValueError(
                f"nothing named {self.timer!r} measures convolutions",
                hint=", ".join(TIMERS) or "leave it out",
            )

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point; nothing without convolutions."""
        rewriter = context.rewriter
        if not any([node.op.name in _CONVOLUTIONS for node in rewriter.order()]):
            return PassResult(False)
        timer = TIMERS[self.timer] if self.timer else None
        excluded = context.journal.excluded
        is_packed = self.packed and "conv_in_panels" not in excluded
        algorithms = conv_algorithm.algorithm_rules(self.winograd, timer, excluded, is_packed)
        rules = [*everywhere(is_packed), *algorithms]
        result = run_rules(rewriter, RuleIndex(_TIDY, rules), context.strict)
        return PassResult(result.changed, f"{permutations(rewriter)} permutations of images are left")


def permutations(rewriter: Rewriter) -> int:
    """How many nodes bring images from one layout to the other."""
    count = 0
    for node in rewriter.order():
        if node.op.name == "permute_dims" and 3 <= node.output.ndim <= 5:
            x = node.output
            count += source(x) is not None or node.attrs["axes"] == image_last(x.ndim)
    return count
