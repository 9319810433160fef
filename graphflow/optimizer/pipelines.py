"""Every pipeline as one flat list, and `optimize`, which runs one.

    O0  verifies only
    O1  cleans: what is exact for every input, to the bit
    O2  also what is numerically better, such as log_softmax for log(softmax(x))
    O3  also what holds for real numbers only, or without NaN and infinities

A pipeline has a string form, `fold-constants{max-bytes=1024},canonicalize{safety=exact}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphflow.errors import AttributeValueError
from graphflow.ir.collector import paused_collector
from graphflow.ir.node import Node
from graphflow.optimizer import pass_manager
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.pass_manager import Pass, PassContext, PassManager
from graphflow.optimizer.passes.bodies import Bodies
from graphflow.optimizer.passes.canonicalize import Canonicalize
from graphflow.optimizer.passes.control_flow import ControlFlow
from graphflow.optimizer.passes.decompose import Decompose
from graphflow.optimizer.passes.eliminate import Eliminate
from graphflow.optimizer.passes.fold_constants import FoldConstants
from graphflow.optimizer.passes.mixed_precision import MixedPrecision
from graphflow.optimizer.passes.verify import Verify
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule, checked_rules

PASSES: dict[str, type[Pass]] = {
    kind.name: kind
    for kind in (
        Verify, Eliminate, ControlFlow, Bodies, FoldConstants, Canonicalize, Decompose, MixedPrecision
    )
}
"""The passes a pipeline can name."""

_CLEAN = ["eliminate", "control-flow", "bodies", "fold-constants"]

PIPELINES: dict[str, list[str]] = {
    "O0": ["verify"],
    "O1": [*_CLEAN, "canonicalize{safety=exact}"],
    "O2": [*_CLEAN, "canonicalize{safety=exact,tags=stabilize}"],
    "O3": [*_CLEAN, "canonicalize{safety=rounding,tags=stabilize}"],
}
"""The pipeline of each level."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an optimisation was made with, apart from the program: the arguments of `optimize` that tell."""

    pipeline: str
    refusal: Callable[[Node], str | None] | None
    rules: tuple[Rule, ...]


def parse_pipeline(text: str) -> list[Pass]:
    """The passes that a string names.

    Raises:
        AttributeValueError: for an unknown pass or option; the message offers the nearest name.

    >>> parse_pipeline("fold-constants{max-bytes=64}")
    [FoldConstants(max_bytes=64)]
    """
    return pass_manager.parse_pipeline(text, PASSES)


def print_pipeline(passes: list[Pass]) -> str:
    """The string form of passes, all options written out; the inverse of `parse_pipeline`.

    >>> print_pipeline(parse_pipeline("eliminate,fold-constants"))
    'eliminate,fold-constants{max-bytes=1048576}'
    """
    return pass_manager.pipeline_text(passes)


def level_pipeline(level: str) -> str:
    """The pipeline of a level, in string form.

    Raises:
        AttributeValueError: for an unknown level.

    >>> level_pipeline("O0")
    'verify'
    """
    listed = PIPELINES.get(level)
    if listed is None:
        raise AttributeValueError(f"there is no level {level!r}", hint="use " + ", ".join(PIPELINES))
    return ",".join(listed)


def optimize(
    program: Program,
    level: str = "O2",
    pipeline: str = "",
    journal: Journal | None = None,
    *,
    refusal: Callable[[Node], str | None] | None = None,
    strict: bool = False,
    check: bool = False,
    reproducer: str | None = None,
    rules: Sequence[Rule] = (),
    observer: Observer | None = None,
) -> Program:
    """Run a pipeline over a program, which is edited and returned.

    Arguments:
        program: what to optimise; nobody else may hold on to its nodes.
        level: "O0" to "O3"; see the module docstring.
        pipeline: a pipeline in string form, instead of the level's.
        journal: where edits are written down.
        refusal: why the target cannot run a node, or None; such nodes are expanded by `decompose`.
        strict: raise where a rule fails instead of skipping it with a warning.
        check: verify the program after every pass.
        reproducer: a folder that takes the program on which a pass failed.
        rules: rules of your own, tried after those of the package where the pipeline admits their class.
        observer: is shown each replacement before it is made; see `value_check`.

    Raises:
        RewriteError: if a pass fails, with its name and the way to repeat it.
    """
    journal = journal if journal is not None else Journal()
    journal.label = pipeline or level
    text = pipeline or level_pipeline(level)
    passes = parse_pipeline(text)
    further = checked_rules(rules)
    journal.recipe = Recipe(text, refusal, further)
    context = PassContext(
        program, journal, refusal, strict, check, reproducer, rules=further, observer=observer
    )
    with paused_collector():
        return PassManager(passes, context).run()
