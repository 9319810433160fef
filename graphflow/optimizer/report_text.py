"""How a report is printed: totals, a line for each pass and rule that did something, and the declines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from graphflow.ir.dims import symbols
from graphflow.optimizer.budget import STOPPED
from graphflow.optimizer.declines import of_rules
from graphflow.optimizer.missed import regions_text

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Line, Report
    from graphflow.optimizer.journal import Remark
    from graphflow.optimizer.metering import Measure, Meter

_SHOWN_REMARKS = 12


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
        report.note,
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
    unknown = sorted(
        {name for feed in report.original.feeds for size in feed.shape for name in symbols(size)}
    )
    counted = f"\ncounted with {_sizes_text(unknown, report.journal.sizes)}" if unknown else ""
    change = ""
    if before.peak_bytes and after.peak_bytes is not None and after.peak_bytes != before.peak_bytes:
        change = f"   planned peak {100 * (after.peak_bytes / before.peak_bytes - 1):+.0f} %"
    return f"{text}   ({report.seconds:.2f} s){change}{counted}"


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
            rows.append([name, *_changes(before, after), _milliseconds(seconds)])
    text = table(rows, right=range(1, 6)) if len(rows) > 1 else "no pass changed anything"
    more = f"\n{', '.join(dict.fromkeys(idle))}: as before ({_milliseconds(spent)} ms)" if idle else ""
    return text + more


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
            more = [_signed_bytes(line.peak_bytes), _milliseconds(line.seconds)] if metered else []
            rows.append([line.pass_name, line.rule, str(line.fired), _effect(line), *more, line.evidence])
    return table(rows, right=(2, 4, 5) if metered else (2,)) if len(rows) > 1 else "no rule fired"


def _stops_text(report: Report) -> str:
    """The passes that did not come to their end."""
    stopped = [record for record in report.journal.passes if STOPPED in record.note]
    return "\n".join(f"{record.name} {record.note[record.note.index(STOPPED) :]}" for record in stopped)


def _memory_text(report: Report) -> str:
    """What was chosen about the order, and about writing results over inputs."""
    notes = {record.name: record.note for record in report.journal.passes if record.note}
    lines = [f"order: {notes['schedule']}"] if "schedule" in notes else []
    if "in-place" in notes:
        lines.append(f'in place: {notes["in-place"]}; report.missed("in-place") says why')
    return "\n".join(lines)


def _effect(line: Line) -> str:
    parts = [f"{line.nodes:+d} node{'s' * (abs(line.nodes) != 1)}"] if line.nodes else ["same nodes"]
    if line.flops:
        parts.append(f"{'-' if line.flops < 0 else '+'}{count_text(abs(line.flops))}FLOP")
    if line.bytes:
        parts.append(_signed_bytes(line.bytes))
    return ", ".join(parts)


def _signed_bytes(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{'-' if number < 0 else '+'}{bytes_text(abs(number))}" if number else "same"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.2f}"


def _remarks_text(remarks: list[Remark]) -> str:
    if not remarks:
        return ""
    shown = [[remark.pass_name, remark.rule, remark.node, remark.reason, remark.origin] for remark in remarks]
    more = f"\n... and {len(shown) - _SHOWN_REMARKS} more" if len(shown) > _SHOWN_REMARKS else ""
    return "declined\n" + table(shown[:_SHOWN_REMARKS]) + more


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
