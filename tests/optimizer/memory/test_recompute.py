"""What to recompute: trials foretell the plan, cuts are minimal, small problems are solved to the optimum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.memory.plan import plan_program
from graphflow.optimizer.memory.recompute import RecomputeProblem
from graphflow.optimizer.memory.recompute_cut import all_recomputed, cut, held_values
from graphflow.optimizer.memory.recompute_search import fit
from graphflow.optimizer.memory.recompute_trial import Trial
from graphflow.optimizer.program import Program, extract
from tests.optimizer.memory.checkmate import Checkmate


def there_and_back(layers: int, skip: bool = False, size: int = 16) -> Program:
    """A chain of nodes and a second one that reads the values of the first from the last to the first."""
    with gf.Graph():
        x = gf.placeholder("x", (size,))
        made = [gf.exp(x)]
        for _ in range(layers - 1):
            made.append(gf.exp(made[-1]))
        if skip:
            made.append(gf.add(made[-1], made[0]))
        slope = gf.sin(made[-1])
        for value in reversed(made):
            slope = gf.multiply(slope, value)
    return extract([slope], feeds=[x])


def drawn(layers: int, skip: bool, rng: np.random.Generator) -> RecomputeProblem:
    """A problem of random bytes and costs, with nothing in place, as Checkmate's program has it."""
    program = there_and_back(layers, skip)
    problem = RecomputeProblem(program.order(), program.outputs)
    base, count = problem.base, len(problem)
    base.reused = [((), 0)] * count
    base.size = [int(rng.integers(1, 9)) if size else 0 for size in base.size]
    base.made = problem.bytes = [
        sum(base.size[storage] for storage, home in enumerate(problem.homes) if home == place)
        for place in range(count)
    ]
    problem.costs = [int(cost) for cost in rng.integers(1, 20, count)]
    return problem


def chain(layers: int = 6) -> RecomputeProblem:
    program = there_and_back(layers, size=160)
    return RecomputeProblem(program.order(), program.outputs)


@pytest.mark.parametrize("seed", range(8))
def test_small_problems_are_solved_to_the_optimum_of_checkmate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = drawn(3 + seed % 3, seed % 2 == 1, rng)
    peak = Trial(problem).highest
    solved = 0
    for budget in range(peak, peak // 2, -3):
        found = fit(problem, budget).best
        least = Checkmate(problem, budget, runs=9).solve()
        assert (None if found is None else found.cost) == least
        solved += least is not None
        assert found is None or found.highest <= budget
    assert solved


def test_a_trial_without_second_runs_counts_as_the_plan_does() -> None:
    program = there_and_back(5, size=160)
    problem = RecomputeProblem(program.order(), program.outputs)
    assert Trial(problem).highest == plan_program(program).lower_bound_bytes
    assert Trial(problem).cost == 0


def test_the_turn_lies_between_the_halves() -> None:
    problem = chain(6)
    assert problem.nodes[problem.split + 1].op.name in ("sin", "multiply")
    assert [problem.nodes[home].op.name for home in problem.wanted] == ["exp"] * len(problem.wanted)
    assert problem.divided(2).split == 2 and problem.split != 2


def test_second_runs_come_right_before_their_readers_and_only_once() -> None:
    problem = chain(6)
    trial = Trial(problem, all_recomputed(problem))
    again = [~run for run in trial.runs if run < 0]
    assert len(again) == len(set(again)) and set(again) <= set(trial.chosen)
    for home in again:
        place = trial.runs.index(~home)
        assert set(problem.needs[home]) & trial.chosen <= {~run for run in trial.runs[:place] if run < 0}


def test_what_is_returned_or_random_from_outside_stays() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (160,))
        kept = gf.exp(x)
        lost = gf.cos(kept)
        y = gf.multiply(gf.sin(gf.tan(lost)), gf.multiply(lost, kept))
    program = extract([y, kept], feeds=[x])
    problem = RecomputeProblem(program.order(), program.outputs, split=2)
    movable = {problem.nodes[place].op.name for place, flag in enumerate(problem.movable) if flag}
    assert "exp" not in movable and "cos" in movable


def lagrangian(problem: RecomputeProblem, chosen: frozenset[int], price: float) -> int:
    """Operations of what is recomputed, and the price of what is kept because it is needed."""
    needed = set(problem.wanted)
    for home in sorted(chosen, reverse=True):
        needed.update(problem.needs[home] if home in needed else ())
    kept = sum(int(price * problem.bytes[home]) for home in needed - chosen)
    return kept + sum(problem.costs[home] for home in chosen & needed)


@pytest.mark.parametrize("price", [0.2, 1.0, 2.5, 30.0])
def test_a_cut_is_the_least_of_all_choices(price: float) -> None:
    for seed in range(4):
        problem = drawn(6, seed % 2 == 1, np.random.default_rng(seed))
        homes = all_recomputed(problem)
        choices = [frozenset(some) for count in range(len(homes) + 1) for some in combinations(homes, count)]
        least = min(lagrangian(problem, chosen, price) for chosen in choices)
        assert lagrangian(problem, frozenset(cut(problem, price)), price) == least


def test_nothing_is_recomputed_across_a_border() -> None:
    problem = chain(12)
    held = held_values(problem, 3)
    assert 2 <= len(held) <= 3
    assert not held & set(all_recomputed(problem, held))
    plain, held_trial = (Trial(problem, all_recomputed(problem, some)) for some in (frozenset(), held))
    assert held_trial.highest < plain.highest


def test_a_chain_needs_about_twice_the_root_of_its_length() -> None:
    problem = chain(64)
    found = fit(problem, 24 * 640)
    assert found.best is not None and found.best.highest <= 24 * 640 < Trial(problem).highest // 2
    assert found.best.cost <= sum(problem.costs[: problem.split + 1])


def test_a_program_without_anything_to_recompute_is_left() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (16,))
        program = extract([gf.exp(x)], feeds=[x])
    search = fit(RecomputeProblem(program.order(), program.outputs), 0)
    assert search.lowest.chosen == frozenset() and search.best is not None
