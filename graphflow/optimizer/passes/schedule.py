"""Choose the order in which nodes run, so that little is live at once; it changes no node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphflow.optimizer.memory.order import STATES, Ordering, choose_order
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program


@dataclass(frozen=True)
class Schedule(Pass):
    """Choose an order with a lower peak than the one the program has, if one is found.

    It is kept in `Program.schedule` until the next edit, and whatever runs or plans the program follows it.
    Where feeds have unknown sizes, the order stays until these are known, and is chosen then; sizes that only
    a run finds count as 1. Bodies of control flow keep their order.

    Attributes:
        states: how many downsets the search for the best order may look at; 0 for no search.
        regions: whether the nodes of a region stay together, for targets that run them as one.
    """

    name: ClassVar[str] = "schedule"
    ensures: ClassVar[frozenset[str]] = frozenset({"schedule"})
    states: int = STATES
    regions: bool = True

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Set `program.schedule`."""
        if context.journal.path:
            return PassResult(changed=False)
        program.schedule = ()
        if not all(feed.type.is_static for feed in program.feeds):
            program.schedule = program.order()
            return PassResult(changed=False, note="it is chosen once the sizes of the feeds are known")
        regions = program.regions if self.regions else ()
        found = choose_order(program.order(), program.outputs, regions, self.states)
        program.schedule = found.nodes
        return PassResult(changed=False, note=_note(found))


def _note(found: Ordering) -> str:
    """What was chosen, and what it was chosen from, in words."""
    if found.given_peak == 0:
        return ""
    least = ", and no order has less" if found.is_best else ""
    if found.method == "given":
        tried = f" after {len(found.peaks) - 1} others" if len(found.peaks) > 1 else ""
        return f"the given order stays{tried}: peak {show_bytes(found.peak)}{least}"
    peaks = f"{show_bytes(found.given_peak)} -> {show_bytes(found.peak)}"
    return f"peak {peaks} (-{100 * found.saved:.1f} %) by {found.method}{least}"
