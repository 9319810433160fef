"""How the programs of a session are optimised: its level or pipeline, with rules and passes of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphflow.optimizer.journal import Journal
from graphflow.optimizer.loading import checked_passes
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.pipelines import PASSES, level_pipeline, optimize, parse_pipeline, rules_of
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule, checked_rules
from graphflow.optimizer.selection import check_options, checked_names, customised
from graphflow.runtime.backend import Backend

SPECIALIZED = "canonicalize{safety=exact}"
"""What is simplified once more when the sizes are known."""


@dataclass(frozen=True)
class Choices:
    """What a session has been told of the optimizer.

    Attributes:
        level: "O0" to "O3".
        pipeline: passes in string form, instead of the level's; "" for those.
        rules, passes: further ones, of the user.
        include, exclude: names of rules, tags and passes.
    """

    level: str = "O2"
    pipeline: str = ""
    rules: tuple[Rule, ...] = ()
    passes: tuple[type[Pass], ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How reports call it."""
        return self.pipeline or self.level

    @property
    def changes_nothing(self) -> bool:
        """Whether programs are to be left as they are."""
        return self.level == "O0" and not self.pipeline

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
        return optimize(
            program, self.level, text, journal, refusal=backend.refusal, observer=observer,
            rules=self.rules, passes=self.passes, include=self.include, exclude=self.exclude,
        )  # fmt: skip

    def simplified(self, program: Program, observer: Observer | None = None) -> Program:
        """The program once more simplified, after its sizes have become known."""
        left_out = [name for name in self.exclude if name not in PASSES]
        text = f"{SPECIALIZED},fuse" if program.regions else SPECIALIZED
        return optimize(program, self.level, text, rules=self.rules, exclude=left_out, observer=observer)

    def without(self, rules: Sequence[str]) -> Choices:
        """The same, but for some rules."""
        return replace(self, exclude=(*self.exclude, *rules))


def checked_choices(
    level: str, pipeline: Any, rules: Any, passes: Any, include: Any, exclude: Any
) -> Choices:
    """The choices, once it is known that each of them is one.

    Raises:
        AttributeValueError: for an unknown pass, option, rule or tag, with the nearest name.
        RewriteError: for what is no rule.
    """
    own_rules, own_passes = checked_rules(rules), checked_passes(passes)
    steps = parse_pipeline(str(pipeline) or level_pipeline(level), own_passes)
    known = rules_of(own_rules)
    check_options(steps, known)
    included = tuple(checked_names(include, "include"))
    excluded = tuple(checked_names(exclude, "exclude"))
    kinds = {**PASSES, **{kind.name: kind for kind in own_passes}}
    customised(steps, included, excluded, known, kinds)
    return Choices(level, str(pipeline), own_rules, own_passes, included, excluded)
