"""How the programs of a session are optimised: its level or pipeline, with rules and passes of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphflow.errors import SessionError
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.loading import checked_passes
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.passes.mixed_precision import NARROW, MixedPrecision
from graphflow.optimizer.passes.rematerialize import fitting_pipeline
from graphflow.optimizer.pipelines import PASSES, level_pipeline, optimize, parse_pipeline, rules_of
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule, checked_rules
from graphflow.optimizer.selection import check_options, checked_names, customised
from graphflow.runtime.backend import Backend

SPECIALIZED = "canonicalize{safety=exact}"
"""What is simplified once more when the sizes are known."""

SIZE_DEPENDENT = ("layout", "pack-weights", "product-layout")
"""Passes that leave products of unknown sizes as they are."""


@dataclass(frozen=True)
class Choices:
    """What a session has been told of the optimizer.

    Attributes:
        level: "O0" to "O3".
        pipeline: passes in string form, instead of the level's; "" for those.
        rules, passes: further ones, of the user.
        include, exclude: names of rules, tags and passes.
        memory_budget: the most bytes of intermediate values; 0 for any number.
        precision: "bfloat16" or "float16" for what stands it; "" leaves all as it is.
    """

    level: str = "O2"
    pipeline: str = ""
    rules: tuple[Rule, ...] = ()
    passes: tuple[type[Pass], ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    memory_budget: int = 0
    precision: str = ""

    @property
    def label(self) -> str:
        """How reports call it."""
        named = self.pipeline or self.level
        return f"{named} in {self.precision}" if self.precision else named

    @property
    def changes_nothing(self) -> bool:
        """Whether programs are to be left as they are."""
        return self.level == "O0" and not self.pipeline

    def mark_steady(self, program: Program, backend: Backend) -> None:
        """Tell a program which variables stay the same, for backends that prepare what is made of them."""
        if getattr(backend, "prepares", False) and not self.changes_nothing:
            program.steady = frozenset(program.variables).difference(program.updated)

    def optimized(
        self,
        program: Program,
        backend: Backend,
        journal: Journal | None = None,
        observer: Observer | None = None,
    ) -> Program:
        """The program after the passes, which edit it."""
        text = backend.pipeline(self.level)
        if self.pipeline:
            steps = parse_pipeline(self.pipeline, self.passes)
            needed = "" if any(step.name == "decompose" for step in steps) else ",decompose"
            text = self.pipeline + needed  # without that, a target meets operators that it cannot run
        text = in_precision(text or level_pipeline(self.level), self.precision)
        return optimize(
            program, self.level, text, journal, refusal=backend.refusal, observer=observer,
            rules=self.rules, passes=self.passes, include=self.include, exclude=self.exclude,
        )  # fmt: skip

    def simplified(
        self,
        program: Program,
        backend: Backend,
        observer: Observer | None = None,
        journal: Journal | None = None,
    ) -> Program:
        """The program simplified once more, with what depends on sizes chosen anew, now that these are known.

        That is how products are computed, the regions, and the order.
        """
        left_out = [name for name in self.exclude if name not in PASSES]
        again = {name: name not in self.exclude for name in SIZE_DEPENDENT}
        again |= {"fuse": bool(program.regions), "schedule": bool(program.schedule)}
        text = self.pipeline or backend.pipeline(self.level) or level_pipeline(self.level)
        last = [str(step) for step in parse_pipeline(text, self.passes) if again.get(step.name)]
        text = ",".join([SPECIALIZED, *last])
        return optimize(
            program, self.level, text, journal, rules=self.rules, exclude=left_out, observer=observer
        )

    def fitted(self, program: Program, journal: Journal | None = None) -> Program:
        """The program of known sizes within the memory budget.

        Raises:
            MemoryPlanError: if no way is found; it names the least that was, and what needs it.
        """
        if not self.memory_budget or plan_program(program).arena_bytes <= self.memory_budget:
            return program
        return optimize(program, self.level, fitting_pipeline(program, self.memory_budget), journal)

    def without(self, rules: Sequence[str]) -> Choices:
        """The same, but for some rules."""
        return replace(self, exclude=(*self.exclude, *rules))


def in_precision(pipeline: str, precision: str) -> str:
    """A pipeline whose first pass makes narrow what stands it; itself if the precision is "".

    >>> in_precision("eliminate", "bfloat16")
    'mixed-precision{dtype=bfloat16},eliminate'
    """
    return f"{MixedPrecision.name}{{dtype={precision}}},{pipeline}" if precision else pipeline


def checked_precision(precision: Any, steps: Sequence[Pass]) -> str:
    """The precision as a name, "" for None, if it is one and no pass of a pipeline says it already.

    Raises:
        SessionError: for anything else.
    """
    if precision is None:
        return ""
    name = getattr(precision, "name", precision)
    if not isinstance(name, str) or name not in NARROW:
        raise SessionError(
            f"the precision is {precision!r:.80}",
            hint=f"use {' or '.join(map(repr, NARROW))}, or leave it out",
        )
    if any(step.name == MixedPrecision.name for step in steps):
        raise SessionError(
            f"the pipeline has a pass {MixedPrecision.name!r}, and there is a precision as well",
            hint="give one of the two",
        )
    return name


def checked_choices(
    level: str,
    pipeline: Any,
    rules: Any,
    passes: Any,
    include: Any,
    exclude: Any,
    memory_budget: int = 0,
    precision: Any = None,
) -> Choices:
    """The choices, once it is known that each of them is one.

    Raises:
        AttributeValueError: for an unknown pass, option, rule or tag, with the nearest name.
        RewriteError: for what is no rule.
        SessionError: for an unknown precision.
    """
    own_rules, own_passes = checked_rules(rules), checked_passes(passes)
    steps = parse_pipeline(str(pipeline) or level_pipeline(level), own_passes)
    known = rules_of(own_rules)
    check_options(steps, known)
    included = tuple(checked_names(include, "include"))
    excluded = tuple(checked_names(exclude, "exclude"))
    kinds = {**PASSES, **{kind.name: kind for kind in own_passes}}
    customised(steps, included, excluded, known, kinds)
    narrow = checked_precision(precision, steps)
    return Choices(level, str(pipeline), own_rules, own_passes, included, excluded, memory_budget, narrow)
