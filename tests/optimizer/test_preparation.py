"""Programs in two parts: what is steady, what is worth preparing, and that both parts make the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.preparation import is_steady, prepare
from graphflow.optimizer.program import Program, extract, specialize


def program_of(*outputs: Tensor, steady: Any = None, **options: Any) -> Program:
    """The program of tensors, in which the named variables are steady; all, if none are named."""
    made = extract(outputs, **options)
    made.steady = frozenset(made.variables if steady is None else steady)
    return made


def values_of(program: Program, named: dict[str, np.ndarray]) -> dict[Tensor, np.ndarray]:
    return {node.output: named[node.name] for node in program.nodes if node.name in named}


def in_two_steps(
    program: Program, arrays: dict[str, np.ndarray], feeds: list[np.ndarray]
) -> list[np.ndarray]:
    """The results of a program by way of its two parts."""
    parts = prepare(program)
    assert parts is not None and parts.bytes == sum([one.type.nbytes for one in parts.first.outputs])
    assert {node.op.name for node in parts.first.order()}.isdisjoint({"placeholder", "session_key"})
    made = evaluate(parts.first.outputs, values_of(parts.first, arrays))
    given = dict(zip(parts.rest.feeds, [*feeds, *made]))
    return evaluate(parts.rest.outputs, {**values_of(parts.rest, arrays), **given})


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def test_both_parts_make_the_whole() -> None:
    x, w, v = gf.placeholder("x", (4, 40)), gf.variable("w", (30, 40)), gf.variable("v", (30,))
    hidden = gf.nn.relu(x @ gf.permute_dims(w * gf.exp(v)[:, None], (1, 0)) + v)
    program = program_of(hidden, gf.sum(w), feeds=[x])
    arrays, fed = {"w": draw(30, 40), "v": draw(30)}, draw(4, 40)
    wanted = evaluate(program.outputs, {**values_of(program, arrays), program.feeds[0]: fed})
    for one, other in zip(in_two_steps(program, arrays, [fed]), wanted):
        np.testing.assert_array_equal(one, other)
    parts = prepare(program)
    assert parts is not None and [one.shape for one in parts.first.outputs] == [(40, 30)]
    # The other result and the sum still read the variables as they are.
    assert sorted(parts.rest.variables) == ["v", "w"]


def test_regions_and_the_order_of_what_is_left_are_kept() -> None:
    x, w, v = gf.placeholder("x", (40, 40)), gf.variable("w", (40, 40)), gf.variable("v", (40,))
    y = gf.nn.relu(gf.exp(x @ (w * 2.0).T) + gf.exp(v))
    program = optimize(program_of(y, feeds=[x]), pipeline="fuse,schedule")
    assert program.steady == {"w", "v"} and program.regions and program.schedule
    parts = prepare(program)
    assert parts is not None
    assert [region.nodes[-1].op.name for region in parts.rest.regions] == ["relu"]
    names = [node.op.name for node in parts.rest.schedule if node.op.name not in ("variable", "placeholder")]
    assert names == [node.op.name for node in program.schedule if node.op.name in names]
    assert set(parts.rest.schedule) == set(parts.rest.order())


@pytest.mark.parametrize("which", ["unnamed", "random", "loop", "fed", "small", "wide", "as it is"])
def test_what_is_not_prepared(which: str) -> None:
    x, w = gf.placeholder("x", (4, 40)), gf.variable("w", (40, 40))
    other = gf.placeholder("other", (40, 40))
    weight = {
        "random": lambda: w + gf.random.normal((40, 40)),
        "loop": lambda: gf.fori_loop(0, 3, lambda i, c: c * 2.0, w),
        "fed": lambda: w * other,
        "small": lambda: gf.variable("u", (40, 4)) * 2.0,
        "wide": lambda: gf.broadcast_to(gf.variable("u", (1, 4)) * 2.0, (40, 4)) * gf.ones((1, 1)),
        "as it is": lambda: gf.reshape(w, (40, 40)),
    }.get(which, lambda: w * 2.0)()
    y = x @ weight
    feeds = [x, other] if which == "fed" else [x]
    steady = () if which == "unnamed" else None
    assert prepare(program_of(y, feeds=feeds, steady=steady)) is None


def test_what_is_steady_stays_so_when_sizes_are_known_and_not_when_values_are() -> None:
    x, w = gf.placeholder("x", ("n", 40)), gf.variable("w", (40, 40))
    program = program_of(x @ (w * 2.0), feeds=[x])
    assert prepare(specialize(program, {"n": 3})) is not None
    assert prepare(specialize(program, {"n": 3}, {"w": draw(40, 40)})) is None


def test_only_programs_with_steady_variables_have_steady_tensors() -> None:
    x, w = gf.placeholder("x", (4, 40)), gf.variable("w", (40, 40))
    y = x @ (w * 2.0)
    for steady, wanted in ((None, True), ((), False)):
        program = program_of(y, feeds=[x], steady=steady)
        data, weight = program.outputs[0].node.inputs
        assert [is_steady(data), is_steady(weight)] == [False, wanted]
    assert not is_steady(w)


def test_what_is_made_of_constants_alone_is_no_constant() -> None:
    x, w = gf.placeholder("x", (4, 40)), gf.variable("w", (40, 40))
    program = program_of(x @ gf.broadcast_to(gf.constant([2.0]), (40, 40)), w * 2.0, feeds=[x])
    made, constant = program.outputs[0].node.inputs[1], program.outputs[1].node.inputs[1]
    assert [is_steady(made), is_steady(constant)] == [False, True]
    assert prepare(program) is None


def test_a_chain_of_a_thousand_nodes_is_looked_at_in_part() -> None:
    w = gf.variable("w", (40, 40))
    chain = w
    for _ in range(1000):
        chain = gf.sin(chain)
    x = gf.placeholder("x", (4, 40))
    program = program_of(x @ chain, feeds=[x])
    assert not is_steady(program.outputs[0].node.inputs[1])
    parts = prepare(program)
    assert parts is not None and len(parts.first.order()) == 1001


@pytest.mark.parametrize("sizes", [None, {"batch": 8}])
def test_reports_and_plans_are_of_what_runs_every_time(sizes):
    x = gf.placeholder("x", (8, 64) if sizes is None else ("batch", 64))
    w = gf.variable("w", (64, 128))
    y = gf.sum(gf.nn.relu(x @ w), axis=1)
    session = gf.Session()
    report = session.explain(y, sizes=sizes)
    prepared = [line for line in report.lines if line.rule == "made_once"]
    assert [line.pass_name for line in prepared] == ["prepare" if sizes is None else "prepare at sizes"]
    assert prepared[0].nodes < 0 and prepared[0].bytes < 0 and prepared[0].peak_bytes < 0
    for name in ("nodes", "flops", "bytes"):
        total = sum([getattr(line, name) for line in report.lines])
        assert total == getattr(report.after, name) - getattr(report.before, name)
    assert report.after.peak_bytes == session.memory(y, sizes=sizes).arena_bytes == 8 * 128 * 4
    assert report.after.weight_bytes == 64 * 128 * 4
    with pytest.raises(gf.GraphFlowError, match="no pass 'prepare' ran"):
        report.diff("prepare")
    if sizes is not None:
        assert "packed_conv" in str(report.diff("pack-weights at sizes"))


def test_reports_of_weights_that_change_have_no_such_line():
    x, w = gf.placeholder("x", (8, 64)), gf.variable("w", (64, 128))
    y = gf.sum(gf.nn.relu(x @ w))
    report = gf.Session().explain([y, gf.assign(w, w - gf.gradients(y, [w])[0])])
    assert "made_once" not in [line.rule for line in report.lines]
