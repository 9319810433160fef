"""What the optimizer left alone, and why: the declines of a journal by pass, rule or family of rules."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from graphflow.errors import GraphFlowError
from graphflow.optimizer.journal import Remark
from graphflow.optimizer.pipelines import PASSES
from graphflow.optimizer.rules import PASS_RULES, RULES

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report


def declines(report: Report, name: str = "") -> list[Remark]:
    """The remarks of a pass, a rule, or the rules with a tag; of all rules if `name` is empty.

    Raises:
        GraphFlowError: for a name that no pass, rule or tag has, with the nearest one.
    """
    if not name:
        return of_rules(report)
    remarks = all_remarks(report)
    recipe = report.journal.recipe
    rules = (*RULES, *PASS_RULES, *(recipe.rules if recipe is not None else ()))
    tagged = {rule.name for rule in rules if name in rule.tags}
    found = [remark for remark in remarks if name in (remark.pass_name, remark.rule) or remark.rule in tagged]
    if not found:
        known = {*PASSES, *[rule.name for rule in rules], *[tag for rule in rules for tag in rule.tags]}
        known.update(one for key in report.journal.tallies for one in key)
        known.update(record.name for record in report.journal.passes)
        if name not in known:
            close = difflib.get_close_matches(str(name), sorted(known), 3)
            raise GraphFlowError(
                f"there is no pass, rule or tag {name!r:.80}",
                hint=f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else "docs/rules.md lists them",
            )
    return found


def of_rules(report: Report) -> list[Remark]:
    """The remarks of rules: all but those of `fuse` and `in-place`, which have one for very many nodes."""
    return [remark for remark in all_remarks(report) if remark.pass_name not in ("fuse", "in-place")]


def all_remarks(report: Report) -> list[Remark]:
    """All remarks; what a pass said before the sizes were known does not count if it ran again after that."""
    if report.sized is None:
        return report.journal.remarks
    again = {record.name for record in report.sized.journal.passes}
    before = [remark for remark in report.journal.remarks if remark.pass_name not in again]
    return before + report.sized.journal.remarks
