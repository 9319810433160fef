"""What a session tells about a program without running it: the optimizer's edits, and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphflow.errors import SessionError
from graphflow.ir import dims
from graphflow.ir.fed_sizes import element_symbols
from graphflow.optimizer.explain import Report, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.report import MemoryReport, memory_report
from graphflow.optimizer.metering import Meter
from graphflow.session.cache import ProgramCache, Variant
from graphflow.session.feeds import check_constraints
from graphflow.session.signature import Signature


def explain_program(cache: ProgramCache, signature: Signature) -> Report:
    """The report of an optimizer run with a full journal; it is deterministic, so it is what happened."""
    journal = Journal("remarks", meter=Meter())
    original, optimized = cache.build(signature, journal)
    report = explain(original, optimized, journal)
    describe = getattr(cache.backend, "compilation_note", None)
    return report if describe is None else replace(report, note=describe(optimized, cache.options))


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


def memory_of(cache: ProgramCache, signature: Signature, sizes: Mapping[str, int] | None) -> MemoryReport:
    """The memory report of a signature's program for the given sizes, or those it ran with last.

    Raises:
        SessionError: if a size is missing or unknown.
    """
    plan = cache.plan(signature)
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
            f"the memory depends on the size {', '.join(missing)}",
            hint=f"pass sizes={{{example}}}, or run the fetches first",
        )
    check_constraints(plan.constraints, chosen, signature.feeds)
    variant = _variant_of(list(plan.variants.values()), chosen)
    if variant is not None:
        executable = variant.executable
        return memory_report(executable.program, cache.backend.name, executable.memory())
    return memory_report(cache.specialized(plan.program, chosen))


def _variant_of(variants: list[Variant], sizes: Mapping[str, int]) -> Variant | None:
    return next((variant for variant in variants if dict(variant.sizes) == dict(sizes)), None)
