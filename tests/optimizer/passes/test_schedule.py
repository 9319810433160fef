"""The pass `schedule`: the program carries the order, everything follows it, and edits drop it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphFlowError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.explain import explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.pipelines import optimize, parse_pipeline
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.optimizer.rewriter import Rewriter
from graphflow.runtime.backend import CompileOptions, get_backend
from tests.optimizer.memory.graphs import programs, random_program, values_of

MATRIX = 64 * 640 * 4


def branching() -> Program:
    """Three wide values that their only readers narrow, in an order that makes all wide ones first."""
    x = gf.placeholder("x", (64, 64))
    wide = [gf.matmul(x, gf.full((64, 640), float(k)), name=f"wide{k}") for k in range(3)]
    # The sum of all three is asked for last, and each by itself before that: a walk from the fetches
    # comes to the sums of the first pair, which hold up two wide values.
    pair = gf.sum(gf.sqrt(wide[0]), name="first")
    rest = [gf.sum(gf.exp(each), name=f"sum{k}") for k, each in enumerate(wide)]
    return extract([pair, *rest], feeds=[x])


def names(program: Program) -> list[str]:
    return [node.name for node in program.order()]


def test_the_program_carries_the_order() -> None:
    program = random_program(200, 8)
    before = plan_program(program)
    journal = Journal("remarks")
    optimize(program, pipeline="schedule", journal=journal)
    after = plan_program(program)
    assert program.schedule == tuple(program.order()) == after.order != before.order
    assert after.lower_bound_bytes < before.lower_bound_bytes
    (record,) = journal.passes
    assert not record.changed and journal.edits == 0
    assert re.fullmatch(r"peak .*kB -> .*kB \(-\d+\.\d %\) by .*", record.note)


@settings(max_examples=40)
@given(programs())
def test_plans_get_no_worse_and_results_stay(program: Program) -> None:
    given_values = values_of(program)
    before, wanted = plan_program(program).lower_bound_bytes, evaluate(program.outputs, given_values)
    optimize(program, pipeline="schedule")
    assert plan_program(program).lower_bound_bytes <= before
    backend = get_backend("numpy")
    executable = backend.compile(program, CompileOptions(donate=False))
    kept = [given_values[program.variables[name]] for name in executable.kept]
    feeds = [given_values[tensor] for tensor in program.feeds]
    for made, value in zip(executable([], kept, feeds, None)[0], wanted):
        np.testing.assert_allclose(made, value, rtol=1e-5)


def test_an_edit_drops_the_order_and_a_pass_without_edits_does_not() -> None:
    x = gf.placeholder("x", (8,))
    y = gf.exp(x) * 1.0
    program = optimize(extract([y], feeds=[x]), pipeline="schedule")
    assert program.schedule
    rewriter = Rewriter(program)
    multiply = next(node for node in program.order() if node.op.name == "multiply")
    rewriter.replace(multiply, multiply.inputs[0], "one")
    assert program.schedule == () and [node.op.name for node in program.order()][-1] == "exp"
    again = optimize(extract([y], feeds=[x]), pipeline="schedule,verify,fuse")
    assert again.schedule
    edited = optimize(extract([y], feeds=[x]), pipeline="schedule,canonicalize{safety=exact}")
    assert edited.schedule == () and names(edited) == ["x", "exp"]


def test_merged_twins_drop_the_order() -> None:
    x = gf.placeholder("x", (8,))
    program = extract([gf.exp(x) + gf.exp(x)], feeds=[x])
    program.schedule = program.order()
    Rewriter(program)
    assert program.schedule == () and len(program.order()) == 3


def test_other_outputs_have_another_order() -> None:
    program = optimize(branching(), pipeline="schedule")
    assert program.schedule
    program.outputs = program.outputs[:1]
    assert program.schedule == () and "sum1" not in names(program)


def test_copies_of_known_sizes_keep_the_order() -> None:
    x = gf.placeholder("x", ("batch", 4))
    program = extract([gf.sum(gf.exp(x)) + gf.sum(gf.tan(x))], feeds=[x])
    wanted = ["x", "exp", "tan", "sum", "sum_1", "add"]
    program.schedule = sorted(program.order(), key=lambda node: wanted.index(node.name))
    assert names(program) == wanted
    assert names(specialize(program, {"batch": 3})) == names(program)


def test_regions_run_together_where_asked() -> None:
    program = optimize(branching(), pipeline="fuse,schedule")
    place = {node: position for position, node in enumerate(program.order())}
    assert program.regions
    for region in program.regions:
        inside = [place[node] for node in region.nodes]
        between = [node for node in program.order()[min(inside) : max(inside)] if node.inputs]
        assert set(between) <= set(region.nodes)
    with gf.Graph():
        free = optimize(branching(), pipeline="fuse,schedule{regions=false}")
    assert plan_program(free).lower_bound_bytes <= plan_program(program).lower_bound_bytes


def test_unknown_sizes_wait_for_their_values() -> None:
    x = gf.placeholder("x", ("batch", 64))
    y = gf.placeholder("y", ("batch", 64))
    wide = [gf.matmul(one, gf.ones((64, 640)), name=f"wide{k}") for k, one in enumerate((x, y))]
    total = gf.sum(gf.exp(wide[0])) + gf.sum(wide[1]) + gf.sum(wide[0])
    session = gf.Session(backend="numpy")
    (record,) = [one for one in session.explain([total]).journal.passes if one.name == "schedule"]
    assert record.note == "it is chosen once the sizes of the feeds are known"
    report = session.memory([total], sizes={"batch": 64})
    # One wide value and its exponential at once; the other one not before they are gone.
    assert report.plan.order and report.lower_bound_bytes < 2 * MATRIX + 10_000


def test_backends_choose_an_order_from_o1_on() -> None:
    for name in ("numpy", "jax"):
        pipeline = get_backend(name).pipeline
        assert "schedule" not in pipeline("O0")
        for level in ("O1", "O2", "O3"):
            steps = [step.name for step in parse_pipeline(pipeline(level))]
            place = steps.index("schedule")
            assert steps[place - 1 : place + 2] == ["fuse", "schedule", "in-place"]


def test_a_session_runs_in_the_planned_order_and_says_so() -> None:
    x = gf.placeholder("x", (64, 64))
    sums = [gf.sum(gf.exp(gf.matmul(x, gf.full((64, 640), float(k))))) for k in range(3)]
    total = sums[0] + sums[1] + sums[2]
    session = gf.Session(backend="numpy")
    session.run(total, {x: np.ones((64, 64), "f4")})
    text = str(session.explain(total))
    assert "\norder: " in text and "\nin place: " in text and 'report.missed("in-place")' in text
    excluded = gf.Session(backend="numpy", exclude=["schedule"])
    assert "\norder: " not in str(excluded.explain(total))


def test_bodies_keep_their_order() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.fori_loop(0, 3, lambda i, c: gf.tanh(c) * 2.0, x)
    journal = Journal("remarks")
    program = optimize(extract([y], feeds=[x]), pipeline="bodies,schedule", journal=journal)
    assert [record.name for record in journal.passes] == ["bodies", "schedule"]
    assert program.schedule


def test_options() -> None:
    (step,) = parse_pipeline("schedule{states=10,regions=false}")
    assert str(step) == "schedule{states=10,regions=false}"
    with pytest.raises(AttributeValueError, match="cannot be '-1'"):
        parse_pipeline("schedule{states=-1}")


# In place


def test_missed_lists_what_could_not_be_written_in_place() -> None:
    x = gf.placeholder("x", ("batch", 4))
    y = gf.exp(x, name="y")
    z = gf.multiply(gf.tanh(y, name="z"), y, name="out")
    original, program = extract([gf.sum(z)], feeds=[x]), extract([gf.sum(z)], feeds=[x])
    journal = Journal("remarks")
    optimize(program, pipeline="schedule,in-place", journal=journal)
    report = explain(original, program, journal)
    missed = {remark.node: remark.reason for remark in report.missed("in-place")}
    assert missed == {
        "y": "x is passed in, and what is passed in stays as it is",
        "z": "y is read later, by out",
    }
    assert journal.passes[-1].note == "1 result, and not 2 others"
    assert report.missed() == [] and "declined" not in str(report)
    with pytest.raises(GraphFlowError, match="did you mean 'in-place'"):
        report.missed("in_place")


def test_nothing_is_said_without_remarks() -> None:
    journal = Journal("entries")
    x = gf.placeholder("x", (4,))
    optimize(extract([gf.exp(x)], feeds=[x]), pipeline="in-place", journal=journal)
    assert journal.passes[0].note == "" and journal.tallies == {}
