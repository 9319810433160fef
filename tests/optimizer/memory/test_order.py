"""Orders: topological, never worse than the given one, and the best where that can be known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.exact_order import Improvement, cuts
from graphflow.optimizer.memory.list_order import RULES, ListOrder, depth_first, ranks
from graphflow.optimizer.memory.order import choose_order, planned_peak
from graphflow.optimizer.memory.order_problem import OrderProblem
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from tests.optimizer.memory.graphs import programs, random_program


def problem_of(program: Program) -> OrderProblem:
    return OrderProblem(program.order(), program.outputs)


def assert_topological(nodes: tuple[Node, ...], program: Program) -> None:
    assert len(nodes) == len(set(nodes)) and set(nodes) == set(program.order())
    seen: set[Tensor] = set()
    for node in nodes:
        assert seen.issuperset(node.inputs)
        seen.update(node.outputs)


def all_orders(problem: OrderProblem) -> list[list[int]]:
    """Every order of the tasks, by brute force."""
    orders: list[list[int]] = [[]]
    for _ in range(len(problem)):
        orders = [
            [*order, task]
            for order in orders
            for task in range(len(problem))
            if task not in order and set(problem.reads[task]) <= set(order)
        ]
    return orders


def peak_by_hand(problem: OrderProblem, order: list[int]) -> int:
    """The peak of nodes in an order, counted storage by storage."""
    left, live, peak = list(problem.touches), 0, 0
    for number in order:
        candidates, saved = problem.reused[number]
        over = saved if any(left[storage] == 1 for storage in candidates) else 0
        live += problem.made[number]
        peak = max(peak, live + problem.scratch[number] - over)
        for storage in problem.touched[number]:
            left[storage] -= 1
            live -= problem.size[storage] if not left[storage] else 0
    return peak


@settings(max_examples=60)
@given(programs())
def test_an_order_is_topological_and_no_worse(program: Program) -> None:
    found = choose_order(program.order(), program.outputs)
    assert_topological(found.nodes, program)
    assert found.given_peak == plan_program(program).lower_bound_bytes
    assert found.peak == plan_program(program, order=found.nodes).lower_bound_bytes
    assert found.peak <= found.given_peak
    assert found.method != "given" or found.nodes == tuple(program.order())


@settings(max_examples=60)
@given(programs())
def test_regions_stay_together(program: Program) -> None:
    optimize(program, pipeline="fuse")
    found = choose_order(program.order(), program.outputs, program.regions)
    assert_topological(found.nodes, program)
    place = {node: position for position, node in enumerate(found.nodes)}
    sources = {node for node in found.nodes if not node.inputs}
    for region in program.regions:
        between = found.nodes[min(map(place.__getitem__, region.nodes)) : place[region.nodes[-1]] + 1]
        assert set(between) - sources == set(region.nodes)


@settings(max_examples=60)
@given(programs(7))
def test_the_search_finds_the_best_of_all_orders(program: Program) -> None:
    problem = problem_of(program)
    best = min(problem.peak(order) for order in all_orders(problem))
    search = Improvement(problem, range(len(problem)), budget=10_000)
    search.run()
    assert search.complete and search.peak == problem.peak(search.order) == best >= problem.lower_bound
    found = choose_order(program.order(), program.outputs)
    assert min(found.peaks.values()) == best


@settings(max_examples=40)
@given(programs(20), st.integers(1, 300))
def test_a_search_with_any_budget_only_improves(program: Program, budget: int) -> None:
    problem = problem_of(program)
    search = Improvement(problem, depth_first(problem, True), budget, window=5)
    before = search.peak
    search.run()
    assert sorted(search.order) == list(range(len(problem)))
    assert search.peak == problem.peak(search.order) <= before
    if search.complete and len(problem) <= 8:
        assert search.peak == min(problem.peak(order) for order in all_orders(problem))


@settings(max_examples=40)
@given(programs())
def test_peaks_agree_with_counting_and_bound_the_plan(program: Program) -> None:
    problem = problem_of(program)
    orders = [depth_first(problem, shallow) for shallow in (False, True)]
    orders += [ListOrder(problem, ranks(orders[1]), rule, 5).run() for rule in RULES]
    for order in orders:
        assert problem.peak(order) == peak_by_hand(problem, order)
        assert planned_peak(problem.order_of(order), program.outputs) <= problem.peak(order)
        assert_topological(tuple(problem.order_of(order)), program)


@settings(max_examples=40)
@given(programs(7))
def test_cuts_are_where_every_order_is_at_that_task(program: Program) -> None:
    problem = problem_of(program)
    orders = all_orders(problem)
    found = cuts(problem, range(len(problem)))
    common = [
        place + 1
        for place in range(len(problem))
        if all(order[place] == place and set(order[:place]) == set(range(place)) for order in orders)
    ]
    assert found == sorted({*common, len(problem)})


def wide_then_narrow(branches: int) -> Program:
    """Branches that each widen and then narrow; the order as built runs all wide parts first."""
    x = gf.placeholder("x", (64, 64))
    wide = [gf.matmul(x, gf.full((64, 640), float(k)), name=f"wide{k}") for k in range(branches)]
    narrow = [gf.sum(each, axis=1) for each in wide]
    return extract([gf.concat(narrow, axis=0)], feeds=[x])


def test_branches_run_one_after_another() -> None:
    program = wide_then_narrow(6)
    rank = {"wide": 0, "sum": 1, "concat": 2}
    first = [node for node in program.order() if node.op.name not in ("sum", "concat")]
    given_order = first + [node for node in program.order() if node.op.name in rank]
    found = choose_order(given_order, program.outputs)
    assert found.given_peak > 6 * 64 * 640 * 4 and found.peak < 3 * 64 * 640 * 4
    assert found.is_best and found.saved > 0.5


def test_a_training_step_computes_each_update_when_its_gradient_is_there() -> None:
    x = gf.placeholder("x", (512, 64))
    h = x
    for _ in range(8):
        h = gf.layers.dense(h, 64, activation=gf.tanh)
    step = gf.train.SGD(0.1).minimize(gf.mean(h))
    program = extract([], step.assigns, [x], training=True)
    found = choose_order(program.order(), program.outputs)
    # As built, the update of the first layer comes first, and with it all gradients of activations at once.
    assert found.saved > 0.3 and found.method != "given"


def test_the_order_does_not_depend_on_the_run() -> None:
    names = [
        [node.name for node in choose_order(program.order(), program.outputs).nodes]
        for program in (random_program(300, 12), random_program(300, 12))
    ]
    assert names[0] == names[1]


def test_random_graphs_take_far_less() -> None:
    for seed in range(3):
        program = random_program(600, 16, seed)
        found = choose_order(program.order(), program.outputs)
        assert found.saved > 0.2, seed


def test_work_grows_as_the_graph_does() -> None:
    """The trial runs of list scheduling, for every rule, and the downsets of the search."""
    for rule in RULES:
        work = []
        for count in (1_000, 4_000):
            problem = problem_of(random_program(count, 32))
            listing = ListOrder(problem, ranks(depth_first(problem, True)), rule, 6)
            listing.run()
            work.append(listing.work / len(problem.nodes))
        assert work[1] < 1.3 * work[0] and work[1] < 40, rule


def test_a_task_with_very_many_readers_costs_each_of_them_little() -> None:
    x = gf.placeholder("x", (8, 8))
    y = gf.exp(x)
    total = gf.sum(gf.concat([gf.sum(y * float(k), axis=1) for k in range(1_000)], axis=0))
    problem = problem_of(extract([total], feeds=[x]))
    for rule in RULES:
        listing = ListOrder(problem, range(len(problem)), rule, 8)
        assert len(listing.run()) == len(problem) and listing.work < 20 * len(problem.nodes)


def test_a_long_chain_and_nothing_at_all() -> None:
    x = y = gf.placeholder("x", (8,))
    for _ in range(20_000):
        y = gf.negative(y)
    program = extract([y], feeds=[x])
    found = choose_order(program.order(), program.outputs)
    assert found.method == "given" and found.is_best
    nothing = choose_order([], [])
    assert (nothing.nodes, nothing.peak, nothing.saved, nothing.is_best) == ((), 0, 0.0, True)


def test_sizes_beyond_all_machines_are_left_in_their_order() -> None:
    x = gf.placeholder("x", (2**30, 2**30))
    program = extract([gf.sum(gf.exp(x) @ gf.tan(x))], feeds=[x])
    found = choose_order(program.order(), program.outputs)
    assert found.method == "given" and found.nodes == tuple(program.order())
    with np.errstate(over="raise"):
        large = extract([gf.sum(gf.exp(gf.placeholder("z", (2**38,))))], feeds=[])
        assert choose_order(large.order(), large.outputs).peak == 2**40


def test_unknown_sizes_count_as_one() -> None:
    x = gf.placeholder("x", ("batch", 64))
    program = extract([gf.sum(gf.exp(x) @ gf.ones((64, 640)))], feeds=[x])
    found = choose_order(program.order(), program.outputs)
    assert_topological(found.nodes, program)
    assert found.peak == 64 * 640 * 4 + 640 * 4 + 256


@pytest.mark.parametrize("states", [0, 1])
def test_a_search_may_be_left_out(states: int) -> None:
    program = random_program(200, 8)
    found = choose_order(program.order(), program.outputs, states=states)
    assert found.peak <= found.given_peak and not found.is_best
