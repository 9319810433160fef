"""Why a rule did not fire at a node: it is not admitted, its pattern does not fit, or it declined."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graphflow.errors import GraphFlowError, RewriteError
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.declines import all_remarks
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.passes.canonicalize import Canonicalize
from graphflow.optimizer.pattern import LITERALS, Operation, Variable, _arrangements, plans
from graphflow.optimizer.pipelines import PASSES, PIPELINES, parse_pipeline
from graphflow.optimizer.program import Program
from graphflow.optimizer.replay import duplicate
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Decline, Rule
from graphflow.optimizer.rules import PASS_RULES, RULES
from graphflow.optimizer.selection import chosen_rules, split_names
from graphflow.optimizer.story import base_name, near

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report


def why_not(report: Report, rule: str | Rule, node: Tensor | Node | str) -> str:
    """The reason why a rule did not fire at a node; see `Report.why_not`."""
    recipe = report.journal.recipe
    further = recipe.rules if recipe is not None else ()
    name = base_name(node)
    before = {each.name: each for each in report.original.order()}
    after = {each.name: each for each in report.optimized.order()}
    if name not in after and name not in before and name not in report.journal.gone:
        raise GraphFlowError(f"the report knows no node {name!r}", hint=near(name, [*before, *after]))
    if isinstance(rule, str) and rule in _of_passes(report, further):
        return _said_by_pass(report, rule, name)
    chosen = _find_rule(rule, further)
    if name in after:
        return "\n".join(_reasons(report, chosen, further, report.optimized, after[name]))
    lines = [_departure(report, chosen, name)]
    if name in before and not lines[0].startswith("it did"):
        lines += ["before that:", *_reasons(report, chosen, further, report.original, before[name])]
    return "\n".join(lines)


def _of_passes(report: Report, further: tuple[Rule, ...]) -> set[str]:
    """Names that reports give to the work of passes: their rules, and what is none, as `fuse`."""
    patterned = {one.name for one in (*RULES, *further)}
    told = {rule for _, rule in report.journal.tallies} | {one.name for one in PASS_RULES}
    return {*told, *PASSES, "merge_twins", "unused", "fold"} - patterned


def _said_by_pass(report: Report, rule: str, name: str) -> str:
    """What a pass has said of a node, or did with it, or that it did not run."""
    said = [one for one in all_remarks(report) if one.node == name and rule in (one.rule, one.pass_name)]
    if said:
        return "\n".join(f"it declined: {one.reason}" for one in said)
    gone = report.journal.gone.get(name)
    if gone is not None:
        entry = report.journal.entries[gone.sequence]
        did = "it did" if rule in (entry.rule, entry.pass_name) else f"{name} is gone"
        return f"{did}: edit {entry.sequence + 1} removed it by [{entry.rule}] in {entry.pass_name}"
    region = next((one for one in report.regions if report.final.get(name) in one.nodes), None)
    if rule == "fuse" and region is not None:
        return f"it did: {name} is in {region.title}, one loop of {region.operators}"
    ran = {record.name for record in report.journal.passes}
    if rule in PASSES and rule not in ran:
        return f"the pass {rule} is not part of what ran: {report.label or ', '.join(sorted(ran))}"
    owners = sorted({owner for owner, one in report.journal.tallies if one == rule})
    where = f", though it did at others, in {', '.join(owners)}" if owners else ""
    return f"it found nothing to do at {name}{where}"


def _find_rule(rule: str | Rule, further: tuple[Rule, ...]) -> Rule:
    if isinstance(rule, Rule):
        return rule
    known = {one.name: one for one in (*RULES, *PASS_RULES, *further)}
    if rule not in known:
        close = difflib.get_close_matches(str(rule), known, 3)
        raise RewriteError(
            f"there is no rule {rule!r:.80}",
            hint=f"did you mean {' or '.join(map(repr, close))}?" if close else "docs/rules.md lists them",
        )
    return known[rule]


def _departure(report: Report, rule: Rule, name: str) -> str:
    """Which edit removed a node."""
    gone = report.journal.gone.get(name)
    if gone is None:
        return f"{name} is not needed by what was asked for"
    entry = report.journal.entries[gone.sequence]
    if entry.rule == rule.name:
        return f"it did: edit {entry.sequence + 1} of {len(report.journal.entries)}, in {entry.pass_name}"
    into = f", into {', '.join(entry.into)}" if entry.into else ""
    return f"{name} is gone: edit {entry.sequence + 1} removed it by [{entry.rule}]{into}"


def _reasons(
    report: Report, rule: Rule, further: tuple[Rule, ...], program: Program, node: Node
) -> Iterator[str]:
    barred = _not_admitted(report, rule, further)
    if barred:
        yield barred
    said = [one for one in all_remarks(report) if (one.rule, one.node) == (rule.name, node.name)]
    if said:
        yield f"it declined: {said[-1].reason}"
    else:
        yield _attempt(rule, program, node)


def _not_admitted(report: Report, rule: Rule, further: tuple[Rule, ...]) -> str:
    """Why the rule was not among those tried, with the first level that has it."""
    recipe = report.journal.recipe
    if recipe is None or rule in _admitted(recipe.pipeline, (*RULES, *further, rule), recipe.passes):
        return ""
    if rule in _admitted(recipe.pipeline, (*RULES, *further, rule), recipe.passes, excluded=True):
        return "it was excluded"
    levels = [
        level for level, passes in PIPELINES.items() if rule in _admitted(",".join(passes), (*RULES, rule))
    ]
    where = f"the first level with it is {levels[0]}" if levels else "no level admits it"
    return f"it is of class {rule.safety}, which {report.label} does not admit; {where}"


def _admitted(
    pipeline: str, rules: tuple[Rule, ...], passes: tuple[type[Pass], ...] = (), excluded: bool = False
) -> set[Rule]:
    """The rules that a pipeline admits; those it excludes by name as well, if `excluded`."""
    found: set[Rule] = set()
    for step in parse_pipeline(pipeline, passes):
        if isinstance(step, Canonicalize):
            out = set() if excluded else set(split_names(step.exclude))
            chosen = chosen_rules(rules, step.safety, step.tags, step.include)
            found.update(one for one in chosen if one.name not in out and one.tags.isdisjoint(out))
    return found


def _attempt(rule: Rule, program: Program, node: Node) -> str:
    """What happens if the rule is tried now, on a copy."""
    position = program.nodes.index(node)
    rewriter = Rewriter(copy := duplicate(program), merge_twins=False)
    met = copy.nodes[position]
    for pattern in rule.patterns:
        for plan in plans(pattern) if pattern.op_name == node.op.name else ():
            match = plan.match(met, rewriter)
            if match is None:
                continue
            answer = rule.function(match, rewriter.builder.standing_for(match.nodes, rule.name))
            if isinstance(answer, Decline):
                return f"it declined: {answer.reason}"
            if answer is None:
                return f"its pattern {pattern!r} fits, but it finds nothing to do there ({rule.algebra})"
            return f"its pattern {pattern!r} fits, and it would fire if it were tried"
    operators = sorted({pattern.op_name for pattern in rule.patterns})
    if len(operators) > 1 and node.op.name not in operators:
        return f"its patterns are for {', '.join(operators)}, but {node.name} is {node.op.name}"
    misses = [_miss(pattern, met, rewriter) for pattern in rule.patterns]
    return max(misses)[1]


def _miss(pattern: Operation, node: Node, rewriter: Rewriter) -> tuple[int, str]:
    """How many operators of a pattern fit, in the order of operands that fits best, and what does not."""
    if pattern.op_name != node.op.name:
        return 0, f"its pattern {pattern!r} is for {pattern.op_name}, but {node.name} is {node.op.name}"
    unknown = [one.op_name for one, _ in pattern.operations() if one.op_name not in registry]
    if unknown:
        return 0, f"its pattern {pattern!r} names the operator {unknown[0]}, which there is not"
    best = (-1, "")
    for arranged in _arrangements(pattern):
        met: dict[str, Any] = {}
        said = next(_faults(arranged, node, rewriter, met), "a condition of its pattern does not hold")
        fitted = met.get("", 0)
        if fitted > best[0]:
            best = (fitted, f"its pattern {pattern!r} does not fit: {said}")
    return best


def _faults(pattern: Operation, root: Node, rewriter: Rewriter, met: dict[str, Any]) -> Iterator[str]:
    """What keeps a pattern from fitting, outermost first; counts the fitting operators in `met[""]`."""
    pending = [(pattern, root)]
    while pending:
        part, node = pending.pop(0)
        met[""] = met.get("", 0) + 1
        yield from _attribute_faults(part, node, met)
        operands = [] if ... in part.operands else list(part.operands)
        if operands and len(operands) != len(node.inputs):
            yield f"{part!r} has {len(operands)} operands, but {node.name} has {len(node.inputs)}"
        for operand, tensor in zip(operands, node.inputs):
            if not isinstance(operand, Operation):
                yield from _leaf_faults(operand, tensor, rewriter, met)
            elif tensor.node.op.name != operand.op_name or tensor.index:
                yield f"{operand!r} should be {operand.op_name}, but {_said(tensor)}"
            else:
                pending.append((operand, tensor.node))


def _said(tensor: Tensor) -> str:
    return f"{tensor.node.name} is {tensor.node.op.name}"


def _attribute_faults(part: Operation, node: Node, met: dict[str, Any]) -> Iterator[str]:
    for name, wanted in part.attrs.items():
        value = node.attrs[name]
        if isinstance(wanted, Variable):
            if met.setdefault(wanted.name, value) != value:
                yield f"{wanted.name} is {met[wanted.name]} and, at {node.name}, {value}"
        elif value != wanted:
            yield f"{name} should be {wanted!r}, but that of {node.name} is {value!r}"


def _leaf_faults(operand: Any, tensor: Tensor, rewriter: Rewriter, met: dict[str, Any]) -> Iterator[str]:
    if isinstance(operand, Variable):
        if operand.constant and tensor.node.op.name != "constant":
            yield f"{operand.name} should be a constant, but {_said(tensor)}"
        if operand.kinds and tensor.dtype.kind not in operand.kinds:
            wanted = " or ".join(sorted(operand.kinds))
            yield f"{operand.name} should be {wanted}, but {tensor.node.name} is {tensor.dtype}"
        if met.setdefault(operand.name, tensor) is not tensor:
            yield f"{operand.name} stands for {met[operand.name].node.name} and for {tensor.node.name}"
    elif isinstance(operand, LITERALS):
        value = rewriter.splat(tensor)
        if value is None:
            yield f"{operand!r} should be a constant of that value, but {_said(tensor)}"
        elif value != operand or str(float(value)) != str(float(operand)):
            yield f"{operand!r} should be a constant of that value, but {tensor.node.name} is {value}"
