"""In-place writes and views by a run that fills all memory with NaN the moment nothing needs it any more.

Temporaries lie in one arena at their planned offsets. A view is never computed: it is read from where its
source lies. A result written in place is computed from operands of which all but the one it is written over
are filled with NaN where they overlap it.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.graph import default_graph
from graphflow.ir.interpret import evaluate, run_node
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.liveness import Liveness, analyse, view_source
from graphflow.optimizer.memory.order import choose_order
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.program import Program, extract
from tests.optimizer.memory.graphs import programs, values_of
from tests.optimizer.memory.test_liveness import shares, transposing

POISON = 0xFF  # four of these bytes are a NaN


class PoisonedRun:
    """One run of a plan; `outputs()` are the results."""

    def __init__(self, plan: MemoryPlan, given: dict[Tensor, np.ndarray]) -> None:
        self.plan, self.live, self.given = plan, plan.liveness, given
        arena = np.full(plan.arena_bytes, POISON, np.uint8)
        self.memory = []
        for storage in self.live.storages:
            if storage.kind == "temporary":
                start = plan.offsets[storage.tensors[0].name]
                self.memory.append(arena[start : start + storage.size])
            else:
                self.memory.append(np.full(storage.size, POISON, np.uint8))

    def place(self, tensor: Tensor) -> np.ndarray:
        memory = self.memory[self.live.of[tensor]][: int(tensor.type.nbytes)]
        return memory.view(tensor.dtype.numpy).reshape(tensor.shape)

    def run(self) -> None:
        in_place, strided = set(self.live.in_place), set()
        for position, node in enumerate(self.plan.order):
            if node in in_place:
                self.write(node, self.operands_of_writer(node))
            elif "nullary_input" in node.op.traits:
                self.place(node.output)[...] = self.given[node.output]
            elif not node.outputs or view_source(node, node.outputs[0], strided) is None:
                self.write(node, [self.place(tensor) for tensor in node.inputs])
            for storage, memory in zip(self.live.storages, self.memory):
                if storage.last == position + 1 and storage.kind == "temporary":
                    memory[...] = POISON

    def operands_of_writer(self, node: Node) -> list[np.ndarray]:
        target = next(
            given for given in node.inputs
            if given.type is node.output.type and self.live.of[given] == self.live.of[node.output]
        )  # fmt: skip
        written = self.place(node.output)
        return [
            np.full_like(self.place(one), np.nan)
            if one is not target and np.shares_memory(self.place(one), written)
            else self.place(one)
            for one in node.inputs
        ]

    def write(self, node: Node, operands: list[np.ndarray]) -> None:
        made = [np.array(value) for value in run_node(node, operands)]
        for tensor, value in zip(node.outputs, made):
            self.place(tensor)[...] = value

    def outputs(self, program: Program) -> list[np.ndarray]:
        return [self.place(tensor).copy() for tensor in program.outputs]


def assert_unharmed(program: Program, plan: MemoryPlan) -> None:
    given_values = values_of(program)
    run = PoisonedRun(plan, given_values)
    run.run()
    for made, wanted in zip(run.outputs(program), evaluate(program.outputs, given_values)):
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)


@settings(max_examples=120)
@given(programs())
def test_nothing_is_read_after_its_memory_is_gone(program: Program) -> None:
    assert_unharmed(program, plan_program(program))
    assert_unharmed(program, plan_program(program, in_place=False))


@settings(max_examples=80)
@given(programs())
def test_nor_in_the_chosen_order(program: Program) -> None:
    chosen = choose_order(program.order(), program.outputs).nodes
    assert_unharmed(program, plan_program(program, order=chosen))


def test_the_run_notices_memory_that_dies_too_early() -> None:
    """With a last reader forgotten, the poison reaches the result."""
    x = gf.placeholder("x", (2, 12))
    y = gf.tanh(x)
    program = extract([gf.sum(gf.exp(gf.reshape(y, (24,)))) + gf.sum(y)], feeds=[x])
    plan = plan_program(program, in_place=False)
    storage = plan.liveness.storage(program.order()[1].output)
    assert storage.tensors[1].node.op.name == "reshape"
    storage.last -= 3
    run = PoisonedRun(plan, values_of(program))
    run.run()
    assert np.isnan(run.outputs(program)[0])


# Reasons


def refusals(fetches: list[Tensor], feeds: list[Tensor]) -> dict[str, str]:
    program = extract(fetches, feeds=feeds)
    found: dict[str, str] = {}
    analyse(program.order(), program.outputs, refused=lambda node, why: found.update({node.name: why}))
    return found


def test_a_refusal_names_the_reader_that_it_would_break() -> None:
    x = gf.placeholder("x", (4,))
    y = gf.exp(x, name="y")
    z = gf.tanh(y, name="z")
    late = gf.multiply(z, y, name="late")
    assert refusals([gf.sum(late)], [x]) == {
        "y": "x is passed in, and what is passed in stays as it is",
        "z": "y is read later, by late",
    }


def test_a_refusal_names_what_memory_is_shared_with() -> None:
    x = gf.placeholder("x", (2, 3))
    y = gf.matmul(x, gf.ones((3, 3)), name="y")
    seen = gf.identity(gf.reshape(gf.reshape(y, (6,)), (2, 3)), name="seen")
    z = gf.tanh(seen, name="z")
    found = refusals([gf.sum(gf.add(gf.sum(z, axis=0), gf.sum(y, axis=0)))], [x])
    assert found == {"z": "seen, which shares the memory of y, is read later, by sum_1"}


def test_returned_values_constants_and_operands_read_twice() -> None:
    x = gf.placeholder("x", (2, 2))
    y = gf.matmul(x, x, name="y")
    kept = gf.tanh(y, name="kept")
    c = gf.tanh(gf.constant([[1.0, 2.0], [3.0, 4.0]], name="c"), name="of_c")
    found = refusals([y, kept, c], [x])
    assert found["kept"] == "y is returned, or a view of it is"
    assert found["of_c"] == "c is a constant, which later runs read again"
    same = gf.reshape(gf.matmul(x, x, name="m"), (4,), name="flat")
    both = gf.add(same.node.inputs[0], gf.reshape(same, (2, 2), name="again"), name="both")
    reason = refusals([gf.sum(both)], [x])["both"]
    assert "both also reads the memory of m through another view" in reason


def test_a_reshape_of_a_view_in_another_order_has_memory_of_its_own() -> None:
    x = gf.placeholder("x", (3, 3))
    y = gf.exp(x, name="y")
    turned = Builder(default_graph()).apply(transposing(), (y,), name="turned")
    wide = gf.expand_dims(turned, 0, name="wide")
    flat = gf.reshape(wide, (9,), name="flat")
    program = extract([gf.sum(gf.tanh(flat, name="t"))], feeds=[x])
    result: Liveness = analyse(program.order(), program.outputs)
    assert shares(result) == [["y", "turned", "wide"], ["flat", "t"]]
