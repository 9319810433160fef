"""Passes and the manager that runs them: options as fields, contracts checked, times taken, budgets kept.

A pass is a frozen dataclass whose fields are its options, so that a pipeline has a string form. It
states which *facts* about the program it requires, ensures and breaks; the manager refuses to run a
pass whose facts are missing, and says which pass would provide them.

Every pass takes the options `exclude`, `max-nodes` and `max-seconds` besides its own. One that is over its
budget ends where it is; the journal says so, and the next one begins.

When checking is on, the verifier runs after every pass, and a failure names the pass and gives the
pipeline that repeats it.
"""

from __future__ import annotations

import difflib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from graphflow.errors import AttributeValueError, GraphFlowError, MemoryPlanError, RewriteError, VerifyError
from graphflow.files import atomic_write
from graphflow.ir.body import Body
from graphflow.ir.node import Node
from graphflow.optimizer.budget import STOPPED, Budget
from graphflow.optimizer.journal import Journal, PassRecord
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Rule


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass says of its work: whether it `changed` the program, and an optional `note`."""

    changed: bool
    note: str = ""


@dataclass(frozen=True)
class Pass(ABC):
    """One step of a pipeline. Its dataclass fields are its options; they have defaults.

    Attributes:
        name: how pipelines call it.
        requires: facts that must hold before it runs.
        ensures: facts that hold after it.
        breaks: facts that may no longer hold after it.
        budgeted: whether it may be stopped half-way; what a target needs may not.
        exclude: rules and tags that it does not use, joined by "+".
        max_nodes: how many nodes its edits may remove and make; 0 is any number.
        max_seconds: how long it may run; 0 is as long as it takes.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset()
    ensures: ClassVar[frozenset[str]] = frozenset()
    breaks: ClassVar[frozenset[str]] = frozenset()
    budgeted: ClassVar[bool] = True
    exclude: str = field(default="", kw_only=True, repr=False)
    max_nodes: int = field(default=0, kw_only=True, repr=False)
    max_seconds: float = field(default=0.0, kw_only=True, repr=False)

    @abstractmethod
    def run(self, program: Program, context: PassContext) -> PassResult:
        """Edit the program, by `context.rewriter`."""

    def __str__(self) -> str:
        options = [
            f"{one.name.replace('_', '-')}={_shown(getattr(self, one.name))}"
            for one in fields(self)
            if one.name not in _COMMON or getattr(self, one.name) != one.default
        ]
        return self.name + (f"{{{','.join(options)}}}" if options else "")


_COMMON = frozenset(("include", "exclude", "max_nodes", "max_seconds"))


@dataclass
class PassContext:
    """What passes share while a pipeline runs.

    Attributes:
        program, journal: what is edited, and where edits are written down.
        refusal: why the target cannot run a node, or None; used by passes that adapt to a target.
        strict: raise where a rule fails instead of skipping it.
        check: verify after every pass.
        reproducer: a folder for the program that made a pass fail, or None.
        facts: what is known to hold.
        passes: the pipeline that runs; the same one runs on the bodies of control flow.
        bodies: what that has made of bodies; two that are equal as attributes become one.
        rules: further rules, tried after those of the package.
        observer: is shown each replacement before it is made.
    """

    program: Program
    journal: Journal
    refusal: Callable[[Node], str | None] | None = None
    strict: bool = False
    check: bool = False
    reproducer: str | None = None
    facts: set[str] = field(default_factory=set)
    passes: tuple[Pass, ...] = ()
    bodies: dict[Body, Body] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    observer: Observer | None = None
    _rewriter: Rewriter | None = None

    @property
    def rewriter(self) -> Rewriter:
        """The door to the program, opened by the first pass that edits and kept open for the next."""
        if self._rewriter is None:
            self._rewriter = Rewriter(self.program, self.journal, observer=self.observer)
        return self._rewriter

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.program.nodes) if self._rewriter is None else self._rewriter.size

    def settle(self) -> None:
        """Close the door, so that the program's list of nodes is what is left of it, in order."""
        if self._rewriter is not None:
            self._rewriter.settle()
            self._rewriter = None


class PassManager:
    """Runs passes in order over one program.

    Arguments:
        passes: the pipeline.
        context: what the passes share.
    """

    def __init__(self, passes: Sequence[Pass], context: PassContext) -> None:
        self.passes = tuple(passes)
        self.context = context
        context.passes = self.passes

    def run(self) -> Program:
        """The program after all passes.

        Raises:
            RewriteError: naming the pass that failed or whose facts are missing, with the pipeline
                that repeats the failure.
        """
        context = self.context
        meter = context.journal.meter if not context.journal.path else None
        if meter is not None:
            meter.start(context.program)
        for position, step in enumerate(self.passes):
            self._require(step)
            before, text = context.size, self._snapshot()
            is_own = type(step).__module__.startswith("graphflow.")
            ends = None if is_own else _ends(context.program)
            edits = context.journal.edits
            context.journal.pass_name = step.name
            start, overhead = time.perf_counter(), meter.overhead if meter is not None else 0.0
            try:
                result = self._run(step, position)
                if ends is not None:  # a user's pass may have edited past the rewriter
                    _check_ends(ends, _ends(context.program))
                if context.check or not is_own:
                    _verify(context)
            except MemoryPlanError:
                raise  # what was asked for cannot be had: no pass failed
            except Exception as error:
                raise self._failure(position, error, text) from error
            if context.journal.edits != edits and "regions" not in step.ensures:
                context.program.regions = ()
            seconds = time.perf_counter() - start
            if meter is not None:
                seconds -= meter.overhead - overhead
                meter.passed(step.name, context.program, seconds)
            context.facts = (context.facts - step.breaks) | step.ensures
            context.journal.passes.append(
                PassRecord(step.name, seconds, before, context.size, result.changed, result.note)
            )
        context.settle()
        if context.rules and not context.journal.path:
            self._verify_rules()
        return context.program

    def _verify_rules(self) -> None:
        """Verify what rules of the user have left, which may have edited past the rewriter."""
        try:
            _verify(self.context)
        except VerifyError as error:
            names = ", ".join([repr(rule.name) for rule in self.context.rules])
            raise RewriteError(
                f"one of the rules {names} has broken the graph: {error.message}",
                hint="let rules read the match and build by their builder; tried one by one, it shows which",
                origin=error.origin,
            ) from error

    def _run(self, step: Pass, position: int) -> PassResult:
        """Run one pass within its budget, and without what it excludes."""
        journal = self.context.journal
        outer, excluded = journal.budget, journal.excluded
        key = f"{journal.path}{position}"
        journal.budget = budget = _budget(step, journal, key)
        journal.excluded = frozenset(step.exclude.split("+")) if step.exclude else frozenset()
        try:
            result = step.run(self.context.program, self.context)
        finally:
            journal.budget, journal.excluded = outer, excluded
        if not isinstance(result, PassResult):
            raise RewriteError(f"it returned {result!r:.80} where a PassResult(changed) was to be returned")
        if budget is None or budget is outer or budget.stopped_at is None:
            return result
        journal.stops[key] = budget.stopped_at
        note = f"{STOPPED} of {budget}"
        return PassResult(result.changed, f"{result.note}; {note}" if result.note else note)

    def _require(self, step: Pass) -> None:
        context = self.context
        for fact in sorted(step.requires - context.facts):
            test = FACTS.get(fact)
            if test is not None and test(context.program):
                continue
            providers = [other.name for other in self.passes if fact in other.ensures]
            advice = (
                f"put {providers[0]!r} before it" if providers else f"run a pass that ensures {fact!r} first"
            )
            raise RewriteError(f"pass {step.name!r} requires {fact!r}, which does not hold", hint=advice)

    def _snapshot(self) -> str | None:
        """The text of the program before a pass, where a reproducer may have to be written."""
        if self.context.reproducer is None:
            return None
        from graphflow.ir.text import print_graph

        self.context.settle()
        return print_graph(self.context.program)

    def _failure(self, position: int, error: Exception, text: str | None) -> RewriteError:
        step = self.passes[position]
        said = error.message if isinstance(error, GraphFlowError) else f"{type(error).__name__}: {error}"
        repeat = pipeline_text(self.passes[: position + 1])
        hint = f"to repeat: gf.optimize(model, pipeline={repeat!r})"
        if text is not None and self.context.reproducer is not None:
            path = _write_reproducer(self.context.reproducer, step, text)
            hint = f"to repeat: run the pipeline {str(step)!r} on {path}"
        origin = error.origin if isinstance(error, GraphFlowError) else None
        return RewriteError(f"pass {step.name!r} failed: {said}", hint=hint, origin=origin)


def _budget(step: Pass, journal: Journal, key: str) -> Budget | None:
    """What a pass may spend: what it says, and what is left of the pass in whose bodies it runs."""
    outer = journal.budget
    if not step.budgeted:
        return None
    if not step.max_nodes and not step.max_seconds:
        return outer
    repeated = journal.expected_stops
    if repeated is not None:
        return Budget(step.max_nodes, step.max_seconds, repeated.get(key, sys.maxsize), outer)
    return Budget(step.max_nodes, step.max_seconds, None, outer)


def _verify(context: PassContext) -> None:
    from graphflow.ir.verify import verify

    context.settle()
    verify(context.program)


def _ends(program: Program) -> tuple[list[str], list[str], list[str], int]:
    """What whoever runs the program counts on: types of results and feeds, updates, number of fetches."""
    types = [[str(tensor.type) for tensor in tensors] for tensors in (program.outputs, program.feeds)]
    return types[0], types[1], list(program.updated), program.fetch_count


def _check_ends(before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
    """Raise if a pass has given the program other ends."""
    for what, old, new in zip(("results", "feeds", "updated variables", "number of fetches"), before, after):
        if old != new:
            raise RewriteError(f"it changed the {what} of the program from {old} to {new}"[:400])


def _write_reproducer(folder: str, step: Pass, text: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{step.name}.gf")
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


def _is_static(program: Program) -> bool:
    return all(tensor.type.is_static for node in program.order() for tensor in node.outputs)


FACTS: dict[str, Callable[[Program], bool]] = {"static-shapes": _is_static}
"""Facts that can be seen from the program itself; all others must be ensured by a pass."""


# The string form


def pipeline_text(passes: Iterable[Pass]) -> str:
    """The string form of a pipeline, all options written out."""
    return ",".join(map(str, passes))


def parse_pipeline(text: str, known: dict[str, type[Pass]]) -> list[Pass]:
    """The passes that a string such as `a,b{max-bytes=1024}` names.

    Arguments:
        text: pass names separated by commas, each with options in braces.
        known: the passes there are, by name.

    Raises:
        AttributeValueError: for an unknown pass or option, or a value an option cannot take; the
            message offers the nearest name.
    """
    return [_parse_pass(item, known) for item in _split(text)]


def _split(text: str) -> list[str]:
    """The items between commas that are not inside braces."""
    items, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth not in (0, 1):
            raise AttributeValueError(
                f"the braces of the pipeline {text!r} do not match at column {position}",
                hint="write options as pass{name=value}",
            )
        if letter == "," and depth == 0:
            items.append(text[start:position])
            start = position + 1
    if depth:
        raise AttributeValueError(f"the pipeline {text!r} does not close its last brace", hint="add a '}'")
    items.append(text[start:])
    return [item.strip() for item in items if item.strip()]


def _parse_pass(item: str, known: dict[str, type[Pass]]) -> Pass:
    name, brace, rest = item.partition("{")
    kind = known.get(name.strip())
    if kind is None:
        raise AttributeValueError(f"there is no pass {name.strip()!r}", hint=_nearest(name.strip(), known))
    if brace and not rest.endswith("}"):
        raise AttributeValueError(
            f"{item!r}: nothing may follow the options of a pass", hint="separate passes by commas"
        )
    defaults = {one.name: one.default for one in fields(kind)}
    given: dict[str, Any] = {}
    for option in rest.removesuffix("}").replace(",", " ").split():
        key, equals, value = option.partition("=")
        field_name = key.replace("-", "_")
        if field_name not in defaults:
            shown = [each.replace("_", "-") for each in defaults]
            raise AttributeValueError(f"pass {kind.name!r} has no option {key!r}", hint=_nearest(key, shown))
        if field_name in given:
            raise AttributeValueError(f"pass {kind.name!r} is given {key!r} twice", hint="keep one of them")
        given[field_name] = _value(kind.name, key, value, defaults[field_name], bool(equals))
    if not kind.budgeted and {"max_nodes", "max_seconds"} & set(given):
        raise AttributeValueError(
            f"pass {kind.name!r} takes no budget", hint="it cannot stop half-way: leave its limits out"
        )
    return kind(**given)


def _value(pass_name: str, key: str, text: str, default: object, given: bool) -> object:
    kind: Any = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text if given else "true"]
        made = kind(text)
        if kind in (int, float) and not 0 <= made < float("inf"):
            raise ValueError
        return made
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else f"a value such as {_shown(default)}"
        raise AttributeValueError(
            f"option {key!r} of pass {pass_name!r} cannot be {text!r}", hint=f"give {wanted}"
        ) from None


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nearest(name: str, names: Iterable[str]) -> str:
    listed = list(names)
    close = difflib.get_close_matches(name, listed, 1)
    return (f"did you mean {close[0]!r}? " if close else "") + (
        "there are " + ", ".join(listed) if listed else "it has none"
    )
