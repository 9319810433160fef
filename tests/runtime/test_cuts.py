"""Cuts: within the budget, at narrow places, and in step with what repeats."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.cuts import choose_cuts
from graphflow.runtime.repetition import Region, find_regions


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=80), st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_pieces_cover_all_and_keep_to_the_budget(nodes: list[tuple[int, int]], budget: int) -> None:
    weights, numbers = [weight for weight, _ in nodes], [number for _, number in nodes]
    costs = [*numbers, 0]
    cuts = choose_cuts(weights, costs, find_regions([hash(node) for node in nodes], budget), budget)
    assert cuts[0] == 0 and cuts[-1] == len(nodes) and cuts == sorted(set(cuts))
    for start, stop in pairwise(cuts):
        assert stop == start + 1 or sum(weights[start:stop]) <= budget


def test_a_cut_lies_where_little_is_alive() -> None:
    costs = np.full(101, 10.0)
    costs[[30, 62]] = 1.0
    assert choose_cuts([1] * 100, costs, [], 40) == [0, 30, 62, 100]


def test_pieces_of_a_region_are_alike() -> None:
    costs = np.tile([5.0, 2.0, 7.0, 3.0, 9.0], 41)[:201]
    cuts = choose_cuts([1] * 200, costs, [Region(0, 200, 5)], 27)
    assert cuts[0:2] == [0, 1] and cuts[-1] == 200
    widths = {stop - start for start, stop in pairwise(cuts[1:-1])}
    assert len(widths) == 1 and widths.pop() % 5 == 0
    assert {position % 5 for position in cuts[1:-1]} == {1}


def test_a_period_above_the_budget_is_cut_at_the_same_places_each_time() -> None:
    costs = np.tile(np.where(np.arange(50) % 25 == 4, 1.0, 9.0), 6)
    cuts = choose_cuts([1] * 300, np.append(costs, 0), [Region(0, 300, 50)], 30)
    assert cuts == [0, *range(4, 300, 25), 300]


def test_a_region_is_cut_into_equal_shares_where_the_number_of_layers_allows() -> None:
    cuts = choose_cuts([1] * 480, np.zeros(481), [Region(0, 480, 10)], 100)
    assert [stop - start for start, stop in pairwise(cuts)] == [80] * 6
