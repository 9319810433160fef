"""The report as a short HTML page for notebooks: totals, and what each rule did."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from graphflow.optimizer.report_text import (
    bytes_text,
    count_text,
    counted_text,
    effect_text,
    milliseconds,
    signed_bytes,
)

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Line, Report

_ROWS = 30


def to_html(report: Report) -> str:
    """The totals before and after, and a row for each of the rules that fired, those that did most first.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> report = gf.Session(backend="numpy").explain(gf.log(gf.nn.softmax(x)))
    >>> "log_of_softmax" in to_html(report)
    True
    """
    totals = [
        [
            label,
            f"{one.nodes:,}" + (f" + {one.inside:,} in bodies" if one.inside else ""),
            count_text(one.flops),
            bytes_text(one.weight_bytes),
            bytes_text(one.peak_bytes),
        ]
        for label, one in (("as built", report.before), (f"after {report.label}", report.after))
    ]
    lines = sorted((line for line in report.lines if line.fired), key=lambda line: -line.fired)
    metered = report.meter is not None
    more = ["peak", "ms"] if metered else []
    rows = [_cells(line, metered) for line in lines[:_ROWS]]
    parts = [
        _table(["", "nodes", "FLOP", "weights", "planned peak"], totals),
        f"<p>{html.escape(_under(report))}</p>",
        _table(["pass", "rule", "fired", "effect", *more, "evidence", "algebra"], rows),
    ]
    if len(lines) > _ROWS:
        parts.append(f"<p>and {len(lines) - _ROWS} more rules; print the report for all</p>")
    return "".join(parts)


def _under(report: Report) -> str:
    """What is said below the totals."""
    declined = sum(line.declined for line in report.lines)
    parts = [f"{report.seconds:.2f} s", counted_text(report), f"{declined:,} declined"]
    return " · ".join(filter(None, parts))


def _cells(line: Line, metered: bool) -> list[str]:
    return [
        line.pass_name,
        line.rule,
        f"{line.fired:,}",
        effect_text(line),
        *([signed_bytes(line.peak_bytes), milliseconds(line.seconds)] if metered else []),
        line.evidence,
        line.algebra if len(line.algebra) <= 120 else line.algebra[:119] + "…",
    ]


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in heading) + "</tr>"]
    cells += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(cells)}</table>"
