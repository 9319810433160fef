"""Liveness: who shares memory with whom, and when what is needed for the last time."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import MemoryPlanError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef
from graphflow.optimizer.memory.liveness import Liveness, analyse, scratch_bytes
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.memory.report import memory_report
from graphflow.optimizer.program import extract


def live(fetches: list[Tensor], feeds: list[Tensor], in_place: bool = True) -> Liveness:
    program = extract(fetches, feeds=feeds)
    return analyse(program.order(), program.outputs, in_place)


def kinds(result: Liveness) -> dict[str, str]:
    return {tensor.node.name: storage.kind for storage in result.storages for tensor in storage.tensors}


def shares(result: Liveness) -> list[list[str]]:
    """The names of values that lie in one storage, for storages with several."""
    groups = [[tensor.node.name for tensor in storage.tensors] for storage in result.storages]
    return [group for group in groups if len(group) > 1]


def transposing() -> OpDef:
    """A view that changes the order of the elements."""
    return OpDef(
        lambda x, /: x.T,
        family="custom",
        name="transposed",
        infer=lambda types, attrs: (types[0],),
        traits=frozenset({"view"}),
        promotion=None,
        normalize=None,
        version=1,
    )


def test_kinds_of_storage() -> None:
    x = gf.placeholder("x", (4,))
    w = gf.variable("w", (4,))
    c = gf.constant([1.0, 2.0, 3.0, 4.0], name="c")
    y = gf.add(gf.multiply(x, w, name="product"), c, name="y")
    result = live([gf.exp(gf.tan(gf.exp(y)), name="z"), y], [x])
    found = kinds(result)
    assert (found["x"], found["w"], found["c"], found["y"], found["z"]) == (
        "argument", "argument", "constant", "output", "output",
    )  # fmt: skip


def test_a_chain_runs_in_one_storage() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(gf.exp(gf.exp(x)))
    result = live([y], [x])
    assert shares(result) == [["exp", "exp_1", "exp_2"]]
    assert [node.name for node in result.in_place] == ["exp_1", "exp_2"]
    assert shares(live([y], [x], in_place=False)) == []


def test_what_is_read_later_is_not_overwritten() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.exp(y, name="z")
    result = live([gf.sin(gf.add(z, y, name="sum"), name="out")], [x])
    assert result.storage(result.order[2].output) is not result.storage(result.order[1].output)
    assert shares(result) == [["z", "sum", "out"]]


def test_an_elementwise_operator_takes_whichever_operand_dies() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.tan(x, name="z")
    result = live([gf.sin(gf.subtract(gf.subtract(y, z, name="d"), y, name="e"))], [x])
    assert shares(result) == [["z", "d", "e", "sin"]]


def test_a_long_chain_in_one_storage_is_linear_work() -> None:
    x = gf.placeholder("x", (4,))
    y = x
    for _ in range(20_000):
        y = gf.negative(y)
    result = live([y], [x])
    assert len(result.storages) == 2 and len(result.in_place) == 19_999


def test_arguments_constants_and_outputs_are_not_overwritten() -> None:
    x = gf.placeholder("x", (4,))
    w = gf.variable("w", (4,))
    c = gf.constant([1.0, 2.0, 3.0, 4.0])
    y = gf.tan(x, name="y")
    result = live([gf.exp(w), gf.exp(c), gf.exp(x), y, gf.exp(y)], [x])
    assert shares(result) == [] and result.in_place == []


def test_another_type_is_not_written_over() -> None:
    x = gf.placeholder("x", (4, 1))
    y = gf.placeholder("y", (4,))
    wide = gf.add(gf.exp(x, name="tall"), gf.exp(y, name="flat"), name="wide")
    result = live([gf.sin(wide, name="out")], [x, y])
    assert shares(result) == [["wide", "out"]]


def test_views_share_and_prolong() -> None:
    x = gf.placeholder("x", (2, 3))
    y = gf.exp(x, name="y")
    flat = gf.reshape(y, (6,), name="flat")
    z = gf.sin(gf.exp(x))
    result = live([gf.tan(flat, name="t"), z], [x])
    storage = result.storage(result.order[1].output)
    assert [tensor.node.name for tensor in storage.tensors] == ["y", "flat", "t"]


def test_a_node_does_not_overwrite_what_it_reads_through_another_view() -> None:
    x = gf.placeholder("x", (3, 3))
    y = gf.exp(x, name="y")
    turned = Builder(default_graph()).apply(transposing(), (y,), name="turned")
    total = gf.add(y, turned, name="total")
    result = live([total], [x])
    assert shares(result) == [["y", "turned"]]


def test_nothing_is_written_through_a_transposed_view() -> None:
    x = gf.placeholder("x", (3, 3))
    turned = Builder(default_graph()).apply(transposing(), (gf.exp(x),), name="turned")
    result = live([gf.sin(turned)], [x])
    assert result.in_place == []


def test_an_operand_read_twice_by_its_last_reader_may_be_overwritten() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.exp(x, name="y")
    result = live([gf.multiply(y, y, name="square")], [x])
    assert shares(result) == [["y", "square"]]


def test_outputs_that_are_not_their_own_memory_are_copied() -> None:
    x = gf.placeholder("x", (2, 3))
    y = gf.exp(x)
    flat = gf.reshape(y, (6,))
    result = live([x, y, y, flat], [x])
    # y takes its memory along; x, the second y and the view of y are copies.
    assert result.copied_bytes == 3 * 24
    assert [storage.kind for storage in result.storages] == ["argument", "output"]


def test_last_readers_and_instants() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.sum(y, name="z")
    result = live([gf.add(z, gf.sum(gf.sin(z)), name="out")], [x])
    storage = result.storage(result.order[1].output)
    assert (storage.first, storage.last) == (1, 3)
    assert storage.last_reader is not None and storage.last_reader.name == "z"


def test_a_symbolic_size_is_refused_with_the_line() -> None:
    x = gf.placeholder("x", ("batch", 4))
    with pytest.raises(MemoryPlanError, match=r"symbolic type float32\[batch, 4\]") as caught:
        live([gf.exp(x)], [x])
    assert "test_liveness.py" in str(caught.value)


# Bodies


def scratch(tensor: Tensor) -> int:
    return scratch_bytes(tensor.node)


def test_nodes_without_bodies_need_nothing_beside() -> None:
    assert scratch(gf.exp(gf.placeholder("x", (4,)))) == 0


def test_a_loop_holds_the_carry_and_the_values_of_a_step() -> None:
    """400 bytes of the carry before, and the wide value with the new carry; steps do not add up."""
    x = gf.placeholder("x", (100,))

    def step(c: Tensor) -> Tensor:
        wide = gf.exp(gf.broadcast_to(c, (10, 100)))
        return gf.sum(wide, axis=0)

    short, long = (gf.fori_loop(0, n, lambda i, c: step(c), x) for n in (3, 300))
    # A broadcast is a view, but one larger than what it shows, so it counts.
    assert scratch(short) == scratch(long) == 400 + 4000 + 400
    bounded = gf.while_loop(lambda c: gf.sum(c) < 1.0, step, x)
    assert scratch(bounded) == 400 + 4000 + 400


def test_a_choice_needs_what_its_hungriest_branch_does() -> None:
    x = gf.placeholder("x", (100,))

    def hungry(v: Tensor) -> Tensor:
        wide = gf.outer(v, v)
        return gf.sum(gf.matmul(wide, wide), axis=0)

    assert scratch(gf.cond(gf.sum(x) > 0.0, gf.exp, gf.cos, x)) == 0
    assert scratch(gf.cond(gf.sum(x) > 0.0, gf.exp, hungry, x)) == 80_000


def test_bodies_in_bodies_count() -> None:
    x = gf.placeholder("x", (100,))

    def inner(v: Tensor) -> Tensor:
        return gf.sum(gf.exp(gf.outer(v, v)), axis=0)

    choice = gf.function(lambda v: gf.cond(gf.sum(v) > 0.0, gf.exp, inner, v))(x)
    assert 40_000 <= scratch(choice) <= 40_000 + 500


def test_the_scratch_of_a_node_lives_while_it_runs() -> None:
    x = gf.placeholder("x", (100,))
    y = gf.fori_loop(0, 3, lambda i, c: gf.sum(gf.exp(gf.outer(c, c)), axis=0), x, name="loop")
    program = extract([gf.sum(gf.exp(y))], feeds=[x])
    plan = plan_program(program)
    (found,) = [storage for storage in plan.liveness.storages if not storage.tensors]
    position = plan.order.index(found.maker)
    assert (found.first, found.last, found.maker.op.name) == (position, position + 1, "scan")
    assert plan.peak == position and plan.arena_bytes >= 40_000 and plan.naive_bytes >= plan.arena_bytes
    assert "inside loop" in str(memory_report(plan))


def test_the_plan_of_a_long_recurrence_grows_by_its_rows_alone() -> None:
    """A step's own values count once, however many steps there are."""
    w = gf.variable("w", (32, 32))

    def planned(steps: int) -> int:
        _, rows = gf.scan(lambda h, _: (gf.tanh(gf.matmul(h, w)), h), gf.zeros((4, 32)), length=steps)
        return plan_program(extract([gf.sum(rows)])).lower_bound_bytes

    assert planned(100) - planned(50) == 50 * 4 * 32 * 4
