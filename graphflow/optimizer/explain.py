"""The report: what the optimizer did to a program, rule by rule, and the story of each tensor.

A report joins the journal with the program before and after. Printed, it shows totals, a line for
each rule that fired, and the reasons of those that declined:

                    nodes     FLOP    weights
    as built          391   8.21 G    97.8 MB
    after O2          143   8.20 G    97.5 MB   (0.31 s)

    pass          rule             fired  effect               evidence
    canonicalize  log_of_softmax       1  -1 nodes, -128 FLOP  rounding, sampled
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from graphflow.errors import GraphFlowError
from graphflow.ir.body import nested_nodes
from graphflow.ir.dims import symbols
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import total_flops, type_bytes
from graphflow.optimizer.journal import Entry, Journal, Remark
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import RULES

if TYPE_CHECKING:
    from graphflow.optimizer.difference import Difference

_RULES_BY_NAME: dict[str, Rule] = {rule.name: rule for rule in RULES}

_OTHER_EVIDENCE = {
    "merge_twins": "exact, proved",
    "unused": "exact, proved",
    "fold": "exact by the NumPy reference",
    "fold_broadcast": "exact, proved",
}

_SHOWN_REMARKS = 12


class Plan(Protocol):
    """What a report takes from a memory plan."""

    @property
    def arena_bytes(self) -> int:
        """The planned peak."""
        ...


@dataclass(frozen=True, slots=True)
class Totals:
    """A program in numbers.

    Attributes:
        nodes: how many there are.
        flops: floating-point operations of one run; symbolic sizes count as 1.
        weight_bytes: of variables and constants.
        peak_bytes: the planned memory peak, or None if no plan was given.
        inside: how many nodes there are in the bodies of loops and branches, at all depths.
    """

    nodes: int
    flops: int
    weight_bytes: int
    peak_bytes: int | None = None
    inside: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule did in one pass."""

    pass_name: str
    rule: str
    fired: int
    nodes: int
    flops: int | None
    declined: int
    evidence: str
    algebra: str


@dataclass(frozen=True)
class Report:
    """What the optimizer did; `print` it.

    Attributes:
        before, after: totals of the program.
        label: the level or pipeline.
        seconds: how long the passes took.
        lines: a Line for each pass and rule.
        journal: what the report was made from.
        original, optimized: the program before and after, for pictures and comparisons.
    """

    before: Totals
    after: Totals
    label: str
    seconds: float
    lines: tuple[Line, ...]
    journal: Journal
    original: Program
    optimized: Program
    _final: dict[str, Node]
    _lines_of: dict[str, str]

    def __str__(self) -> str:
        parts = [_totals_text(self), _lines_text(self.lines), _remarks_text(self.journal.remarks)]
        return "\n\n".join(part for part in parts if part)

    def of(self, tensor: Tensor | Node | str) -> str:
        """The story of one tensor: what computes it now, by which rules, and from which user lines.

        Arguments:
            tensor: of the graph that was optimised, or its name.

        Raises:
            GraphFlowError: if there is no such tensor, or the journal kept counts only.
        """
        name = (
            tensor
            if isinstance(tensor, str)
            else tensor.node.name
            if isinstance(tensor, Tensor)
            else tensor.name
        )
        base = name.partition(":")[0]
        if not self.journal.detailed:
            raise GraphFlowError(
                f"the journal was kept at level {self.journal.level!r}, which has no entries",
                hint="optimise with Journal('entries') to be told the story of a tensor",
            )
        if base not in self._lines_of:
            raise GraphFlowError(f"the report knows no tensor {name!r}", hint=_near(base, self._lines_of))
        return _story(self, base)

    def missed(self, name: str = "") -> list[Remark]:
        """Where rules declined, with reasons; of one pass or rule if `name` is given."""
        return [
            remark for remark in self.journal.remarks if not name or name in (remark.pass_name, remark.rule)
        ]

    def why_not(self, rule: str, node: Tensor | Node | str) -> str:
        """Why a rule did not fire at a node: not admitted, a pattern that does not fit, or a decline.

        Arguments:
            rule: its name; docs/rules.md lists them.
            node: of the graph that was optimised, or of what became of it, or a name.

        Raises:
            RewriteError: if there is no such rule; GraphFlowError: if there is no such node.
        """
        from graphflow.optimizer.why import why_not

        return why_not(self, rule, node)

    def replay(self, steps: int | None = None) -> Program:
        """The program after its first `steps` edits, made anew; those in bodies count as well."""
        from graphflow.optimizer.replay import replay_report

        return replay_report(self, steps)

    def diff(self, pass_name: str = "") -> Difference:
        """What a pass changed, or all passes together, node by node.

        Raises:
            GraphFlowError: if no such pass ran, or the journal kept counts only.
        """
        from graphflow.optimizer.replay import pass_difference

        return pass_difference(self, pass_name)

    def to_dict(self) -> dict[str, Any]:
        """The whole report in types that JSON has."""
        return {
            "label": self.label,
            "seconds": self.seconds,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "passes": [record._asdict() for record in self.journal.passes],
            "rules": [asdict(line) for line in self.lines],
            "entries": [_jsonable(entry) for entry in self.journal.entries],
            "declined": [remark._asdict() for remark in self.journal.remarks],
        }


def explain(
    original: Program,
    optimized: Program,
    journal: Journal,
    original_plan: Plan | None = None,
    optimized_plan: Plan | None = None,
) -> Report:
    """The report of an optimisation.

    Arguments:
        original: the program as it was; a second extraction of the same fetches will do.
        optimized: the program as it is.
        journal: what was written down on the way.
        original_plan, optimized_plan: memory plans of the two, for the line of peaks.
    """
    first, last = original.order(), optimized.order()
    lines = {node.name: str(node.origin or "") for node in (*first, *last)}
    lines.update({name: gone.origin for name, gone in journal.gone.items()})
    return Report(
        before=_totals(first, original_plan),
        after=_totals(last, optimized_plan),
        label=journal.label,
        seconds=sum(record.seconds for record in journal.passes),
        lines=tuple(_lines(journal)),
        journal=journal,
        original=original,
        optimized=optimized,
        _final={node.name: node for node in last},
        _lines_of=lines,
    )


def _totals(nodes: Iterable[Node], plan: Plan | None) -> Totals:
    listed = list(nodes)
    kept = [node for node in listed if node.op.name in ("variable", "constant")]
    weights = sum(type_bytes(tensor.type) for node in kept for tensor in node.outputs)
    inside = sum(1 for _ in nested_nodes(listed)) - len(listed)
    peak = None if plan is None else plan.arena_bytes
    return Totals(len(listed), total_flops(listed), weights, peak, inside)


def _lines(journal: Journal) -> Iterable[Line]:
    further = {rule.name: rule for rule in (journal.recipe.rules if journal.recipe else ())}
    for (pass_name, rule), tally in journal.tallies.items():
        known = _RULES_BY_NAME.get(rule) or further.get(rule)
        evidence = (
            f"{known.safety}, {known.evidence}" if known else _OTHER_EVIDENCE.get(rule, "by definition")
        )
        flops = tally.flops if journal.detailed else None
        change = tally.added - tally.removed
        algebra = known.algebra if known else ""
        yield Line(pass_name, rule, tally.fired, change, flops, tally.declined, evidence, algebra)


def _jsonable(entry: Entry) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in entry._asdict().items()
    }


# Printing


def _totals_text(report: Report) -> str:
    before, after = report.before, report.after
    planned = before.peak_bytes is not None or after.peak_bytes is not None
    nested = bool(before.inside or after.inside)
    nodes = "nodes + in bodies" if nested else "nodes"
    rows = [["", nodes, "FLOP", "weights", *(["planned peak"] if planned else [])]]
    for label, totals in (("as built", before), (f"after {report.label}", after)):
        count = f"{totals.nodes:,}" + (f" + {totals.inside:,}" if nested else "")
        row = [label, count, count_text(totals.flops), bytes_text(totals.weight_bytes)]
        rows.append(row + ([bytes_text(totals.peak_bytes)] if planned else []))
    text = _table(rows, right=range(1, 5))
    unknown = sorted(
        {name for feed in report.original.feeds for size in feed.shape for name in symbols(size)}
    )
    counted = "" if not unknown else f"\ncounted with {' = '.join([*unknown, '1'])}"
    change = ""
    if before.peak_bytes and after.peak_bytes is not None:
        change = f"   {100 * (after.peak_bytes / before.peak_bytes - 1):+.0f} %"
    return f"{text}   ({report.seconds:.2f} s){change}{counted}"


def _lines_text(lines: Iterable[Line]) -> str:
    rows = [["pass", "rule", "fired", "effect", "evidence"]]
    for line in lines:
        if line.fired:
            rows.append([line.pass_name, line.rule, str(line.fired), _effect(line), line.evidence])
    return _table(rows, right=(2,)) if len(rows) > 1 else "no rule fired"


def _effect(line: Line) -> str:
    parts = [f"{line.nodes:+d} node{'s' * (abs(line.nodes) != 1)}"] if line.nodes else ["same nodes"]
    if line.flops:
        parts.append(f"{'-' if line.flops < 0 else '+'}{count_text(abs(line.flops))}FLOP")
    return ", ".join(parts)


def _remarks_text(remarks: list[Remark]) -> str:
    if not remarks:
        return ""
    shown = [[remark.pass_name, remark.rule, remark.node, remark.reason, remark.origin] for remark in remarks]
    more = f"\n... and {len(shown) - _SHOWN_REMARKS} more" if len(shown) > _SHOWN_REMARKS else ""
    return "declined\n" + _table(shown[:_SHOWN_REMARKS]) + more


def _table(rows: list[list[str]], right: Iterable[int] = ()) -> str:
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


# Stories


def _story(report: Report, name: str) -> str:
    lines = [f"{name}   {report._lines_of[name]}".rstrip()]
    entries, gone = report.journal.entries, report.journal.gone
    while name in gone and name not in report._final:
        entry = entries[gone[name].sequence]
        if name != entry.removed[0] or not entry.into:
            lines.append(f"  is no longer needed: removed by [{entry.rule}] in {entry.pass_name}")
            return "\n".join(lines)
        name = entry.into[0]
        algebra = _RULES_BY_NAME[entry.rule].algebra if entry.rule in _RULES_BY_NAME else entry.reason
        lines.append(f"  -> {name}   by [{entry.rule}]" + (f"   {algebra}" if algebra else ""))
    node = report._final.get(name)
    if node is None:
        return "\n".join([*lines, "  is not part of the program"])
    lines.append(f"  runs as {node.name} = {node.op.name}")
    lines += _ancestry(report, node)
    return "\n".join(lines)


def _ancestry(report: Report, node: Node) -> list[str]:
    """What a node stands for, back to the nodes that a user made, with their lines."""
    lines, pending, seen = [], [(node.name, node.lineage)], {node.name}
    while pending:
        name, lineage = pending.pop()
        if lineage is None:
            continue
        rule, names = lineage
        made = [
            f"{each} ({report._lines_of[each]})" if report._lines_of.get(each) else each for each in names
        ]
        lines.append(f"  {name} <- [{rule}] <- {', '.join(made)}")
        for each in names:
            if each not in seen:
                seen.add(each)
                gone = report.journal.gone.get(each)
                pending.append((each, gone.lineage if gone else None))
    return lines


def _near(name: str, names: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(names), 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "name a node of the optimised graph"
