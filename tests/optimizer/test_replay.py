"""Replay: every prefix of the edits is a program that verifies and computes the same, in bodies too."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphFlowError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.explain import Report, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.replay import duplicate, replay
from tests.optimizer.rewriting import awkward, build, values

TEXT = "x: float32[4,7] -> e = exp(x * 1.0); (log(softmax(multiply(x, 1.0))), e + (e + 0.0), exp(x) * 2.0)"


def looped() -> Program:
    with gf.Graph("looped"):
        x = gf.placeholder("x", (5, 3))
        last, rows = gf.scan(
            lambda c, z: (c * 1.0 + gf.exp(z) * gf.exp(z), gf.log(gf.nn.softmax(c))), gf.zeros(3), x
        )
        y = gf.cond(gf.sum(x) > 0, lambda a: a * 1.0, lambda a: gf.negative(gf.negative(a)), last)
        return extract([y, rows], feeds=[x])


def reported(program: Program, level: str = "O2") -> Report:
    journal = Journal("remarks")
    optimized = optimize(duplicate(program), level, journal=journal)
    return explain(program, optimized, journal)


@pytest.mark.parametrize("level", ["O1", "O2", "O3"])
def test_the_ends_are_the_original_and_the_optimised(level: str) -> None:
    for program in (build(TEXT), looped()):
        report = reported(program, level)
        assert gf.print_graph(report.replay(0)) == gf.print_graph(program)
        every = gf.print_graph(report.optimized)
        assert gf.print_graph(report.replay()) == every
        assert gf.print_graph(report.replay(report.journal.edits)) == every
        assert gf.print_graph(report.replay(10**6)) == every


def test_every_prefix_is_a_program_with_the_same_values() -> None:
    program = build(TEXT)
    report = reported(program)
    assert report.journal.edits == 5
    arrays = [awkward(tensor, 1, finite=True) for tensor in program.feeds]
    expected = values(program, arrays)
    texts = []
    for steps in range(report.journal.edits + 1):
        made = report.replay(steps)
        gf.verify(made)
        texts.append(gf.print_graph(made))
        for left, right in zip(expected, values(made, arrays)):
            np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)
    assert len(set(texts)) == len(texts)  # each edit changes something


def test_edits_in_bodies_count_one_by_one() -> None:
    program = looped()
    report = reported(program)
    entries = report.journal.entries
    inside = [entry for entry in entries if ":" in entry.removed[0]]
    assert {entry.removed[0].rpartition("/")[0] for entry in inside} >= {"scan:body/scan"}
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = evaluate(program.outputs, {program.feeds[0]: x})
    texts = []
    for steps in range(len(entries) + 1):
        made = report.replay(steps)
        gf.verify(made)
        texts.append(gf.print_graph(made))
        for left, right in zip(expected, evaluate(made.outputs, {made.feeds[0]: x})):
            np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)
    for entry in inside:
        assert texts[entry.sequence] != texts[entry.sequence + 1], entry


def test_names_inside_and_outside_of_bodies_are_told_apart() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (5,))
        y = gf.map(lambda z: gf.exp(z) * 1.0, x)
        report = reported(extract([y, gf.exp(x) * 1.0], feeds=[x]))
    assert any(name.startswith("map:body/") or ":body/" in name for name in report.journal.gone)
    assert "multiply" in report.journal.gone


def test_replays_stop_where_the_journal_of_the_first_run_was() -> None:
    program = build(TEXT)
    whole = Journal("entries")
    replay(program, "O2", journal=whole)
    for steps in (1, 3, 5):
        part = Journal("entries", steps)
        replay(program, "O2", journal=part)
        assert part.entries == whole.entries[:steps] and part.is_full


@pytest.mark.parametrize("steps", [-1, 1.5, "2", True])
def test_steps_are_a_count(steps: object) -> None:
    with pytest.raises(AttributeValueError, match="number of edits"):
        replay(build(TEXT), "O2", steps)


def test_the_program_given_is_left_alone() -> None:
    program = build(TEXT)
    before = gf.print_graph(program)
    replay(program, "O3")
    assert gf.print_graph(program) == before


def test_models_stop_after_some_edits() -> None:
    x = gf.placeholder("x", (3,))
    model = gf.Model(inputs=[x], outputs={"y": gf.exp(x * 1.0) * 1.0})
    assert [len(gf.optimize(model, steps=steps).graph) for steps in (0, 1, 2, 3)] == [6, 5, 4, 2]


def test_a_pass_has_a_difference() -> None:
    report = reported(build(TEXT))
    found = report.diff("canonicalize")
    assert found.left == "before canonicalize" and not found.same
    assert {change.rule for change in found.changes} >= {"log_of_softmax"}
    assert report.diff().left == "as built" and report.diff("control-flow").same
    with pytest.raises(GraphFlowError, match="no pass 'fuse' ran"):
        report.diff("fuse")
