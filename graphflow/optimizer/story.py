"""The story of a tensor: from the line that made it, by the rules that replaced it, to what runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from graphflow.errors import GraphFlowError
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.rules import RULES

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report


def story(report: Report, tensor: Tensor | Node | str) -> str:
    """What became of a tensor; see `Report.of`."""
    name = base_name(tensor)
    if not report.journal.detailed:
        raise GraphFlowError(
            f"the journal was kept at level {report.journal.level!r}, which has no entries",
            hint="optimise with Journal('entries') to be told the story of a tensor",
        )
    if name not in report.lines_of:
        raise GraphFlowError(f"the report knows no tensor {name!r}", hint=_near(name, report.lines_of))
    return "\n".join(_told(report, name))


def base_name(tensor: Tensor | Node | str) -> str:
    """The name of the node that is meant."""
    name = tensor if isinstance(tensor, str) else tensor.name
    return name.partition(":")[0]


def algebra_of(report: Report, rule: str) -> str:
    """What a rule states of itself, "" if it is none of ours and none the user gave."""
    recipe = report.journal.recipe
    known = (*RULES, *(recipe.rules if recipe is not None else ()))
    return next((one.algebra for one in known if one.name == rule), "")


def _told(report: Report, name: str) -> Iterable[str]:
    yield f"{name}   {report.lines_of[name]}".rstrip()
    entries, gone = report.journal.entries, report.journal.gone
    while name in gone and name not in report.final:
        entry = entries[gone[name].sequence]
        if name != entry.removed[0] or not entry.into:
            yield f"  is no longer needed: removed by [{entry.rule}] in {entry.pass_name}"
            return
        name = entry.into[0]
        algebra = algebra_of(report, entry.rule) or entry.reason
        yield f"  -> {name}   by [{entry.rule}]" + (f"   {algebra}" if algebra else "")
    node = report.final.get(name)
    if node is None:
        yield "  is not part of the program"
        return
    yield f"  runs as {node.name} = {node.op.name}"
    yield from _ancestry(report, node)


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


def _near(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "name a node of the optimised graph"
