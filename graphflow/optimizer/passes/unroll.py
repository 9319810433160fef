"""Write out the steps of loops of a known, small number of steps, for a target that has no loops.

Step t of a scan is its body with the carries of the step before and the slices at t of the sequences; the
rows that the steps give are stacked. Nothing is computed otherwise than before, so this is exact. A loop
within the body of another is written out once the other is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program

_MOST_NODES = 1_000_000
"""Nodes that one pass may make: loops within loops multiply."""


@dataclass(frozen=True)
class Unroll(Pass):
    """Write out scans.

    Attributes:
        steps: the most steps of a loop that is written out.
    """

    name: ClassVar[str] = "unroll"
    budgeted: ClassVar[bool] = False
    breaks: ClassVar[frozenset[str]] = frozenset({"canonical"})
    steps: int = 128

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Write out every scan that is short enough."""
        rewriter = context.rewriter
        queue = deque(rewriter.order())
        unrolled = made = 0
        while queue and made < _MOST_NODES and not context.journal.is_full:
            node = queue.popleft()
            if node.op.name != "scan" or not rewriter.is_alive(node) or not self._is_short(node):
                continue
            builder = rewriter.builder.standing_for([node], "unroll")
            outputs = unrolled_scan(builder, node)
            fresh = list(builder.made)
            rewriter.replace(node, outputs, "unroll", f"{node.attrs.length} steps, one after the other")
            queue.extend(fresh)
            made += len(fresh)
            unrolled += 1
        return PassResult(unrolled > 0, f"{unrolled} loops written out" if unrolled else "")

    def _is_short(self, node: Node) -> bool:
        length = node.attrs.length
        return isinstance(length, int) and 0 < length <= self.steps


def unrolled_scan(b: Any, node: Node) -> list[Tensor]:
    """What a scan of a known number of steps computes, without a loop."""
    attrs = node.attrs
    carries, moving = attrs.carries, attrs.carries + attrs.sequences
    state, fixed = list(node.inputs[:carries]), list(node.inputs[moving:])
    rows: list[list[Tensor]] = [[] for _ in node.outputs[carries:]]
    steps = range(attrs.length)
    for step in reversed(steps) if attrs.reverse else steps:
        parts = [_at(b, sequence, step) for sequence in node.inputs[carries:moving]]
        made = attrs.body.replay(b, [*state, *parts, *fixed])
        state = made[:carries]
        for row, tensor in zip(rows, made[carries:]):
            row.append(b.expand_dims(tensor, axis=(0,)))
    if attrs.reverse:
        rows = [row[::-1] for row in rows]
    return [*state, *[b.concat(*row, axis=0) if len(row) > 1 else row[0] for row in rows]]


def _at(b: Any, sequence: Tensor, step: int) -> Tensor:
    """The slice of a sequence at one step."""
    rank = sequence.ndim
    starts, stops = (step, *[0] * (rank - 1)), (step + 1, *sequence.shape[1:])
    return b.squeeze(b.slice(sequence, starts=starts, stops=stops), axis=(0,))
