"""Eliminate: duplicates and dead code go, and the journal says under whose name."""

from __future__ import annotations

from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from tests.optimizer.rewriting import build, show


def test_duplicates_are_merged_under_the_name_of_the_pass() -> None:
    program, journal = build("x: float32[3] -> add(exp(x), exp(x))"), Journal("entries")
    optimize(program, pipeline="eliminate", journal=journal)
    assert show(program) == show(build("x: float32[3] -> e = exp(x); add(e, e)"))
    assert [(entry.pass_name, entry.kind) for entry in journal.entries] == [("eliminate", "merge")]
    assert journal.passes[0].changed


def test_what_nobody_needs_is_erased() -> None:
    program, journal = build("x: float32[3] -> (exp(x), sqrt(sin(x)))"), Journal("entries")
    del program.outputs[1]
    optimize(program, pipeline="eliminate", journal=journal)
    assert [node.op.name for node in program.nodes] == ["placeholder", "exp"]
    (entry,) = journal.entries
    assert (entry.rule, entry.kind, entry.removed) == ("unused", "erase", ("sqrt", "sin"))


def test_a_clean_program_is_left_alone() -> None:
    journal = Journal("counts")
    optimize(build("x: float32[3] -> exp(x)"), pipeline="eliminate", journal=journal)
    assert not journal.edits and not journal.passes[0].changed
