"""Budgets: a pass that is over them stops at a consistent program, says so, and the next one goes on."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.optimizer import budget as budgets
from graphflow.optimizer.budget import STOPPED, Budget
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize, parse_pipeline, print_pipeline
from graphflow.optimizer.program import extract

WORK = "canonicalize{safety=exact,max-nodes=10},canonicalize{safety=exact}"


def model(links: int = 40) -> gf.Model:
    with gf.Graph():
        y = x = gf.placeholder("x", (3,))
        for _ in range(links):
            y = gf.tanh(y * 1.0)
        return gf.Model(inputs=[x], outputs={"y": y})


def test_a_pass_stops_and_the_next_one_finishes() -> None:
    small = gf.optimize(model(), pipeline=WORK)
    first, second = small.report.journal.passes
    assert STOPPED in first.note and STOPPED not in second.note
    assert first.before > first.after > second.after == 41
    assert small.report.journal.stops
    assert f"{STOPPED} of 10 nodes" in str(small.report)
    x = np.float32([0.1, -0.2, 3.0])
    assert np.array_equal(small.run({"x": x}, "numpy")["y"], model().run({"x": x}, "numpy", level="O0")["y"])


def test_a_spent_clock_stops_a_pass_and_replays_stop_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.25
        return now[0]

    monkeypatch.setattr(budgets.time, "perf_counter", clock)
    monkeypatch.setattr(budgets, "_EVERY", 4)
    made = gf.optimize(model(), pipeline="canonicalize{safety=exact,max-seconds=2}")
    report = made.report
    free = gf.optimize(model(), pipeline="canonicalize{safety=exact}").report.journal.edits
    assert list(report.journal.stops) == ["0"] and 0 < report.journal.stops["0"] < free
    monkeypatch.undo()
    assert len(report.replay()) == len(made.graph)
    assert len(report.measured().optimized) == len(made.graph)


def test_bodies_share_the_budget_of_the_pass_they_run_in() -> None:
    x = gf.placeholder("x", (3,))

    def step(c: gf.Tensor, row: gf.Tensor) -> tuple[gf.Tensor, gf.Tensor]:
        for _ in range(10):
            c = gf.sin(c * 1.0)
        return c, c

    last, _ = gf.scan(step, x, gf.zeros((4, 3)))
    free, tight = Journal("entries"), Journal("entries")
    optimize(extract([last], feeds=[x]), pipeline="canonicalize,bodies", journal=free)
    optimize(extract([last], feeds=[x]), pipeline="canonicalize,bodies{max-nodes=6}", journal=tight)
    assert 0 < tight.edits < free.edits and STOPPED in tight.passes[-1].note


def test_a_pass_within_its_budget_says_nothing() -> None:
    report = gf.optimize(model(), pipeline="canonicalize{max-nodes=100000,max-seconds=1000}").report
    assert not report.journal.stops and STOPPED not in str(report)


def test_budgets_are_part_of_the_string_form_where_they_are_set() -> None:
    text = print_pipeline(parse_pipeline("eliminate{max-nodes=7},fold-constants{max-bytes=3}"))
    assert text == "eliminate{max-nodes=7},fold-constants{max-bytes=3}"
    assert print_pipeline(parse_pipeline(text)) == text


@pytest.mark.parametrize("text", ["decompose{max-nodes=3}", "verify{max-seconds=1}"])
def test_what_a_target_needs_takes_no_budget(text: str) -> None:
    with pytest.raises(AttributeValueError, match="takes no budget"):
        parse_pipeline(text)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "few"])
def test_wrong_budgets_are_refused(value: str) -> None:
    with pytest.raises(AttributeValueError, match="max-seconds"):
        parse_pipeline(f"eliminate{{max-seconds={value}}}")


def test_an_outer_budget_counts_as_well() -> None:
    outer = Budget(nodes=3)
    inner = Budget(nodes=100, outer=outer)
    inner.spend(2)
    assert not inner.is_spent(1)
    inner.spend(1)
    assert inner.is_spent(2) and inner.stopped_at == outer.stopped_at == 2
    assert str(Budget(5, 0.5)) == "5 nodes or 0.5 s"
