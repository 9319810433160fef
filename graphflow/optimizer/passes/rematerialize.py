"""Compute values again instead of keeping them, as far as a budget of bytes asks for it.

What to compute again is chosen by `memory.recompute_search`. A second run of a node reads one of its inputs
through `after`, which waits for what the backward computation has just made. So it is another value than
the first run, which nothing merges it with, it runs late in whatever order the target chooses, and XLA,
which removes plain duplicates and optimization barriers, keeps it.

Random operators draw from keys, which are data, so a second run draws the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from graphflow.errors import MemoryPlanError
from graphflow.ir.attrs import EMPTY
from graphflow.ir.node import Node, Tensor
from graphflow.ops.ordering import after
from graphflow.optimizer.analysis.cost import total_flops, type_bytes
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.recompute import RecomputeProblem
from graphflow.optimizer.memory.recompute_search import fit
from graphflow.optimizer.memory.recompute_trial import Trial
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter

RULE = "rematerialize"
_ROUNDS = 4
_SHOWN = 4
_WORTH = 0.99  # of the peak; a round that leaves more of it is the last


def fitting_pipeline(program: Program, budget: int) -> str:
    """The passes that bring a program of known sizes below a budget: order, second runs, regions anew.

    >>> fitting_pipeline(Program(), 1000)
    'schedule{regions=false},rematerialize{budget=1000}'
    """
    return f"schedule{{regions=false}},rematerialize{{budget={budget}}}" + ",fuse" * bool(program.regions)


@dataclass(frozen=True)
class Rematerialize(Pass):
    """Bring the arena of the memory plan below a budget by computing values again.

    It sets `Program.schedule`, in which second runs come right before their first readers. Of values that
    are computed again and are still too many, or lie idle elsewhere, a further round takes care.

    Attributes:
        budget: the most bytes of the arena, which holds what is neither passed in nor returned; 0 for any
            number, which changes nothing.
    """

    name: ClassVar[str] = "rematerialize"
    budgeted: ClassVar[bool] = False
    requires: ClassVar[frozenset[str]] = frozenset({"static-shapes"})
    budget: int = 0

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Edit until the plan fits.

        Raises:
            MemoryPlanError: if no way is found; it names the least that was, and what needs it.
        """
        if context.journal.path or not self.budget:
            return PassResult(changed=False)
        rewriter = context.rewriter  # before the plan, as it merges equal nodes once it is made
        plan = first = plan_program(program, program.order())
        before, target, rounds = total_flops(first.order), self.budget, 0
        while plan.arena_bytes > self.budget:
            problem = RecomputeProblem(plan.order, program.outputs)
            best = fit(problem, target).best
            # The least that can be reached does not depend on the budget, so that it can be named.
            chosen = fit(problem, 0).lowest if best is None else best
            if rounds == _ROUNDS or chosen.highest >= _WORTH * plan.lower_bound_bytes:
                raise _too_small(self.budget, plan)
            Writer(rewriter, chosen).write()
            rounds += 1
            plan = plan_program(program, program.order())
            if best is not None:
                target -= max(0, plan.arena_bytes - self.budget)
        return PassResult(rounds > 0, _note(first, plan, total_flops(plan.order) / max(1, before) - 1))


def _note(first: MemoryPlan, plan: MemoryPlan, more: float) -> str:
    if plan is first:
        return f"the arena of {show_bytes(plan.arena_bytes)} is within the budget as it is"
    peaks = f"{show_bytes(first.arena_bytes)} -> {show_bytes(plan.arena_bytes)}"
    return f"arena {peaks} for {100 * more:.1f} % more operations"


def _too_small(budget: int, plan: MemoryPlan) -> MemoryPlanError:
    live = plan.live_at_peak()
    named = [
        f"{storage.tensors[0].node.name if storage.tensors else f'inside {storage.maker.name}'} "
        f"{show_bytes(storage.size)}"
        for storage in live[:_SHOWN]
    ]
    more = f" and {len(live) - _SHOWN} more" if len(live) > _SHOWN else ""
    node = plan.order[plan.peak]
    return MemoryPlanError(
        f"the memory budget of {show_bytes(budget)} is below the least that was found, "
        f"{plan.arena_bytes} bytes ({show_bytes(plan.arena_bytes)}): at {node.name} there have to be "
        f"{', '.join(named)}{more}",
        hint="raise the budget to that, or make the batch smaller",
        origin=node.origin,
    )


class Writer:
    """Writes a trial into a program.

    Arguments:
        rewriter: of the program for which the trial's problem was made.
        trial: what runs again, and in which order.
    """

    def __init__(self, rewriter: Rewriter, trial: Trial) -> None:
        self.rewriter, self.trial, self.problem = rewriter, trial, trial.problem
        self.number = {node: place for place, node in enumerate(trial.problem.nodes)}
        self.copies: dict[Tensor, Tensor] = {}
        # A dict, as the builder may find an equal node that a round before has made.
        self._order: dict[Node, None] = dict.fromkeys(trial.problem.base.sources)
        self._delayed: dict[Tensor, Tensor] = {}

    def write(self) -> None:
        """Make the second runs, let their readers read them, and set the schedule."""
        group: list[int] = []
        for run in self.trial.runs:
            if run < 0:
                group.append(~run)
                continue
            node = self.problem.nodes[run]
            if group:
                self._write_group(group, self._moment(node))
                group = []
            self._order[node] = None
        rewriter = self.rewriter
        rewriter.program.schedule = [node for node in self._order if rewriter.is_alive(node)]

    def _moment(self, reader: Node) -> Tensor:
        """What a group waits for: the newest operand of its reader, or else what ran right before."""
        late = [
            (self.number[tensor.node], place, tensor)
            for place, tensor in enumerate(reader.inputs)
            if self.number.get(tensor.node, -1) > self.problem.split and type_bytes(tensor.type)
        ]
        if late:
            return max(late, key=lambda item: item[:2])[2]
        for node in reversed(self._order):
            for tensor in node.outputs:
                if self.rewriter.is_alive(node) and type_bytes(tensor.type):
                    return tensor
        raise MemoryPlanError("nothing runs before what is to be computed again")

    def _write_group(self, group: Sequence[int], moment: Tensor) -> None:
        """The second runs in front of one reader, each handed over as soon as it is made."""
        self._delayed = {}
        waiting: list[int] = []
        for number in group:
            waiting.append(number)
            node = self.problem.nodes[number]
            if not any([self._late_readers(tensor) for tensor in node.outputs]):
                continue
            # Only what it reads is made before: the builder drops what an edit leaves without a reader.
            needed = self._above(number, waiting)
            for place in needed:
                self._copy(self.problem.nodes[place], moment)
            waiting = [place for place in waiting if place not in needed]
            self._hand_over(node)

    def _late_readers(self, tensor: Tensor) -> bool:
        split = self.problem.split
        return any([self.number.get(user, -1) > split for user in self.rewriter.users[tensor]])

    def _above(self, number: int, waiting: Sequence[int]) -> list[int]:
        """A node and those of the waiting ones that it needs, in order."""
        allowed, found, pending = set(waiting), set(), [number]
        while pending:
            place = pending.pop()
            if place in allowed and place not in found:
                found.add(place)
                pending += self.problem.sources[place]
        return sorted(found)

    def _copy(self, node: Node, moment: Tensor) -> None:
        builder = self.rewriter.builder.standing_for([node], RULE)
        inputs = [self.copies.get(tensor, tensor) for tensor in node.inputs]
        if not any([tensor in self.copies for tensor in node.inputs]):
            place = _lightest(node)
            inputs[place] = self._after(inputs[place], moment)
        kinds = [tensor.type for tensor in node.outputs]
        made = builder.make(node.op, tuple(inputs), node.attrs, kinds, f"{node.name}.again")
        self._order[made] = None
        self.copies.update(zip(node.outputs, made.outputs))

    def _after(self, tensor: Tensor, moment: Tensor) -> Tensor:
        found = self._delayed.get(tensor)
        if found is None:
            builder = self.rewriter.builder
            name = f"{tensor.node.name}.after"
            made = builder.make(after, (tensor, moment), EMPTY, [tensor.type], name)
            self._order[made] = None
            found = self._delayed[tensor] = made.output
        return found

    def _hand_over(self, node: Node) -> None:
        """Let what runs in the second half read the second run."""
        rewriter, split = self.rewriter, self.problem.split
        for tensor in node.outputs:
            if self._late_readers(tensor):
                early = [user for user in rewriter.users[tensor] if self.number.get(user, -1) <= split]
                reason = f"{show_bytes(type_bytes(tensor.type))} that are computed again instead of kept"
                rewriter.replace(tensor, self.copies[tensor], RULE, reason, kind="insert", reading=early)


def _lightest(node: Node) -> int:
    """The input to delay: the smallest, as XLA may copy it; constants last, which XLA may compute with."""
    ranked = [
        (tensor.node.op.name == "constant", type_bytes(tensor.type), place)
        for place, tensor in enumerate(node.inputs)
    ]
    return min(ranked)[2]
