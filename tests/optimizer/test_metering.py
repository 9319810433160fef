"""The meter: what passes and rules are said to cost, against the programs themselves."""

from __future__ import annotations

import itertools

import pytest

import graphflow as gf
from graphflow.optimizer.analysis.cost import total_bytes, total_flops
from graphflow.optimizer.explain import Report, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.metering import Meter, at_sizes, planned_peak
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from tests.optimizer.rewriting import build

TEXT = "x: float32[4,7] -> a = exp(multiply(x, 1.0)); log(softmax(add(a, a)))"


def report(text: str = TEXT, planned: int = 10_000) -> Report:
    program, journal = build(text), Journal("remarks", meter=Meter(planned))
    optimize(program, "O2", journal=journal)
    return explain(build(text), program, journal)


def test_passes_are_measured_before_and_after() -> None:
    told = report()
    assert told.meter is not None
    passes = told.meter.passes
    assert [cost.name for cost in passes] == [record.name for record in told.journal.passes]
    for left, right in itertools.pairwise(passes):
        assert left.after == right.before
    for program, measure in ((told.original, passes[0].before), (told.optimized, passes[-1].after)):
        nodes = program.order()
        assert measure.nodes == len(nodes)
        assert measure.flops == total_flops(nodes) and measure.bytes == total_bytes(nodes)
        assert measure.peak_bytes == plan_program(program).arena_bytes
    assert told.before.peak_bytes == passes[0].before.peak_bytes
    assert told.after.peak_bytes == passes[-1].after.peak_bytes


def test_what_rules_add_is_what_the_passes_add() -> None:
    told = report()
    assert told.meter is not None
    first, last = told.meter.passes[0].before, told.meter.passes[-1].after
    assert sum(line.flops or 0 for line in told.lines) == last.flops - first.flops
    assert sum(line.bytes or 0 for line in told.lines) == last.bytes - first.bytes
    assert sum(line.nodes for line in told.lines) == last.nodes - first.nodes
    assert sum(line.peak_bytes or 0 for line in told.lines) == last.peak_bytes - first.peak_bytes


def test_rules_that_fire_have_times_and_peaks() -> None:
    line = next(line for line in report().lines if line.rule == "log_of_softmax")
    assert line.fired == 1 and line.seconds is not None and line.seconds > 0
    assert line.peak_bytes is not None
    assert "ms" in str(report()) and "planned peak" in str(report())


def test_peaks_of_rules_end_with_the_nodes_that_may_be_planned() -> None:
    told = report(planned=0)
    assert all(line.peak_bytes is None for line in told.lines)
    assert told.meter is not None and told.meter.passes[-1].after.peak_bytes is not None


def test_an_ordinary_run_is_not_measured_but_can_be_later() -> None:
    x = gf.placeholder("x", ("batch", 10))
    model = gf.Model(inputs=[x], outputs={"y": gf.log(gf.nn.softmax(x * 1.0))})
    plain = gf.optimize(model).report
    assert plain.meter is None and all(line.seconds is None for line in plain.lines)
    told = plain.measured()
    assert told.meter is not None and told.measured() is told
    assert [(line.rule, line.fired, line.nodes) for line in told.lines] == [
        (line.rule, line.fired, line.nodes) for line in plain.lines
    ]
    assert told.label == plain.label and told.meter.passes[0].before.peak_bytes is not None


def test_a_session_measures_for_explain_alone() -> None:
    x = gf.placeholder("x", (3,))
    with gf.Session(backend="numpy") as sess:
        assert sess.explain(gf.exp(x) * 1.0).meter is not None


def test_symbolic_sizes_count_as_one() -> None:
    x = gf.placeholder("x", ("n", 4))
    program = extract([gf.exp(gf.exp(x))], feeds=[x])
    assert [tensor.shape for tensor in at_sizes(program, {}).feeds] == [(1, 4)]
    assert planned_peak(program) == planned_peak(build("x: float32[1,4] -> exp(exp(x))"))


@pytest.mark.parametrize("level", ["O0", "O1", "O3"])
def test_every_level_can_be_measured(level: str) -> None:
    x = gf.placeholder("x", (3,))
    y = gf.fori_loop(0, 3, lambda i, c: gf.exp(c) * 1.0, x)
    with gf.Session(backend="numpy", level=level) as sess:
        told = sess.explain(y)
    assert told.meter is not None and len(told.meter.passes) == len(told.journal.passes)
