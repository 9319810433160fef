"""Name the groups of nodes that can run as one loop, and say of the others why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.ir.node import Node
from graphflow.optimizer.analysis.regions import Limits, find_regions
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Fuse(Pass):
    """Find the regions of a program; the nodes stay as they are.

    They are kept in `Program.regions` until the next edit. Bodies of control flow get none.

    Attributes:
        nodes, inputs: the most of a region; see `analysis.regions.Limits`.
    """

    name: ClassVar[str] = "fuse"
    ensures: ClassVar[frozenset[str]] = frozenset({"regions"})
    nodes: int = 64
    inputs: int = 32

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Set `program.regions`."""
        journal = context.journal
        if journal.path:
            return PassResult(changed=False)

        def declined(node: Node, reason: str) -> None:
            journal.decline(self.name, node, reason)

        limits = Limits(self.nodes, self.inputs)
        order = context.rewriter.order()
        program.regions = find_regions(order, program.outputs, limits, declined if journal.counting else None)
        fused = sum(len(region.nodes) for region in program.regions)
        return PassResult(changed=False, note=f"{fused} nodes in {len(program.regions)} regions")
