"""The meter: what each pass and rule costs and saves, measured while the optimizer runs for a report.

A journal with a meter is told of every pass, and the driver lets it hold a clock to each rule. A session
runs without one, and pays nothing; a report runs the optimizer, which is deterministic, again with one.

    nodes, FLOP, bytes   of the program between passes, from types; of a rule, by its journal entries
    planned peak         the arena that a quick memory plan needs; after each firing of a rule as well, until
                         `PLANNED` nodes have been planned for that
    seconds              of a pass; of a rule, in matching, building and replacing

A plan needs sizes; those that are symbolic count as 1, or as the meter is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.errors import GraphFlowError
from graphflow.ir.dims import symbols_of
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import counted_at, total_bytes, total_flops
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.program import Program, specialize

if TYPE_CHECKING:
    from graphflow.optimizer.pattern import Match
    from graphflow.optimizer.rewriter import Rewriter
    from graphflow.optimizer.rule import Applicable, Rule

PLANNED = 50_000
"""How many nodes are planned for the peaks of rules, at most, in all firings together."""


class Measure(NamedTuple):
    """A program in numbers; the peak is None where it cannot be planned."""

    nodes: int
    flops: int
    bytes: int
    peak_bytes: int | None


class PassCost(NamedTuple):
    """One pass: the program before and after it, and how long it took."""

    name: str
    before: Measure
    after: Measure
    seconds: float


class RuleCost:
    """What a rule took in one pass, and by how much its firings moved the peak; None if that is unknown."""

    __slots__ = ("peak_bytes", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak_bytes: int | None = None


def planned_peak(program: Program, sizes: Mapping[str, int] | None = None) -> int | None:
    """The arena of a memory plan for some sizes, others taken as 1; None if it cannot be planned."""
    try:
        return plan_program(at_sizes(program, sizes or {}), seconds=0.0).arena_bytes
    except GraphFlowError:
        return None


def at_sizes(program: Program, sizes: Mapping[str, int]) -> Program:
    """The program itself if all its sizes are known, else a copy with these, and 1 for others.

    Raises:
        GraphFlowError: if there are sizes that only a run can tell, or that cannot be 1.
    """
    nodes = program.order()
    names: dict[str, int] = {}
    for tensor in _tensors(program, nodes):
        if not tensor.type.is_static:
            names.update({name: sizes.get(name, 1) for name in symbols_of(tensor.shape)})
    return specialize(program, names) if names else program


def _tensors(program: Program, nodes: Sequence[Node]) -> Iterator[Tensor]:
    yield from program.feeds
    for node in nodes:
        yield from node.outputs


class Meter:
    """Measures one optimisation.

    Arguments:
        planned: how many nodes are planned for the peaks of rules, at most.
        sizes: what symbolic sizes count as; 1 by default.

    Attributes:
        passes: a PassCost for each pass that ran.
        rules: a RuleCost for each (pass, rule) that the driver tried, in the order of first use.
        overhead: the seconds that measuring itself took, which count for no pass and no rule.
    """

    def __init__(self, planned: int = PLANNED, sizes: Mapping[str, int] | None = None) -> None:
        self.sizes = dict(sizes or {})
        self.passes: list[PassCost] = []
        self.rules: dict[tuple[str, str], RuleCost] = {}
        self.overhead = 0.0
        self._planned = planned
        self._last: Measure | None = None
        self._peak: int | None = None

    # Passes: the manager calls these

    def start(self, program: Program) -> None:
        """The passes are about to begin."""
        self._last = self._measured(program)
        self._peak = self._last.peak_bytes

    def passed(self, name: str, program: Program, seconds: float) -> None:
        """A pass has run; where nothing has changed the last measure still holds."""
        before = self._last if self._last is not None else self._measured(program)
        after = self._measured(program)
        self.passes.append(PassCost(name, before, after, seconds))
        self._last, self._peak = after, after.peak_bytes

    def _measured(self, program: Program) -> Measure:
        with self._unseen(), counted_at(self.sizes):
            nodes = program.order()
            peak = planned_peak(program, self.sizes)
            return Measure(len(nodes), total_flops(nodes), total_bytes(nodes), peak)

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """Time spent in here is the meter's own."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.overhead += time.perf_counter() - start

    # Rules: the driver calls these

    def timed(self, candidates: Callable[[Node], Sequence[Any]], pass_name: str) -> Callable[[Node], Any]:
        """What gives the rules worth trying at a node, with a clock held to each."""
        wrapped: dict[int, tuple[Sequence[Any], tuple[Any, ...]]] = {}

        def timed(node: Node) -> tuple[Any, ...]:
            options = candidates(node)
            known = wrapped.get(id(options))
            if known is None:
                made = tuple([(rule, _Timed(plan, self._cost(pass_name, rule))) for rule, plan in options])
                known = wrapped[id(options)] = options, made
            return known[1]

        return timed

    def fire(self, fire: Callable[..., Any], rule: Rule, match: Match, rewriter: Rewriter) -> Any:
        """Let a rule that has matched do its work, and see how long that takes and what the peak is then."""
        cost = self._cost(rewriter.journal.pass_name, rule)
        start = time.perf_counter()
        try:
            answer = fire(rule, match)
        finally:
            cost.seconds += time.perf_counter() - start
        if answer is True and not rewriter.journal.path:
            self._fired(cost, rewriter)
        return answer

    def _fired(self, cost: RuleCost, rewriter: Rewriter) -> None:
        self._planned -= rewriter.size
        if self._planned < 0 or self._peak is None:
            self._peak = cost.peak_bytes = None
            return
        with self._unseen():
            peak = planned_peak(rewriter.program, self.sizes)
        if peak is not None:
            cost.peak_bytes = (cost.peak_bytes or 0) + peak - self._peak
        self._peak = peak

    def _cost(self, pass_name: str, rule: Rule) -> RuleCost:
        return self.rules.setdefault((pass_name, rule.name), RuleCost())


class _Timed:
    """A compiled pattern with a clock."""

    __slots__ = ("_cost", "_plan")

    def __init__(self, plan: Applicable, cost: RuleCost) -> None:
        self._plan, self._cost = plan, cost

    def match(self, node: Node, rewriter: Rewriter) -> Match | None:
        """The match of a node, or None."""
        start = time.perf_counter()
        found = self._plan.match(node, rewriter)
        self._cost.seconds += time.perf_counter() - start
        return found
