"""How a report is printed: totals, a line for each pass and rule that did something, and the declines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from graphflow.ir.body import nested_nodes
from graphflow.ir.dims import symbols
from graphflow.optimizer.budget import STOPPED
from graphflow.optimizer.declines import of_rules
from graphflow.optimizer.missed import regions_text

if TYPE_CHECKING:
    from graphflow.ir.node import Node
    from graphflow.optimizer.explain import Line, Report
    from graphflow.optimizer.journal import Remark
    from graphflow.optimizer.metering import Measure, Meter

_SHOWN_REMARKS, _WIDTH = 12, 116


def report_text(report: Report) -> str:
    """The whole report."""
    meter = report.meter
    parts = [
        totals_text(report),
        "" if meter is None else _passes_text(meter),
        _lines_text(report.lines, meter is not None),
        _stops_text(report),
        regions_text(report),
        _memory_text(report),
        _remarks_text(of_rules(report)),
        "\n".join(map(_wrapped, report.note.splitlines())),
        "" if report.fitted is None else _fitted_text(report.fitted),
    ]
    return "\n\n".join(part for part in parts if part)


def _fitted_text(report: Report) -> str:
    from graphflow.optimizer.recomputed import fitted_text

    return fitted_text(report)


def totals_text(report: Report, first: str = "as built") -> str:
    """The totals before, which is called `first`, and after."""
    before, after = report.before, report.after
    planned = before.peak_bytes is not None or after.peak_bytes is not None
    nested = bool(before.inside or after.inside)
    nodes = "nodes + in bodies" if nested else "nodes"
    rows = [["", nodes, "FLOP", "weights", *(["planned peak"] if planned else [])]]
    for label, totals in ((first, before), (f"after {report.label}", after)):
        count = f"{totals.nodes:,}" + (f" + {totals.inside:,}" if nested else "")
        row = [label, count, count_text(totals.flops), bytes_text(totals.weight_bytes)]
        rows.append(row + ([bytes_text(totals.peak_bytes)] if planned else []))
    text = table(rows, right=range(1, 5))
    change, counted = "", f"\n{counted_text(report)}".rstrip()
    if before.peak_bytes and after.peak_bytes is not None and after.peak_bytes != before.peak_bytes:
        change = f"   planned peak {100 * (after.peak_bytes / before.peak_bytes - 1):+.0f} %"
    return f"{text}   ({report.seconds:.2f} s){change}{counted}"


def counted_text(report: Report) -> str:
    """What was assumed in counting; "" if nothing had to be."""
    unknown = sorted(
        {name for feed in report.original.feeds for size in feed.shape for name in symbols(size)}
    )
    assumed = [_sizes_text(unknown, report.journal.sizes)] if unknown else []
    if any(_is_unbounded(node) for node in nested_nodes(report.original.nodes)):
        assumed.append("loops that have no bound run once")
    return f"counted with {'; '.join(assumed)}" if assumed else ""


def _is_unbounded(node: Node) -> bool:
    return node.op.name == "while_loop" and node.attrs.max_steps is None


def _sizes_text(names: list[str], sizes: Mapping[str, int]) -> str:
    """What each symbolic size counts as: those that count as 1 together."""
    ones = [name for name in names if name not in sizes]
    given = [f"{name} = {sizes[name]}" for name in names if name in sizes]
    return ", ".join([*given, *([" = ".join([*ones, "1"])] if ones else [])])


def _passes_text(meter: Meter) -> str:
    """A line for each pass that changed something, and one for all others."""
    rows, idle, spent = [["pass", "nodes", "FLOP", "bytes", "planned peak", "ms"]], [], 0.0
    for name, before, after, seconds in meter.passes:
        if before == after:
            idle.append(name)
            spent += seconds
        else:
            rows.append([name, *_changes(before, after), milliseconds(seconds)])
    text = table(rows, right=range(1, 6)) if len(rows) > 1 else "no pass changed anything"
    return text + (f"\n{_wrapped(_idle_text(idle, spent))}" if idle else "")


def _idle_text(names: list[str], seconds: float) -> str:
    return f"{', '.join(dict.fromkeys(names))}: as before ({milliseconds(seconds)} ms)"


def _wrapped(text: str, indent: str = "    ") -> str:
    return textwrap.fill(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _changes(before: Measure, after: Measure) -> list[str]:
    """What a pass changed, column by column: both values, or the one that has stayed."""
    shown = (
        [(f"{one.nodes:,}", count_text(one.flops).strip(), bytes_text(one.bytes), bytes_text(one.peak_bytes))]
        for one in (before, after)
    )
    (first,), (second,) = shown
    return [left if left == right else f"{left} -> {right}" for left, right in zip(first, second)]


def _lines_text(lines: Iterable[Line], metered: bool) -> str:
    rows = [["pass", "rule", "fired", "effect", *(["peak", "ms"] if metered else []), "evidence"]]
    for line in lines:
        if line.fired:
            told = [line.pass_name, line.rule, f"{line.fired:,}", effect_text(line)]
            more = [signed_bytes(line.peak_bytes), milliseconds(line.seconds)] if metered else []
            rows.append([*told, *more, line.evidence])
    return table(rows, right=(2, 4, 5) if metered else (2,)) if len(rows) > 1 else "no rule fired"


def _stops_text(report: Report) -> str:
    """The passes that did not come to their end."""
    stopped = [record for record in report.journal.passes if STOPPED in record.note]
    return "\n".join(f"{record.name} {record.note[record.note.index(STOPPED) :]}" for record in stopped)


def _memory_text(report: Report) -> str:
    """What was chosen about the order, and about writing results over inputs."""
    notes = {record.name.partition(" ")[0]: record.note for record in report.journal.passes if record.note}
    lines = [f"order: {notes['schedule']}"] if "schedule" in notes else []
    if "in-place" in notes:
        lines.append(f'in place: {notes["in-place"]}; report.missed("in-place") says why')
    return "\n".join(lines)


def effect_text(line: Line) -> str:
    """What a rule changed: nodes, FLOP, bytes."""
    parts = [f"{line.nodes:+,} node{'s' * (abs(line.nodes) != 1)}"] if line.nodes else []
    if line.inside:
        parts.append(f"{line.inside:+,} {'' if parts else 'node' + 's ' * (abs(line.inside) != 1)}in bodies")
    parts = parts or ["same nodes"]
    if line.flops:
        parts.append(f"{'-' if line.flops < 0 else '+'}{count_text(abs(line.flops))}FLOP")
    if line.bytes:
        parts.append(signed_bytes(line.bytes))
    return ", ".join(parts)


def signed_bytes(number: int | None) -> str:
    """A change of bytes; "-" for None, "same" for 0."""
    if number is None:
        return "-"
    return f"{'-' if number < 0 else '+'}{bytes_text(abs(number))}" if number else "same"


def milliseconds(seconds: float | None) -> str:
    """Seconds as ms; "-" for None."""
    return "-" if seconds is None else f"{1000 * seconds:.2f}"


def _remarks_text(remarks: list[Remark]) -> str:
    if not remarks:
        return ""
    lines = [_wrapped(str(remark)) for remark in remarks[:_SHOWN_REMARKS]]
    if len(remarks) > _SHOWN_REMARKS:
        lines.append(f"... and {len(remarks) - _SHOWN_REMARKS:,} more: report.missed() has them all")
    return "\n".join(["declined", *lines])


def table(rows: list[list[str]], right: Iterable[int] = ()) -> str:
    """Columns two spaces apart, those numbered in `right` aligned to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def count_text(number: int) -> str:
    """A count with a decimal prefix.

    >>> count_text(8_210_000_000), count_text(128)
    ('8.21 G', '128 ')
    """
    return _scaled(number, "")


def bytes_text(number: int | None) -> str:
    """Bytes with a decimal prefix; "-" for None.

    >>> bytes_text(97_800_000)
    '97.8 MB'
    """
    return "-" if number is None else _scaled(number, "B")


def _scaled(number: int, unit: str) -> str:
    value, prefixes = float(number), ["", "k", "M", "G", "T", "P"]
    place = 0
    while abs(value) >= 999.5 and place < len(prefixes) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.3g} {prefixes[place]}{unit}"
