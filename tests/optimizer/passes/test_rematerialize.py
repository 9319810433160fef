"""Rematerialize: values stay to the bit, the plan fits the budget, and what cannot fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.verify import verify
from graphflow.optimizer.analysis.cost import total_flops
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.runtime.jax.backend import JaxBackend

LAYERS, WIDTH, BATCH = 6, 64, 128


class Net:
    """A stack of dense layers with dropout, and its training step."""

    def __init__(self, batch: Any = BATCH, rate: float = 0.2) -> None:
        self.graph = gf.Graph()
        with self.graph:
            self.x = gf.placeholder("x", (batch, WIDTH))
            h = self.x
            for _ in range(LAYERS):
                h = gf.layers.dropout(gf.nn.gelu(gf.layers.dense(h, WIDTH)), rate)
            self.loss = gf.mean(gf.square(h - self.x))
            self.train = gf.train.SGD(0.1).minimize(self.loss)
        shape = (batch if isinstance(batch, int) else BATCH, WIDTH)
        self.feeds = {self.x: np.random.default_rng(0).normal(size=shape).astype(np.float32)}

    def program(self, level: str = "O2") -> Program:
        """The training step, optimised and in a good order."""
        made = extract([self.loss], list(self.train.assigns), [self.x], training=True)
        return optimize(optimize(made, level), pipeline="decompose,schedule", refusal=JaxBackend().refusal)

    def trained(self, steps: int = 2, **options: Any) -> list[np.ndarray]:
        """The loss of each step, and the weights after them."""
        with gf.Session(self.graph, seed=3, **options) as sess:
            losses = [sess.run([self.loss, self.train], self.feeds)[0] for _ in range(steps)]
            return [*losses, *[np.asarray(sess.variables[name]) for name in sorted(sess.variables)]]


def fitted(program: Program, budget: int, journal: Journal | None = None) -> Program:
    made = optimize(
        specialize(program, {}),
        pipeline=f"rematerialize{{budget={budget}}}",
        journal=journal,
        check=True,
    )
    verify(made)
    return made


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


@pytest.fixture(scope="module")
def program(net: Net) -> Program:
    return net.program()


@pytest.mark.parametrize("share", [0.8, 0.5])
def test_the_plan_fits_and_costs_little(program: Program, share: float) -> None:
    before = plan_program(program)
    budget = int(share * before.arena_bytes)
    made = fitted(program, budget)
    after = plan_program(made)
    assert after.arena_bytes <= budget
    assert after.order == tuple(made.schedule)
    more = total_flops(after.order) / total_flops(before.order) - 1
    assert 0 < more <= 0.2


def test_the_journal_says_what_and_why(program: Program) -> None:
    journal = Journal("entries")
    made = fitted(program, plan_program(program).arena_bytes * 3 // 5, journal)
    entries = [entry for entry in journal.entries if entry.rule == "rematerialize"]
    assert entries and "computed again instead of kept" in entries[0].reason
    assert journal.passes[-1].changed and "more operations" in journal.passes[-1].note
    again = [node for node in made.order() if node.name.endswith(".again")]
    assert again and all(node.lineage is not None and node.origin is not None for node in again)


def test_second_runs_are_not_merged_by_what_merges_twins(program: Program) -> None:
    budget = plan_program(program).arena_bytes // 2
    made = fitted(program, budget)
    count, scheduled = len(made.order()), made.schedule
    cleaned = optimize(specialize(made, {}), "O1")
    assert len(cleaned.order()) == count
    assert scheduled


@pytest.mark.parametrize("share", [0.7, 0.45])
def test_values_and_random_draws_stay_to_the_bit_on_numpy(net: Net, program: Program, share: float) -> None:
    budget = int(plan_program(program).arena_bytes * share)
    pair = [net.trained(backend="numpy", memory_budget=limit) for limit in (None, budget)]
    for left, right in zip(*pair, strict=True):
        np.testing.assert_array_equal(left, right)


def test_sizes_are_known_when_the_budget_is_met() -> None:
    net = Net("batch")
    plain = net.trained(backend="numpy")
    made = net.trained(backend="numpy", memory_budget="400 kB")
    for left, right in zip(plain, made, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_budget_that_is_met_changes_nothing(program: Program) -> None:
    made = fitted(program, plan_program(program).arena_bytes)
    assert len(made.order()) == len(program.order())
    assert len(fitted(program, 0).order()) == len(program.order())


def test_what_cannot_fit_is_refused_with_the_least_that_can(program: Program) -> None:
    with pytest.raises(gf.MemoryPlanError, match="below the least that was found") as caught:
        fitted(program, 1000)
    least = int(str(caught.value).partition("found, ")[2].partition(" bytes")[0])
    assert "there have to be" in caught.value.message and "raise the budget" in caught.value.hint
    assert plan_program(fitted(program, least)).arena_bytes <= least


def test_unknown_sizes_are_refused() -> None:
    with pytest.raises(gf.RewriteError, match="static-shapes"):
        fitted(Net("batch").program(), 1000)


@pytest.mark.parametrize("budget", [0, -1, True, 1.5, [1]])
def test_a_budget_is_a_number_of_bytes(net: Net, budget: Any) -> None:
    with pytest.raises(gf.SessionError, match="memory_budget"):
        gf.Session(net.graph, memory_budget=budget)
    with pytest.raises(gf.SessionError, match="no number of bytes"):
        gf.Session(net.graph, memory_budget="a lot")


def test_xla_needs_less_too() -> None:
    """Plain duplicates and barriers are undone by XLA on the CPU, which then needs as much as before."""
    net = Net(1024, rate=0.0)
    budget = plan_program(net.program()).arena_bytes // 2
    temp, values = [], []
    for limit in (None, budget):
        with gf.Session(net.graph, seed=3, memory_budget=limit) as sess:
            values.append(sess.run([net.loss, net.train], net.feeds)[0])
            temp.append(sess.memory([net.loss, net.train]).backend_bytes["temp"])
    assert temp[1] <= 0.6 * temp[0]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


def test_equal_nodes_are_merged_before_anything_is_chosen() -> None:
    """A program as it was built holds duplicates, which go when the first edit is prepared."""
    with gf.Graph():
        x = gf.placeholder("x", (64, 64))
        kept, value = [], x
        for _ in range(12):
            first, second = gf.sin(value), gf.sin(value)
            kept += [first, second]
            value = gf.exp(gf.multiply(first, second))
        slope = value
        for value in reversed(kept):
            slope = gf.multiply(slope, value)
    program = extract([slope], feeds=[x])
    budget = plan_program(program).arena_bytes // 4
    assert plan_program(fitted(program, budget)).arena_bytes <= budget
