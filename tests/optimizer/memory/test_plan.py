"""Plans: programs run inside the planned arena with the right values; the numbers add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import MemoryPlanError
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate, run_node
from graphflow.ir.node import Tensor
from graphflow.optimizer.memory import MemoryPlan, plan_program
from graphflow.optimizer.program import Program, extract

SHAPES = [(2, 3), (6,), (3, 2), (1, 6)]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A random program of elementwise operators, reductions and views over a few small shapes."""
    with Graph():
        x = gf.placeholder("x", (2, 3))
        w = gf.variable("w", (6,))
        pool: list[Tensor] = [x, w, gf.constant(np.arange(6, dtype="f4").reshape(3, 2))]
        for _ in range(draw(st.integers(1, 25))):
            chosen = draw(st.sampled_from(pool))
            kind = draw(st.sampled_from(["sin", "add", "multiply", "reshape", "sum", "permute"]))
            if kind == "sin":
                made = gf.sin(chosen)
            elif kind in ("add", "multiply"):
                same = [one for one in pool if one.type is chosen.type]
                other = draw(st.sampled_from([*same, gf.constant(np.float32(0.5))]))
                made = (gf.add if kind == "add" else gf.multiply)(chosen, other)
            elif kind == "sum":
                made = gf.sum(chosen)
            elif kind == "permute":
                made = gf.permute_dims(chosen, tuple(reversed(range(chosen.ndim))))
            elif chosen.size == 6:
                made = gf.reshape(chosen, draw(st.sampled_from(SHAPES)))
            else:
                made = gf.sin(chosen)
            pool.append(made)
        count = draw(st.integers(1, 3))
        fetches = [draw(st.sampled_from(pool)) for _ in range(count)]
        return extract(fetches, feeds=[x])


def run_in_arena(program: Program, plan: MemoryPlan, given: dict[Tensor, np.ndarray]) -> list[np.ndarray]:
    """Run a program with its temporaries in one byte array, at the planned offsets and nowhere else.

    Outputs and arguments have memory of their own, one array a storage.
    """
    arena = np.full(plan.arena_bytes, 0xEE, np.uint8)
    own = {
        index: np.zeros(storage.size, np.uint8)
        for index, storage in enumerate(plan.liveness.storages)
        if storage.kind != "temporary"
    }

    def place(tensor: Tensor) -> np.ndarray:
        index = plan.liveness.of[tensor]
        offset = 0 if index in own else plan.offsets[tensor.name]
        memory = own.get(index, arena)[offset : offset + int(tensor.type.nbytes)]
        return memory.view(tensor.dtype.numpy).reshape(tensor.shape)

    for node in plan.order:
        if "nullary_input" in node.op.traits:
            place(node.output)[...] = given[node.output]
            continue
        made = run_node(node, [place(tensor) for tensor in node.inputs])
        for tensor, value in zip(node.outputs, [np.array(value) for value in made]):
            place(tensor)[...] = value
    return [place(tensor).copy() for tensor in program.outputs]


@given(programs())
def test_programs_run_in_the_planned_arena(program: Program) -> None:
    rng = np.random.default_rng(0)
    given = {
        tensor: rng.normal(size=tensor.shape).astype("f4")
        for tensor in [*program.placeholders.values(), *program.variables.values()]
    }
    expected = evaluate(program.outputs, given)
    for in_place in (True, False):
        plan = plan_program(program, in_place=in_place, alignment=4)
        assert plan.lower_bound_bytes <= plan.arena_bytes <= plan.naive_bytes
        for made, wanted in zip(run_in_arena(program, plan, given), expected):
            np.testing.assert_array_equal(made, wanted)


def test_the_numbers_of_a_small_program() -> None:
    x = gf.placeholder("x", (256,))
    w = gf.variable("w", (256,))
    c = gf.constant(np.ones(256, "f4"))
    a = gf.exp(gf.multiply(x, w))
    b = gf.sin(a)
    out = gf.sum(gf.add(gf.add(a, b), c))
    plan = plan_program(extract([out], feeds=[x]), in_place=False)
    # multiply, exp, sin, add, add: five values of 1 KiB; at sin's `add`, a, b and their sum are live.
    assert plan.naive_bytes == 5 * 1024
    assert plan.lower_bound_bytes == plan.arena_bytes == 3 * 1024
    assert (plan.argument_bytes, plan.constant_bytes, plan.output_bytes) == (2048, 1024, 4)
    assert plan.total_bytes == 2048 + 1024 + 4 + 3072
    assert plan.order[plan.peak].name == "add"
    assert {storage.tensors[0].node.name for storage in plan.live_at_peak()} == {"exp", "sin", "add"}
    assert plan_program(extract([out], feeds=[x])).arena_bytes == 2 * 1024
    assert all(offset % 64 == 0 for offset in plan.offsets.values())


def test_a_deep_chain_is_planned_without_recursion() -> None:
    x = gf.placeholder("x", (8,))
    y = x
    for _ in range(6000):
        y = gf.sum(gf.reshape(y, (1, 8)), axis=0)
    plan = plan_program(extract([y], feeds=[x]))
    assert plan.arena_bytes == plan.lower_bound_bytes == 2 * 64 - 32
    assert plan.naive_bytes == 5999 * 64


def test_a_given_order_is_used() -> None:
    x = gf.placeholder("x", (64,))
    parts = [gf.sum(gf.exp(x, name=f"e{k}"), name=f"s{k}") for k in range(4)]
    program = extract([gf.add(gf.add(parts[0], parts[1]), gf.add(parts[2], parts[3]))], feeds=[x])
    deep = plan_program(program)
    wide = sorted(program.order(), key=lambda node: ("xesa".index(node.name[0]), node.id))
    worse = plan_program(program, order=wide)
    assert [node.name for node in worse.order[1:5]] == ["e0", "e1", "e2", "e3"]
    assert worse.lower_bound_bytes >= 4 * 256 > deep.lower_bound_bytes


def test_over_capacity_is_refused() -> None:
    x = gf.placeholder("x", (1000,))
    program = extract([gf.sum(gf.exp(x))], feeds=[x])
    assert plan_program(program, capacity=4000).arena_bytes == 4000
    with pytest.raises(MemoryPlanError, match="capacity is 3999"):
        plan_program(program, capacity=3999)


def test_a_program_without_temporaries() -> None:
    x = gf.placeholder("x", (3,))
    plan = plan_program(extract([x], feeds=[x]))
    assert (plan.arena_bytes, plan.naive_bytes, plan.gap, plan.offsets) == (0, 0, 0.0, {})
    assert plan.output_bytes == 12


def test_a_notebook_shows_the_picture() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x)
    plan = plan_program(extract([gf.add(y, gf.exp(y))], feeds=[x]))
    assert plan._repr_svg_().count('class="buffer"') == len(plan.buffers()) == 1
