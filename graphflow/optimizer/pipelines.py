"""Every pipeline as one flat list, and `optimize`, which runs one.

    O0  verifies only
    O1  cleans: what is exact for every input, to the bit
    O2  also what is numerically better, such as log_softmax for log(softmax(x)); factors are folded into
        weights, and composites written out by hand get their names
    O3  also what holds for real numbers only, or without NaN and infinities

A pipeline has a string form, `fold-constants{max-bytes=1024},canonicalize{safety=exact}`. Rules, tags and
passes can be included and excluded by name, and passes of a user's take part by theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphflow.errors import AttributeValueError
from graphflow.ir.collector import paused_collector
from graphflow.ir.node import Node
from graphflow.optimizer import pass_manager
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.loading import checked_passes
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.pass_manager import Pass, PassContext, PassManager
from graphflow.optimizer.passes import control_flow
from graphflow.optimizer.passes.bodies import Bodies
from graphflow.optimizer.passes.canonicalize import Canonicalize
from graphflow.optimizer.passes.control_flow import ControlFlow
from graphflow.optimizer.passes.decompose import Decompose
from graphflow.optimizer.passes.eliminate import Eliminate
from graphflow.optimizer.passes.fold_constants import FoldConstants, folding
from graphflow.optimizer.passes.fuse import Fuse
from graphflow.optimizer.passes.in_place import InPlace
from graphflow.optimizer.passes.layout import Layout
from graphflow.optimizer.passes.matmul_chain import MatmulChain
from graphflow.optimizer.passes.merge_products import MergeProducts
from graphflow.optimizer.passes.mixed_precision import MixedPrecision
from graphflow.optimizer.passes.name_composites import NameComposites
from graphflow.optimizer.passes.pack_weights import PackWeights
from graphflow.optimizer.passes.place import Place
from graphflow.optimizer.passes.product_layout import ProductLayout
from graphflow.optimizer.passes.rematerialize import Rematerialize
from graphflow.optimizer.passes.scan_sums import ScanSums
from graphflow.optimizer.passes.schedule import Schedule
from graphflow.optimizer.passes.unroll import Unroll
from graphflow.optimizer.passes.verify import Verify
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule, checked_rules
from graphflow.optimizer.rules import PASS_RULES, RULES
from graphflow.optimizer.selection import check_options, customised

PASSES: dict[str, type[Pass]] = {
    kind.name: kind
    for kind in (
        Verify,
        Eliminate,
        ControlFlow,
        Bodies,
        FoldConstants,
        Canonicalize,
        Decompose,
        Unroll,
        Fuse,
        Layout,
        PackWeights,
        ProductLayout,
        ScanSums,
        MixedPrecision,
        MatmulChain,
        MergeProducts,
        NameComposites,
        Schedule,
        Rematerialize,
        InPlace,
        Place,
    )
}
"""The passes a pipeline can name."""

_CLEAN = ["eliminate", "control-flow", "bodies", "fold-constants"]
_TAGS = "stabilize+composites+fold-weights"
_PRODUCTS = ["matmul-chain", "merge-products", "fold-constants"]
_NAMES = ["name-composites"]

PIPELINES: dict[str, list[str]] = {
    "O0": ["verify"],
    "O1": [*_CLEAN, "canonicalize{safety=exact}"],
    "O2": [*_CLEAN, f"canonicalize{{safety=exact,tags={_TAGS}}}", *_NAMES],
    "O3": [*_CLEAN, f"canonicalize{{safety=rounding,tags={_TAGS}}}", *_PRODUCTS, *_NAMES],
}
"""The pipeline of each level."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an optimisation was made with, apart from the program: the arguments of `optimize` that tell."""

    pipeline: str
    refusal: Callable[[Node], str | None] | None
    rules: tuple[Rule, ...]
    passes: tuple[type[Pass], ...] = ()


def rules_of(further: Sequence[Rule] = ()) -> list[Rule]:
    """All rules that can be named: those of `canonicalize`, the user's, and those that other passes have."""
    inner = [rule for rule, _ in (*control_flow.INDEX.everywhere, *folding())]
    return [*RULES, *further, *inner, *PASS_RULES]


def parse_pipeline(text: str, further: Sequence[type[Pass]] = ()) -> list[Pass]:
    """The passes that a string names.

    Arguments:
        further: passes of a user.

    Raises:
        AttributeValueError: for an unknown pass or option, where the message offers the nearest name, and
            for a text that names none.

    >>> parse_pipeline("fold-constants{max-bytes=64}")
    [FoldConstants(max_bytes=64)]
    """
    if text in PIPELINES:
        raise AttributeValueError(f"{text!r} is a level, not a pipeline", hint=f"pass level={text!r}")
    if len(text) == 2 and text[0] in "oO" and text[1].isdecimal():
        raise AttributeValueError(f"there is no level {text!r}", hint="use " + ", ".join(PIPELINES))
    known = _known(further)
    found = pass_manager.parse_pipeline(text, known)
    if text and not found:
        raise AttributeValueError(
            f"the pipeline {text!r:.80} names no pass", hint="name some, such as eliminate,canonicalize"
        )
    return found


def _known(further: Sequence[type[Pass]]) -> dict[str, type[Pass]]:
    """The passes by name, a user's among them."""
    taken = [kind.name for kind in further if kind.name in PASSES]
    if taken:
        raise AttributeValueError(f"there is a pass {taken[0]!r} already", hint="give your pass another name")
    return {**PASSES, **{kind.name: kind for kind in further}}


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
    passes: Sequence[type[Pass]] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
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
        passes: passes of your own, which `pipeline` or `include` names.
        include, exclude: names of rules, tags of rules, and passes; see `selection.customised`.

    Raises:
        AttributeValueError: for a name that there is not.
        RewriteError: if a pass fails, with its name and the way to repeat it.
    """
    journal = journal if journal is not None else Journal()
    journal.label = pipeline or level
    own, further = checked_passes(passes), checked_rules(rules)
    steps = parse_pipeline(pipeline or level_pipeline(level), own)
    known = rules_of(further)
    check_options(steps, known)
    if include or exclude:
        steps = customised(steps, include, exclude, known, _known(own))
    journal.recipe = Recipe(print_pipeline(steps), refusal, further, own)
    context = PassContext(
        program, journal, refusal, strict, check, reproducer, rules=further, observer=observer
    )
    with paused_collector():
        return PassManager(steps, context).run()
