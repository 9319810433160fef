"""Replay: the program as it was after the first k edits of an optimisation.

The optimizer is deterministic, so running it again with a journal that is full after k edits stops it
there: no rule fires, no twins are merged and nothing is removed any more. What was edited inside of a
body is put in its place, so that edits in loops and branches can be looked at one by one as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphflow.errors import GraphFlowError
from graphflow.ir.collector import paused_collector
from graphflow.ir.copying import copy_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.journal import Entry, Journal
from graphflow.optimizer.metering import Meter
from graphflow.optimizer.pipelines import PIPELINES, level_pipeline, optimize
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule

if TYPE_CHECKING:
    from graphflow.optimizer.difference import Difference
    from graphflow.optimizer.explain import Report


@paused_collector()
def duplicate(program: Program) -> Program:
    """A program of its own with the same nodes, of the same names and in the same order."""
    made = Program(program.name)
    copies: dict[Tensor, Tensor] = {}
    copy_nodes(made, program.nodes, copies)
    made.feeds = [copies[tensor] for tensor in program.feeds]
    made.outputs = [copies[tensor] for tensor in program.outputs]
    made.fetch_count = program.fetch_count
    made.updated, made.steady = list(program.updated), program.steady
    made.constraints = [
        (left, right, copies[node.outputs[0]].node if node.outputs and node.outputs[0] in copies else node)
        for left, right, node in program.constraints
    ]
    return made


def replay(
    program: Program,
    pipeline: str = "",
    steps: int | None = None,
    *,
    refusal: Callable[[Node], str | None] | None = None,
    rules: Sequence[Rule] = (),
    journal: Journal | None = None,
) -> Program:
    """What the first `steps` edits of a pipeline make of a program, which itself stays as it is.

    Arguments:
        program: before any edit.
        pipeline: passes in string form, or a level; that of O2 by default.
        steps: how many edits; all of them if left out.
        refusal, rules: as the optimisation had them; see `pipelines.optimize`.
        journal: where they are written down; its limit then counts instead of `steps`.

    Raises:
        AttributeValueError: if `steps` is no count.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = gf.placeholder("x", (3,))
    >>> program = extract([gf.log(gf.nn.softmax(x * 1.0))], feeds=[x])
    >>> for steps in range(3):
    ...     print([node.op.name for node in replay(program, "O2", steps)])
    ['placeholder', 'constant', 'multiply', 'softmax', 'log']
    ['placeholder', 'softmax', 'log']
    ['placeholder', 'log_softmax']
    """
    text = level_pipeline(pipeline) if pipeline in PIPELINES else pipeline
    writing = journal if journal is not None else Journal("counts", steps)
    return optimize(duplicate(program), "O2", text, writing, refusal=refusal, rules=rules)


def replay_report(report: Report, steps: int | None) -> Program:
    """The program of a report after its first edits; see `Report.replay`."""
    journal = Journal("counts", steps)
    journal.expected = frozenset(report.journal.failures)
    journal.expected_stops = dict(report.journal.stops)
    return _again(report, journal)


def measured_report(report: Report, sizes: Mapping[str, int]) -> Report:
    """The report of the same optimisation with a meter; see `Report.measured`."""
    from graphflow.optimizer.explain import explain

    journal = Journal("remarks", report.journal.limit, Meter(sizes=sizes), sizes)
    journal.expected = frozenset(report.journal.failures)
    journal.expected_stops = dict(report.journal.stops)
    program = _again(report, journal)
    journal.label = report.label
    return explain(report.original, program, journal)


def _again(report: Report, journal: Journal) -> Program:
    """Run what the report tells of once more, on a copy."""
    recipe = report.journal.recipe
    if recipe is None:
        raise GraphFlowError(
            "the report does not know what was run", hint="make its journal by pipelines.optimize"
        )
    return optimize(
        duplicate(report.original),
        "O2",
        recipe.pipeline,
        journal,
        refusal=recipe.refusal,
        rules=recipe.rules,
        passes=recipe.passes,
    )


def pass_difference(report: Report, pass_name: str) -> Difference:
    """The program before a pass beside that after it; see `Report.diff`."""
    from graphflow.optimizer.difference import diff

    if not pass_name:
        label = report.label or "the passes"
        return diff(report.original, report.optimized, ("as built", f"after {label}"))
    _, before, after = pass_programs(report, pass_name)
    return diff(before, after, (f"before {pass_name}", f"after {pass_name}"))


def pass_programs(report: Report, pass_name: str) -> tuple[list[Entry], Program, Program]:
    """The edits of a pass ("" for all), and the program before the first and after the last of them.

    Raises:
        GraphFlowError: if no such pass ran, or the journal kept counts only.
    """
    if not report.journal.detailed:
        raise GraphFlowError(
            f"the journal was kept at level {report.journal.level!r}, which has no entries",
            hint="optimise with Journal('entries')",
        )
    from graphflow.optimizer.explain import AT_SIZES, PREPARE

    if report.sized is not None and pass_name.endswith(AT_SIZES):
        return pass_programs(report.sized, pass_name.removesuffix(AT_SIZES))
    entries = report.journal.entries
    if not pass_name:
        return entries, report.original, report.optimized
    names = dict.fromkeys([record.name for record in report.journal.passes])
    ran = [name for name in names if name not in (PREPARE[0], PREPARE[0] + AT_SIZES)]  # which edits nothing
    if pass_name not in ran:
        raise GraphFlowError(f"no pass {pass_name!r:.80} ran", hint="these did: " + ", ".join(ran))
    # What a pass does inside of bodies belongs to the pass `bodies`, which puts it in place.
    mine = [
        entry
        for entry in entries
        if (pass_name == "bodies" if ":" in "".join(entry.removed[:1]) else entry.pass_name == pass_name)
    ]
    first, last = (mine[0].sequence, mine[-1].sequence + 1) if mine else (0, 0)
    return mine, replay_report(report, first), replay_report(report, last)
