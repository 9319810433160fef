"""`fit_report`: which changes would bring a program within a budget of bytes, each carried out and planned.

Each *way* is tried on a copy of the program, so that its peak is that of a plan and no guess:

    reorder          the order that the pass `schedule` chooses, where none was chosen
    recompute        what the pass `rematerialize` computes again instead of keeping it
    16 bits          the program with mixed precision
    smaller batch    for each symbolic size, the largest value that fits, found by planning at several

Where none of them is enough, recomputing is tried together with 16 bits and with a smaller batch. The least
of all plans is what is possible, as far as is known, and what is live at its peak forces it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from graphflow.errors import GraphFlowError, MemoryPlanError
from graphflow.optimizer.analysis.cost import total_flops
from graphflow.optimizer.fit import Fit, Way
from graphflow.optimizer.memory.order_problem import OrderProblem
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.report import MemoryReport, Source, memory_report
from graphflow.optimizer.memory.units import checked_bytes
from graphflow.optimizer.passes.rematerialize import fitting_pipeline
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import specialize
from graphflow.optimizer.recomputed import recomputed

NARROW = "bfloat16"
_PROBES = 24  # plans that are made for one symbolic size
_GOALS = 3  # budgets that are tried for recomputing, where the target's plan is above the general one
_SHOWN = 3


def fit_report(report: MemoryReport, budget: int | str) -> Fit:
    """The ways of a report's program to a budget; see `MemoryReport.fit`.

    Raises:
        MemoryPlanError: for a report of a plan whose program is not known.
        AttributeValueError: for what is no number of bytes.
    """
    limit = checked_bytes(budget)
    if report.source is None:
        raise MemoryPlanError(
            "the report was made from a plan alone, so that nothing else can be tried",
            hint="make it by sess.memory(...) or gf.plan_memory(model)",
        )
    return _Search(report.source, report.plan, limit).fit()


class _Search:
    """The ways of one program to one budget, and the least of all plans that were made."""

    def __init__(self, source: Source, plan: MemoryPlan, budget: int) -> None:
        self.source, self.first, self.budget = source, plan, budget
        self.least, self.least_by = plan, "as it is"
        self.notes: list[str] = []

    def fit(self) -> Fit:
        """Try the ways, and rank them."""
        ways: list[Way] = []
        if self.first.arena_bytes > self.budget:
            ways = [*self._reordered(), self._recomputed(self.source, "recompute"), *self._narrow()]
            ways += self._smaller()
            if not any(way.fits for way in ways):
                ways += self._together()
        ranked = sorted(ways, key=lambda way: (not way.fits, 0 if way.fits else way.arena_bytes))
        order = OrderProblem(self.first.order, self.source.program.outputs)
        least = memory_report(self.least)
        return Fit(
            self.budget,
            self.first.arena_bytes,
            tuple(ranked),
            self._in_use(),
            tuple(self.notes),
            min(self.least.arena_bytes, self.first.arena_bytes),
            self.least_by,
            least.peak_node,
            least.peak_at,
            least.live,
            order.lower_bound,
        )

    def _way(self, name: str, plan: MemoryPlan, cost: str, code: str, **more: Any) -> Way:
        if plan.arena_bytes < self.least.arena_bytes:
            self.least, self.least_by = plan, name
        fits = plan.arena_bytes <= self.budget
        return Way(name, plan.arena_bytes, plan.total_bytes, fits, cost, code, **more)

    # What is in use already

    def _in_use(self) -> tuple[tuple[str, int], ...]:
        """What keeps the plan low as it is, and how many bytes each saves."""
        program, found = self.source.program, []
        if program.schedule:
            given = specialize(program, {})
            given.schedule = ()
            without = self.source.plan(given).arena_bytes
            found.append(("the chosen order", max(0, without - self.first.arena_bytes)))
        apart = plan_program(program, in_place=False).arena_bytes
        found.append(("results in place", max(0, apart - plan_program(program).arena_bytes)))
        if self.source.precision:
            found.append((f"{self.source.precision} where it will do", 0))
        return tuple(found)

    # Single ways

    def _reordered(self) -> Iterator[Way]:
        if self.source.program.schedule:
            return
        program = optimize(specialize(self.source.program, {}), "O0", "schedule")
        plan = self.source.plan(program)
        yield self._way("reorder", plan, "nothing", 'gf.Session(level="O2")')

    def _recomputed(self, source: Source, name: str, code: str = "") -> Way:
        """The way of computing values again, after what `code` says has been done."""
        goal = self.budget
        for _ in range(_GOALS):
            program = specialize(source.program, {})
            try:
                optimize(program, "O0", fitting_pipeline(program, max(1, goal)))
                over = source.plan(program).arena_bytes - self.budget
            except MemoryPlanError:
                break  # the program is then at the least that the pass has found
            if over <= 0:
                break
            goal -= over
        plan = source.plan(program)
        before = total_flops(source.program.order())
        names = [one.node for one in recomputed(program.order())]
        more = total_flops(plan.order) / max(1, before) - 1
        cost = (
            f"{100 * more:+.1f} % operations: {_listed(names)}" if names else "nothing can be computed again"
        )
        fits = plan.arena_bytes <= self.budget
        typed = f"gf.Session({code}memory_budget={max(1, goal):_})" if fits else ""
        return self._way(name, plan, cost, typed, nodes=tuple(names), operations=more)

    def _narrow(self) -> Iterator[Way]:
        source = self.source
        if source.make is None:
            self.notes.append(
                "16 bits and other sizes are tried for reports of sess.memory and gf.plan_memory"
            )
        elif not source.precision:
            plan = self._made(dict(source.sizes), NARROW)
            if plan is not None:
                cost = "products with 8 bits of digits; variables and results stay as they are"
                yield self._way("16 bits", plan, cost, f'gf.Session(precision="{NARROW}")')

    def _smaller(self) -> Iterator[Way]:
        if self.source.make is None:
            return
        for name, size in self.source.sizes.items():
            if size > 1:
                yield from self._smaller_in(name, size)
        if not self.source.sizes:
            self.notes.append(
                'all sizes are fixed: gf.placeholder("x", ("batch", ...)) lets a smaller batch be tried'
            )

    def _smaller_in(self, name: str, size: int) -> Iterator[Way]:
        """The largest value of one size that fits, between 1 and that which does not."""
        found = self._made({**self.source.sizes, name: 1}, self.source.precision)
        if found is None:
            return
        low, high, above = 1, size, self.first.arena_bytes
        is_slow = False
        for _ in range(_PROBES):
            if found.arena_bytes > self.budget or high - low < 2:
                break
            part = (self.budget - found.arena_bytes) / max(above - found.arena_bytes, 1)
            # Bytes are mostly proportional to the size; where they are not, bisection takes turns.
            aim = math.isqrt(low * high) if is_slow else low + int(part * (high - low))
            guess, before = min(max(aim, low + 1), high - 1), high - low
            plan = self._made({**self.source.sizes, name: guess}, self.source.precision)
            if plan is not None and plan.arena_bytes <= self.budget:
                low, found = guess, plan
            else:
                high, above = guess, above if plan is None else plan.arena_bytes
            is_slow = not is_slow and 2 * (high - low) > before
        is_batch = name == "batch"
        cost = f"{size / low:.3g} times as many runs for as many examples" if is_batch else f"not {size}"
        yield self._way("smaller batch" if is_batch else f"smaller {name}", found, cost, f"{name}={low}")

    # Ways together

    def _together(self) -> Iterator[Way]:
        source = self.source
        if source.make is None:
            return
        narrow = f'precision="{NARROW}", '
        if not source.precision:
            made = self._source(dict(source.sizes), NARROW)
            if made is not None:
                yield self._recomputed(made, "16 bits, recompute", narrow)
        for name, size in source.sizes.items():
            yield from self._both(name, size, "" if source.precision else narrow)

    def _both(self, name: str, size: int, narrow: str) -> Iterator[Way]:
        """Recomputing with one size halved until it fits; with 16 bits as well where 1 is too much."""
        way = self._recomputed_at(name, 1) if size > 1 else None
        if way is None:
            return
        if way.fits:
            sizes = [size >> power for power in range(1, size.bit_length() - 1)]
            tried = (self._recomputed_at(name, value) for value in sizes)
            way = next((one for one in tried if one is not None and one.fits), way)
        yield way
        made = self._source({**self.source.sizes, name: 1}, NARROW) if narrow and not way.fits else None
        if made is not None:
            last = self._recomputed(made, f"{name}=1, 16 bits, recompute", narrow)
            yield replace(last, code=f"{name}=1, {last.code}" if last.fits else "")

    def _recomputed_at(self, name: str, value: int) -> Way | None:
        """The way of recomputing with another value of a size; None if the program cannot have it."""
        made = self._source({**self.source.sizes, name: value}, self.source.precision)
        if made is None:
            return None
        way = self._recomputed(made, f"{name}={value}, recompute")
        return replace(way, code=f"{name}={value}, {way.code}" if way.fits else "")

    def _source(self, sizes: dict[str, int], precision: str) -> Source | None:
        """The program made for other sizes and another precision; None where it cannot be."""
        make = self.source.make
        try:
            made = None if make is None else make(sizes, precision)
        except GraphFlowError:
            return None
        return None if made is None else Source(made, self.source.plan)

    def _made(self, sizes: dict[str, int], precision: str) -> MemoryPlan | None:
        made = self._source(sizes, precision)
        return None if made is None else self.source.plan(made.program)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
