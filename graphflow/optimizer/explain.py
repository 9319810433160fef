"""The report: what the optimizer did to a program, rule by rule, and the story of each tensor.

A report joins the journal with the program before and after. Printed, it shows totals, a line for each
pass that changed something and for each rule that fired, and the reasons of those that declined:

                    nodes     FLOP    weights  planned peak
    as built          391   8.21 G    97.8 MB         13 MB
    after O2          143   8.20 G    97.5 MB         12 MB   (0.31 s)   planned peak -8 %

    pass          rule             fired  effect               evidence
    canonicalize  log_of_softmax       1  -1 nodes, -128 FLOP  rounding, sampled

What costs time to find out (FLOP, bytes, peak and milliseconds between passes and for each rule) is there
if the journal had a `Meter`; `Report.measured` runs the optimizer again with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from graphflow.ir.body import nested_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import counted_at, total_bytes, total_flops, type_bytes
from graphflow.optimizer.analysis.regions import Region
from graphflow.optimizer.declines import declines
from graphflow.optimizer.journal import Journal, PassRecord, Remark, Tally
from graphflow.optimizer.metering import Meter, RuleCost
from graphflow.optimizer.program import Program
from graphflow.optimizer.report_json import to_dict, to_json
from graphflow.optimizer.report_text import bytes_text, count_text, report_text
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import PASS_RULES, RULES
from graphflow.optimizer.story import story

if TYPE_CHECKING:
    from graphflow.optimizer.difference import Difference
    from graphflow.optimizer.recomputed import Recomputed

_RULES_BY_NAME: dict[str, Rule] = {rule.name: rule for rule in (*RULES, *PASS_RULES)}

_OTHER_EVIDENCE = {
    "merge_twins": "exact, proved",
    "unused": "exact, proved",
    "fold": "exact, by NumPy",
    "fold_broadcast": "exact, proved",
    "bodies": "as the rules in them",
    "made_once": "exact, by definition",
}


PREPARE = "prepare", "made_once"
"""What stands in the place of a pass and a rule where the target makes something of weights once."""

AT_SIZES = " at sizes"
"""What follows the name of a pass that ran once sizes were known."""


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
        flops: floating-point operations of one run; symbolic sizes count as the journal says, or as 1.
        weight_bytes: of variables and constants.
        peak_bytes: the planned memory peak, or None if no plan was given.
        inside: how many nodes there are in the bodies of loops and branches, at all depths.
        bytes: what all nodes read and write, if nothing is fused or shared.
    """

    nodes: int
    flops: int
    weight_bytes: int
    peak_bytes: int | None = None
    inside: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule did in one pass.

    Attributes:
        fired, declined: how often.
        nodes, flops, bytes: what its edits added, negative if they saved some; `flops` and `bytes` are
            None if the journal kept counts only. Over all lines they add up to what the totals differ by.
        inside: the nodes that its edits added in bodies; what these save in FLOP and bytes is told in the
            line of the pass `bodies`, which knows how often they run.
        peak_bytes, seconds: by how much its firings moved the planned peak, and how long it took; None
            where nothing was measured.
        evidence: its safety class, and what that rests on.
        algebra: the equation it states.
    """

    pass_name: str
    rule: str
    fired: int
    nodes: int
    flops: int | None
    bytes: int | None
    peak_bytes: int | None
    seconds: float | None
    declined: int
    evidence: str
    algebra: str
    inside: int = 0


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
        final: the nodes of the latter by name.
        lines_of: the user's line of each node that there ever was, by name.
        note: how the target is going to compile it, where there is something to say.
        fitted: what was done after that to stay within a memory budget, as a report of its own; None if
            there is no budget, or if sizes are unknown.
        kernel_of: says of a node what runs it, where that is no part of what the target compiles; or None.
        sized: what was done once the sizes were known, as a report of its own; None if none were given.
    """

    before: Totals
    after: Totals
    label: str
    seconds: float
    lines: tuple[Line, ...]
    journal: Journal
    original: Program
    optimized: Program
    final: dict[str, Node]
    lines_of: dict[str, str]
    note: str = ""
    fitted: Report | None = None
    kernel_of: Callable[[Node], str] | None = None
    sized: Report | None = None

    def __str__(self) -> str:
        return report_text(self)

    def _repr_html_(self) -> str:
        """Totals and rules in tables, where a notebook shows the report."""
        from graphflow.optimizer.report_html import to_html

        return to_html(self)

    @property
    def meter(self) -> Meter | None:
        """What was measured on the way, or None."""
        return self.journal.meter

    def measured(self, sizes: Mapping[str, int] | None = None) -> Report:
        """This report with each pass and rule measured; the optimizer runs again for that, on a copy.

        Arguments:
            sizes: what symbolic sizes count as; by default as they did, which is 1 unless told.

        Raises:
            GraphFlowError: if it is not known what ran.
        """
        from graphflow.optimizer.replay import measured_report

        if self.meter is not None and sizes is None:
            return self
        return measured_report(self, self.journal.sizes if sizes is None else sizes)

    def of(self, tensor: Tensor | Node | str) -> str:
        """The story of one tensor: its user line, the rules that replaced it, and what runs in the end.

        That is a node of the optimised program, with the region that runs as one loop, if it is in one.

        Arguments:
            tensor: of the graph that was optimised, or its name.

        Raises:
            GraphFlowError: if there is no such tensor, or the journal kept counts only.
        """
        return story(self, tensor)

    def missed(self, name: str = "") -> list[Remark]:
        """Where rules declined, with reasons: those of a pass, of a rule or of a tag, or all.

        Raises:
            GraphFlowError: for a name that none of them has.
        """
        return declines(self, name)

    @property
    def recomputed(self) -> list[Recomputed]:
        """The values that are computed twice to stay within a memory budget, the largest first."""
        from graphflow.optimizer.recomputed import recomputed

        return recomputed((self if self.fitted is None else self.fitted).optimized.order())

    @property
    def regions(self) -> tuple[Region, ...]:
        """The groups of nodes that can run as one loop; `missed("fuse")` says why others cannot."""
        return (self if self.sized is None else self.sized).optimized.regions

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
        """What a pass changed, or all passes together, node by node; `.save_html(path)` draws it.

        Raises:
            GraphFlowError: if no such pass ran, or the journal kept counts only.
        """
        from graphflow.optimizer.replay import pass_difference

        return pass_difference(self, pass_name)

    def to_dict(self) -> dict[str, Any]:
        """The whole report in types that JSON has; `report_json` has the schema."""
        return to_dict(self)

    def to_json(self) -> str:
        """The whole report as JSON text, which `report_json.read_report` reads."""
        return to_json(self)


def explain(
    original: Program,
    optimized: Program,
    journal: Journal,
    original_plan: Plan | None = None,
    optimized_plan: Plan | None = None,
    sized: tuple[Program, Program, Journal] | None = None,
    rest: Program | None = None,
) -> Report:
    """The report of an optimisation.

    Arguments:
        original: the program as it was; a second extraction of the same fetches will do.
        optimized: the program as it is.
        journal: what was written down on the way.
        original_plan, optimized_plan: memory plans of the two, for the line of peaks; if the journal has
            a meter, that has measured them.
        sized: that with sizes put in, what it became then, and what was written down on the way.
        rest: what the target runs every time, if that is a part; see `graphflow.optimizer.preparation`.
    """
    first, last = original.order(), optimized.order()
    if rest is not None and sized is None:
        _part(journal, len(last), rest)
    made, later = list(_lines(journal)), None
    if sized is not None:
        later = explain(*sized, rest=rest)
        made += [replace(line, pass_name=line.pass_name + AT_SIZES) for line in later.lines]
        _join(journal, sized[2])
    lines = {node.name: str(node.origin or "") for node in (*first, *last)}
    lines.update({name: gone.origin for name, gone in journal.gone.items()})
    peaks: list[int | None] = [
        None if plan is None else plan.arena_bytes for plan in (original_plan, optimized_plan)
    ]
    if journal.meter is not None and journal.meter.passes and original_plan is optimized_plan is None:
        peaks = [journal.meter.passes[0].before.peak_bytes, journal.meter.passes[-1].after.peak_bytes]
    running = rest if rest is not None else optimized if sized is None else sized[1]
    with counted_at(journal.sizes):
        before = _totals(first, peaks[0])
        after = _totals(running.order(), peaks[1], running.feeds[len(optimized.feeds) :])
    return Report(
        before=before,
        after=after,
        label=journal.label,
        seconds=sum(record.seconds for record in journal.passes),
        lines=tuple(made),
        journal=journal,
        original=original,
        optimized=optimized,
        final={node.name: node for node in last},
        lines_of=lines,
        sized=later,
    )


def _part(journal: Journal, count: int, rest: Program) -> None:
    """Enter what runs once as if a pass had taken it away."""
    left = len(rest.order())
    journal.passes.append(PassRecord(PREPARE[0], 0.0, count, left, True, ""))
    tally = journal.tallies.setdefault(PREPARE, Tally())
    tally.fired, tally.removed = 1, count - left
    if journal.meter is not None:
        journal.meter.passed(PREPARE[0], rest, 0.0)
        _, before, after, _ = journal.meter.passes[-1]
        tally.flops, tally.bytes = after.flops - before.flops, after.bytes - before.bytes
        if before.peak_bytes is not None and after.peak_bytes is not None:
            cost = journal.meter.rules[PREPARE] = RuleCost()
            cost.peak_bytes = after.peak_bytes - before.peak_bytes


def _join(journal: Journal, later: Journal) -> None:
    """Add the passes that ran once the sizes were known to those before."""
    journal.passes += [record._replace(name=record.name + AT_SIZES) for record in later.passes]
    if journal.meter is not None and later.meter is not None:
        costs = [cost._replace(name=cost.name + AT_SIZES) for cost in later.meter.passes]
        journal.meter.passes += costs


def _totals(nodes: list[Node], peak: int | None, prepared: Iterable[Tensor] = ()) -> Totals:
    kept = [node for node in nodes if node.op.name in ("variable", "constant")]
    weights = sum([type_bytes(node.output.type) for node in kept])
    weights += sum([type_bytes(tensor.type) for tensor in prepared])
    inside = sum(1 for _ in nested_nodes(nodes)) - len(nodes)
    return Totals(len(nodes), total_flops(nodes), weights, peak, inside, total_bytes(nodes))


def _lines(journal: Journal) -> Iterable[Line]:
    further = {rule.name: rule for rule in (journal.recipe.rules if journal.recipe else ())}
    costs: dict[tuple[str, str], RuleCost] = {} if journal.meter is None else journal.meter.rules
    for (pass_name, rule), tally in journal.tallies.items():
        known = _RULES_BY_NAME.get(rule) or further.get(rule)
        cost = costs.get((pass_name, rule))
        yield Line(
            pass_name,
            rule,
            tally.fired,
            tally.added - tally.removed - tally.inside,
            tally.flops if journal.detailed else None,
            tally.bytes if journal.detailed else None,
            None if cost is None else cost.peak_bytes,
            None if cost is None else cost.seconds,
            tally.declined,
            f"{known.safety}, {known.evidence}" if known else _OTHER_EVIDENCE.get(rule, "by definition"),
            known.algebra if known else "",
            tally.inside,
        )


__all__ = ["AT_SIZES", "Line", "Report", "Totals", "bytes_text", "count_text", "explain"]
