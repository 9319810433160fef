"""What is compiled, and why: from signatures to optimised programs, and from sizes to executables.

The first level keeps one Plan a Signature: the optimised program, its sizes still symbolic. The
second keeps, inside each Plan, one Variant for each set of shapes that was fed (and of values, where
these decide sizes), up to a bound. Every compilation leaves a Compile record with its cause.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphflow.ir import provenance
from graphflow.ir.traversal import ancestors
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.optimizer.value_check import ValueCheck
from graphflow.runtime.backend import Backend, CompileOptions, Executable
from graphflow.session.choices import Choices
from graphflow.session.debug import Debug, guarded
from graphflow.session.feeds import check_constraints, check_coverage, require_static, solve_sizes
from graphflow.session.signature import Signature
from graphflow.session.step import Runner
from graphflow.session.value_feeds import NO_VALUE_FEEDS, ValueFeeds, Values, value_feeds

Shapes = tuple[tuple[int, ...], ...]
MANY_VARIANTS = 8
MOST_VARIANTS = 128
"""Executables kept for one program; the oldest goes when there are more."""


@dataclass(frozen=True, slots=True)
class Compile:
    """One compilation.

    Attributes:
        fetches: what the program computes.
        cause: why it had to be compiled.
        sizes: the values of its symbolic sizes.
        nodes: how many nodes the program had.
        seconds: the time that specialising and compiling took.
        note: what the backend says of it, such as the number of segments; "" if nothing.
    """

    fetches: str
    cause: str
    sizes: Mapping[str, int]
    nodes: int
    seconds: float
    note: str = ""

    def __str__(self) -> str:
        noted = f" ({self.note})" if self.note else ""
        return f"compiled {self.fetches} ({self.nodes} nodes) in {self.seconds:.3f} s: {self.cause}{noted}"


@dataclass(frozen=True, slots=True)
class Variant:
    """An executable for particular shapes of the feeds, its runner, and the sizes that these shapes tell.

    Attributes:
        values: those of the plan's `valued` feeds for which it was made.
    """

    executable: Executable
    run: Runner
    sizes: Mapping[str, int]
    shapes: Shapes
    values: Values = ()


@dataclass(eq=False, slots=True)
class Plan:
    """A signature's optimised program, and its variants by the shapes of the feeds.

    Attributes:
        valued: the feeds whose values decide sizes; their values follow the shapes in the keys of
            `variants`.
    """

    signature: Signature
    program: Program
    constraints: list[Any]
    valued: ValueFeeds = NO_VALUE_FEEDS
    variants: dict[Shapes, Variant] = field(default_factory=dict)
    last: Variant | None = None
    lock: Any = field(default_factory=threading.Lock)

    def key(self, arrays: Sequence[Any]) -> Shapes:
        """What tells the variants for these feeds from others."""
        shapes = tuple([array.shape for array in arrays])
        return (*shapes, *self.valued.read(arrays)) if self.valued.places else shapes


class ProgramCache:
    """Both levels, for one session.

    Arguments:
        backend, choices, options: how programs are optimised and compiled.
        bind: makes the runner of a new executable.
        debug: what is looked at in each run; None for nothing.

    Attributes:
        compiles: a record of each compilation, in order.
    """

    def __init__(
        self,
        backend: Backend,
        choices: Choices,
        options: CompileOptions,
        bind: Callable[[Executable], Runner],
        debug: Debug | None = None,
    ) -> None:
        self.backend = backend
        self.choices = choices
        self.options = options
        self.debug = debug
        self._bind = bind
        self.compiles: list[Compile] = []
        self._plans: dict[Signature, Plan] = {}
        self._building: dict[Signature, threading.Lock] = {}
        self._lock = threading.Lock()

    def build(self, signature: Signature, journal: Journal | None = None) -> tuple[Program, Program]:
        """The program of a signature as extracted, and after optimisation.

        Raises:
            FeedError: if the feeds are not exactly what the fetches need.
        """
        original = self.extract(signature)
        program = self.choices.optimized(self.extract(signature), self.backend, journal)
        if journal is not None:
            journal.label = self.choices.label  # rather than the backend's pipeline in full
        return original, program

    def extract(self, signature: Signature) -> Program:
        """The signature's program, with the size constraints of its own nodes only."""
        cone = ancestors(signature.roots, stop=set(signature.feeds).__contains__)
        check_coverage(signature.roots, signature.feeds, cone)
        program = extract(signature.fetches, signature.assigns, signature.feeds, signature.training)
        program.constraints = [entry for entry in program.constraints if entry[2] in cone]
        self.choices.mark_steady(program, self.backend)
        return program

    def plan(self, signature: Signature) -> Plan:
        """The plan of a signature, made on first use."""
        found = self._plans.get(signature)
        if found is not None:
            return found
        with self._lock:
            lock = self._building.setdefault(signature, threading.Lock())
        with lock:
            if signature not in self._plans:
                program = self.extract(signature)
                constraints = program.constraints
                valued = value_feeds(signature.feeds, signature.roots, constraints)
                optimized = self.choices.optimized(program, self.backend)
                self._plans[signature] = Plan(signature, optimized, constraints, valued)
        with self._lock:
            self._building.pop(signature, None)
        return self._plans[signature]

    def clear(self) -> None:
        """Forget all plans."""
        self._plans.clear()

    def plans_like(self, signature: Signature) -> list[Plan]:
        """The plans that compute the same, from whichever feeds, in the order in which they were made."""
        asked = (signature.fetches, signature.assigns)
        return [plan for key, plan in list(self._plans.items()) if (key.fetches, key.assigns) == asked]

    def variant(self, plan: Plan, key: Shapes) -> Variant:
        """The executable for a key of feeds (see `Plan.key`), compiled on first use.

        Raises:
            FeedError: if the shapes do not fit the types of the feeds, or one another, or if a value
                that decides a size cannot.
            BackendError: if the program cannot be compiled.
        """
        feeds = plan.signature.feeds
        shapes, values = key[: len(feeds)], key[len(feeds) :]
        sizes = solve_sizes(feeds, shapes, plan.valued.solve(values))
        with plan.valued.blamed(values):
            plan.valued.check(sizes, values)
            check_constraints(plan.constraints, sizes, feeds)
        with plan.lock:
            made = plan.variants.get(key)
            if made is None:
                made = self._compile(plan, shapes, values, sizes)
                plan.variants[key] = plan.last = made
                if len(plan.variants) == MANY_VARIANTS:
                    _warn_of_variants(plan)
                if len(plan.variants) > MOST_VARIANTS:
                    del plan.variants[next(iter(plan.variants))]
        return made

    def specialized(
        self, program: Program, sizes: Mapping[str, int], journal: Journal | None = None
    ) -> Program:
        """A program with its sizes known, simplified by what follows from that, and within the budget.

        Raises:
            FeedError: if a size is still unknown.
        """
        return self.choices.fitted(self.simplified(program, sizes, journal))

    def simplified(
        self, program: Program, sizes: Mapping[str, int], journal: Journal | None = None
    ) -> Program:
        """`specialized`, but for what is done to stay within a memory budget."""
        made = specialize(program, sizes)
        require_static(made)
        if sizes and not self.choices.changes_nothing:
            made = self.choices.simplified(made, self.backend, journal=journal)
        return made

    def _compile(self, plan: Plan, shapes: Shapes, values: Values, sizes: dict[str, int]) -> Variant:
        started = time.perf_counter()
        with plan.valued.blamed(values):
            program = self.specialized(plan.program, sizes)
        cause = self._cause(plan, sizes, values)
        executable = self.backend.compile(program, self.options)
        run = self._runner(executable, plan.signature, sizes)
        seconds = time.perf_counter() - started
        note = getattr(executable, "note", "")
        self.compiles.append(Compile(plan.signature.title, cause, sizes, len(program), seconds, note))
        return Variant(executable, run, sizes, shapes, values)

    def _runner(self, executable: Executable, signature: Signature, sizes: Mapping[str, int]) -> Runner:
        """What runs an executable, in the debug mode that the session is in."""
        run, debug = self._bind(executable), self.debug
        if debug is None:
            return run
        if debug.check_values:
            run = self._checked(run, debug, signature, sizes)
        if debug.nan_guard:
            run = guarded(run, debug, self.backend, lambda: specialize(self.extract(signature), sizes))
        return run

    def _checked(self, run: Runner, debug: Debug, signature: Signature, sizes: Mapping[str, int]) -> Runner:
        """A runner that, at its first run, compiles anew without the rules that change values."""
        chosen: Runner | None = None

        def checked(feeds: Sequence[Any], finish: Any) -> Any:
            nonlocal chosen
            if chosen is None:
                program = self.extract(signature)
                check = ValueCheck(debug.outside(program, feeds, self.backend), sizes, self.choices.rules)
                self.choices.optimized(program, self.backend, observer=check)
                wrong = list(dict.fromkeys(finding.rule for finding in check.findings))
                chosen = self._bind(self._without(wrong, signature, sizes)) if wrong else run
            return chosen(feeds, finish)

        return checked

    def _without(self, rules: Sequence[str], signature: Signature, sizes: Mapping[str, int]) -> Executable:
        """The executable that is made if these rules are left out."""
        choices = self.choices.without(rules)
        program = specialize(choices.optimized(self.extract(signature), self.backend), sizes)
        require_static(program)
        if sizes:
            program = choices.simplified(program, self.backend)
        return self.backend.compile(choices.fitted(program), self.options)

    def _cause(self, plan: Plan, sizes: Mapping[str, int], values: Values) -> str:
        if plan.last is not None:
            before, fed = plan.last.sizes, plan.valued.solve(values)
            changed = [
                f"{name}={size} (was {before[name]})"
                for name, size in sizes.items()
                if before[name] != size and name not in fed
            ]
            causes = ["new size " + ", ".join(changed)] * bool(changed)
            return ", ".join(causes + plan.valued.changed(plan.last.values, values))
        signature = plan.signature
        others = [other.signature for other in self.plans_like(signature) if other.last is not None]
        if not others:
            return "first run of these fetches"
        if any(other.feeds == signature.feeds for other in others):
            return f"training={signature.training} (was {not signature.training})"
        before_names = ", ".join(tensor.name for tensor in others[-1].feeds) or "nothing"
        return f"fed {', '.join(tensor.name for tensor in signature.feeds) or 'nothing'} (was {before_names})"


def _warn_of_variants(plan: Plan) -> None:
    shown = ", ".join(f"{name}={size}" for name, size in plan.last.sizes.items()) if plan.last else ""
    origin = provenance.capture()
    warnings.warn_explicit(
        f"{plan.signature.title} has been compiled for {MANY_VARIANTS} different sizes of its feeds (last: "
        f"{shown}); each new size costs a compilation, so pad the feeds to a few sizes",
        UserWarning,
        origin.file,
        origin.line,
    )
