"""What a report says of fusion: which operators run together, how often, and how many could not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report

_SHOWN_REGIONS = 8


def regions_text(report: Report) -> str:
    """A line for each kind of region, the most frequent first, and the declines; "" without regions."""
    counts = Counter(region.operators for region in report.regions)
    if not counts:
        return ""
    shown = counts.most_common(_SHOWN_REGIONS)
    width = max(len("fused"), *[len(operators) for operators, _ in shown])
    lines = [f"{'fused':{width}}  regions"]
    lines += [f"{operators:{width}}  {count:7,}" for operators, count in shown]
    if len(counts) > len(shown):
        rest = sum(counts.values()) - sum(count for _, count in shown)
        lines.append(f"... and {rest:,} regions of {len(counts) - len(shown):,} other kinds")
    journal = (report if report.sized is None else report.sized).journal
    declined = journal.tallies.get(("fuse", "fuse"))
    if declined is not None and declined.declined:
        nodes = f"{declined.declined:,} node{'s' * (declined.declined != 1)}"
        lines.append(f'declined at {nodes}: report.missed("fuse") says why')
    return "\n".join(lines)
