"""Compute products in 16 bits and keep float32 where its range or digits are needed.

Every operator of float32 has one of four parts:

    allow   products, which hardware does several times faster in 16 bits: always narrow
    deny    exponentials, logarithms, sums, norms, losses: always float32, and what they feed elementwise
    infer   elementwise arithmetic: narrow if it works on what a product gave, and on nothing denied
    clear   what only moves or compares values: narrow if all it reads is, or all that reads it

Products accumulate in float32 on every target, as their references do. Variables and the program's
results stay float32; casts stand where the parts meet. The numbers that come out differ in the third
digit (bfloat16, 8 bits of mantissa) or the fourth (float16, 11 bits, up to 65,504: training in it needs
`gf.train.LossScale`).

Source: Micikevicius et al., Mixed Precision Training, 2018; the parts are those of TensorFlow's pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from graphflow.errors import AttributeValueError
from graphflow.ir.dtypes import DType, bfloat16, float16, float32
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter

NARROW = {"bfloat16": bfloat16, "float16": float16}

ALLOW = frozenset({"matmul", "conv", "conv_input_gradient", "conv_weight_gradient"})
INFER = frozenset(
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "square",
        "where",
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "sigmoid",
        "tanh",
        "hard_sigmoid",
        "hard_swish",
        "softsign",
        "avg_pool",
        "avg_pool_gradient",
    ]
)
CLEAR = frozenset(
    ["maximum", "minimum", "negative", "abs", "sign", "max", "min", "max_pool", "pad", "slice", "unslice"]
)

_RULE = "mixed_precision"


_PARTS = ("infer", "deny", "allow")


@dataclass(frozen=True)
class MixedPrecision(Pass):
    """Let products, and what is computed elementwise from them, have 16 bits.

    Attributes:
        dtype: "bfloat16" or "float16".
        allow, deny, infer: names of operators, joined by "+", that are to play this part.
    """

    name: ClassVar[str] = "mixed-precision"
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})
    dtype: str = "bfloat16"
    allow: str = ""
    deny: str = ""
    infer: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in NARROW:
            raise AttributeValueError(
                f"mixed precision cannot compute in {self.dtype!r:.40}", hint="use " + " or ".join(NARROW)
            )
        for name in self._named:
            if name not in registry:
                raise AttributeValueError(
                    f"mixed precision is told of an operator {name!r:.40} that does not exist",
                    hint="docs/operators.md lists them",
                )
            parts = [part for part in _PARTS if name in getattr(self, part).split("+")]
            if len(parts) > 1:
                raise AttributeValueError(
                    f"mixed precision is told to {' and to '.join(parts)} {name}", hint="name it once"
                )

    @cached_property
    def _named(self) -> dict[str, str]:
        """The part of each operator that the options name."""
        return {name: part for part in _PARTS for name in getattr(self, part).split("+") if name}

    def part(self, node: Node) -> str:
        """The part that a node plays: allow, deny, infer or clear; "" if it computes nothing in float32."""
        name = node.op.name
        if not node.outputs or any(tensor.dtype is not float32 for tensor in node.outputs):
            return ""
        if name in self._named:
            return self._named[name]
        if "nullary_input" in node.op.traits or name == "constant":
            return ""
        if name in ALLOW or name in INFER:
            return "allow" if name in ALLOW else "infer"
        return "clear" if name in CLEAR or "injective" in node.op.traits else "deny"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Make narrow what may be."""
        order = context.rewriter.order()
        chosen = self._chosen(order, program.outputs)
        narrower = _Narrower(context.rewriter, NARROW[self.dtype])
        for node in order:
            if node in chosen:
                narrower.narrow(node)
        count = len(chosen)
        return PassResult(count > 0, f"{count} of {len(order)} nodes in {self.dtype}" if count else "")

    def _chosen(self, order: Sequence[Node], outputs: Iterable[Tensor]) -> set[Node]:
        """The nodes to compute in 16 bits."""
        chosen: set[Node] = set()
        denied: set[Node] = set()  # what is denied, and what elementwise arithmetic made of that
        for node in order:
            part = self.part(node)
            reads = [tensor.node for tensor in node.inputs if tensor.dtype is float32]
            if part == "deny" or (part in ("infer", "clear") and any(read in denied for read in reads)):
                denied.add(node)
            elif (
                part == "allow"
                or (part == "infer" and any(read in chosen for read in reads))
                or (part == "clear" and reads and all(read in chosen for read in reads))
            ):
                chosen.add(node)
        wide = {tensor.node for tensor in outputs}  # what is read in float32
        for node in reversed(order):
            if node not in chosen and node not in wide and self.part(node) == "clear":
                chosen.add(node)
            if node not in chosen:
                wide.update([tensor.node for tensor in node.inputs])
        return chosen


class _Narrower:
    """Puts narrow nodes in the place of others, with casts around them that meet no cast."""

    def __init__(self, rewriter: Rewriter, dtype: DType) -> None:
        self.rewriter = rewriter
        self.dtype = dtype
        self.known: dict[Tensor, Tensor] = {}  # a float32 cast of what is narrow -> the narrow tensor

    def narrow(self, node: Node) -> None:
        """Compute a node in 16 bits, and let its users read that in float32."""
        b = self.rewriter.builder.standing_for([node], _RULE)
        reads = [self._narrowed(tensor) for tensor in node.inputs]
        made = b.apply(node.op, reads, dict(node.attrs))
        results = made if isinstance(made, tuple) else (made,)
        wide = [b.astype(tensor, dtype=float32) for tensor in results]
        self.rewriter.replace(node, wide, _RULE, f"{node.op.name} has {self.dtype.name} operands")
        self.known.update(zip(wide, results))

    def _narrowed(self, tensor: Tensor) -> Tensor:
        """The tensor in 16 bits, if it is float32."""
        if tensor.dtype is not float32:
            return tensor
        found = self.known.get(tensor)
        if found is None:
            found = self.rewriter.builder.astype(tensor, dtype=self.dtype)
        return found
