"""The story of a tensor: from the line that made it, by the rules that replaced it, to what runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from graphflow.errors import GraphFlowError
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.analysis.cost import FREE_FAMILIES
from graphflow.optimizer.journal import Entry, Gone
from graphflow.optimizer.rules import PASS_RULES, RULES

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report


_SHOWN = 3


def story(report: Report, tensor: Tensor | Node | str) -> str:
    """What became of a tensor; see `Report.of`."""
    name = base_name(tensor)
    if not report.journal.detailed:
        raise GraphFlowError(
            f"the journal was kept at level {report.journal.level!r}, which has no entries",
            hint="optimise with Journal('entries') to be told the story of a tensor",
        )
    if name not in report.lines_of:
        raise GraphFlowError(f"the report knows no tensor {name!r}", hint=near(name, report.lines_of))
    return "\n".join(_told(report, name))


def base_name(tensor: Tensor | Node | str) -> str:
    """The name of the node that is meant.

    Raises:
        GraphFlowError: for what is neither a tensor, nor a node, nor a name.
    """
    if not isinstance(tensor, (str, Tensor, Node)):
        raise GraphFlowError(f"{tensor!r:.80} is no tensor", hint="pass a tensor, a node, or the name of one")
    name = tensor if isinstance(tensor, str) else tensor.name
    head, _, index = name.rpartition(":")
    return head if head and index.isdecimal() else name


def algebra_of(report: Report, rule: str) -> str:
    """What a rule states of itself, "" if it is none of ours and none the user gave."""
    recipe = report.journal.recipe
    known = (*RULES, *PASS_RULES, *(recipe.rules if recipe is not None else ()))
    return next((one.algebra for one in known if one.name == rule), "")


def _told(report: Report, name: str) -> Iterable[str]:
    yield f"{name}   {report.lines_of[name]}".rstrip()
    yield from _fate(report, name)


def _fate(report: Report, name: str) -> Iterable[str]:
    """The rules that replaced a node, and what runs in the end."""
    entries, gone, first = report.journal.entries, report.journal.gone, name
    while name in gone and name not in report.final:
        entry = entries[gone[name].sequence]
        along = name != entry.removed[0]
        if not entry.into or (along and not _goes_on(entry, gone[name])):
            yield f"  is no longer needed: removed by [{entry.rule}] in {entry.pass_name}"
            yield from _successors(report, first)
            return
        name = entry.into[0]
        algebra = algebra_of(report, entry.rule) or entry.reason
        beside = f" with {entry.removed[0]}" if along else ""
        yield f"  -> {name}   by [{entry.rule}]{beside}" + (f"   {algebra}" if algebra else "")
    node = report.final.get(name)
    if node is None:
        yield "  is not part of the program"
        return
    if report.sized is not None:
        known = ", ".join(f"{size} = {value}" for size, value in report.journal.sizes.items())
        if name in report.sized.journal.gone:
            yield f"  and once it is known that {known}:"
        yield from _fate(replace(report.sized, kernel_of=report.kernel_of), name)
        return
    yield f"  runs as {_run(report, node)}"
    yield from _ancestry(report, node)


def _goes_on(entry: Entry, gone: Gone) -> bool:
    """Whether a node that was removed beside another has its part in what stands for that from now on.

    Not if that was there before; nor if it only moved data, as a permutation that is pushed further.
    """
    op = gone.text.partition(" = ")[2].partition("(")[0]
    moves = op in registry and registry[op].family in FREE_FAMILIES and entry.kind != "fold"
    return entry.into[0] in entry.added and not moves


def _successors(report: Report, name: str) -> Iterable[str]:
    """The nodes that run and stand for one that is gone, among others; the last ones first."""
    children: dict[str, list[str]] = {}
    last = report if report.sized is None else replace(report.sized, kernel_of=report.kernel_of)
    known = [(each, gone.lineage) for one in (report, last) for each, gone in one.journal.gone.items()]
    known += [(each, node.lineage) for each, node in last.final.items()]
    for each, lineage in known:
        for parent in lineage[1] if lineage is not None else ():
            children.setdefault(parent, []).append(each)
    pending, seen = [name], {name}
    while pending:
        for each in children.get(pending.pop(), ()):
            if each not in seen:
                seen.add(each)
                pending.append(each)
    running = [node for each, node in last.final.items() if each in seen and node.inputs]
    running = [node for node in running if node.op.family not in FREE_FAMILIES] or running
    for node in running[: -_SHOWN - 1 : -1]:
        yield f"  what it computed is part of {_run(last, node)}"
    if len(running) > _SHOWN:
        yield f"  and of {len(running) - _SHOWN} nodes before that"


def _run(report: Report, node: Node) -> str:
    """How a node runs: its operator, the region that it is in, and what is no part of the target's own."""
    region = next((one for one in report.regions if node in one.nodes), None)
    told = f"{node.name} = {node.op.name}"
    if region is not None:
        told += f", in {region.title}, one loop of {region.operators}"
    kernel = report.kernel_of(node) if report.kernel_of is not None else ""
    return f"{told}, {kernel}" if kernel else told


def _ancestry(report: Report, node: Node) -> Iterable[str]:
    """What a node stands for, back to the nodes that a user made, with their lines."""
    pending, seen = [(node.name, node.lineage)], {node.name}
    while pending:
        name, lineage = pending.pop()
        if lineage is None:
            continue
        rule, names = lineage
        made = [f"{each} ({report.lines_of[each]})" if report.lines_of.get(each) else each for each in names]
        yield f"  {name} <- [{rule}] <- {', '.join(made)}"
        for each in names:
            if each not in seen:
                seen.add(each)
                gone = report.journal.gone.get(each)
                pending.append((each, gone.lineage if gone else None))


def near(name: str, names: Iterable[str]) -> str:
    """A hint for who gave a name that no node has."""
    known = dict.fromkeys(names)
    inside = [each for each in known if each.rpartition("/")[2] == name or each.startswith(f"{name}/")]
    close = difflib.get_close_matches(name, known, 3) or inside[:3]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return "give a name from your graph: print(graph), or `graphflow show MODEL --text`, lists them"
