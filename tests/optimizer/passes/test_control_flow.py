"""ControlFlow and Bodies: each rule fires where it should, keeps the values, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.body import bodies_of
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node
from graphflow.ir.verify import verify
from graphflow.ops.dependence import needed_results
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract

WILD = np.array([0.5, -0.0, np.nan, np.inf], np.float32)
Build = Callable[[gf.Tensor], Any]


def optimized(fetches: Any, pipeline: str = "control-flow") -> tuple[Program, Journal]:
    """The program of some fetches after a pipeline, and its journal."""
    tensors = list(fetches) if isinstance(fetches, (list, tuple)) else [fetches]
    journal = Journal("entries")
    program = optimize(
        extract(tensors, training=False), pipeline=pipeline, journal=journal, strict=True, check=True
    )
    verify(program)
    return program, journal


def kinds(program: Program) -> list[str]:
    return [node.op.name for node in program.order() if node.op.name not in ("placeholder", "constant")]


def find(program: Program, kind: str) -> Node:
    (node,) = [node for node in program.order() if node.op.name == kind]
    return node


def same_values(fetches: Any, feeds: Mapping[gf.Tensor, Any]) -> None:
    """Whether O0 and O1 agree to the bit on numpy."""
    before, after = [
        gf.Session(backend="numpy", level=level).run(fetches, dict(feeds)) for level in ("O0", "O1")
    ]
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", (4,))


def test_calls_are_replaced_by_their_bodies(x: gf.Tensor) -> None:
    block = gf.function(lambda t: gf.exp(t) + 1.0, name="block")
    y = block(block(x))
    program, journal = optimized(y)
    assert kinds(program) == ["exp", "add", "exp", "add"]
    assert journal.fired("inline_call") == 2
    assert all(node.origin is not None for node in program.order())
    same_values([y], {x: WILD})


def test_a_recomputation_is_not_merged_with_the_first_computation(x: gf.Tensor) -> None:
    y = gf.recompute(lambda t: gf.sin(gf.exp(t)))(x)
    program, _ = optimized([y, *gf.gradients(y, x)], "control-flow,bodies,canonicalize{safety=exact}")
    assert kinds(program).count("exp") == 1 and kinds(program).count("call") == 1
    (body,) = bodies_of(find(program, "call"))
    assert [node.op.name for node in body.order()].count("exp") == 1


@pytest.mark.parametrize(("index", "kind"), [(-5, "sin"), (0, "sin"), (1, "cos"), (9, "exp")])
def test_a_constant_decides_a_choice(x: gf.Tensor, index: int, kind: str) -> None:
    program, journal = optimized(gf.switch_case(index, [gf.sin, gf.cos, gf.exp], x))
    assert kinds(program) == [kind] and journal.fired("decided_branch") == 1


def test_the_training_flag_decides_a_choice(x: gf.Tensor) -> None:
    y = gf.cond(gf.training, lambda: gf.exp(x), lambda: gf.sin(x))
    assert kinds(optimized(y)[0]) == ["sin"]


def test_the_scan_of_a_gradient_takes_the_place_of_the_first(x: gf.Tensor) -> None:
    last, rows = gf.scan(lambda c, t: (gf.sin(c * t), c), 0.5, x)
    slope = gf.gradients(last + gf.sum(rows), x)[0]
    program, journal = optimized([last, rows, slope])
    assert kinds(program).count("scan") == 2 and journal.fired("merge_scans") >= 1
    same_values([last, rows, slope], {x: WILD})


def test_scans_that_differ_repeat_nothing(x: gf.Tensor) -> None:
    first = gf.scan(lambda c, t: (c + t, c), 0.0, x)[0]
    second = gf.scan(lambda c, t: (c - t, (c, c)), 0.0, x)[0]
    third = gf.scan(lambda c, t: (c + t, (c, c)), 0.0, x, reverse=True)[0]
    program, journal = optimized([first, second, third], "control-flow{exclude=merge_neighbours}")
    assert kinds(program).count("scan") == 3 and not journal.fired("merge_scans")


def test_unread_results_go_with_the_carries_that_only_they_need(x: gf.Tensor) -> None:
    (kept, _), (rows, _) = gf.scan(lambda c, t: ((c[0] + t, c[1] * c[1]), (c[0], c[1])), (0.0, 2.0), x)
    node = find(optimized([kept, rows])[0], "scan")
    assert (node.attrs.carries, len(node.outputs)) == (1, 2)
    same_values([kept, rows], {x: WILD})


def test_a_carry_that_another_needs_stays(x: gf.Tensor) -> None:
    (kept, _), _ = gf.scan(lambda c, t: ((c[0] + c[1], c[1] * t), None), (0.0, 2.0), x)
    assert find(optimized(kept)[0], "scan").attrs.carries == 2
    same_values([kept], {x: WILD})


def test_a_carry_that_the_condition_reads_stays() -> None:
    n = gf.placeholder("n", (), gf.int32)
    total = gf.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 2, s[2] + 1), (0, 1, 0))[1]
    node = find(optimized(total)[0], "while_loop")
    assert node.attrs.carries == 2
    same_values([total], {n: 5})


def test_unread_results_and_operands_of_a_choice_go(x: gf.Tensor) -> None:
    y = gf.placeholder("y", (4,))
    first, _ = gf.cond(x[0] > 0.0, lambda: (x * 2.0, y), lambda: (x, y * y))
    node = find(optimized(first)[0], "switch_case")
    assert (len(node.inputs), len(node.outputs)) == (2, 1)
    same_values([first], {x: WILD, y: WILD})


def test_small_constants_move_in_and_are_folded(x: gf.Tensor) -> None:
    two = gf.constant([2.0] * 4)
    body = gf.placeholder("p", (), gf.bool)
    y = gf.cond(body, lambda t: t * two + gf.exp(two), lambda t: t, x)
    program, _ = optimized(y, "control-flow,bodies,fold-constants")
    (node,) = [node for node in program.order() if node.op.name == "switch_case"]
    assert len(node.inputs) == 2
    assert "exp" not in [inner.op.name for inner in next(iter(bodies_of(node))).order()]


def test_a_carry_that_never_changes_is_captured(x: gf.Tensor) -> None:
    (scale, total), _ = gf.scan(lambda c, t: ((c[0], c[1] + c[0] * t), None), (x[0], 0.0), x)
    program, journal = optimized([scale, total])
    node = find(program, "scan")
    assert node.attrs.carries == 1 and journal.fired("unchanged_carry") == 1
    same_values([scale, total], {x: WILD})


def test_what_is_the_same_in_all_steps_leaves_the_loop(x: gf.Tensor) -> None:
    w = gf.placeholder("w", (4,))
    total, _ = gf.scan(lambda c, t: (c + t * gf.sum(gf.exp(w) * 2.0), None), 0.0, x)
    program, _ = optimized(total)
    assert kinds(program)[:3] == ["exp", "multiply", "sum"]
    assert {n.op.name for n in next(iter(bodies_of(find(program, "scan")))).order()} == {
        "placeholder", "add", "multiply",
    }  # fmt: skip
    same_values([total], {x: WILD, w: WILD})


def test_invariants_leave_while_loops(x: gf.Tensor) -> None:
    after = gf.while_loop(lambda c: gf.sum(c) < 9.0, lambda c: c + gf.exp(gf.sum(x)), x)
    program, _ = optimized(after)
    assert "exp" in kinds(program)
    same_values([after], {x: np.ones(4, np.float32)})


def test_loops_that_may_not_end_stay_in_loops_that_may_take_no_step() -> None:
    count, slope = gf.placeholder("count", (), gf.int32), gf.placeholder("slope", ())

    def climb(bound: int | None) -> Any:
        return gf.while_loop(
            lambda height: height < 3.0, lambda height: height + slope, slope, max_steps=bound
        )

    def loop(bound: int | None) -> Any:
        return gf.while_loop(lambda s: s[0] < count, lambda s: (s[0] + 1, s[1] + climb(bound)), (0, 0.0))[1]

    assert kinds(optimized(loop(None))[0]) == ["while_loop"]
    assert kinds(optimized(loop(5))[0]) == ["while_loop", "while_loop"]
    same_values([loop(None)], {count: 2, slope: 1.0})


def test_many_carries_that_each_need_the_next_are_kept_or_go_together(x: gf.Tensor) -> None:
    def step(carry: list[Any], _: None) -> tuple[list[Any], None]:
        return [a + b for a, b in zip(carry, [*carry[1:20], carry[0], *carry[21:], carry[20]])], None

    last, _ = gf.scan(step, [x[0]] * 40, length=3)
    assert find(optimized(last[7])[0], "scan").attrs.carries == 20
    assert find(optimized([last[7], last[30]])[0], "scan").attrs.carries == 40
    assert needed_results(last[0].node, [7]) == set(range(20))
    same_values([last[7], last[30]], {x: WILD})


@pytest.mark.parametrize("steps", [0, 1])
def test_scans_of_no_step_or_one_are_no_loops(steps: int) -> None:
    x = gf.placeholder("x", (steps, 2))
    last, _ = gf.scan(lambda c, t: (c * 2.0 + t, None), gf.ones((2,)), x)
    assert "scan" not in kinds(optimized(last)[0])
    same_values([last], {x: np.ones((steps, 2), np.float32)})


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_few_small_steps_are_written_out(steps: int, reverse: bool) -> None:
    x = gf.placeholder("x", (steps, 4))
    last, rows = gf.scan(lambda c, t: (gf.sin(c) * t, c + t), gf.ones((4,)), x, reverse=reverse)
    assert "scan" not in kinds(optimized([last, rows])[0])
    same_values([last, rows], {x: np.tile(WILD, (steps, 1))})


def test_many_or_large_steps_stay_a_loop(x: gf.Tensor) -> None:
    def long(carry: Any, t: Any) -> Any:
        for _ in range(20):
            carry = gf.sin(carry + t)
        return carry, None

    for init, xs, step in ((0.0, x, lambda c, t: (c + t, None)), (0.0, x[:3], long)):
        assert kinds(optimized(gf.scan(step, init, xs)[0])[0]).count("scan") == 1


def test_a_while_loop_that_never_goes_is_none(x: gf.Tensor) -> None:
    y = gf.while_loop(lambda c: gf.constant(1.0) > 2.0, lambda c: c + 1.0, x)
    assert kinds(optimized(y, "fold-constants,bodies,control-flow")[0]) == []
    same_values([y], {x: WILD})


def test_bodies_are_optimised_at_every_depth(x: gf.Tensor) -> None:
    def step(carry: Any, t: Any) -> Any:
        return gf.cond(t > 0.0, lambda: carry * 1.0 + gf.log(gf.exp(t) * 1.0), lambda: carry), None

    last, _ = gf.scan(step, 0.0, x)
    program, journal = optimized(last, "control-flow,bodies,canonicalize{safety=exact}")
    (outer,) = bodies_of(find(program, "scan"))
    (choice,) = [node for node in outer.order() if node.op.name == "switch_case"]
    names = [node.op.name for body in bodies_of(choice) for node in body.order()]
    assert "multiply" not in names and "log" in names
    assert [record.name for record in journal.passes] == ["control-flow", "bodies", "canonicalize"]
    same_values([last], {x: WILD})


def test_operators_a_target_lacks_are_expanded_in_bodies(x: gf.Tensor) -> None:
    last, _ = gf.scan(lambda c, t: (gf.nn.softplus(c + t), None), 0.0, x)
    program = optimize(
        extract([last], training=False), pipeline="bodies,decompose",
        refusal=lambda node: "no" if node.op.name == "softplus" else None,
    )  # fmt: skip
    (body,) = bodies_of(find(program, "scan"))
    assert "softplus" not in [node.op.name for node in body.order()]


def test_a_carry_that_an_inner_loop_reads_for_nothing_goes_with_it_or_stays(rng: np.random.Generator) -> None:
    """The wanted result does not depend on the second carry, but its node, a loop inside, reads it."""
    xs = gf.placeholder("xs", (3,), gf.float64)

    def step(carry: Any, x: gf.Tensor) -> Any:
        first, second = carry
        inner = gf.fori_loop(0, 2, lambda i, s: (gf.sin(s[0]), s[1] + second), (x, second))
        return (first + inner[0], second * 2.0 + inner[1]), None

    wanted = gf.scan(step, (xs[0], xs[1]), xs)[0][0]
    optimized(wanted)
    same_values([wanted], {xs: rng.standard_normal(3)})


def test_a_call_is_expanded_by_name() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.recompute(lambda z: gf.exp(z) * 2.0)(x) + 1.0
    program = extract([y], feeds=[x])
    made = optimize(program, pipeline="decompose{ops=call}", strict=True, check=True)
    assert [node.op.name for node in made.order()] == [
        "placeholder",
        "exp",
        "constant",
        "multiply",
        "constant",
        "add",
    ]


# Choices


def choice(true: Any, false: Any) -> gf.Tensor:
    return gf.cond(gf.placeholder("p", (), gf.bool), true, false)


def assert_both_ways(fetches: Any, x: gf.Tensor) -> None:
    p = x.graph.placeholders["p"]
    for value in (True, False):
        same_values(fetches, {x: WILD, p: np.bool_(value)})


def test_a_choice_between_equal_branches_is_none(x: gf.Tensor) -> None:
    y = choice(lambda: gf.sin(x) * 2.0, lambda: gf.sin(x) * 2.0)
    assert kinds(optimized(y)[0]) == ["sin", "multiply"]
    z = gf.cond(x.graph.placeholders["p"], lambda: gf.sin(x), lambda: gf.cos(x))
    assert kinds(optimized(z)[0]).count("switch_case") == 1


def test_what_all_branches_compute_is_computed_in_front(x: gf.Tensor) -> None:
    y, z = choice(
        lambda: (gf.exp(gf.sin(x)) + 1.0, gf.tanh(x)), lambda: (gf.exp(gf.sin(x)) * 2.0, gf.tanh(x))
    )
    program, journal = optimized([y, z])
    assert journal.fired("common_code") == journal.fired("handed_on") == 1
    assert sorted(kinds(program)) == ["exp", "sin", "switch_case", "tanh"]
    ends = [body.nodes[-1].op.name for body in bodies_of(find(program, "switch_case"))]
    assert sorted(ends) == ["add", "multiply"]
    assert_both_ways([y, z], x)


def test_what_one_branch_alone_computes_stays_there(x: gf.Tensor) -> None:
    y = choice(lambda: gf.log(x), lambda: gf.sin(x))
    program, journal = optimized(y)
    assert kinds(program) == ["switch_case"] and not journal.fired("common_code")
    assert_both_ways([y], x)


def test_a_predicate_that_rules_decide_takes_the_branch(x: gf.Tensor) -> None:
    flag = gf.not_equal(gf.shape_of(x)[0], 4)
    y = gf.cond(flag, lambda: gf.sin(x), lambda: gf.cos(x))
    assert kinds(optimized(y, "canonicalize")[0]) == ["cos"]


# Neighbours


def scanned(xs: Any, sign: float, **options: Any) -> Any:
    return gf.scan(lambda c, t: (c * 0.5 + sign * t, gf.sin(c) + t), 0.0, xs, **options)


def test_scans_over_one_sequence_are_merged(x: gf.Tensor) -> None:
    fetches = [*scanned(x, 1.0), *scanned(x, -1.0), *scanned(x * 2.0, 3.0)]
    program, journal = optimized(fetches)
    assert kinds(program).count("scan") == 2 and journal.fired("merge_neighbours")
    same_values(fetches, {x: WILD})
    same_values(fetches, {x: np.float32([1, 2, 3, 4])})


def test_scans_with_one_body_keep_their_own_values(x: gf.Tensor) -> None:
    scale = gf.placeholder("scale", ())
    first, rows = gf.scan(lambda c, t: (c * scale + t, gf.sin(c) + t), 0.0, x)
    node = first.node
    other = Builder(first.graph).apply(node.op, [gf.constant(5.0), *node.inputs[1:]], dict(node.attrs))
    assert other[0].node.attrs.body is node.attrs.body
    fetches = [first, rows, *other]
    assert kinds(optimized(fetches)[0]).count("scan") == 1
    same_values(fetches, {x: WILD, scale: 0.5})
    assert gf.Session(backend="numpy").run(other[0] - first, {x: [1, 2, 3, 4], scale: 1.0}) == 5


def test_a_scan_over_the_rows_of_another_is_merged_into_it(x: gf.Tensor) -> None:
    last, rows = scanned(x, 1.0)
    second, others = gf.scan(lambda c, ts: (c + ts[0] * ts[1], c - ts[0]), 1.0, (rows, x))
    maps = gf.map(lambda t: gf.exp(t), others)
    for fetches in ([last, second, maps], [maps], [rows, second]):
        program, _ = optimized(fetches)
        assert kinds(program).count("scan") == 1
        same_values(fetches, {x: WILD})


def test_scans_that_wait_for_each_other_stay_apart(x: gf.Tensor) -> None:
    last, rows = scanned(x, 1.0)
    waits = gf.scan(lambda c, t: (c + t, None), last, x)[0]
    turned = gf.map(lambda t: gf.exp(t), rows[::-1])
    back = scanned(x, 1.0, reverse=True)[0]
    program, journal = optimized([waits, turned, back])
    assert kinds(program).count("scan") == 4 and not journal.fired("merge_neighbours")


def test_merged_scans_have_gradients_and_run_on_jax(x: gf.Tensor) -> None:
    last, rows = scanned(x, 1.0)
    total = last + gf.sum(gf.map(lambda t: t * t, rows))
    slope = gf.gradients(total, x)[0]
    values = {x: np.float32([0.5, -1.0, 2.0, 0.25])}
    plain = gf.Session(backend="numpy", level="O0").run([total, slope], values)
    for backend in ("numpy", "jax"):
        for made, wanted in zip(gf.Session(backend=backend).run([total, slope], values), plain):
            np.testing.assert_allclose(made, wanted, rtol=1e-5)


def test_scans_side_by_side_stay_apart_where_a_target_runs_them_at_once():
    x, y = gf.placeholder("x", (6, 3)), gf.placeholder("y", (3,))
    first = gf.scan(lambda h, row: (h * 0.5 + row, h), y, x)
    second = gf.scan(lambda h, row: (gf.maximum(h, row), None), y, x)
    third = gf.scan(lambda h, row: (h + row, None), y, first[1])
    fetches = [second[0], third[0]]
    assert kinds(optimized(fetches, "control-flow")[0]).count("scan") == 1
    program, _ = optimized(fetches, "control-flow{beside=false}")
    assert kinds(program).count("scan") == 2
