"""What a session tells about a program without running it: the optimizer's edits, and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from graphflow.errors import MemoryPlanError, SessionError
from graphflow.ir import dims
from graphflow.ir.fed_sizes import element_symbols
from graphflow.optimizer.explain import Report, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.report import MemoryReport, Source, memory_report
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.metering import Meter
from graphflow.optimizer.preparation import prepare
from graphflow.optimizer.program import Program, specialize
from graphflow.session.cache import Plan, ProgramCache, Variant
from graphflow.session.feeds import check_constraints
from graphflow.session.signature import Signature


def explain_program(
    cache: ProgramCache, signature: Signature, sizes: Mapping[str, int] | None = None
) -> Report:
    """The report of an optimizer run with a full journal; it is deterministic, so it is what happened.

    With sizes it counts with these, and goes on with what happens once they are known.

    Raises:
        SessionError: if there are sizes, and one is missing or unknown.
    """
    chosen = {} if sizes is None else _checked_sizes(cache.plan(signature), sizes, "report depends")
    journal = Journal("remarks", meter=Meter(sizes=chosen), sizes=chosen)
    original, optimized = cache.build(signature, journal)
    final, notes, sized = optimized, [], None
    if chosen:
        later = Journal("remarks", meter=Meter())
        final = cache.simplified(optimized, chosen, later)
        notes.append(_note_of(later, chosen))
        sized = specialize(optimized, chosen), final, later
    fitted = None
    if cache.choices.memory_budget:
        try:
            final, fitted = _fitted(cache, final)
        except MemoryPlanError as error:
            notes.append(error.message)
    describe = getattr(cache.backend, "compilation_note", None)
    if describe is not None:
        notes.append(describe(final, cache.options))
    made = explain(original, optimized, journal, sized=sized, rest=_rest(final))
    kernel_of = getattr(cache.backend, "kernel_of", None)
    return replace(made, note="\n".join(filter(None, notes)), fitted=fitted, kernel_of=kernel_of)


def _rest(program: Program) -> Program | None:
    """What runs every time, if something is made of steady weights once; else None."""
    parts = prepare(program)
    return None if parts is None else parts.rest


def _fitted(cache: ProgramCache, program: Program) -> tuple[Program, Report | None]:
    """A program within the memory budget, and the report of how; None if nothing had to be done.

    Raises:
        MemoryPlanError: if there is no way, or if it depends on sizes that are not known.
    """
    budget = cache.choices.memory_budget
    if not all(feed.type.is_static for feed in program.feeds):
        raise MemoryPlanError("what the memory budget asks for shows once the sizes are given")
    if plan_program(program).arena_bytes <= budget:
        return program, None
    journal, made = Journal("remarks", meter=Meter()), specialize(program, {})
    made = cache.choices.fitted(made, journal)
    journal.label = f"fitting {show_bytes(budget)}"
    return made, explain(program, made, journal)


def _note_of(later: Journal, sizes: Mapping[str, int]) -> str:
    """What was edited after the sizes had become known."""
    rules = list(dict.fromkeys([rule for _, rule in later.tallies if later.tallies[_, rule].fired]))
    known = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    by = f" by {', '.join(rules)}" if rules else ""
    edits = f"{later.edits} more edit{'s' * (later.edits > 1)}"
    return f"{edits}{by} once it is known that {known}" if later.edits else ""


def _sizes(sizes: Any) -> dict[str, int]:
    """The sizes as a dict of ints, once it is known that they are some."""
    if not isinstance(sizes, Mapping):
        raise SessionError(
            f"the sizes are {sizes!r:.80}", hint='pass a dict from names to ints: {"batch": 32}'
        )
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
            raise SessionError(f"the size {name} is {size!r:.80}", hint="pass an int of at least 0")
    return {name: int(size) for name, size in sizes.items()}


def _checked_sizes(plan: Plan, sizes: Mapping[str, int] | None, what: str) -> dict[str, int]:
    """The sizes that a plan is looked at with: the given ones, or those it ran with last.

    Raises:
        SessionError: if one is missing or unknown.
    """
    signature = plan.signature
    needed = {
        name: symbol
        for tensor in signature.feeds
        for size in tensor.shape
        for name, symbol in dims.symbols(size).items()
    }
    for tensor in plan.valued.tensors:
        for symbol in element_symbols(tensor).flat:
            needed.update(dims.symbols(symbol))
    chosen = _sizes({} if sizes is None else sizes)
    unknown = sorted(chosen.keys() - needed.keys())
    if unknown:
        raise SessionError(
            f"the fetches have no size {unknown[0]!r}",
            hint="their sizes are " + (", ".join(needed) or "all fixed"),
        )
    if sizes is None and plan.last is not None:
        chosen = dict(plan.last.sizes)
    missing = [name for name in needed if name not in chosen]
    if missing:
        example = ", ".join(f"{name!r}: 32" for name in missing)
        raise SessionError(
            f"the {what} on the size {', '.join(missing)}",
            hint=f"pass sizes={{{example}}}, or run the fetches first",
        )
    check_constraints(plan.constraints, chosen, signature.feeds)
    return chosen


def memory_of(
    cache: ProgramCache, signature: Signature, sizes: Mapping[str, int] | None, compiled: bool = False
) -> MemoryReport:
    """The memory report of a signature's program for the given sizes, or those it ran with last.

    Arguments:
        compiled: compile it for these sizes first, if no run has.

    Raises:
        SessionError: if a size is missing or unknown.
    """
    plan = cache.plan(signature)
    chosen = _checked_sizes(plan, sizes, "memory depends")
    variant = _variant_of(list(plan.variants.values()), chosen)
    if variant is None and compiled:
        if plan.valued.places:
            raise SessionError(
                "what is compiled depends on values that are fed", hint="run the fetches once instead"
            )
        shapes = [[dims.substitute(size, chosen) for size in feed.shape] for feed in signature.feeds]
        variant = cache.variant(plan, tuple([tuple([int(size) for size in shape]) for shape in shapes]))
    name = cache.backend.name
    if variant is not None:
        executable = variant.executable
        source = _source(cache, plan, executable.program, chosen)
        own = getattr(executable, "plan", None)
        if _is_whole(own):
            return memory_report(own, name, executable.memory(), is_actual=True, source=source)
        return memory_report(executable.program, name, executable.memory(), source=source)
    program = cache.specialized(plan.program, chosen)
    rest = _rest(program)
    program = program if rest is None else rest
    source = _source(cache, plan, program, chosen)
    planned = _backend_plan(cache, program)
    if planned is None:
        return memory_report(program, source=source)
    return memory_report(planned, name, is_actual=True, source=source)


def _backend_plan(cache: ProgramCache, program: Program) -> MemoryPlan | None:
    """The plan of the arena that the backend runs in; None if it has none, or not of all values."""
    planned = getattr(cache.backend, "memory_plan", lambda program: None)(program)
    return planned if _is_whole(planned) else None


def _source(cache: ProgramCache, plan: Plan, program: Program, sizes: Mapping[str, int]) -> Source:
    """How a program was made, so that others like it can be made and planned."""
    made: dict[str, Program] = {cache.choices.precision: plan.program}

    def make(sizes: Mapping[str, int], precision: str) -> Program:
        check_constraints(plan.constraints, dict(sizes), plan.signature.feeds)
        if precision not in made:
            choices = replace(cache.choices, precision=precision)
            made[precision] = choices.optimized(cache.extract(plan.signature), cache.backend)
        return cache.specialized(made[precision], sizes)

    def planned(program: Program) -> MemoryPlan:
        own = _backend_plan(cache, program)
        return plan_program(program) if own is None else own

    return Source(program, planned, make, dict(sizes), cache.choices.precision)


def _is_whole(plan: MemoryPlan | None) -> TypeGuard[MemoryPlan]:
    """Whether there is a plan of the backend's own in which all values have a size."""
    return plan is not None and all([tensor.type.is_static for node in plan.order for tensor in node.outputs])


def _variant_of(variants: list[Variant], sizes: Mapping[str, int]) -> Variant | None:
    return next((variant for variant in variants if dict(variant.sizes) == dict(sizes)), None)
