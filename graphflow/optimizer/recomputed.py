"""What a program computes twice so that less has to be kept: the values, their bytes, and the cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from graphflow.ir.node import Node
from graphflow.optimizer.analysis.cost import node_flops, type_bytes
from graphflow.optimizer.passes.rematerialize import RULE
from graphflow.optimizer.report_text import bytes_text, count_text, table, totals_text

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report

_SHOWN = 12


class Recomputed(NamedTuple):
    """A value that is computed twice: its node, its bytes, the operations of the second run, its line."""

    node: str
    bytes: int
    flops: int
    origin: str


def recomputed(nodes: Iterable[Node]) -> list[Recomputed]:
    """The nodes that are second runs, the largest first; views count with no bytes."""
    found = []
    for node in nodes:
        if node.lineage is not None and node.lineage[0] == RULE and node.op.name != "after":
            held = 0 if "view" in node.op.traits else sum([type_bytes(one.type) for one in node.outputs])
            origin = str(node.origin or "")
            found.append(Recomputed(node.name.removesuffix(".again"), held, node_flops(node), origin))
    return sorted(found, key=lambda one: -one.bytes)


def fitted_text(report: Report) -> str:
    """What was done for a memory budget: totals, and a line for each value that is computed again."""
    found = recomputed(report.optimized.order())
    totals = totals_text(report, "before")
    if not found:
        return f"{totals}\nnothing is computed again"
    rows = [["recomputed", "not kept", "FLOP", "line"]]
    rows += [[one.node, bytes_text(one.bytes), count_text(one.flops), one.origin] for one in found[:_SHOWN]]
    rest = found[_SHOWN:]
    if rest:
        held, flops = sum([one.bytes for one in rest]), sum([one.flops for one in rest])
        rows.append([f"... and {len(rest):,} more", bytes_text(held), count_text(flops), ""])
    return f"{totals}\n\n{table(rows, right=(1, 2))}"
